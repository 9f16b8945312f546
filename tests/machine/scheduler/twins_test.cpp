#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "one_slot_case.hpp"

/// Second attempts at straggling tasks; and what else is placed by need and urgency.
namespace ashlar::scheduler {
namespace {

class Twins : public OneSlotCase {
 protected:
  using OneSlotCase::OneSlotCase;

  /// Sixty tasks of which one is left, and has run for half a second.
  Where straggle(std::shared_ptr<graph::TaskGraph> graph = nullptr, std::size_t left_over = 1) {
    if (!graph) graph = graph_of(std::vector<std::vector<std::uint32_t>>(60), {59});
    submit(0, graph);
    const auto left = run_until(left_over);
    EXPECT_EQ(left.size(), left_over);
    wait(Duration::milliseconds(500));
    return left.at(0);
  }

  struct Twice {
    Where late, twin;
  };
  /// Two workers join, and a straggling task is on both.
  Twice straggle_twice() {
    join(1);
    join(2);
    const Where late = straggle();
    EXPECT_EQ(assigned_.size(), 2u) << "the task is on both";
    return {late, assigned_.back()};
  }
};

TEST_F(Twins, AStragglingTaskIsBegunOnceMoreAndTheFirstResultCounts) {
  const auto [late, twin] = straggle_twice();
  EXPECT_EQ(twin.task, late.task);
  EXPECT_NE(twin.worker, late.worker);
  EXPECT_EQ(twin.attempt, late.attempt + 1);
  EXPECT_NE(engine_.story({session, 0}, late.task).find("straggles: begun once more on worker w"),
            std::string::npos);
  done(twin);
  const auto ended = told<protocol::RunEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].outcome, protocol::RunOutcome::done);
  EXPECT_EQ(ended[0].stats.rebalance.twins, 1u);
  EXPECT_EQ(ended[0].stats.rebalance.twins_won, 1u);
  const auto revoked = sent<protocol::RevokeTasks>(late.worker);
  ASSERT_EQ(revoked.size(), 1u);
  EXPECT_EQ(revoked[0].attempt, std::vector<Attempt>{late.attempt});
  done(late);  // it went on nevertheless
  EXPECT_EQ(engine_.counters().stale_events, 1u);
  EXPECT_EQ(engine_.counters().peers_dropped, 0u);
}

TEST_F(Twins, TheFirstAttemptMayStillBeTheFirstDone) {
  const auto [late, twin] = straggle_twice();
  done(late);
  EXPECT_EQ(told<protocol::RunEnded>().size(), 1u);
  EXPECT_EQ(sent<protocol::RevokeTasks>(twin.worker).size(), 1u);
  EXPECT_EQ(sent<protocol::FreeData>(twin.worker).size(), 1u) << "it may have made it by now";
  EXPECT_EQ(engine_.counters().twins_won, 0u);
  done(twin);
  EXPECT_EQ(engine_.counters().stale_events, 1u);
  EXPECT_EQ(engine_.counters().peers_dropped, 0u);
}

TEST_F(Twins, WhenOneOfBothWorkersDiesTheOtherGoesOn) {
  for (const bool first_dies : {true, false}) {
    begin_anew();
    const auto [late, twin] = straggle_twice();
    const Where dead = first_dies ? late : twin;
    std::erase(assigned_, dead);
    step(WorkerLost{PeerId{dead.worker}, "SIGKILL"});
    EXPECT_EQ(assigned_, std::vector<Where>{first_dies ? twin : late});
    EXPECT_NE(engine_.story({session, 0}, late.task).find("on worker "), std::string::npos);
    done(assigned_.at(0));
    EXPECT_EQ(told<protocol::RunEnded>().at(0).outcome, protocol::RunOutcome::done);
  }
}

TEST_F(Twins, WhenBothWorkersDieTheTaskIsBegunAnew) {
  const auto [late, twin] = straggle_twice();
  assigned_.clear();
  step(WorkerLost{PeerId{late.worker}, "SIGKILL"});
  step(WorkerLost{PeerId{twin.worker}, "SIGKILL"});
  join(3);
  ASSERT_FALSE(assigned_.empty());
  run_until(1);
  EXPECT_GT(assigned_.at(0).attempt, twin.attempt) << "no number is used twice";
  done(assigned_.at(0));
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Twins, TheFailureOfOneAttemptIsNotTheTasks) {
  for (const bool first_fails : {true, false}) {
    begin_anew();
    const auto [late, twin] = straggle_twice();
    fail(first_fails ? late : twin);
    EXPECT_TRUE(told<protocol::RunEnded>().empty());
    wait(Duration::milliseconds(500));
    EXPECT_EQ(engine_.counters().twins, 1u) << "one is enough";
    done(first_fails ? twin : late);
    EXPECT_EQ(told<protocol::RunEnded>().at(0).outcome, protocol::RunOutcome::done);
    EXPECT_EQ(engine_.counters().tasks_failed, 0u);
  }
}

