#include "scheduler/placement/order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace ashlar::scheduler::placement {
namespace {

/// A graph whose tasks make one datum of a megabyte each, and what policies see of it.
class Case {
 public:
  explicit Case(std::uint32_t slots, std::uint64_t memory_limit = 0) : workers_(limits_) {
    protocol::Hello hello;
    hello.slots = slots;
    hello.memory_limit = memory_limit;
    workers_.add(PeerId{1}, hello, true);
  }

  std::uint32_t add(std::int64_t task_us, std::initializer_list<std::uint32_t> inputs) {
    graph_.kernel.push_back(0);
    graph_.inputs.insert(graph_.inputs.end(), inputs);
    graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
    graph_.output_bytes.push_back(1'000'000);
    graph_.output_offsets.push_back(graph_.output_count());
    graph_.param_offsets.push_back(0);
    times_.push_back(1000 * task_us);
    return graph_.task_count() - 1;
  }

  /// A product of n x n chunks of data that exist, each summed up in place.
  void multiply(std::uint32_t n) {
    graph_.products = {{n, n, n, 300 * n, 300 * n, 300 * n, 8}};
    graph_.external_bytes.assign(std::size_t{2} * n * n, 1'000'000);
    const std::uint32_t a = n * n * n, b = a + n * n;
    for (std::uint32_t cell = 0; cell < n * n * n; ++cell) {
      const std::uint32_t row = cell / n / n, column = cell / n % n, i = cell % n;
      const std::uint32_t left = a + row * n + i, right = b + i * n + column;
      i == 0 ? add(1000, {left, right}) : add(1000, {left, right, cell - 1});
      graph_.cell.push_back(cell);
      graph_.reuse_input.push_back(i == 0 ? graph::TaskGraph::no_input : 2);
      if (i == n - 1) graph_.wanted.push_back(cell);
    }
  }

  /// Data that are read from disk where the so many last used ones are in memory.
  std::uint32_t loads(const std::vector<std::uint32_t>& ranks, std::size_t room) {
    const std::uint32_t n = graph_.products[0].inner;
    std::vector<std::uint32_t> used;  // chunks, last used last; one for each sum
    std::uint32_t count = 0;
    for (const std::uint32_t t : inverse(ranks)) {
      for (const std::uint32_t d : graph_.inputs_of(t)) {
        const std::uint32_t chunk = d < graph_.output_count() ? d / n * n : d;
        count += std::erase(used, chunk) == 0;
        used.push_back(chunk);
      }
      if (graph_.inputs_of(t).size() == 2) used.push_back(t / n * n);
      if (used.size() > room) used.erase(used.begin(), used.end() - static_cast<long>(room));
    }
    return count;
  }

  std::vector<std::uint32_t> ranks() {
    graph_.kernels = {"k"};
    EXPECT_EQ(graph::validate(graph_), "");
    producer_ = graph::producers(graph_);
    consumers_ = graph::consumers(graph_);
    const std::vector<std::uint32_t> ranks =
        timely_ranks({workers_, replicas_, links_, kept_, limits_}, submission(), true);
    std::vector<std::uint32_t> sorted = ranks;
    std::ranges::sort(sorted);
    for (std::uint32_t r = 0; r < sorted.size(); ++r) EXPECT_EQ(sorted[r], r) << "a permutation";
    for (std::uint32_t t = 0; t < graph_.task_count(); ++t) {
      for (const std::uint32_t d : graph_.inputs_of(t)) {
        if (d >= graph_.output_count()) continue;
        EXPECT_LT(ranks[producer_[d]], ranks[t]) << "producers come first";
      }
    }
    return ranks;
  }

  double peak(const std::vector<std::uint32_t>& ranks) {
    return peak_bytes(submission(), inverse(ranks)) * 1e-6;
  }
  double depth_first_peak() { return peak(graph::depth_first_ranks(graph_)); }

 private:
  Submission submission() {
    return {graph_, producer_, consumers_, [this](std::uint32_t t) { return times_[t]; }};
  }

  Limits limits_;
  WorkerTable workers_;
  ReplicaPool replicas_;
  LinkModel links_{1e9};
  KeptTasks kept_;
  graph::TaskGraph graph_;
  std::vector<std::uint32_t> producer_;
  graph::Consumers consumers_;
  std::vector<std::int64_t> times_;
};

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
