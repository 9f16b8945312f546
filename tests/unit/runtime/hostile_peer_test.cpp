#include "runtime/exchange.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "net/frame_reader.hpp"
#include "played_peer.hpp"
#include "wire/codec.hpp"

/// What a peer of the data plane may do wrong: each time the fetch fails, nothing comes into the
/// table, and no memory stays taken.
namespace ashlar::runtime {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr PeerId self{1}, other{2};
constexpr DatumId wanted{{SessionId{0}, 1}, 7};

/// A peer that is played byte by byte.
class Peer {
 public:
  Peer() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socklen_t size = sizeof(sa_family_t);  // the system chooses a name
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    size = sizeof address;
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    name_ = "unix:@" + std::string(address.sun_path + 1, size - sizeof(sa_family_t) - 1);
  }

  protocol::PeerInfo info() const {
    protocol::PeerInfo info;
    info.peer = other;
    info.endpoint.remote_address = name_;
    return info;
  }

  /// Accepts the link and greets; returns the number of the first request on it.
  std::uint64_t take_request() {
    link_ = store::FileDescriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(
        std::holds_alternative<protocol::Hello>(wire::decode_handshake(receive()).message.value()));
    protocol::Welcome welcome;
    welcome.peer = other;
    send(wire::encode(wire::Handshake(welcome)));
    const auto message = wire::decode_peer(receive()).message.value();
    return std::get<protocol::Fetch>(message).requests.at(0);
  }

  /// A frame whose header promises so many bytes of payload; as many of them follow as `payload`
  /// has.
  void send(const std::vector<std::byte>& control, std::uint64_t payload_bytes = 0,
            std::size_t payload = 0) {
    net::FrameHeader header;
    header.control_bytes = static_cast<std::uint32_t>(control.size());
    header.payload_bytes = payload_bytes;
    const auto head = header.encode();
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), control.begin(), control.end());
    bytes.resize(bytes.size() + payload, std::byte{5});
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::send(link_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;  // the exchange has hung up, as some tests want
      done += static_cast<std::size_t>(n);
    }
  }
  void send(const protocol::PeerMessage& message, std::uint64_t payload_bytes = 0,
            std::size_t payload = 0) {
    send(wire::encode(message), payload_bytes, payload);
  }
  void hang_up() { link_ = {}; }

  /// Whether the exchange closes the link, whatever it still sends.
  bool is_hung_up_on() {
    std::byte some[4096];
    ssize_t n = 0;
    while ((n = ::recv(link_.get(), some, sizeof some, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
  }

 private:
  /// The control part of the next frame.
  std::vector<std::byte> receive() {
    std::array<std::byte, net::FrameHeader::bytes> head;
    receive(head);
    std::vector<std::byte> control(net::FrameHeader::decode(head).control_bytes);
    receive(control);
    return control;
  }
  void receive(std::span<std::byte> into) {
    while (!into.empty()) {
      const ssize_t n = ::recv(link_.get(), into.data(), into.size(), 0);
      ASSERT_GT(n, 0) << "the exchange says nothing";
      into = into.subspan(static_cast<std::size_t>(n));
    }
  }

  store::FileDescriptor listener_;
  store::FileDescriptor link_;
  std::string name_;
};

class HostilePeer : public testing::Test {
 protected:
  HostilePeer() {
    exchange_.set_self(self);
    loop_.add_turn_hook([this] { return exchange_.flush(), false; });
    loop_.start();
    on_turn([this] {
      exchange_.know_peer(peer_.info());
      exchange_.start_fetch(wanted, other);
    });
    request_ = peer_.take_request();
  }
  ~HostilePeer() override { loop_.stop(); }

  void on_turn(std::function<void()> f) {
    std::atomic<bool> is_done{false};
    loop_.dispatch([&] {
      f();
      is_done = true;
    });
    loop_.drive_until([&] { return is_done.load(); },
                      Instant{std::numeric_limits<std::int64_t>::max()});
  }

  void expect_failed() {
    EXPECT_EQ(heard_.next(), "failed 7 at 2");
    EXPECT_TRUE(peer_.is_hung_up_on());
    on_turn([this] {
      EXPECT_EQ(table_.size(), 0u);
      EXPECT_EQ(arena_->allocated_bytes(), 0u);
    });
  }

  Loop loop_{Loop::Options{}};
  std::shared_ptr<store::Arena> arena_ = std::make_shared<store::Arena>(16 * mib);
  DataTable table_;
  Heard heard_;
  telemetry::Log log_;
  Exchange exchange_{loop_, arena_, table_, heard_, log_, {}};
  Peer peer_;
  std::uint64_t request_ = 0;
};

TEST_F(HostilePeer, WhatIsAnnouncedAndSentComes) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib, mib);
  EXPECT_EQ(heard_.next(), "fetched 7: 1048576");
  on_turn([this] {
    ASSERT_NE(table_.find(wanted), nullptr);
    EXPECT_EQ(table_.find(wanted)->bytes()[mib - 1], std::byte{5});
  });
}

TEST_F(HostilePeer, MoreBytesThanAnnouncedAreRefused) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib + 1, mib + 1);
  expect_failed();
}

TEST_F(HostilePeer, FewerBytesThanAnnouncedAreRefused) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib - 1, mib - 1);
  expect_failed();
}

TEST_F(HostilePeer, BytesThatFollowAPayloadAreNoFrame) {
  peer_.send(protocol::FetchBytes{request_, 100}, 100, 100 + net::FrameHeader::bytes);
  EXPECT_EQ(heard_.next(), "fetched 7: 100");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

TEST_F(HostilePeer, OneThatGoesInMidTransferHasSentNothing) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib, mib / 2);
  peer_.hang_up();
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  on_turn([this] {
    EXPECT_EQ(table_.size(), 0u);
    EXPECT_EQ(arena_->allocated_bytes(), 0u);
  });
}

TEST_F(HostilePeer, MoreThanThereIsMemoryForIsRefused) {
  peer_.send(protocol::FetchBytes{request_, 64 * mib}, 64 * mib, 100);
  expect_failed();
}

TEST_F(HostilePeer, PlacesInMemoryThatItHasNotSharedAreRefused) {
  peer_.send(protocol::FetchInPlace{0, {request_}, {0}, {mib}});
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

TEST_F(HostilePeer, MemoryWithoutADescriptorIsRefused) {
  peer_.send(protocol::ArenaShared{0, mib});
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

}  // namespace
}  // namespace ashlar::runtime