TEST_F(Twins, WhenBothAttemptsFailTheTaskHasFailed) {
  for (const bool first_fails_first : {true, false}) {
    begin_anew();
    const auto [late, twin] = straggle_twice();
    fail(first_fails_first ? late : twin);
    fail(first_fails_first ? twin : late);
    EXPECT_EQ(told<protocol::RunEnded>().at(0).outcome, protocol::RunOutcome::failed);
    EXPECT_EQ(engine_.counters().tasks_failed, 1u);
  }
}

TEST_F(Twins, BothAttemptsEndWithTheirRun) {
  const auto [late, twin] = straggle_twice();
  step(FromDriver{session, protocol::CancelRun{0}});
  EXPECT_EQ(sent<protocol::RevokeTasks>(late.worker).size(), 1u);
  EXPECT_EQ(sent<protocol::RevokeTasks>(twin.worker).size(), 1u);
  EXPECT_TRUE(assigned_.empty());
  done(twin);
  done(late);
  EXPECT_EQ(engine_.counters().peers_dropped, 0u);
}

TEST_F(Twins, WhatReadsWhatBothAttemptsMakeIsCancelledWhenBothFail) {
  join(1);
  join(2);
  std::vector<std::vector<std::uint32_t>> tasks(61);
  for (std::uint32_t t = 0; t < 60; ++t) tasks[60].push_back(t);
  straggle(graph_of(tasks, {60}), 2);
  std::erase_if(assigned_, [](const Where& where) { return where.task == 60; });
  ASSERT_EQ(assigned_.size(), 2u) << "the straggling task is on both, its reader on one";
  const Where late = assigned_[0], twin = assigned_[1];
  ASSERT_EQ(late.task, twin.task);
  fail(late);
  fail(twin);
  EXPECT_EQ(told<protocol::RunEnded>().at(0).outcome, protocol::RunOutcome::failed);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Twins, WhoWaitsForATaskThatWaitsElsewhereTakesItOver) {
  join(1);
  submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(60), {59}));
  run_until(0);
  submit(1, graph_of({{}, {}}, {0, 1}));  // both go to the only worker
  ASSERT_EQ(assigned_.size(), 2u);
  const std::uint32_t second = assigned_[1].task;
  join(2);
  protocol::Heartbeat busy;
  busy.cores = busy.host_cores = 1;
  busy.cores_busy_percent = busy.host_busy_percent = 80;
  busy.sample = 1;
  step(FromWorker{PeerId{1}, busy});
  auto reader = graph_of({{1}}, {0});
  reader->external_bytes = {8};
  submit(2, reader, {{{session, 1}, second}});
  ASSERT_EQ(assigned_.size(), 3u);
  ASSERT_EQ(assigned_[2].worker, 2u) << "it looks calmer";
  wait(Duration::milliseconds(200));
  const auto moved = std::ranges::find(assigned_, Where{2, second, 2});
  EXPECT_NE(moved, assigned_.end()) << engine_.story({session, 1}, second);
}

TEST_F(Twins, WhatAWorkerSaysItRunsStaysAndWhatWaitsBehindItGoes) {
  join(1);
  submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(60), {59}));
  run_until(0);
  submit(1, graph_of({{}, {}}, {0, 1}));  // both go to the only worker, 0 before 1
  ASSERT_EQ(assigned_.size(), 2u);
  now_ = now_ + Duration::milliseconds(150);
  step(FromWorker{PeerId{1}, protocol::TasksRunning{{{{session, 1}, 1}}, {1}, {100'000'000}}});
  join(2);
  wait(Duration::milliseconds(100));
  EXPECT_EQ(assigned_, (std::vector<Where>{{1, 1, 1}, {2, 0, 2}}));
  done({2, 0, 2}, 1);
  wait(Duration::milliseconds(100));
  EXPECT_EQ(assigned_, (std::vector<Where>{{1, 1, 1}, {2, 1, 2}})) << "it straggles";
  done({2, 1, 2}, 1);
  EXPECT_TRUE(assigned_.empty());
  EXPECT_EQ(engine_.counters().peers_dropped, 0u);
}

