#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

TEST(Order, TheLongestWayToTheEndGoesFirst) {
  Case c{2};
  const std::uint32_t alone = c.add(5000, {});
  std::uint32_t link = c.add(3000, {});
  const std::uint32_t first = link;
  for (int n = 0; n < 4; ++n) link = c.add(3000, {link});
  const std::uint32_t long_task = c.add(18'000, {});
  const auto ranks = c.ranks();
  EXPECT_EQ(ranks[first], 0u) << "19.4 ms to go, moving counted";
  EXPECT_EQ(ranks[long_task], 1u) << "18 ms to go";
  EXPECT_LT(ranks[alone], ranks[link]);
}

TEST(Order, ChainsThatAddIntoTheirBufferAdvanceTogether) {
  Case c{2};
  std::vector<std::uint32_t> sums;
  for (int n = 0; n < 20; ++n) sums.push_back(c.add(1000, {}));
  const std::vector<std::uint32_t> first = sums;
  for (int step = 0; step < 5; ++step) {
    for (std::uint32_t& sum : sums) sum = c.add(1000, {sum});
  }
  c.add(1, {sums[0], sums[1]});
  const auto ranks = c.ranks();
  for (const std::uint32_t begun : first) EXPECT_LT(ranks[begun], 22u);
}

/// A sum of many leaves in pairs.
void add_tree(Case& c, std::uint32_t leaves) {
  std::vector<std::uint32_t> level;
  for (std::uint32_t n = 0; n < leaves; ++n) level.push_back(c.add(1000, {}));
  while (level.size() > 1) {
    std::vector<std::uint32_t> next;
    for (std::size_t n = 0; n + 1 < level.size(); n += 2) {
      next.push_back(c.add(300, {level[n], level[n + 1]}));
    }
    level = next;
  }
}

TEST(Order, DataOfALargeReductionDieYoung) {
  Case c{4};
  add_tree(c, 4096);
  const auto ranks = c.ranks();
  EXPECT_GT(c.peak(ranks), c.depth_first_peak()) << "the end is evened out";
  EXPECT_LT(c.peak(ranks), 300) << "leaves alone are 4096 megabytes";
}

TEST(Order, WhatIsLeftOfAReductionIsEvenedOut) {
  Case c{4};
  add_tree(c, 256);
  const auto ranks = c.ranks();
  std::uint32_t last_leaf = 0;
  for (std::uint32_t leaf = 0; leaf < 256; ++leaf) last_leaf = std::max(last_leaf, ranks[leaf]);
  EXPECT_LT(last_leaf, 511u - 20) << "depth first, the last leaf is among the last ten";
}

TEST(Order, AProductWithoutRoomInMemoryGoesBlockByBlock) {
  constexpr std::uint32_t n = 12, room = 32;
  Case large{2, std::uint64_t{room} * 1'000'000};
  large.multiply(n);
  Case unlimited{2};
  unlimited.multiply(n);
  EXPECT_GT(unlimited.loads(unlimited.ranks(), room), n * n * n);
  // Blocks of 3 x 3: of each factor a third of the chunks for each cell.
  EXPECT_LE(large.loads(large.ranks(), room), 2 * n * n * n / 3);
}

TEST(Order, AProductWithRoomInMemoryIsNotCutIntoBlocks) {
  Case roomy{2, 1'000'000'000};
  roomy.multiply(4);
  Case unlimited{2};
  unlimited.multiply(4);
  EXPECT_EQ(roomy.ranks(), unlimited.ranks());
}

}  // namespace
}  // namespace ashlar::scheduler::placement
