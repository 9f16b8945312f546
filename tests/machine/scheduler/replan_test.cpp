#include "scheduler/placement/replan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

constexpr std::uint32_t width = 4, steps = 50, tasks = width * steps;

/// Rows of points, each of which reads its neighbours in the row before.
void stencil(Case& c, std::int64_t task_us) {
  for (std::uint32_t t = 0; t < tasks; ++t) {
    if (t < width) {
      c.add(task_us, {});
    } else if (t % width == 0) {
      c.add(task_us, {t - width, t - width + 1});
    } else if (t % width == width - 1) {
      c.add(task_us, {t - width - 1, t - width});
    } else {
      c.add(task_us, {t - width - 1, t - width, t - width + 1});
    }
  }
}

Plan everything_on(std::vector<PeerIndex> row) {
  Plan plan;
  for (std::uint32_t t = 0; t < tasks; ++t) plan.where.push_back(row[t % row.size()]);
  plan.order.resize(tasks);
  std::iota(plan.order.begin(), plan.order.end(), 0);
  return plan;
}

std::uint32_t count(const Plan& plan, PeerIndex worker) {
  return static_cast<std::uint32_t>(std::ranges::count(plan.where, worker));
}

/// Data that a worker reads and another one of its host made.
std::uint32_t moved(const Plan& plan) {
  std::uint32_t count = 0;
  for (std::uint32_t t = width; t < tasks; ++t) {
    for (const std::uint32_t d : {t - width - 1, t - width, t - width + 1}) {
      const bool is_neighbour = d / width == t / width - 1 && d < tasks;
      count += is_neighbour && plan.where[d] != plan.where[t];
    }
  }
  return count;
}

TEST(Replan, NeighboursComeTogetherInEqualParts) {
  for (const auto& row : {std::vector<PeerIndex>{0, 1, 0, 1}, {0, 0, 0, 1}, {0, 0, 0, 0}}) {
    Case c{1};
    c.add_neighbour(1);
    stencil(c, 20);
    const Plan plan = c.replanned(everything_on(row));
    EXPECT_EQ(count(plan, 0), tasks / 2);
    EXPECT_EQ(count(plan, 1), tasks / 2);
    EXPECT_LE(moved(plan), 2 * steps);
  }
}

TEST(Replan, WhatAnotherWorkerWaitsForComesFirst) {
  Case c{1};
  c.add_neighbour(1);
  stencil(c, 20);
  const Plan plan = c.replanned(everything_on({0, 0, 1, 1}));
  EXPECT_EQ(plan.where, everything_on({0, 0, 1, 1}).where);
  const std::vector<std::uint32_t> rank = inverse(plan.order);
  for (std::uint32_t row = 0; row + 1 < steps; ++row) {
    EXPECT_LT(rank[row * width + 1], rank[row * width]) << row;
    EXPECT_LT(rank[row * width + 2], rank[row * width + 3]) << row;
  }
}

TEST(Replan, MoreSlotsGetMore) {
  Case c{1};
  c.add_neighbour(3);
  stencil(c, 20);
  const Plan plan = c.replanned(everything_on({0}));
  EXPECT_EQ(count(plan, 0), tasks / 4);
  EXPECT_EQ(count(plan, 1), tasks / 4 * 3);
}

TEST(Replan, VeryShortTasksStayTogether) {
  Case c{1};
  c.add_neighbour(1);
  stencil(c, 1);
  EXPECT_EQ(count(c.replanned(everything_on({0})), 0), tasks);
}

TEST(Replan, NothingMoreMovesBetweenHosts) {
  Case c{1};
  c.add_host(1);
  stencil(c, 100'000);
  EXPECT_EQ(count(c.replanned(everything_on({0})), 0), tasks);
}

TEST(Replan, WhatReadsOtherGraphsStays) {
  Case c{1};
  c.add_neighbour(1);
  for (std::uint32_t t = 0; t < tasks; ++t) c.add(20, {tasks});
  c.graph().external_bytes = {8};
  EXPECT_EQ(count(c.replanned(everything_on({0})), 0), tasks);
}

}  // namespace
}  // namespace ashlar::scheduler::placement