TEST_F(Twins, WhatWaitsBehindATwinIsNotTakenForRunning) {
  const auto [late, twin] = straggle_twice();
  const protocol::TasksRunning both{{{{session, 0}, late.task}}, {late.attempt}, {400'000'000}};
  step(FromWorker{PeerId{late.worker}, both});
  const protocol::TasksRunning second{{{{session, 0}, late.task}}, {twin.attempt}, {400'000'000}};
  step(FromWorker{PeerId{twin.worker}, second});
  submit(1, graph_of({{}, {}}, {0, 1}));
  ASSERT_EQ(assigned_.size(), 4u) << "one behind each";
  join(3);
  std::vector<std::uint32_t> moved;
  for (int i = 0; i < 2; ++i) {
    wait(Duration::milliseconds(100));
    const auto on_third = std::ranges::find(assigned_, 3u, &Where::worker);
    ASSERT_NE(on_third, assigned_.end()) << engine_.story({session, 1}, 0);
    moved.push_back(on_third->task);
    done(*on_third, 1);
  }
  EXPECT_EQ(assigned_.size(), 2u);
}

/// Of thousands of busy workers each has a task that takes longer than usual: a look at all of them
/// takes no longer than a look at each.
TEST_F(Twins, ManyStragglersAreLookedAtOnce) {
  constexpr std::uint32_t workers = 3000;
  for (std::uint32_t w = 1; w <= workers; ++w) join(w);
  submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(workers), {0}));
  run_until(0);
  submit(1, graph_of(std::vector<std::vector<std::uint32_t>>(2 * workers), {0}));
  now_ = now_ + Duration::milliseconds(400);
  const auto assigned = assigned_;
  std::vector<bool> told(workers + 1);
  for (const Where& where : assigned) {
    if (told[where.worker]) continue;
    told[where.worker] = true;
    const protocol::TasksRunning running{{{{session, 1}, where.task}}, {1}, {300'000'000}};
    step(FromWorker{PeerId{where.worker}, running});
  }
  const std::clock_t begin = std::clock();
  step(Tick{});
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC / 4) << "a queue for each pair of workers";
  EXPECT_EQ(assigned_, assigned) << "nobody has a slot to spare";
}

TEST_F(Twins, ATwinThatGoesOnAloneRuns) {
  const auto [late, twin] = straggle_twice();
  fail(late);
  submit(1, graph_of({{}}, {0}));
  join(3);
  wait(Duration::milliseconds(100));
  const auto other = std::ranges::find(assigned_, 0u, &Where::task);
  ASSERT_NE(other, assigned_.end());
  EXPECT_NE(other->worker, twin.worker) << "it is placed elsewhere, or moved";
}

TEST_F(Twins, WhoSaysThatItRunsTheImpossibleIsNotListenedTo) {
  const std::vector<protocol::TasksRunning> lies = {
      {{{{session, 1}, 0}, {{session, 1}, 1}}, {1, 1}, {0, 0}},  // on one slot
      {{{{session, 1}, 2}}, {1}, {0}},                           // there is no such task
      {{{{session, 1}, 0}}, {2}, {0}},                           // … attempt
      {{{{session, 7}, 0}}, {1}, {0}},                           // … run
      {{{{SessionId{9}, 0}, 0}}, {1}, {0}},                      // … session
      {{{{session, 1}, 0}}, {}, {0}},                            // which attempt?
      {{{{session, 1}, 0}}, {1}, {}}};                           // since when?
  for (const auto& lie : lies) {
    begin_anew();
    join(1);
    submit(0, graph_of({{}}, {0}));
    run_until(0);
    submit(1, graph_of({{}, {}}, {0, 1}));
    step(FromWorker{PeerId{1}, lie});
    EXPECT_EQ(engine_.counters().peers_dropped, 1u) << lie.tasks.size();
  }
}

TEST_F(Twins, WhatRanOnAWorkerAndDoesNoMoreIsNoNews) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  run_until(0);
  step(FromWorker{PeerId{1}, protocol::TasksRunning{{{{session, 0}, 0}}, {1}, {0}}});
  EXPECT_EQ(engine_.counters().peers_dropped, 0u);
}

TEST_F(Twins, KernelsWithSideEffectsRunOnce) {
  join(1, false);
  join(2, false);
  straggle();
  EXPECT_EQ(assigned_.size(), 1u);
}

