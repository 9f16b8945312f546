#include "simulate/lower_bound.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "base/random.hpp"
#include "simulate/suite.hpp"

namespace ashlar::simulate {
namespace {

using Inputs = std::vector<std::vector<std::uint32_t>>;

/// One datum for each task; `inputs` are of earlier ones.
Program program_of(const Inputs& inputs, std::vector<double> seconds) {
  Program program{.graph = {}, .task_seconds = std::move(seconds)};
  graph::TaskGraph& g = program.graph;
  g.kernels = {"any"};
  for (const auto& of_task : inputs) {
    g.kernel.push_back(0);
    g.inputs.insert(g.inputs.end(), of_task.begin(), of_task.end());
    g.input_offsets.push_back(static_cast<std::uint32_t>(g.inputs.size()));
    g.output_bytes.push_back(8);
    g.output_offsets.push_back(g.output_count());
    g.param_offsets.push_back(0);
  }
  return program;
}

const Inputs tree = {{}, {}, {}, {}, {0, 1}, {2, 3}, {4, 5}};

TEST(LowerBound, CountsWhatNothingElseCanGoOnBeside) {
  const Program program = program_of(tree, std::vector<double>(7, 1.0));
  Machine machine{.speeds = {1, 1}, .slots = 1};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(program, machine), 4) << "six on two, and the last alone";
  machine = {.speeds = std::vector<double>(100, 2.0), .slots = 1};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(program, machine), 1.5) << "three one after the other";
  const Program apart = program_of(Inputs(6), std::vector<double>(6, 1.0));
  machine = {.speeds = {1, 1}, .slots = 2};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(apart, machine), 1.5);
}

TEST(LowerBound, CountsSlotsAndSpeedsOfEachWorkerWhileItIsThere) {
  const Program program = program_of({{}, {0}, {0}, {0}, {0}, {0}, {0}}, {1, 1, 1, 1, 1, 1, 1});
  Machine machine{.speeds = {2, 1}};
  machine.slots_of = {1, 3};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(program, machine), 0.5 + 6.0 / 5);
  machine.vanishes_of = {{}, Duration::seconds(1)};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(program, machine), 1 + 3.5 / 2) << "left after a second";
}

/// Each task on some worker of one slot, as early as those before it in the order let it: one of
/// the orders and ways to spread them gives a schedule than which none is shorter.
double shortest_schedule(const Inputs& inputs, const std::vector<double>& seconds,
                         const std::vector<double>& speeds) {
  std::vector<std::size_t> order(inputs.size());
  std::iota(order.begin(), order.end(), 0);
  double shortest = std::numeric_limits<double>::max();
  do {
    for (std::size_t spread = 0; spread < std::size_t{1} << inputs.size(); ++spread) {
      std::vector<double> free_from(2, 0), end(inputs.size(), -1);
      bool is_possible = true;
      for (const std::size_t task : order) {
        double start = 0;
        for (const std::uint32_t input : inputs[task]) {
          is_possible &= end[input] >= 0;
          start = std::max(start, end[input]);
        }
        const std::size_t worker = spread >> task & 1;
        end[task] = std::max(free_from[worker], start) + seconds[task] / speeds[worker];
        free_from[worker] = end[task];
      }
      if (is_possible) shortest = std::min(shortest, *std::ranges::max_element(end));
    }
  } while (std::ranges::next_permutation(order).found);
  return shortest;
}

TEST(LowerBound, NoScheduleIsShorter) {
  SplitMix64 random(7);
  int reached = 0, closer = 0;
  constexpr int graphs = 400;
  for (int g = 0; g < graphs; ++g) {
    Inputs inputs(5);
    std::vector<double> seconds;
    for (std::uint32_t task = 0; task < inputs.size(); ++task) {
      seconds.push_back(1 + static_cast<double>(random.below(4)));
      for (std::uint32_t other = 0; other < task; ++other) {
        if (random.below(3) == 0) inputs[task].push_back(other);
      }
    }
    const std::vector<double> speeds{1, g % 2 == 0 ? 1 : 0.4 + 0.1 * (g % 7)};
    const Program program = program_of(inputs, seconds);
    const double bound = lower_bound_seconds(program, {.speeds = speeds, .slots = 1});
    const double shortest = shortest_schedule(inputs, seconds, speeds);
    ASSERT_LE(bound, shortest + 1e-9) << "graph " << g;
    if (g % 2 != 0) continue;
    reached += bound > shortest - 1e-9;
    closer += bound > graph::bounds(program.graph, seconds).lower_bound(2) + 1e-9;
  }
  EXPECT_GT(reached, graphs / 4);
  EXPECT_GT(closer, graphs / 100) << "than the sum of the work and the longest chain are";
}

TEST(LowerBound, ATaskThatSpansAStretchOnASlowerWorkerDoesLessInIt) {
  const Program program = program_of({{}, {0}, {1}, {}}, {2, 8.5, 2, 10});
  const Machine machine{.speeds = {1, 0.8}, .slots = 1};
  EXPECT_DOUBLE_EQ(lower_bound_seconds(program, machine), 12.5) << "both take as long";
}

TEST(LowerBound, NoPolicyIsFaster) {
  for (const suite::Shape shape : suite::shapes) {
    const auto program = std::make_shared<const Program>(suite::make_program(shape, 60, 1));
    for (const suite::Site& site : suite::sites(2)) {
      const auto trial = suite::try_policy(program, site, scheduler::PolicyKind::heft, 1);
      EXPECT_GE(trial.ratio, 1) << suite::name_of(shape) << ", " << site.name;
    }
  }
}

}  // namespace
}  // namespace ashlar::simulate
