#include <gtest/gtest.h>
#include <unistd.h>

#include <ashlar/error.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "exchange_end.hpp"
#include "net/ucx.hpp"
#include "runtime/clock.hpp"

/// Which way data take between two processes of different hosts that may have UCX.
namespace ashlar::runtime {
namespace {

constexpr DatumId wanted{{SessionId{1}, 1}, 7};
constexpr std::size_t datum_bytes = 3'000'000;

Exchange::Options options(bool uses_ucx) {
  Exchange::Options options;
  options.uses_ucx = uses_ucx;
  return options;
}

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
    std::vector<std::byte> content(datum_bytes);
    for (std::size_t i = 0; i < datum_bytes; ++i) content[i] = std::byte(i * 7 + i / 251);
    giver.keep(wanted, content);
    asker.exchange.know_peer(info);
    loop.dispatch([&] { asker.exchange.start_fetch(wanted, giver.exchange.self()); });
    EXPECT_TRUE(loop.drive_until([&] { return asker.fetched + asker.failed > 0; },
                                 now() + Duration::seconds(20)));
    EXPECT_EQ(asker.failed, 0u);
    EXPECT_TRUE(asker.has(wanted, content));
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
  End giver(loop, PeerId{2}, log, options(true)), asker(loop, PeerId{1}, log, options(true));
  EXPECT_EQ(way(asker, giver, giver.info()), "ucx");
}

TEST_F(UcxExchange, DataGoByTcpWhereTheGiverHasNoUcx) {
  End giver(loop, PeerId{2}, log, options(false)), asker(loop, PeerId{1}, log, options(true));
  EXPECT_EQ(way(asker, giver, giver.info()), "tcp");
}

TEST_F(UcxExchange, DataGoByTcpWhereTheAskerHasNoUcx) {
  End giver(loop, PeerId{2}, log, options(true)), asker(loop, PeerId{1}, log, options(false));
  EXPECT_EQ(way(asker, giver, giver.info()), "tcp");
}

TEST_F(UcxExchange, WhatCannotBeReachedByUcxIsByTcp) {
  End giver(loop, PeerId{2}, log, options(true)), asker(loop, PeerId{1}, log, options(true));
  auto info = giver.info();
  {
    const auto listener = net::listen_by_ucx(loop.io(), {.host = "127.0.0.1"}, [](auto) {});
    info.endpoint.ucx_address = net::ucx_text(listener->address());
  }
  EXPECT_EQ(way(asker, giver, info), "tcp");
}

}  // namespace
}  // namespace ashlar::runtime