TEST_F(Twins, WhatTakesAnInputsBufferOverRunsOnce) {
  join(1);
  join(2);
  std::vector<std::vector<std::uint32_t>> tasks(60);
  tasks.push_back({59});
  auto graph = graph_of(tasks, {60});
  graph->reuse_input.assign(61, graph::TaskGraph::no_input);
  graph->reuse_input[60] = 0;
  EXPECT_EQ(straggle(graph).task, 60u);
  EXPECT_EQ(assigned_.size(), 1u);
}

TEST_F(Twins, SecondAttemptsTakeAtMostATwentiethOfTheWork) {
  join(1);
  join(2);
  straggle(graph_of(std::vector<std::vector<std::uint32_t>>(15), {14}));
  EXPECT_EQ(assigned_.size(), 1u) << "one of fourteen would be more";
}

class Needs : public OneSlotCase {};

TEST_F(Needs, TasksWithoutInputsGoInBlocksThatTogetherAreAsEvenAsTheyCanBe) {
  for (std::uint32_t w = 1; w <= 4; ++w) join(w);
  submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(60), {59}));
  run_until(0);
  submit(1, graph_of(std::vector<std::vector<std::uint32_t>>(7), {6}));
  ASSERT_EQ(assigned_.size(), 7u);
  std::vector<std::uint32_t> worker(7);
  for (const Where& where : assigned_) worker[where.task] = where.worker;
  std::vector<int> blocks{1};
  for (std::size_t t = 1; t < worker.size(); ++t) {
    if (worker[t] == worker[t - 1]) {
      ++blocks.back();
    } else {
      blocks.push_back(1);
    }
  }
  std::ranges::sort(blocks);
  EXPECT_EQ(blocks, (std::vector<int>{1, 2, 2, 2})) << "1.75 are a worker's share";
}

TEST_F(Needs, AmountsThatNoWorkerHasAreNamed) {
  join(1, true, {{"gpu", 1}, {"licence", 0.5}});
  auto graph = graph_of({{}}, {0});
  graph->constraint = {0};
  graph->constraints = {{{{"gpu", 2}}}};
  submit(0, graph);
  EXPECT_NE(error().find("asks for 2 \"gpu\": the most that a worker has is 1;"), std::string::npos)
      << error();
  graph = graph_of({{}}, {0});
  graph->constraint = {0};
  graph->constraints = {{{{"gpu", 0.5}, {"fpga", 1}}}};
  submit(1, graph);
  EXPECT_NE(error().find("asks for 1 \"fpga\": no worker with the kernel has any"),
            std::string::npos)
      << error();
  join(2, true, {{"fpga", 1}});
  submit(2, graph);
  EXPECT_NE(error().find("no worker has them together"), std::string::npos) << error();
}

TEST_F(Needs, FractionsOfAResourceAreSharedAndNoMoreIsGivenThanThereIs) {
  protocol::Hello hello;
  hello.name = "w1";
  hello.slots = 8;
  hello.kernels = {"add"};
  hello.resources = {{"gpu", 1}};
  step(WorkerJoined{PeerId{1}, hello});
  auto graph = graph_of(std::vector<std::vector<std::uint32_t>>(7), {});
  graph->constraint.assign(7, 0);
  graph->constraints = {{{{"gpu", 0.3}}}};
  submit(0, graph);
  EXPECT_EQ(assigned_.size(), 3u);
  done(assigned_[0]);
  EXPECT_EQ(assigned_.size(), 3u);
  run_until(0);
}

class GrowingCluster : public Twins {
 protected:
  GrowingCluster() : Twins(limits()) {}
  static Limits limits() {
    Limits limits;
    limits.growth_wait = Duration::seconds(5);
    return limits;
  }
};

TEST_F(GrowingCluster, WhatNobodyHasIsWaitedForForAWhile) {
  join(1);
  auto graph = graph_of({{}}, {0});
  graph->constraint = {0};
  graph->constraints = {{{{"gpu", 1}}}};
  now_ = now_ + Duration::seconds(100);
  submit(0, graph);
  wait(Duration::seconds(4));
  EXPECT_EQ(engine_.unfinished_tasks(), 1u);
  join(2, true, {{"gpu", 1}});
  ASSERT_EQ(assigned_.size(), 1u);
  EXPECT_EQ(assigned_[0].worker, 2u);
  done(assigned_[0]);
  graph = graph_of({{}}, {0});
  graph->constraint = {0};
  graph->constraints = {{{{"gpu", 2}}}};
  submit(1, graph);
  wait(Duration::seconds(5.2));
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

}  // namespace
}  // namespace ashlar::scheduler
