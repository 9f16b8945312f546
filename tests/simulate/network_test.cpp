#include "simulate/network.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ashlar::simulate {
namespace {

TEST(Network, AStreamThatIsHeldUpElsewhereLeavesItsShareToOthers) {
  // Three streams leave host 0; host 3 receives from three more, so that its link in is quartered.
  const std::vector<Network::Route> routes{{0, 1}, {0, 2}, {0, 3}, {4, 3}, {5, 3}, {6, 3}};
  const std::vector<double> rates = Network::fair_rates(routes, 120);
  EXPECT_NEAR(rates[2], 30, 1e-6) << "a quarter of host 3's link in";
  EXPECT_NEAR(rates[0], 45, 1e-6) << "half of what that leaves of host 0's link out";
  EXPECT_NEAR(rates[1], 45, 1e-6);
  for (const std::size_t s : {3, 4, 5}) EXPECT_NEAR(rates[s], 30, 1e-6);
}

TEST(Network, BothDirectionsOfALinkAreFull) {
  const std::vector<Network::Route> routes{{0, 1}, {1, 0}};
  EXPECT_EQ(Network::fair_rates(routes, 7), (std::vector<double>{7, 7}));
}

TEST(Network, WhatEndsLeavesItsBandwidthToTheRest) {
  Network network(1e9);
  std::vector<int> arrived;
  network.start(Instant{}, {0, 1}, 1'000'000, [&] { arrived.push_back(1); });
  network.start(Instant{}, {0, 2}, 3'000'000, [&] { arrived.push_back(2); });
  EXPECT_EQ(network.next_end(), Instant{2'000'000});
  network.advance(Instant{2'000'000});
  EXPECT_EQ(arrived, (std::vector<int>{1}));
  EXPECT_EQ(network.next_end(), Instant{4'000'000}) << "two megabytes are left";
  network.advance(Instant{4'000'000});
  EXPECT_EQ(arrived, (std::vector<int>{1, 2}));
  EXPECT_TRUE(network.is_quiet());
}

TEST(Network, HostsMayHaveBandwidthsOfTheirOwn) {
  const std::vector<Network::Route> routes{{0, 1}, {0, 2}, {2, 1}};
  const std::vector<double> of_host{10, 3};
  EXPECT_EQ(Network::fair_rates(routes, 4, of_host), (std::vector<double>{1.5, 4, 1.5}))
      << "host 1 takes in 3, shared; host 2 has what all have";
}

TEST(Network, AHostThatGoesTakesItsStreamsAlong) {
  Network network(1e9);
  std::vector<int> arrived;
  network.start(Instant{}, {0, 1}, 1'000'000, [&] { arrived.push_back(1); });
  network.start(Instant{}, {0, 2}, 1'000'000, [&] { arrived.push_back(2); });
  network.remove_host(Instant{1'000'000}, 1);
  EXPECT_EQ(network.next_end(), Instant{1'500'000}) << "half was there";
  network.advance(Instant{1'500'000});
  EXPECT_EQ(arrived, (std::vector<int>{2}));
}

}  // namespace
}  // namespace ashlar::simulate
