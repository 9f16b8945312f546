#include "scheduler/placement/replan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

using Row = std::vector<PeerIndex>;

constexpr std::uint32_t steps = 50;

/// Rows of points, each of which reads its neighbours in the row before.
struct Stencil : Case {
  explicit Stencil(std::uint32_t points) : Case(1), width(points), tasks(points * steps) {}

  void add_rows(std::int64_t task_us) {
    for (std::uint32_t t = 0; t < tasks; ++t) {
      if (t < width) {
        add(task_us, {});
      } else if (t % width == 0) {
        add(task_us, {t - width, t - width + 1});
      } else if (t % width == width - 1) {
        add(task_us, {t - width - 1, t - width});
      } else {
        add(task_us, {t - width - 1, t - width, t - width + 1});
      }
    }
  }

  const std::uint32_t width, tasks;
};

/// Tasks in the order in which they were added, each row like this one.
Plan as_in(const Row& row, std::uint32_t tasks) {
  Plan plan;
  for (std::uint32_t t = 0; t < tasks; ++t) plan.where.push_back(row[t % row.size()]);
  plan.order.resize(tasks);
  std::iota(plan.order.begin(), plan.order.end(), 0);
  return plan;
}

auto count(const Plan& plan, PeerIndex worker) { return std::ranges::count(plan.where, worker); }

TEST(Replan, NeighboursComeTogetherInEqualParts) {
  for (const Row& row : {Row{0, 1, 0, 1}, Row{0, 0, 0, 1}, Row{0, 0, 0, 0}}) {
    Stencil c{4};
    c.add_neighbour(1);
    c.add_rows(20);
    const Plan plan = c.replanned(as_in(row, c.tasks));
    for (std::uint32_t t = 0; t < c.tasks; ++t) EXPECT_EQ(plan.where[t], plan.where[t / 2 * 2]);
    EXPECT_EQ(count(plan, 0), c.tasks / 2);
    EXPECT_EQ(count(plan, 1), c.tasks / 2);
  }
}

TEST(Replan, WhatAnotherWorkerWaitsForComesFirst) {
  Stencil c{4};
  c.add_neighbour(1);
  c.add_rows(20);
  const Plan plan = c.replanned(as_in({0, 0, 1, 1}, c.tasks));
  EXPECT_EQ(plan.where, as_in({0, 0, 1, 1}, c.tasks).where);
  const std::vector<std::uint32_t> rank = inverse(plan.order);
  for (std::uint32_t row = 0; row + 1 < steps; ++row) {
    EXPECT_LT(rank[row * 4 + 1], rank[row * 4]) << row;
    EXPECT_LT(rank[row * 4 + 2], rank[row * 4 + 3]) << row;
  }
}

/// Leaves that are added up in pairs, depth first; of 511 tasks.
void add_tree(Case& c) {
  std::vector<std::uint32_t> open;
  for (std::uint32_t leaf = 0; leaf < 256; ++leaf) {
    open.push_back(c.add(20, {}));
    for (std::uint32_t n = leaf + 1; n % 2 == 0; n /= 2) {
      const std::uint32_t other = open.back();
      open.pop_back();
      open.back() = c.add(20, {open.back(), other});
    }
  }
}

TEST(Replan, NoOrderHoldsMuchMoreAtOnce) {
  Case c{1};
  c.add_neighbour(1);
  add_tree(c);
  const Plan plan = c.replanned(as_in({0, 1}, 511));
  const double before = c.peak(inverse(as_in({0}, 511).order));
  EXPECT_LE(before, 10);
  EXPECT_LE(c.peak(inverse(plan.order)), 2 * before);
}

TEST(Replan, WhatWasMadeCountsNotWhatTheGraphSays) {
  Case c{1};
  c.add_neighbour(1);
  add_tree(c);
  // Only what is made last takes memory, whatever the order.
  std::vector<std::uint64_t> bytes(511, 0);
  bytes.back() = 1'000'000;
  c.make_bytes(bytes);
  EXPECT_NE(c.replanned(as_in({0, 1}, 511)).order, as_in({0}, 511).order);
}

TEST(Replan, MoreSlotsGetMore) {
  Stencil c{4};
  c.add_neighbour(3);
  c.add_rows(20);
  const Plan plan = c.replanned(as_in({0}, c.tasks));
  EXPECT_EQ(count(plan, 0), c.tasks / 4);
  EXPECT_EQ(count(plan, 1), c.tasks / 4 * 3);
}

TEST(Replan, ASlowWorkerGetsLess) {
  Stencil c{4};
  c.add_neighbour(1);
  c.slow_down(0, 3);
  c.add_rows(20);
  const Plan plan = c.replanned(as_in({0, 0, 1, 1}, c.tasks));
  EXPECT_EQ(count(plan, 0), c.tasks / 4);
}

TEST(Replan, WhereEachRowWaitsForTheOneBeforeNobodyCatchesUp) {
  for (const std::uint32_t points : {2u, 4u}) {
    Stencil c{points};
    c.add_neighbour(1);
    c.slow_down(0, 1.08);  // as measured, by chance
    c.add_rows(20);
    const Plan plan = c.replanned(as_in(Row(points, 1), c.tasks));
    for (std::uint32_t t = 0; t < c.tasks; t += points) {
      const auto row = std::span(plan.where).subspan(t, points);
      EXPECT_EQ(std::ranges::count(row, PeerIndex{0}), points / 2) << "row " << t / points;
    }
  }
}

TEST(Replan, WhereRowsOverlapWhoIsBehindCatchesUp) {
  Case c{1};
  c.add_neighbour(1);
  // Three chains: a row of three cannot be shared evenly, two rows can.
  std::uint32_t last[3] = {c.add(20, {}), c.add(20, {}), c.add(20, {})};
  for (std::uint32_t step = 1; step < steps; ++step) {
    for (std::uint32_t& datum : last) datum = c.add(20, {datum});
  }
  const Plan plan = c.replanned(as_in({0, 0, 0}, 3 * steps));
  EXPECT_NEAR(static_cast<double>(count(plan, 0)), 1.5 * steps, 3);
}

TEST(Replan, VeryShortTasksStayTogether) {
  Stencil c{2};
  c.add_neighbour(1);
  c.add_rows(0);
  EXPECT_EQ(count(c.replanned(as_in({0}, c.tasks)), 0), c.tasks);
}

TEST(Replan, FewTasksWakeFewWorkers) {
  Case c{1};
  for (int n = 1; n < 64; ++n) c.add_neighbour(1);
  for (int n = 0; n < 64; ++n) c.add(10, {});
  EXPECT_EQ(c.replanned(as_in({0, 1, 2, 3}, 64)).where, as_in({0, 1, 2, 3}, 64).where);
}

TEST(Replan, TasksStayOnTheirHosts) {
  Stencil c{4};
  c.add_neighbour(1);
  c.add_host(1);
  c.add_rows(100'000);
  const Plan plan = c.replanned(as_in({0}, c.tasks));
  EXPECT_EQ(count(plan, 0), c.tasks / 2);
  EXPECT_EQ(count(plan, 1), c.tasks / 2);
  EXPECT_EQ(count(plan, 2), 0u);
}

TEST(Replan, WhatReadsOtherGraphsStays) {
  Case c{1};
  c.add_neighbour(1);
  for (std::uint32_t t = 0; t < 64; ++t) c.add(1000, {64});
  c.graph().external_bytes = {8};
  EXPECT_EQ(count(c.replanned(as_in({0}, 64)), 0), 64u);
}

}  // namespace
}  // namespace ashlar::scheduler::placement
