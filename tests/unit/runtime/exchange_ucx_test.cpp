#include <gtest/gtest.h>
#include <unistd.h>

#include <ashlar/error.hpp>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "net/ucx.hpp"
#include "runtime/clock.hpp"
#include "runtime/exchange.hpp"

/// Which way data take between two processes of different hosts that may have UCX.
namespace ashlar::runtime {
namespace {

constexpr DatumId wanted{{SessionId{1}, 1}, 7};
constexpr std::size_t datum_bytes = 3'000'000;

/// One end, in a process of its own as it were.
struct End : ExchangeEvents {
  End(Loop& on, PeerId self, telemetry::Log& to, bool uses_ucx)
      : loop(on),
        exchange(on, arena, table, *this, to,
                 {.token = {}, .listen_host = "127.0.0.1", .uses_ucx = uses_ucx}) {
    exchange.set_self(self);
    loop.add_turn_hook([this] {
      exchange.flush();
      return false;
    });
  }
  void on_fetched(DatumId, std::uint64_t, bool, bool) override { outcomes += "+"; }
  void on_fetch_failed(DatumId, PeerId, const std::string&) override { outcomes += "-"; }
  void on_asked(PeerId peer, std::uint64_t request, DatumId id,
                const protocol::Urgency& urgency) override {
    exchange.answer(peer, request, id, urgency);
  }
  void on_unasked(PeerId, std::uint64_t) override {}
  void on_loans_wanted(PeerId) override {}
  void on_pushed(DatumId, std::uint64_t, bool) override {}

  protocol::PeerInfo info() const {
    protocol::PeerInfo info{exchange.self(), "end", exchange.endpoint()};
    info.endpoint.host_identity = "host " + std::to_string(exchange.self().value);
    return info;
  }

  Loop& loop;
  std::string outcomes;
  std::shared_ptr<store::Arena> arena = std::make_shared<store::Arena>(64 << 20);
  DataTable table;
  Exchange exchange;
};

struct UcxExchange : testing::Test {
  UcxExchange() { ::setenv("UCX_TLS", "tcp", 1); }
  ~UcxExchange() override { std::filesystem::remove(file); }

  void SetUp() override {
    try {
      net::need_ucx();
    } catch (const Unsupported& why) {
      GTEST_SKIP() << why.what();
    }
  }

  /// Fetches a datum; returns by which transport.
  std::string way(End& asker, End& giver, const protocol::PeerInfo& info) {
    auto buffer = store::Buffer::allocate(giver.arena, datum_bytes);
    for (std::size_t i = 0; i < datum_bytes; ++i) buffer.writable()[i] = std::byte(i * 7 + i / 251);
    giver.table.put(wanted, buffer);
    asker.exchange.know_peer(info);
    loop.dispatch([&] { asker.exchange.start_fetch(wanted, giver.exchange.self()); });
    EXPECT_TRUE(
        loop.drive_until([&] { return !asker.outcomes.empty(); }, now() + Duration::seconds(20)));
    EXPECT_EQ(asker.outcomes, "+");
    const store::Buffer* got = asker.table.find(wanted);
    EXPECT_TRUE(got != nullptr && got->size() == datum_bytes &&
                std::memcmp(got->bytes().data(), buffer.bytes().data(), datum_bytes) == 0);
    log.flush();
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    const bool is_by_ucx = text.str().find("linked with a peer at ucx://") != std::string::npos;
    const bool is_by_tcp = text.str().find("linked with a peer at tcp://") != std::string::npos;
    return std::string(is_by_ucx ? "ucx" : "") + (is_by_tcp ? "tcp" : "");
  }

  std::string file = testing::TempDir() + "ashlar-ucx-" + std::to_string(::getpid());
  telemetry::Log log{{telemetry::log_level("debug"), file, "test"}};
  Loop loop{Loop::Options{}};
};

TEST_F(UcxExchange, DataGoByUcxWhereBothHaveIt) {
  End giver(loop, PeerId{2}, log, true), asker(loop, PeerId{1}, log, true);
  EXPECT_EQ(way(asker, giver, giver.info()), "ucx");
}

TEST_F(UcxExchange, DataGoByTcpWhereTheGiverHasNoUcx) {
  End giver(loop, PeerId{2}, log, false), asker(loop, PeerId{1}, log, true);
  EXPECT_EQ(way(asker, giver, giver.info()), "tcp");
}

TEST_F(UcxExchange, DataGoByTcpWhereTheAskerHasNoUcx) {
  End giver(loop, PeerId{2}, log, true), asker(loop, PeerId{1}, log, false);
  EXPECT_EQ(way(asker, giver, giver.info()), "tcp");
}

TEST_F(UcxExchange, WhatCannotBeReachedByUcxIsByTcp) {
  End giver(loop, PeerId{2}, log, true), asker(loop, PeerId{1}, log, true);
  auto info = giver.info();
  {
    const auto listener = net::listen_by_ucx(loop.io(), {.host = "127.0.0.1"}, [](auto) {});
    info.endpoint.ucx_address = net::ucx_text(listener->address());
  }
  EXPECT_EQ(way(asker, giver, info), "tcp");
}

}  // namespace
}  // namespace ashlar::runtime
