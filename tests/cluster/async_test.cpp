#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

using namespace std::chrono_literals;

/// What a call gives, got as a program with an event loop gets it: told by then(), never waiting.
template <class T>
auto value_of(const Future<T>& future) {
  std::promise<Future<T>> told;
  future.then([&](Future<T> ready) { told.set_value(std::move(ready)); });
  auto ready = told.get_future();
  if (ready.wait_for(60s) != std::future_status::ready) throw std::runtime_error("nobody called");
  return ready.get().get();
}

class Async : public SessionTest {};

/// One task at a time: what is submitted behind another one waits for it.
Session one_slot() {
  return Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
}

bool have_same_bytes(const HostArray& a, const HostArray& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.bytes().data(), b.bytes().data(), a.size_bytes()) == 0;
}

TEST_F(Async, SeveralArraysShareOneRun) {
  const auto a = random::uniform({90, 70}, {.chunks = {40, 30}, .seed = 1});
  RunReport expected;
  const auto here = session().compute({a * 2.0, sum(a)}, &expected);
  const Future<std::vector<HostArray>> future = session().compute_async({a * 2.0, sum(a)});
  const std::vector<HostArray> found = value_of(future);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(have_same_bytes(found[0], here[0]));
  EXPECT_TRUE(have_same_bytes(found[1], here[1]));
  EXPECT_EQ(future.report().tasks, expected.tasks);
  EXPECT_EQ(value_of(session().compute_async(std::vector<Array>{})).size(), 0u);
}

TEST_F(Async, EveryComputeHasAReportOfItsOwn) {
  const auto a = random::uniform({64, 64}, {.chunks = {32, 32}, .seed = 2});
  const auto four = session().compute_async(a);
  const auto one = session().compute_async(ones({8}));
  one.get();
  EXPECT_EQ(session().report().tasks, 1u) << "the last that was waited for";
  four.get();
  EXPECT_EQ(session().report().tasks, 4u);
  EXPECT_EQ(one.report().tasks, 1u);
  const RunReport report = four.report();
  EXPECT_EQ(report.tasks, 4u);
  EXPECT_EQ(report.workers.size(), 2u);
  EXPECT_GT(report.makespan_seconds, 0);
  EXPECT_GE(report.wall_seconds, report.makespan_seconds / 2) << "two clocks";
}

TEST_F(Async, ReportsAreThereInACallback) {
  std::promise<RunReport> told;
  session().compute_async(ones({30}, {.chunks = {10}})).then([&](Future<HostArray> ready) {
    told.set_value(ready.report());
  });
  EXPECT_EQ(told.get_future().get().tasks, 3u);
}

TEST_F(Async, PersistedArraysSayWhenTheyAreThere) {
  const auto first = session().persist(random::uniform({64}, {.chunks = {16}, .seed = 3}));
  const auto second = session().persist(first + 1.0);
  const Future<void> there = session().wait_async(first);
  value_of(there);
  EXPECT_EQ(there.report().tasks, 4u);
  session().wait(second);
  session().wait(first);
  EXPECT_EQ(session().report().tasks, 4u) << "of the array that was waited for last";

  const Future<void> nothing_to_wait_for = session().wait_async(first * 2.0);
  EXPECT_TRUE(nothing_to_wait_for.is_ready());
  value_of(nothing_to_wait_for);
  value_of(session().wait_async(session().persist(zeros({0, 5}))));
}

TEST_F(Async, WaitingForAPersistedArrayWaitsForNoOther) {
  auto alone = one_slot();
  const auto there = alone.persist(ones({8}));
  alone.wait(there);
  TemporaryFolder folder;
  const auto blocker = alone.submit<wait_for_file>({.priority = 1}, folder / "go");
  const auto behind = alone.persist(zeros({8}));
  alone.wait(there);
  EXPECT_FALSE(alone.wait_async(behind).wait_for(10ms));
  std::ofstream(folder / "go").put('x');
  alone.wait(behind);
  EXPECT_EQ(blocker.get(), 1);
}

TEST_F(Async, GathersWhenAllAreThere) {
  TemporaryFolder folder;
  const auto slow = session().submit<wait_for_file>(folder / "go");
  const auto all = session().gather_async(
      std::vector{session().submit<add_one>(4), slow, session().submit<add_one>(6)});
  EXPECT_FALSE(all.wait_for(20ms));
  EXPECT_FALSE(all.is_ready());
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(value_of(all), std::vector<int>({5, 1, 7}));
  EXPECT_TRUE(all.is_ready());
  EXPECT_TRUE(all.wait_for(0ms));
  EXPECT_THROW(all.report(), BadInput) << "three runs";
  EXPECT_EQ(slow.report().tasks, 1u);
}

