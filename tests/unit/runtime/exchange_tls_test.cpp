#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <vector>

#include "certificates.hpp"
#include "net/address.hpp"
#include "runtime/clock.hpp"
#include "runtime/exchange.hpp"

/// The data plane between hosts, encrypted.
namespace ashlar::runtime {
namespace {

constexpr PeerId us{1}, them{2};
constexpr DatumId wanted{{SessionId{1}, 1}, 7};
constexpr std::size_t datum_bytes = 3'000'000;

/// An exchange and what it says; answers who asks.
class Process : public ExchangeEvents {
 public:
  Process(Loop& loop, PeerId self, Exchange::Options options)
      : arena_(std::make_shared<store::Arena>(std::size_t{64} << 20)),
        exchange_(loop, arena_, table_, *this, log_, [&] {
          options.listen_host = "127.0.0.1";
          return options;
        }()) {
    exchange_.set_self(self);
    loop.add_turn_hook([this] { return exchange_.flush(), false; });
  }

  /// As one of another host.
  protocol::PeerInfo info() const {
    return {exchange_.self(), "peer", {"elsewhere", "", exchange_.endpoint().remote_address, ""}};
  }
  void make() {
    auto buffer = store::Buffer::allocate(arena_, datum_bytes);
    std::fill(buffer.writable().begin(), buffer.writable().end(), std::byte{5});
    table_.put(wanted, std::move(buffer));
  }

  void on_fetched(DatumId, std::uint64_t bytes, bool, bool) override { fetched = bytes; }
  void on_fetch_failed(DatumId, PeerId) override { has_failed = true; }
  void on_asked(PeerId peer, std::uint64_t request, DatumId datum) override {
    exchange_.answer(peer, request, datum);
  }
  void on_unasked(PeerId, std::uint64_t) override {}
  void on_loans_wanted(PeerId) override {}
  void on_pushed(DatumId, std::uint64_t, bool) override {}

  std::uint64_t fetched = 0;
  bool has_failed = false;

 private:
  std::shared_ptr<store::Arena> arena_;
  DataTable table_;
  telemetry::Log log_;

 public:
  Exchange exchange_;
};

Exchange::Options with(std::shared_ptr<const net::Tls> tls) {
  Exchange::Options options;
  options.tls = std::move(tls);
  return options;
}

struct ExchangeTls : testing::Test {
  net::Authority authority{"authority"};
  Loop loop{Loop::Options{}};

  std::shared_ptr<const net::Tls> tls(const std::string& name) {
    return net::Tls::load(authority.issue(name));
  }

  /// Whether one gets a datum of the other.
  bool gets(std::shared_ptr<const net::Tls> ours, std::shared_ptr<const net::Tls> theirs) {
    Process asks(loop, us, with(std::move(ours)));
    Process has(loop, them, with(std::move(theirs)));
    has.make();
    asks.exchange_.know_peer(has.info());
    loop.dispatch([&] { asks.exchange_.start_fetch(wanted, them); });
    EXPECT_TRUE(loop.drive_until([&] { return asks.fetched > 0 || asks.has_failed; },
                                 now() + Duration::seconds(30)));
    EXPECT_EQ(asks.fetched, asks.has_failed ? 0 : datum_bytes);
    loop.stop();
    return asks.fetched > 0;
  }
};

TEST_F(ExchangeTls, DataGoFromHostToHost) { EXPECT_TRUE(gets(tls("us"), tls("them"))); }

TEST_F(ExchangeTls, NobodyWithCertificatesSendsPlainBytes) {
  EXPECT_FALSE(gets(nullptr, tls("them")));
}

TEST_F(ExchangeTls, NobodyWithCertificatesTakesPlainBytes) {
  EXPECT_FALSE(gets(tls("us"), nullptr));
}

TEST_F(ExchangeTls, AStrangerGetsNothing) {
  net::Authority another("another");
  EXPECT_FALSE(gets(net::Tls::load(another.issue("stranger")), tls("them")));
}

TEST_F(ExchangeTls, ThereIsNoUcxWithCertificatesSinceItEncryptsNothing) {
  Exchange::Options options = with(tls("us"));
  options.uses_ucx = true;
  EXPECT_THROW(Process(loop, us, options), Unsupported);
}

/// With and without encryption.
TEST_F(ExchangeTls, WhoConnectsAndSaysNothingDoesNotStay) {
  Exchange::Options options;
  options.introduction_ms = 50;
  Process plain(loop, us, options);
  std::string why = "nothing";
  struct Silent : net::LinkEvents {
    std::span<std::byte> on_frame(std::span<const std::byte>, std::uint64_t, int) override {
      return {};
    }
    void on_payload(bool) override {}
    void on_batch_end() override {}
    void on_closed(const std::string& reason) override { closed = reason; }
    std::string closed;
  } silent;
  std::shared_ptr<net::Link> kept;
  loop.dispatch([&] {
    net::connect(loop.io(), net::Address::parse(plain.exchange_.endpoint().remote_address), 10'000,
                 [&](std::shared_ptr<net::Link> link, const net::NoLink&) {
                   kept = std::move(link);
                   kept->start(silent);
                 });
  });
  EXPECT_TRUE(
      loop.drive_until([&] { return !silent.closed.empty(); }, now() + Duration::seconds(30)));
  EXPECT_EQ(silent.closed, "closed by peer");
  loop.stop();
}

}  // namespace
}  // namespace ashlar::runtime
