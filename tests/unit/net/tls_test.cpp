#include "net/tls.hpp"

#include <ashlar/error.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "certificates.hpp"
#include "net/socket.hpp"
#include "tcp_wire.hpp"
#include "unit/net/net_fixture.hpp"

/// What an encrypted link promises beyond what every link does (link_test.cpp).
namespace ashlar::net {
namespace {

std::shared_ptr<Bytes> counted_bytes(std::size_t size) {
  auto bytes = std::make_shared<Bytes>(size);
  for (std::size_t i = 0; i < size; ++i) (*bytes)[i] = static_cast<std::byte>(i ^ (i >> 8));
  return bytes;
}

/// The other end of a link, made with OpenSSL alone: it need not keep to our rules.
class OddPeer {
 public:
  using Setup = std::function<void(SSL_CTX*)>;

  OddPeer(Descriptor socket, Link::Side side, const Setup& setup)
      : socket_(std::move(socket)), context_(SSL_CTX_new(TLS_method())) {
    setup(context_);
    SSL_CTX_set_msg_callback(context_, [](int is_write, int, int type, const void* bytes,
                                          std::size_t size, SSL*, void* peer) {
      const bool is_key_update = type == SSL3_RT_HANDSHAKE && size > 0 &&
                                 *static_cast<const unsigned char*>(bytes) == SSL3_MT_KEY_UPDATE;
      if (is_write == 0 && is_key_update) ++static_cast<OddPeer*>(peer)->key_updates_;
    });
    SSL_CTX_set_msg_callback_arg(context_, this);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_.get());
    thread_ = std::thread([this, side] {
      sigset_t signals;  // OpenSSL's way to a socket may raise it; ours must not
      sigemptyset(&signals);
      sigaddset(&signals, SIGPIPE);
      pthread_sigmask(SIG_BLOCK, &signals, nullptr);
      side == Link::Side::connecting ? SSL_connect(ssl_) : SSL_accept(ssl_);
      char some[16 << 10];
      for (int count; (count = SSL_read(ssl_, some, sizeof some)) > 0;) bytes_ += count;
      ::shutdown(socket_.get(), SHUT_RDWR);
    });
  }
  ~OddPeer() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }

  long bytes() const { return bytes_; }
  int key_updates() const { return key_updates_; }

 private:
  Descriptor socket_;
  SSL_CTX* context_;
  SSL* ssl_;
  std::atomic<long> bytes_{0};
  std::atomic<int> key_updates_{0};
  std::thread thread_;
};

OddPeer::Setup with(const TlsFiles& files) {
  return [files](SSL_CTX* context) {
    SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM);
  };
}

struct TlsTest : Net {
  Authority authority{"the authority"};
  std::shared_ptr<const Tls> ours = Tls::load(authority.issue("ours"));
  std::shared_ptr<const Tls> theirs = Tls::load(authority.issue("theirs"));
  Witness at_left;
  Witness at_right;

  void start() {
    left->start(at_left);
    right->start(at_right);
    left->trust();
    right->trust();
  }

  /// Starts both and has the left one speak first, as it is among us. Returns why each closed.
  std::pair<std::string, std::string> reasons(const std::shared_ptr<const Tls>& of_left,
                                              const std::shared_ptr<const Tls>& of_right) {
    open_by("tcp://127.0.0.1:0", {}, of_left, of_right);
    start();
    left->send(frame_of("hello"));
    run_until([&] { return !at_left.closed.empty() && !at_right.closed.empty(); });
    EXPECT_TRUE(at_right.controls.empty());
    return {at_left.closed.at(0), at_right.closed.at(0)};
  }

