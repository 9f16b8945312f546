#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "fixture.hpp"

/// Graphs that run again and again on real workers.
namespace ashlar::testing {
namespace {

/// Whether a run went to the workers of an earlier one.
bool is_repeated(const RunReport& report) {
  return report.template_tasks > 0 && report.template_tasks == report.tasks;
}

/// Two interleaved chains of additions, each step reading the other chain too.
struct Chains {
  explicit Chains(int steps) : input(graph.input(0)) {
    Node<int> left = graph.add<add_one>(input), right = graph.add<add_one>(input);
    for (int step = 1; step < steps; ++step) {
      left = graph.add<add_one>(left);
      right = graph.add<add_both>(left, right);
    }
    last = right;
    graph.want(last);
  }
  /// What comes out of it.
  static int value(int steps, int from) {
    int left = from + 1, right = from + 1;
    for (int step = 1; step < steps; ++step) {
      ++left;
      right = (left + right) % 1000;
    }
    return right;
  }

  Graph graph;
  Node<int> input;
  Node<int> last;
};

constexpr int steps = 30;

TEST(CompiledGraphs, AHundredRunsWithNewInputs) {
  auto session = two_workers();
  Chains chains(steps);
  const auto compiled = session.compile(chains.graph);
  int repeated = 0;
  for (int i = 0; i < 100; ++i) {
    chains.graph.bind(chains.input, i);
    const auto run = session.run(compiled);
    ASSERT_EQ(run[chains.last].get(), Chains::value(steps, i)) << i;
    repeated += is_repeated(run.done().report());
  }
  EXPECT_GT(repeated, 0) << "all but the first, unless one core is busy with others";
}

TEST(CompiledGraphs, RunsThatAreNotWaitedForReadEachOther) {
  auto session = two_workers();
  Chains chains(steps);
  const auto compiled = session.compile(chains.graph);
  Future<int> value = session.put(5);
  chains.graph.bind(chains.input, value);
  for (int i = 0; i < 3; ++i) session.run(compiled).wait();
  int expected = 5;
  std::vector<GraphRun> runs;
  for (int i = 0; i < 50; ++i) {
    chains.graph.bind(chains.input, value);
    runs.push_back(session.run(compiled));
    value = runs.back()[chains.last];
    expected = Chains::value(steps, expected);
  }
  EXPECT_EQ(value.get(), expected);
  EXPECT_TRUE(std::ranges::any_of(runs, [](auto& run) { return is_repeated(run.done().report()); }))
      << "unless one core is busy with others all the time";
}

TEST(CompiledGraphs, AWorkerKilledBetweenAndDuringRunsChangesNothing) {
  auto session = two_workers();
  Chains chains(steps);
  const auto compiled = session.compile(chains.graph);
  int repeated = 0;
  for (int i = 0; i < 60; ++i) {
    chains.graph.bind(chains.input, i);
    if (i == 15) ::kill(child_processes().front(), SIGKILL);
    const auto run = session.run(compiled);
    if (i == 30) ::kill(child_processes().back(), SIGKILL);
    ASSERT_EQ(run[chains.last].get(), Chains::value(steps, i)) << i;
    if (i >= 15) repeated += is_repeated(run.done().report());
  }
  EXPECT_GT(repeated, 0) << "it goes on with the workers that are left and come";
}

TEST(CompiledGraphs, AGraphThatGrowsIsPlacedAnew) {
  auto session = two_workers();
  Chains chains(steps);
  const auto compiled = session.compile(chains.graph);
  for (int i = 0; i < 3; ++i) session.run(compiled).wait();
  const auto more = chains.graph.add<add_one>(chains.last);
  chains.graph.want(more);
  chains.graph.bind(chains.input, 7);
  const auto run = session.run(compiled);
  EXPECT_EQ(run[more].get(), Chains::value(steps, 7) + 1);
  EXPECT_EQ(run.done().report().template_tasks, 0u);
}

TEST(CompiledGraphs, AFailureEndsWhatDescendsFromItAndLeavesTheNextRunAlone) {
  auto session = two_workers();
  Graph graph;
  auto input = graph.input(1);
  const auto checked = graph.add<fail_if_negative>(input);
  const auto last = graph.add<add_one>(checked), other = graph.add<add_one>(input);
  graph.want(last);
  graph.want(other);
  const auto compiled = session.compile(graph);
  for (int i = 0; i < 10; ++i) {
    const int value = i % 4 == 3 ? -i : i;
    graph.bind(input, value);
    const auto run = session.run(compiled);
    EXPECT_EQ(run[other].get(), value + 1);
    if (value < 0) {
      EXPECT_THROW(run[last].get(), TaskFailed);
    } else {
      EXPECT_EQ(run[last].get(), value + 1);
    }
  }
}

TEST(CompiledGraphs, ACancelledRunLeavesTheNextAlone) {
  auto session = two_workers();
  Chains chains(200);
  const auto compiled = session.compile(chains.graph);
  for (int i = 0; i < 20; ++i) {
    chains.graph.bind(chains.input, i);
    const auto run = session.run(compiled);
    if (i % 3 == 2) {
      run.done().cancel();
    } else {
      EXPECT_EQ(run[chains.last].get(), Chains::value(200, i));
    }
  }
}

TEST(CompiledGraphs, TwoSessionsAtOnce) {
  auto first = two_workers(), second = two_workers();
  Chains a(steps), b(steps + 1);
  const auto compiled_a = first.compile(a.graph);
  const auto compiled_b = second.compile(b.graph);
  for (int i = 0; i < 20; ++i) {
    a.graph.bind(a.input, i);
    b.graph.bind(b.input, 500 + i);
    const auto run_a = first.run(compiled_a);
    const auto run_b = second.run(compiled_b);
    ASSERT_EQ(run_a[a.last].get(), Chains::value(steps, i));
    ASSERT_EQ(run_b[b.last].get(), Chains::value(steps + 1, 500 + i));
  }
}

TEST(CompiledGraphs, MoreGraphsThanAreKept) {
  auto session = two_workers();
  std::vector<Chains> all;
  for (int n = 0; n < 80; ++n) all.emplace_back(2 + n);
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 80; ++n) {
      const auto run = session.run(session.compile(all[static_cast<std::size_t>(n)].graph));
      EXPECT_EQ(run[all[static_cast<std::size_t>(n)].last].get(), Chains::value(2 + n, 0));
    }
  }
}

