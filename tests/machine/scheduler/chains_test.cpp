#include "scheduler/placement/chains.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

struct Hosts : Case {
  explicit Hosts(std::uint32_t hosts) : Case(2) {
    for (std::uint32_t host = 1; host < hosts; ++host) add_host(2);
  }

  /// By tiles, n by n; each update reads what the one before made of its tile, the first one what
  /// another graph made of it, if that is somewhere.
  void factorise(std::uint32_t n, std::int64_t task_us, const std::vector<std::uint32_t>& at = {}) {
    const std::uint32_t tiles = n * (n + 1) / 2, outputs = tiles + n * (n + 1) * (n + 2) / 6;
    std::vector<std::uint32_t> tile(n * n);
    const auto update = [&](std::uint32_t i, std::uint32_t j, std::vector<std::uint32_t> inputs) {
      if (inputs.empty() && !at.empty()) {
        inputs.push_back(outputs + static_cast<std::uint32_t>(tile_of.size()));
      }
      tile_of.push_back(i * n + j);
      tile[i * n + j] = add(task_us, inputs);
    };
    for (std::uint32_t i = 0; i < n; ++i) {
      for (std::uint32_t j = 0; j <= i; ++j) update(i, j, {});
    }
    for (std::uint32_t k = 0; k < n; ++k) {
      update(k, k, {tile[k * n + k]});
      for (std::uint32_t i = k + 1; i < n; ++i) update(i, k, {tile[i * n + k], tile[k * n + k]});
      for (std::uint32_t i = k + 1; i < n; ++i) {
        for (std::uint32_t j = k + 1; j <= i; ++j) {
          update(i, j, {tile[i * n + j], tile[i * n + k], tile[j * n + k]});
        }
      }
    }
    if (!at.empty()) add_externals(at);
  }

  std::vector<std::uint32_t> tile_of;  ///< by task
};

TEST(ChainOwners, TheOwnerOfATileComputesIt) {
  Hosts c{4};
  c.factorise(10, 1000);
  const TaskOrder order = c.order();
  ASSERT_EQ(order.owners.size(), c.tile_of.size());
  EXPECT_TRUE(order.are_owners_firm);
  std::map<std::uint32_t, std::uint32_t> owner, tasks;  // by tile, by host
  for (std::uint32_t t = 0; t < c.tile_of.size(); ++t) {
    EXPECT_EQ(owner.try_emplace(c.tile_of[t], order.owners[t]).first->second, order.owners[t]);
    ++tasks[order.owners[t]];
  }
  ASSERT_EQ(tasks.size(), 4u);
  for (const auto& [host, count] : tasks) {
    EXPECT_NEAR(count, c.tile_of.size() / 4.0, c.tile_of.size() / 12.0) << "host " << host;
  }
}

TEST(ChainOwners, WhatManyReadIsReadOnFewHosts) {
  constexpr std::uint32_t n = 12;
  Hosts c{4};
  c.factorise(n, 1000);
  const std::vector<std::uint32_t> owners = c.order().owners;
  const std::vector<std::uint32_t> producer = graph::producers(c.graph());
  ASSERT_FALSE(owners.empty());
  const auto moved = [&](auto host_of) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> moves;
    for (std::uint32_t t = 0; t < c.tile_of.size(); ++t) {
      for (const std::uint32_t d : c.graph().inputs_of(t)) {
        if (host_of(t) != host_of(producer[d])) moves.emplace(d, host_of(t));
      }
    }
    return moves.size();
  };
  const auto in_turn = [&](std::uint32_t t) { return c.tile_of[t] % 3 + c.tile_of[t] / n % 2; };
  EXPECT_LT(moved([&](std::uint32_t t) { return owners[t]; }),
            0.8 * static_cast<double>(moved(in_turn)));
}

TEST(ChainOwners, TilesThatAreThereAlreadyStayMostly) {
  constexpr std::uint32_t n = 10;
  std::vector<std::uint32_t> at;  // on a grid of two by two hosts
  for (std::uint32_t i = 0; i < n; ++i) {
    for (std::uint32_t j = 0; j <= i; ++j) at.push_back(i % 2 * 2 + j % 2);
  }
  Hosts c{4};
  c.factorise(n, 1000, at);
  const std::vector<std::uint32_t> owners = c.order().owners;
  ASSERT_FALSE(owners.empty());
  std::size_t stay = 0;
  for (std::size_t tile = 0; tile < at.size(); ++tile) stay += owners[tile] == at[tile] ? 1 : 0;
  EXPECT_GT(stay, 3 * at.size() / 4);
}

TEST(ChainOwners, NobodyOwnsAnythingWhereMovingIsLittle) {
  Hosts c{4};
  c.factorise(10, 50'000);
  EXPECT_FALSE(c.order().are_owners_firm);
}

TEST(ChainOwners, NobodyOwnsAnythingOnASingleHost) {
  Hosts c{1};
  c.factorise(10, 1000);
  EXPECT_FALSE(c.order().are_owners_firm);
}

TEST(ChainOwners, ShortTasksAreNotWorthPlanning) {
  Hosts c{4};
  c.factorise(10, 10);
  EXPECT_FALSE(c.order().are_owners_firm);
}

TEST(ChainOwners, WhereAllReadAllThereAreNoChains) {
  Hosts c{4};
  std::vector<std::uint32_t> row, next;
  for (int t = 0; t < 8; ++t) row.push_back(c.add(1000, {}));
  for (int step = 0; step < 20; ++step) {
    for (int t = 0; t < 8; ++t) next.push_back(c.add(1000, {row[t], row[(t + 1) % 8]}));
    row = std::exchange(next, {});
  }
  EXPECT_FALSE(c.order().are_owners_firm);
}

}  // namespace
}  // namespace ashlar::scheduler::placement
