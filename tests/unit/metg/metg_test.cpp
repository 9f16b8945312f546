#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "pattern.hpp"
#include "sweep.hpp"

namespace metg {
namespace {

std::vector<int> inputs(Kind kind, int width, int step, int point) {
  const auto found = Pattern{kind, width}.inputs(step, point);
  return {found.begin(), found.end()};
}

using List = std::vector<int>;

TEST(MetgPattern, TasksReadWhatTaskBenchSays) {
  EXPECT_EQ(inputs(Kind::stencil_1d, 4, 1, 0), (List{0, 1}));
  EXPECT_EQ(inputs(Kind::stencil_1d, 4, 9, 2), (List{1, 2, 3}));
  EXPECT_EQ(inputs(Kind::stencil_1d, 4, 0, 2), List{}) << "the first row reads nothing";
  EXPECT_EQ(inputs(Kind::fft, 8, 1, 3), (List{2, 3, 4}));
  EXPECT_EQ(inputs(Kind::fft, 8, 3, 3), (List{3, 7}));
  EXPECT_EQ(inputs(Kind::fft, 8, 4, 3), (List{2, 3, 4})) << "levels repeat";
  EXPECT_EQ(inputs(Kind::tree, 8, 2, 3), List{1});
  EXPECT_EQ(inputs(Kind::nearest, 8, 1, 4), (List{2, 3, 4, 5, 6}));
  EXPECT_EQ(inputs(Kind::spread, 10, 3, 1), (List{1, 3, 5, 7, 9}));
  EXPECT_EQ(inputs(Kind::spread, 10, 4, 1), (List{0, 1, 4, 6, 8}));
}

TEST(MetgPattern, RowsOfATreeDouble) {
  const Pattern tree{Kind::tree, 8, 6};
  EXPECT_EQ(tree.points(0), 1);
  EXPECT_EQ(tree.points(2), 4);
  EXPECT_EQ(tree.points(5), 8);
  EXPECT_EQ(tree.task_count(), 1 + 2 + 4 + 8 + 8 + 8);
}

TEST(MetgPattern, InputsAreAscendingDistinctAndThere) {
  for (const NamedKind& named : kinds) {
    for (const int width : {1, 2, 4, 8, 16}) {
      const Pattern pattern{kind_of(named.name), width};
      for (int step = 1; step < 12; ++step) {
        for (int point = 0; point < pattern.points(step); ++point) {
          int last = -1;
          for (const int other : pattern.inputs(step, point)) {
            EXPECT_GT(other, last) << named.name;
            EXPECT_LT(other, pattern.points(step - 1)) << named.name;
            last = other;
          }
          EXPECT_GE(last, 0) << named.name << ": every task reads something";
        }
      }
    }
  }
  EXPECT_THROW(kind_of("ring"), std::invalid_argument);
}

TEST(MetgPattern, ATaskWithWrongInputsIsAnError) {
  const Pattern pattern{Kind::stencil_1d, 4};
  const std::vector<Cell> right{{1, 0}, {1, 1}, {1, 2}};
  EXPECT_EQ(run_task(pattern, 2, 1, 10, right), (Cell{2, 1}));
  for (const std::vector<Cell>& wrong :
       {std::vector<Cell>{{1, 0}, {1, 1}}, std::vector<Cell>{{1, 0}, {1, 1}, {0, 2}},
        std::vector<Cell>{{1, 0}, {1, 1}, {1, 2}, {1, 3}}}) {
    EXPECT_THROW(run_task(pattern, 2, 1, 10, wrong), std::runtime_error);
  }
}

/// A system that takes `overhead` for each task beside its work at 1 ns an iteration.
Run system_of(const Pattern& pattern, int cores, double overhead) {
  return [=](long iterations) {
    return double(pattern.task_count()) / cores * (overhead + double(iterations) * 1e-9);
  };
}

double measured(const Options& options, const Pattern& pattern, double overhead) {
  const metg::Run run = system_of(pattern, options.cores, overhead);
  const std::vector<long> sizes = find_sizes(options, run);
  std::vector<double> seconds;
  for (const long size : sizes) seconds.push_back(mean_seconds(options, run, size));
  return metg_of(points_of(sizes, seconds, options.cores / double(pattern.task_count())));
}

TEST(MetgSweep, HalfIsReachedWhereWorkAndOverheadAreEqual) {
  const Pattern pattern{Kind::stencil_1d, 4, 100};
  for (const double overhead : {3e-7, 1e-5, 5e-4}) {
    for (const int cores : {1, 2, 4}) {
      const double metg = measured({.cores = cores, .run_seconds = 60}, pattern, overhead);
      EXPECT_NEAR(metg, 2 * overhead, 0.05 * 2 * overhead) << overhead << ", " << cores;
    }
  }
}

TEST(MetgSweep, SizesReachFromNoOverheadToMostlyOverhead) {
  const Pattern pattern{Kind::fft, 8, 100};
  const metg::Run run = system_of(pattern, 2, 1e-5);
  const std::vector<long> sizes = find_sizes({.run_seconds = 60}, run);
  EXPECT_LT(sizes.back(), 5'000) << "a third of the best rate";
  EXPECT_GT(sizes.front(), 500'000) << "nearly no overhead";
  const std::vector<long> short_runs = find_sizes({.run_seconds = 0.05}, run);
  EXPECT_LT(run(short_runs.front() / 2), 0.05) << "tasks grow until a run is long";
}

TEST(MetgSweep, TheSmallestOfSeveralCrossingsCounts) {
  EXPECT_DOUBLE_EQ(metg_of({{8, 8e-5, 1}, {4, 4e-5, 0.4}, {2, 2e-5, 0.6}, {1, 1e-5, 0.4}}),
                   1e-5 * std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(metg_of({{8, 8e-5, 1}, {4, 4e-5, 0.7}}), 4e-5) << "an upper bound";
}

TEST(MetgSweep, WhoUsesHalfOfTheMachineNeverReachesHalfOfItsRate) {
  const Pattern pattern{Kind::stencil_1d, 4, 100};
  const double bare_rate = 1e9 * flops_per_iteration;
  const Options options{.cores = 2, .repeats = 2, .run_seconds = 60, .bare_rate = bare_rate};
  const Result all = sweep(options, pattern, system_of(pattern, 2, 1e-5));
  ASSERT_EQ(all.metgs.size(), 2u);
  EXPECT_NEAR(all.metgs[0], 2e-5, 1e-6);
  EXPECT_NEAR(all.bare_metgs[0], 2e-5, 1e-6);
  EXPECT_NEAR(all.peaks[0], 2 * bare_rate, 0.03 * 2 * bare_rate);
  const Result half = sweep(options, pattern, system_of(pattern, 1, 1e-5));
  EXPECT_NEAR(half.metgs[0], 4e-5, 2e-6) << "half of what it reaches itself";
  EXPECT_TRUE(std::isnan(half.bare_metgs[0]));
  EXPECT_NEAR(half.peaks[0], bare_rate, 0.03 * bare_rate);
}

TEST(MetgSweep, ShortRunsAreRepeatedAfterOneThatWarmsUp) {
  int runs = 0;
  const metg::Run run = [&](long) { return ++runs == 1 ? 0.1 : 0.004; };
  EXPECT_DOUBLE_EQ(mean_seconds({.point_seconds = 0.02}, run, 1), 0.004);
  EXPECT_EQ(runs, 6);
  runs = 0;
  EXPECT_DOUBLE_EQ(mean_seconds({.point_seconds = 0.002}, run, 1), 0.1) << "a long one counts";
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace metg