  /// Why a link of ours closes whose other end is like this.
  std::string reason_with(Link::Side its_side, const OddPeer::Setup& setup) {
    auto [here, there] = tcp_pair();
    const auto our_side =
        its_side == Link::Side::connecting ? Link::Side::accepting : Link::Side::connecting;
    right = Link::adopt(io, here.release(), {}, ours.get(), our_side);
    const OddPeer peer(std::move(there), its_side, setup);
    right->start(at_right);
    run_until([&] { return !at_right.closed.empty(); });
    return at_right.closed.at(0);
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(TlsTest, NothingOfAPayloadIsReadableOnTheWire) {
  for (const bool is_encrypted : {false, true}) {
    Witness at_one, at_other;
    auto [one, one_far] = tcp_pair();
    auto [other, other_far] = tcp_pair();
    Wire wire(std::move(one_far), std::move(other_far));
    auto from = Link::adopt(io, one.release(), {}, is_encrypted ? ours.get() : nullptr,
                            Link::Side::connecting);
    auto to = Link::adopt(io, other.release(), {}, is_encrypted ? theirs.get() : nullptr,
                          Link::Side::accepting);
    from->start(at_one);
    to->start(at_other);
    to->trust();
    const auto payload = counted_bytes(1'000'000);
    from->send(payload_frame("a message", payload));
    run_until([&] { return at_other.payloads_done == 1; });
    EXPECT_TRUE(at_other.payloads[0] == *payload);
    from.reset();
    to.reset();
    const Bytes& seen = wire.seen();
    EXPECT_GE(seen.size(), payload->size());
    const auto is_seen = [&](std::span<const std::byte> what) {
      return std::search(seen.begin(), seen.end(), what.begin(), what.end()) != seen.end();
    };
    EXPECT_EQ(is_seen(std::as_bytes(std::span("a message", 9))), !is_encrypted);
    for (std::size_t i = 0; i < payload->size(); i += 100'000)
      EXPECT_EQ(is_seen(std::span(*payload).subspan(i, 32)), !is_encrypted) << i;
  }
}

TEST_F(TlsTest, AChangedByteClosesTheLink) {
  auto [one, one_far] = tcp_pair();
  auto [other, other_far] = tcp_pair();
  Wire wire(std::move(one_far), std::move(other_far), 500'000);
  left = Link::adopt(io, one.release(), {}, ours.get(), Link::Side::connecting);
  right = Link::adopt(io, other.release(), {}, theirs.get(), Link::Side::accepting);
  start();
  left->send(payload_frame("x", counted_bytes(1'000'000)));
  run_until([&] { return !at_right.closed.empty(); });
  EXPECT_EQ(at_right.payloads_done, 0);
  EXPECT_EQ(at_right.closed[0], "TLS: what came has changed on its way");
}

TEST_F(TlsTest, FramesHaveNoChecksums) {
  for (const bool is_encrypted : {false, true}) {
    open_by("tcp://127.0.0.1:0", {}, is_encrypted ? ours : nullptr,
            is_encrypted ? theirs : nullptr);
    Witness one, other;
    left->start(one);
    right->start(other);
    left->add_checksums();
    left->send(frame_of("12345678"));
    run_until([&] { return other.controls.size() == 1; });
    EXPECT_EQ(left->bytes_sent(), 24u + (is_encrypted ? 0 : 16));
    left.reset();
    right.reset();
  }
}

TEST_F(TlsTest, AnAuthorityThatOneSideDoesNotKnowIsNamedOnBoth) {
  Authority another("another");
  const auto [at_client, at_server] = reasons(Tls::load(another.issue("stranger")), theirs);
  EXPECT_TRUE(has(at_client, "TLS: the other side's certificate (CN=theirs) is not accepted"))
      << at_client;
  EXPECT_TRUE(has(at_client, "--tls-ca")) << at_client;
  EXPECT_TRUE(has(at_server, "TLS: the other side does not accept this side's certificate"))
      << at_server;
  EXPECT_TRUE(has(at_server, "--tls-ca")) << at_server;
}

TEST_F(TlsTest, AStrangerIsToldWhyItIsRefused) {
  // It accepts everybody itself, so that only this side can refuse.
  Authority another("another");
  EXPECT_TRUE(has(reason_with(Link::Side::connecting, with(another.issue("stranger"))),
                  "TLS: the other side's certificate (CN=stranger) is not accepted"));
}

TEST_F(TlsTest, TheSideThatConnectsHearsWhyItIsRefused) {
  Authority another("another");
  const TlsFiles strange = another.issue("stranger");
  const TlsFiles known = authority.issue("known");
  const auto stranger = Tls::load({strange.certificate, strange.key, another.file("ca.pem")});
  // Whom the stranger accepts, and who does not accept it.
  const TlsFiles both{another.issue("both").certificate, another.file("both.key"), known.authority};
  auto [here, there] = tcp_pair();
  left = Link::adopt(io, here.release(), {}, stranger.get(), Link::Side::connecting);
  const OddPeer peer(std::move(there), Link::Side::accepting, [&](SSL_CTX* context) {
    with(both)(context);
    SSL_CTX_load_verify_locations(context, both.authority.c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  });
  left->start(at_left);
  left->send(frame_of("hello"));
  run_until([&] { return !at_left.closed.empty(); });
  EXPECT_TRUE(has(at_left.closed[0], "does not accept this side's certificate"))
      << at_left.closed[0];
}

TEST_F(TlsTest, ExpiredCertificatesAreNamed) {
  const TlsFiles old = authority.issue("old", {.until = -1});
  for (const auto side : {Link::Side::connecting, Link::Side::accepting}) {
    at_right.closed.clear();
    const std::string reason = reason_with(side, with(old));
    EXPECT_TRUE(has(reason, "(CN=old) is not accepted: certificate has expired")) << reason;
    EXPECT_TRUE(has(reason, "have a new one signed")) << reason;
  }
}

TEST_F(TlsTest, WhoShowsNoCertificateIsRefused) {
  const std::string reason = reason_with(Link::Side::connecting, [](SSL_CTX*) {});
  EXPECT_TRUE(has(reason, "TLS: the other side has no certificate")) << reason;
}

TEST_F(TlsTest, OlderVersionsAreRefused) {
  for (const auto side : {Link::Side::connecting, Link::Side::accepting}) {
    at_right.closed.clear();
    const std::string reason = reason_with(side, [&](SSL_CTX* context) {
      with(authority.issue("older"))(context);
      SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    });
    EXPECT_TRUE(has(reason, "one side does not speak TLS 1.3")) << reason;
  }
}

TEST_F(TlsTest, WhoConnectsWithoutTlsIsToldWhatToDo) {
  const auto [at_client, at_server] = reasons(nullptr, theirs);
  EXPECT_TRUE(has(at_client, "the other side uses TLS, and this one does not: give it --tls-cert"))
      << at_client;
  EXPECT_TRUE(has(at_server, "TLS: the other side does not use TLS, and this one does"))
      << at_server;
}

TEST_F(TlsTest, WhoConnectsWithTlsToOneWithoutIsToldWhatToDo) {
  const auto [at_client, at_server] = reasons(ours, nullptr);
  EXPECT_TRUE(has(at_client, "if it does not use TLS, give it --tls-cert")) << at_client;
  EXPECT_TRUE(has(at_server, "the other side uses TLS, and this one does not")) << at_server;
}

TEST_F(TlsTest, GarbageAndSilenceEndSoonAndDisturbNobody) {
  open_by("tcp://127.0.0.1:0", {}, ours, theirs);
  start();
  Limits impatient;
  impatient.handshake_ms = 50;
  const std::string texts[] = {"", "\x16", "GET / HTTP/1.1\r\n\r\n", std::string(100'000, '\x16'),
                               std::string("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc", 9)};
  for (const std::string& text : texts) {
    auto [here, there] = tcp_pair();
    Witness seen;
    const auto link = Link::adopt(io, here.release(), impatient, ours.get(), Link::Side::accepting);
    link->start(seen);
    EXPECT_EQ(::send(there.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<long>(text.size()));
    const std::size_t before = at_right.controls.size();
    left->send(frame_of("meanwhile"));
    run_until([&] { return !seen.closed.empty() && at_right.controls.size() == before + 1; });
    EXPECT_TRUE(seen.closed[0].starts_with("TLS: ")) << seen.closed[0];
    if (text.empty()) {
      EXPECT_TRUE(has(seen.closed[0], "the handshake was not finished within 50 ms"))
          << seen.closed[0];
    }
    EXPECT_TRUE(seen.controls.empty());
  }
  EXPECT_TRUE(at_right.closed.empty());
}

TEST_F(TlsTest, KeysAreChangedNowAndThen) {
  Limits limits;
  limits.key_bytes = 100'000;
  auto [here, there] = tcp_pair();
  left = Link::adopt(io, here.release(), limits, ours.get(), Link::Side::connecting);
  const OddPeer peer(std::move(there), Link::Side::accepting, with(authority.issue("peer")));
  left->start(at_left);
  left->send(payload_frame("x", counted_bytes(2'000'000)));
  run_until([&] { return peer.bytes() > 2'000'000; });
  EXPECT_GT(peer.key_updates(), 10);
  EXPECT_LT(peer.key_updates(), 21);
}

TEST_F(TlsTest, LinksChangeTheirKeysBothWays) {
  Limits limits;
  limits.key_bytes = 100'000;
  open_by("tcp://127.0.0.1:0", limits, ours, theirs);
  start();
  const auto payload = counted_bytes(3'000'000);
  left->send(payload_frame("there", payload));
  right->send(payload_frame("back", payload));
  run_until([&] { return at_left.payloads_done == 1 && at_right.payloads_done == 1; });
  EXPECT_TRUE(at_left.payloads[0] == *payload);
  EXPECT_TRUE(at_right.payloads[0] == *payload);
}

/// The socket is empty then, and would wake nobody.
TEST_F(TlsTest, AStreamSaysThatItHoldsWhatWasNotTakenYet) {
  auto [here, there] = tcp_pair();
  tune_link_socket(here.get());
  tune_link_socket(there.get());
  const auto from = ours->open(here.get(), Link::Side::connecting, SIZE_MAX);
  const auto to = theirs->open(there.get(), Link::Side::accepting, SIZE_MAX);
  Bytes room(1000);
  const auto take = [&](TlsStream& stream) { return stream.receive({std::span(room), {}}); };
  while (!from->is_established() || !to->is_established()) {
    for (TlsStream* stream : {from.get(), to.get()}) {
      EXPECT_EQ(take(*stream), -EAGAIN);
      EXPECT_EQ(stream->send({}), 0);
    }
  }
  const auto payload = counted_bytes(10'000);
  const iovec part{payload->data(), payload->size()};
  EXPECT_EQ(from->send({&part, 1}), 10'000);
  EXPECT_FALSE(to->has_received());
  for (int i = 0; i < 10; ++i) {
    long taken = -EAGAIN;
    while (taken == -EAGAIN) taken = take(*to);
    EXPECT_EQ(taken, 1000);
    EXPECT_TRUE(to->has_received());
  }
  EXPECT_EQ(take(*to), -EAGAIN);
  EXPECT_FALSE(to->has_received());
}

TEST_F(TlsTest, UnixSocketsStayPlain) {
  open_by("unix:@ashlar-tls-test-" + std::to_string(::getpid()), {}, ours, nullptr);
  start();
  left->send(frame_of("hello"));
  run_until([&] { return at_right.controls.size() == 1; });
  EXPECT_EQ(at_right.controls, std::vector<std::string>{"hello"}) << "without a key at this end";
}

}  // namespace
}  // namespace ashlar::net