TEST(RepeatedExpressions, AnIterationIsPlacedAsTheOneBefore) {
  auto session = two_workers();
  // Heat in a rod, step after step, from host to host.
  HostArray rod(DType::float64, {4000});
  auto values = rod.view<double, 1>();
  for (std::int64_t i = 0; i < 4000; ++i) values(i) = static_cast<double>(i % 97);
  const auto next = [](const HostArray& from) {
    const auto u = from_host(from, {.chunks = {500}});
    const auto inner = u.slice({{1, 3999}});
    const auto left = u.slice({{0, 3998}}), right = u.slice({{2, 4000}});
    return inner + 0.25 * (left - 2.0 * inner + right);
  };
  int repeated = 0;
  for (int step = 0; step < 12; ++step) {
    RunReport report;
    const HostArray found = session.compute(next(rod), &report);
    repeated += is_repeated(report);
    const auto was = std::as_const(rod).view<double, 1>();
    const auto is = found.view<double, 1>();
    for (std::int64_t i = 0; i < 3998; ++i) {
      ASSERT_EQ(is(i), was(i + 1) + 0.25 * (was(i) - 2.0 * was(i + 1) + was(i + 2)));
    }
    for (std::int64_t i = 0; i < 3998; ++i) values(i + 1) = is(i);
  }
  EXPECT_GT(repeated, 0) << "from the third run on, unless one core is busy with others";
}

TEST(RepeatedExpressions, PersistedIterationsGiveTheBitsOfOneExpression) {
  auto session = two_workers();
  const auto start = random::uniform({600, 600}, {.chunks = {100, 100}, .seed = 5});
  const auto a = session.persist(start);
  auto x = a, whole = start;
  for (int step = 0; step < 6; ++step) {
    x = session.persist(matmul(a, x) * 0.003);
    session.wait(x);
    whole = matmul(start, whole) * 0.003;
  }
  const HostArray found = session.compute(x), expected = session.compute(whole);
  EXPECT_EQ(0, std::memcmp(found.bytes().data(), expected.bytes().data(), expected.size_bytes()));
}

}  // namespace
}  // namespace ashlar::testing
