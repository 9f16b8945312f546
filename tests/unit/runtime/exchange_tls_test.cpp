#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "certificates.hpp"
#include "exchange_end.hpp"
#include "loopback.hpp"
#include "net/address.hpp"
#include "runtime/clock.hpp"
#include "strangers.hpp"
#include "tcp_wire.hpp"

/// The data plane between hosts, encrypted.
namespace ashlar::runtime {
namespace {

constexpr PeerId us{1}, them{2};
constexpr DatumId wanted{{SessionId{1}, 1}, 7};
constexpr std::size_t datum_bytes = 3'000'000;

std::vector<std::byte> content() {
  std::vector<std::byte> bytes(datum_bytes);
  SplitMix64 random(1);  // so that nothing is to be compressed
  for (std::byte& each : bytes) each = static_cast<std::byte>(random.next());
  return bytes;
}

/// Stands before a process; on the first connections a byte of what comes from there is changed.
class SpoilingWay {
 public:
  SpoilingWay(const std::string& to, int times) : to_(net::Address::parse(to)), times_(times) {
    thread_ = std::thread([this] { run(); });
  }
  ~SpoilingWay() {
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string address() const { return "tcp://127.0.0.1:" + std::to_string(listener_.port); }
  int connections() const { return connections_; }

 private:
  void run() {
    for (int near;
         (near = ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      net::Descriptor far(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in there = net::loopback(to_.port);
      EXPECT_EQ(::connect(far.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there), 0);
      const std::size_t flipped = ++connections_ > times_ ? SIZE_MAX : 1'000'000;
      wires_.push_back(std::make_unique<net::Wire>(std::move(far), net::Descriptor(near), flipped));
    }
  }

  net::Address to_;
  int times_;
  const net::LoopbackListener listener_{8};
  std::atomic<int> connections_{0};
  std::vector<std::unique_ptr<net::Wire>> wires_;
  std::thread thread_;
};

Exchange::Options with(std::shared_ptr<const net::Tls> tls) {
  Exchange::Options options;
  options.tls = std::move(tls);
  return options;
}

struct ExchangeTls : testing::Test {
  net::Authority authority{"authority"};
  telemetry::Log log;
  Loop loop{Loop::Options{}};

  std::shared_ptr<const net::Tls> tls(const std::string& name) {
    return net::Tls::load(authority.issue(name));
  }

  /// Whether one gets a datum of the other.
  bool gets(std::shared_ptr<const net::Tls> ours, std::shared_ptr<const net::Tls> theirs) {
    End asks(loop, us, log, with(std::move(ours)));
    End has(loop, them, log, with(std::move(theirs)));
    has.keep(wanted, content());
    asks.exchange.know_peer(has.info());
    loop.dispatch([&] { asks.exchange.start_fetch(wanted, them); });
    EXPECT_TRUE(loop.drive_until([&] { return asks.fetched + asks.failed > 0; },
                                 now() + Duration::seconds(30)));
    EXPECT_EQ(asks.has(wanted, content()), asks.failed == 0);
    loop.stop();
    return asks.fetched > 0;
  }
};

/// As without encryption, where only the datum is discarded.
TEST_F(ExchangeTls, WhatHasChangedOnItsWayIsFetchedAgainAFewTimes) {
  for (const int times : {1, 3, 100}) {
    Loop own{Loop::Options{}};
    End asks(own, us, log, with(tls("us")));
    End has(own, them, log, with(tls("them")));
    has.keep(wanted, content());
    SpoilingWay way(has.info().endpoint.remote_address, times);
    auto info = has.info();
    info.endpoint.remote_address = way.address();
    asks.exchange.know_peer(info);
    own.dispatch([&] { asks.exchange.start_fetch(wanted, them); });
    EXPECT_TRUE(own.drive_until([&] { return asks.fetched + asks.failed > 0; },
                                now() + Duration::seconds(30)));
    EXPECT_EQ(asks.failed, times == 100 ? 1u : 0u);
    EXPECT_EQ(asks.has(wanted, content()), times != 100);
    EXPECT_EQ(way.connections(), std::min(times + 1, Exchange::Options{}.spoiled_max));
    own.stop();
  }
}

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
  EXPECT_THROW(End(loop, us, log, options), Unsupported);
}

/// With and without encryption.
TEST_F(ExchangeTls, WhoConnectsAndSaysNothingDoesNotStay) {
  Exchange::Options options;
  options.introduction_ms = 50;
  End plain(loop, us, log, options);
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
    net::connect(loop.io(), net::Address::parse(plain.exchange.endpoint().remote_address), 10'000,
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

/// With and without encryption.
TEST_F(ExchangeTls, StrangersKeepNobodyOut) {
  for (const bool is_encrypted : {false, true}) {
    Loop own{Loop::Options{}};
    End giver(own, them, log, with(is_encrypted ? tls("giver") : nullptr));
    End asker(own, us, log, with(is_encrypted ? tls("asker") : nullptr));
    giver.keep(wanted, content());
    net::Strangers strangers;
    strangers.come(net::Address::parse(giver.exchange.endpoint().remote_address).port, 200);
    own.dispatch([&] {
      asker.exchange.know_peer(giver.info());
      asker.exchange.start_fetch(wanted, them);
    });
    EXPECT_TRUE(own.drive_until([&] { return asker.fetched > 0; }, now() + Duration::seconds(30)));
    const auto stay = static_cast<std::ptrdiff_t>(net::Limits{}.newcomers_max);
    EXPECT_TRUE(own.drive_until([&] { return strangers.count_connected() <= stay; },
                                now() + Duration::seconds(30)));
    own.stop();
  }
}

}  // namespace
}  // namespace ashlar::runtime
