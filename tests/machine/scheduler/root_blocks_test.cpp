#include "scheduler/placement/root_blocks.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

// A datum of a megabyte takes a millisecond from host to host.
constexpr std::int64_t short_us = 100, long_us = 10'000;

/// A reduction in pairs of so many tasks; returns where they are in the graph: in front.
void reduce(Case& c, std::uint32_t leaves, std::int64_t task_us) {
  std::vector<std::uint32_t> level;
  for (std::uint32_t n = 0; n < leaves; ++n) level.push_back(c.add(task_us, {}));
  while (level.size() > 1) {
    std::vector<std::uint32_t> next;
    for (std::size_t n = 0; n + 1 < level.size(); n += 2) {
      next.push_back(c.add(task_us, {level[n], level[n + 1]}));
    }
    level = std::move(next);
  }
}

std::map<std::uint32_t, std::uint32_t> count(const std::vector<std::uint32_t>& owners) {
  std::map<std::uint32_t, std::uint32_t> tasks;
  for (const std::uint32_t owner : owners) ++tasks[owner];
  return tasks;
}

TEST(RootBlocks, NeighboursGoToTheSameHost) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  reduce(c, 64, short_us);
  const auto owners = c.order().owners;
  ASSERT_EQ(owners.size(), 127u);
  for (std::uint32_t t = 0; t < 64; ++t) EXPECT_EQ(owners[t], owners[t / 16 * 16]) << t;
  EXPECT_EQ(count(owners).size(), 5u) << "four hosts, and nobody for tasks that read";
  EXPECT_EQ(count(owners)[no_host], 63u);
}

TEST(RootBlocks, AreWorkedThroughSideBySideAndReadersComeAlong) {
  Case c{1};
  c.add_host(1);
  // Chains whose ends are wanted: depth first, one after the other.
  for (int n = 0; n < 100; ++n) {
    std::uint32_t link = c.add(short_us, {});
    for (int k = 0; k < 3; ++k) link = c.add(short_us, {link});
  }
  const TaskOrder order = c.order();
  ASSERT_EQ(order.owners.size(), 400u);
  const auto first = inverse(order.ranks);
  std::map<std::uint32_t, std::uint32_t> begun;
  for (std::size_t r = 0; r < 40; ++r) {
    if (order.owners[first[r]] != no_host) ++begun[order.owners[first[r]]];
  }
  EXPECT_EQ(begun.size(), 2u) << "of both blocks";
  EXPECT_LE(c.peak(order.ranks), c.depth_first_peak() + 20) << "the data of chains die young";
}

TEST(RootBlocks, AFasterHostGetsALongerOne) {
  Case c{1};
  c.add_host(3);
  reduce(c, 64, short_us);
  const auto tasks = count(c.order().owners);
  std::vector<std::uint32_t> counts;
  for (const auto& [owner, number] : tasks) {
    if (owner != no_host) counts.push_back(number);
  }
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{16, 48}));
}

TEST(RootBlocks, ThereAreNoneWhereMovingDataIsLittle) {
  Case c{1};
  c.add_host(1);
  reduce(c, 64, long_us);
  EXPECT_TRUE(c.order().owners.empty());
}

TEST(RootBlocks, ThereAreNoneWhereEverybodyReadsOfAll) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  for (int n = 0; n < 32; ++n) c.add(short_us, {});
  for (int n = 0; n < 8; ++n) c.add(short_us, {0, 4, 8, 12, 16, 20, 24, 28});
  EXPECT_TRUE(c.order().owners.empty());
}

TEST(RootBlocks, ThereAreNoneOnOneHost) {
  Case c{4};
  reduce(c, 64, short_us);
  EXPECT_TRUE(c.order().owners.empty());
}

}  // namespace
}  // namespace ashlar::scheduler::placement