TEST_F(Async, GathersArraysNothingsAndNothing) {
  const auto arrays = session().gather_async(
      std::vector{session().compute_async(ones({3})), session().submit<make_block>(2, 4.0)});
  EXPECT_EQ(value_of(arrays)[0].size(), 3);
  EXPECT_EQ((value_of(arrays)[1].view<const double, 2>()(1, 1)), 4.0);
  const auto kept = session().persist(ones({5}));
  value_of(session().gather_async(std::vector{session().wait_async(kept)}));
  EXPECT_TRUE(value_of(session().gather_async(std::vector<Future<int>>{})).empty());
  EXPECT_THROW(session().gather_async(std::vector<Future<int>>(1)), BadInput);
}

TEST_F(Async, ErrorsComeWithGet) {
  const auto bad = session().submit<fail_with>(std::string("too cold"));
  EXPECT_THROW(value_of(session().gather_async(std::vector{bad})), TaskFailed);
  EXPECT_THROW(bad.report(), TaskFailed);

  TemporaryFolder folder;
  session().compute(save_npy(folder / "x.npy", ones({4})));
  const auto x = load_npy(folder / "x.npy");
  std::filesystem::remove(folder / "x.npy");
  EXPECT_THROW(value_of(session().compute_async({x, x + 1.0})), Error);
  EXPECT_THROW(value_of(session().wait_async(session().persist(x))), Error);
}

TEST_F(Async, FilesAreWrittenWithoutWaiting) {
  TemporaryFolder folder;
  const auto a = random::uniform({50, 40}, {.chunks = {20, 20}, .seed = 4});
  const auto saved = session().compute_async(save_npy(folder / "a.npy", a));
  EXPECT_EQ(value_of(saved).size(), 6) << "one element per chunk";
  EXPECT_EQ(saved.report().workers.size(), 2u);
  EXPECT_TRUE(have_same_bytes(session().compute(load_npy(folder / "a.npy")), session().compute(a)));
}

TEST_F(Async, GraphsHaveAReport) {
  Graph graph;
  const auto x = graph.add<add_one>(1);
  const auto y = graph.add<add_one>(x);
  graph.want(y);
  const GraphRun run = session().run(graph);
  value_of(run.done());
  EXPECT_EQ(run.done().report().tasks, 2u);
  EXPECT_EQ(run[y].get(), 3);
  EXPECT_EQ(run[y].report().tasks, 2u) << "of the whole run";
  EXPECT_THROW(session().put(3).report(), BadInput) << "no run made it";
}

TEST_F(Async, ListsAreNoInputsOfTasks) {
  const auto sums = session().gather_async(std::vector{session().put(1.0), session().put(2.0)});
  EXPECT_THROW(session().submit<total>(sums), BadInput);
  EXPECT_THROW(session().submit<sum_of>(session().compute_async(ones({2, 2}))), BadInput);
}

TEST_F(Async, CancellingStopsTheRun) {
  auto alone = one_slot();
  TemporaryFolder folder;
  const auto blocker = alone.submit<wait_for_file>({.priority = 1}, folder / "go");
  const auto future = alone.compute_async({ones({4}), zeros({4})});
  future.cancel();
  EXPECT_THROW(value_of(future), Cancelled);
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(blocker.get(), 1);
}

// Whoever waits for an event must get one when the session goes.
TEST_F(Async, ClosingTellsWhoeverWasToBeTold) {
  TemporaryFolder folder;
  auto closed = one_slot();
  Graph graph;
  graph.want(graph.add<wait_for_file>({.priority = 1}, folder / "never"));
  int told = 0;
  const auto is_disconnected = [&](const auto& ready) {
    EXPECT_THROW(ready.get(), Disconnected);
    EXPECT_THROW(ready.report(), Disconnected);
    ++told;
  };
  closed.run(graph).done().then(is_disconnected);
  closed.compute_async(ones({4})).then(is_disconnected);
  closed.compute_async({ones({4}), zeros({4})}).then(is_disconnected);
  const auto kept = closed.persist(ones({4}));
  closed.wait_async(kept).then(is_disconnected);
  closed.submit<add_one>(1).then(is_disconnected);
  closed.close();
  EXPECT_EQ(told, 5);
  EXPECT_THROW(closed.compute_async(ones({4})), Disconnected);
}

}  // namespace
}  // namespace ashlar::testing
