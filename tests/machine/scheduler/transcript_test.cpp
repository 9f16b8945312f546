#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "histories.hpp"

/// Small histories, told event by event.
namespace ashlar::scheduler {
namespace {

class Transcript : public ::testing::Test {
 protected:
  Transcript() { step(SessionOpened{session, driver, {}}); }

  void join(std::uint32_t id, std::vector<std::string> kernels = {"add"},
            std::uint64_t memory_limit = 0) {
    protocol::Hello hello;
    hello.name = "w" + std::to_string(id);
    hello.slots = 1;
    hello.memory_limit = memory_limit;
    hello.kernels = std::move(kernels);
    hello.endpoint.host_identity = "host";
    step(WorkerJoined{PeerId{id}, hello});
  }
  void submit(std::uint32_t run, std::shared_ptr<graph::TaskGraph> graph,
              std::vector<DatumId> externals = {}) {
    step(FromDriver{session, protocol::SubmitRun{run, graph, std::move(externals), false}});
  }
  void done(std::uint32_t worker, std::uint32_t task, Attempt attempt = 1) {
    step(FromWorker{PeerId{worker},
                    protocol::TasksDone{{session, 0}, {task}, {attempt}, {1000}, {}}});
  }
  void fail(std::uint32_t worker, std::uint32_t task) {
    step(FromWorker{
        PeerId{worker},
        protocol::TaskFailed{{session, 0}, task, 1, ErrorKind::task_failed, "division by zero"}});
  }
  void say(std::uint32_t worker, protocol::WorkerToScheduler message) {
    step(FromWorker{PeerId{worker}, std::move(message)});
  }
  void wait(Duration time) {
    step(Tick{});
    now_ = now_ + time;
    step(Tick{});
  }
  void lose(std::uint32_t worker, std::optional<std::vector<DatumId>> running = {}) {
    step(WorkerLost{PeerId{worker}, "SIGKILL", running});
  }

  void step(Event event) {
    actions_.clear();
    now_ = now_ + Duration::milliseconds(1);
    engine_.step({&event, 1}, now_, actions_);
    engine_.check_invariants();
  }

  /// The last step's messages of this kind to a worker.
  template <class Message>
  std::vector<Message> sent(std::uint32_t worker) const {
    return sent_to<Message>(PeerId{worker}, actions_);
  }
  template <class Message>
  std::vector<Message> told() const {
    return told_driver<Message>(actions_);
  }
  std::size_t dropped() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        actions_, [](const Action& action) { return std::holds_alternative<DropPeer>(action); }));
  }
  void expect_failed(const std::string& text, ErrorKind kind) {
    const auto ended = told<protocol::RunEnded>();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].outcome, protocol::RunOutcome::failed);
    EXPECT_EQ(ended[0].error_kind, kind);
    EXPECT_NE(ended[0].error.find(text), std::string::npos) << ended[0].error;
  }

  Instant now_;
  SchedulerEngine engine_;
  Actions actions_;
};

TEST_F(Transcript, AChainIsAssignedAheadInOneMessageAndFreedAsItDies) {
  join(1);
  submit(0, graph_of({{}, {0}, {1}}, {2}));
  // One slot, nothing measured, but estimated: all three fit the window.
  const auto assigned = sent<protocol::AssignTasks>(1);
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].task, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(assigned[0].input_holder, (std::vector<PeerId>{PeerId{1}, PeerId{1}}));
  done(1, 0);
  EXPECT_TRUE(sent<protocol::FreeData>(1).empty());
  done(1, 1);
  ASSERT_EQ(sent<protocol::FreeData>(1).size(), 1u);
  EXPECT_EQ(sent<protocol::FreeData>(1)[0].data[0].index, 0u);
  done(1, 2);
  ASSERT_EQ(told<protocol::DataReady>().size(), 1u);
  EXPECT_EQ(told<protocol::DataReady>()[0].holder[0], PeerId{1});
  const auto ended = told<protocol::RunEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].stats.tasks, 3u);
  EXPECT_EQ(ended[0].stats.task_ns, 3000);
  EXPECT_EQ(ended[0].stats.critical_path_ns, 3000);
  step(FromDriver{session, protocol::ReleaseData{{{{session, 0}, 2}}}});
  EXPECT_EQ(sent<protocol::FreeData>(1).size(), 1u);
}

TEST_F(Transcript, ATakenOverInputIsNotFreed) {
  join(1);
  auto graph = graph_of({{}, {0}}, {1});
  graph->reuse_input = {graph::TaskGraph::no_input, 0};
  submit(0, graph);
  EXPECT_EQ(sent<protocol::AssignTasks>(1).at(0).reuse_input[1], 0u);
  done(1, 0);
  done(1, 1);
  EXPECT_TRUE(sent<protocol::FreeData>(1).empty());
}

TEST_F(Transcript, AnEmptyGraphEndsAtOnce) {
  submit(0, graph_of({}, {}));
  ASSERT_EQ(told<protocol::RunEnded>().size(), 1u);
  EXPECT_EQ(told<protocol::RunEnded>()[0].outcome, protocol::RunOutcome::done);
}

TEST_F(Transcript, BadGraphsAndUnknownDataAreBadInput) {
  submit(0, graph_of({{5}}, {}));
  expect_failed("input datum 5", ErrorKind::bad_input);
  auto graph = graph_of({{1}}, {});
  graph->external_bytes = {8};
  submit(1, graph, {{{session, 77}, 0}});
  expect_failed("does not exist", ErrorKind::bad_input);
}

TEST_F(Transcript, AMissingKernelIsNamedAtOnce) {
  join(1, {"mul"});
  submit(0, graph_of({{}}, {0}));
  expect_failed(
      "kernel \"add\", main.cpp:7 main: no worker has this kernel; start one that has it, "
      "such as `ashlar worker --load LIBRARY.so`; workers: w1",
      ErrorKind::unsupported);
}

TEST_F(Transcript, ARunWaitsForAWorkerForAWhile) {
  submit(0, graph_of({{}}, {0}));
  EXPECT_TRUE(told<protocol::RunEnded>().empty());
  now_ = now_ + Duration::seconds(31);
  step(Tick{});
  expect_failed("none joined within 30000 ms", ErrorKind::disconnected);
}

TEST_F(Transcript, ProgressDoesNotCountWhatIsMadeAgain) {
  join(1);
  submit(0, graph_of({{}, {0}, {1}}, {2}));
  step(FromWorker{PeerId{1}, protocol::TasksDone{{session, 0}, {0, 1}, {1, 1}, {9, 9}, {}}});
  step(WorkerLost{PeerId{1}, "killed"});
  join(2);
  now_ = now_ + Duration::seconds(1);
  step(FromWorker{PeerId{2}, protocol::TasksDone{{session, 0}, {0}, {2}, {9}, {}}});
  const auto progress = told<protocol::RunProgress>();
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].tasks_done, 1u);
}

TEST_F(Transcript, LongTasksAreReportedInFull) {
  join(1);
  submit(0, graph_of({{}, {0}}, {1}));
  constexpr std::uint64_t ten_seconds = 10'000'000'000;
  step(FromWorker{PeerId{1}, protocol::TasksDone{
                                 {session, 0}, {0, 1}, {1, 1}, {ten_seconds, ten_seconds}, {}}});
  const auto ended = told<protocol::RunEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].stats.task_ns, 20'000'000'000);
  EXPECT_EQ(ended[0].stats.critical_path_ns, 20'000'000'000);
  EXPECT_EQ(ended[0].stats.workers.at(0).busy_ns, 20'000'000'000);
}

TEST_F(Transcript, LongTasksAreExpectedInFull) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  step(FromWorker{PeerId{1}, protocol::TasksDone{{session, 0}, {0}, {1}, {10'000'000'000}, {}}});
  submit(1, graph_of({{}}, {0}));
  const auto assigned = sent<protocol::AssignTasks>(1);
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_GE(assigned[0].expected_ns.at(0), 10'000'000'000u);
  EXPECT_LT(assigned[0].expected_ns.at(0), 11'000'000'000u);
}

TEST_F(Transcript, OfAnUnknownKernelFewTasksAreAssignedUntilOneIsMeasured) {
  join(1);
  std::vector<std::vector<std::uint32_t>> roots(20);
  auto graph = graph_of(roots, {});
  graph->flops.clear();
  submit(0, graph);
  ASSERT_EQ(sent<protocol::AssignTasks>(1).size(), 1u);
  EXPECT_EQ(sent<protocol::AssignTasks>(1)[0].task.size(), 2u);
  std::size_t assigned = 2;
  for (const std::uint32_t task : {0u, 1u}) {
    done(1, task);
    for (const auto& message : sent<protocol::AssignTasks>(1)) assigned += message.task.size();
  }
  EXPECT_EQ(assigned, 20u);
}

constexpr const char* division =
    "task 0, kernel \"add\", main.cpp:7 main, on worker w1: division by zero";

TEST_F(Transcript, AFailureNamesKernelTaskWorkerLineAndFailsWhoNeedsIt) {
  join(1);
  submit(0, graph_of({{}, {0}}, {1}));
  auto graph = graph_of({{1}}, {0});
  graph->external_bytes = {8};
  submit(1, graph, {{{session, 0}, 1}});
  fail(1, 0);
  const auto ended = told<protocol::RunEnded>();
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].error, division);
  EXPECT_EQ(ended[1].error, division);
  const auto lost = told<protocol::DataLost>();
  ASSERT_EQ(lost.size(), 1u) << "one message for one cause";
  EXPECT_EQ(lost[0].data, (std::vector<DatumId>{{{session, 0}, 1}, {{session, 1}, 0}}));
  EXPECT_EQ(lost[0].reason, division);
  EXPECT_EQ(lost[0].kind, ErrorKind::task_failed);
  EXPECT_EQ(sent<protocol::RevokeTasks>(1).size(), 2u);
}

TEST_F(Transcript, OnlyWhatDescendsFromAFailureEndsWithIt) {
  join(1);
  submit(0, graph_of({{}, {}, {0, 1}, {1}, {2, 3}}, {1, 2, 3, 4}));
  auto graph = graph_of({{1}, {2}, {0}}, {0, 1, 2});
  graph->inputs = {3, 4, 0};  // reads what fails and what does not
  graph->external_bytes = {8, 8};
  submit(1, graph, {{{session, 0}, 2}, {{session, 0}, 3}});
  fail(1, 0);
  auto lost = told<protocol::DataLost>();
  ASSERT_EQ(lost.size(), 1u);
  std::ranges::sort(lost[0].data);
  EXPECT_EQ(lost[0].data,
            (std::vector<DatumId>{
                {{session, 0}, 2}, {{session, 0}, 4}, {{session, 1}, 0}, {{session, 1}, 2}}));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "the others go on";
  EXPECT_EQ(engine_.unfinished_tasks(), 3u);
  done(1, 1);
  done(1, 3);
  expect_failed(division, ErrorKind::task_failed);
  step(FromWorker{PeerId{1}, protocol::TasksDone{{session, 1}, {1}, {1}, {1000}, {}}});
  ASSERT_EQ(told<protocol::DataReady>().size(), 1u);
  expect_failed(division, ErrorKind::task_failed);
}

TEST_F(Transcript, ARunThatIsOfUseOnlyAsAWholeEndsWithItsFirstFailure) {
  join(1);
  step(FromDriver{session,
                  protocol::SubmitRun{0, graph_of({{}, {}, {}}, {0, 1, 2}), {}, false, true}});
  done(1, 1);
  fail(1, 0);
  expect_failed(division, ErrorKind::task_failed);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Transcript, WhoeverReadsWhatHasFailedLaterIsToldTheCause) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  fail(1, 0);
  auto graph = graph_of({{2}, {}}, {0, 1});
  graph->external_bytes = {8};
  // Its program may have dropped the datum by now: the release comes behind.
  submit(1, graph, {{{session, 0}, 0}});
  ASSERT_EQ(told<protocol::DataLost>().size(), 1u);
  EXPECT_EQ(told<protocol::DataLost>()[0].reason, division);
  EXPECT_EQ(told<protocol::DataLost>()[0].data, (std::vector<DatumId>{{{session, 1}, 0}}));
  step(FromDriver{session, protocol::ReleaseData{{{{session, 0}, 0}}}});
  step(FromWorker{PeerId{1}, protocol::TasksDone{{session, 1}, {1}, {1}, {1000}, {}}});
  ASSERT_EQ(told<protocol::DataReady>().size(), 1u) << "what does not read it is made";
  expect_failed(division, ErrorKind::task_failed);
  step(FromDriver{session, protocol::LocateData{{{{session, 1}, 0}}}});
  ASSERT_EQ(told<protocol::DataLost>().size(), 1u);
  EXPECT_EQ(told<protocol::DataLost>()[0].reason, division);
}

TEST_F(Transcript, WhatAFailedTaskMayHaveTakenOverIsMadeAgainForOthers) {
  join(1);
  auto graph = graph_of({{}, {0}, {}, {}, {0}, {1}}, {2, 3, 4, 5});
  graph->reuse_input.assign(6, graph::TaskGraph::no_input);
  graph->reuse_input[4] = 0;
  graph->priority = {5, 4, 3, 2, 1, 0};
  graph->flops.assign(6, 1e9F);  // long tasks: few are assigned ahead
  submit(0, graph);
  for (const std::uint32_t task : {0u, 1u}) done(1, task);
  const auto assigned = sent<protocol::AssignTasks>(1);
  ASSERT_EQ(assigned.size(), 1u);
  ASSERT_EQ(assigned[0].task[1], 4u);
  ASSERT_EQ(assigned[0].reuse_input[1], 0u);
  // Now another one needs what task 4 may take over.
  say(1, protocol::DataMissing{{{{session, 0}, 1}}, {PeerId{1}}});
  ASSERT_EQ(sent<protocol::AssignTasks>(1).at(0).task.at(0), 1u);
  fail(1, 4);
  EXPECT_EQ(sent<protocol::AssignTasks>(1).at(0).task.at(0), 0u) << "its worker may have begun";
  EXPECT_EQ(engine_.unfinished_tasks(), 5u);
}

TEST_F(Transcript, LostDataAreMadeAgainAndStaleReportsIgnored) {
  join(1);
  submit(0, graph_of({{}, {0}}, {0, 1}));
  done(1, 0);
  join(2);
  lose(1);
  const auto again = sent<protocol::AssignTasks>(2);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].task, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(again[0].attempt, (std::vector<Attempt>{2, 2}));
  EXPECT_EQ(engine_.counters().tasks_recomputed, 1u);
  done(2, 0, 1);  // an attempt that is not the current one
  EXPECT_EQ(engine_.counters().stale_events, 1u);
  done(2, 0, 2);
  done(2, 1, 2);
  EXPECT_EQ(told<protocol::RunEnded>().size(), 1u);
}

TEST_F(Transcript, ACopyThatWasFreedAsItCameIsNotTakenForOneOfWhatIsMadeAgain) {
  join(1);
  join(2, {"read"});
  auto graph = graph_of({{}, {0}}, {1});
  graph->kernels = {"add", "read"};
  graph->kernel = {0, 1};
  submit(0, graph);
  done(1, 0);
  join(3);
  lose(1);
  EXPECT_EQ(sent<protocol::FreeData>(2).size(), 1u);
  say(2, protocol::DataAcquired{{session, 0}, {{{session, 0}, 0}}, 0, 8});  // sent before that
  done(3, 0, 2);
  join(4);
  lose(3);
  say(2, protocol::DataMissing{{{{session, 0}, 0}}, {PeerId{3}}});
  EXPECT_EQ(sent<protocol::AssignTasks>(4).size(), 1u);
  done(4, 0, 3);
  done(2, 1, 3);
  EXPECT_EQ(told<protocol::RunEnded>().size(), 1u);
}

TEST_F(Transcript, WhatIsMadeAgainIsGivenUpWhenNobodyNeedsItAnyMore) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  done(1, 0);
  auto reader = graph_of({{2}, {0}}, {1});
  reader->external_bytes = {8};
  submit(1, reader, {{{session, 0}, 0}});
  step(FromWorker{PeerId{1}, protocol::TasksDone{{session, 1}, {0, 1}, {1, 1}, {9, 9}, {}}});
  join(2);
  lose(1);
  EXPECT_EQ(engine_.unfinished_tasks(), 3u);
  step(FromDriver{session, protocol::ReleaseData{{{{session, 0}, 0}}}});
  EXPECT_EQ(engine_.unfinished_tasks(), 3u) << "run 1 reads it";
  step(FromDriver{session, protocol::ReleaseData{{{{session, 1}, 1}}}});
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  EXPECT_EQ(sent<protocol::RevokeTasks>(2).size(), 2u);
  EXPECT_TRUE(told<protocol::RunEnded>().empty());
  for (const std::uint32_t run : {0u, 1u}) {
    step(FromDriver{session, protocol::Explain{.run = run}});
  }
  for (const auto& answer : told<protocol::Explanation>()) {
    EXPECT_NE(answer.text.find(": done"), std::string::npos) << answer.text;
    EXPECT_EQ(answer.text.find("cancelled"), std::string::npos) << answer.text;
  }
}

TEST_F(Transcript, AReportSaysHowLongEachWorkerWasThere) {
  join(1);
  submit(0, graph_of({{}, {}}, {0, 1}));
  done(1, 0);
  lose(1);
  join(2);
  done(2, 0, 2);
  done(2, 1, 2);
  const auto ended = told<protocol::RunEnded>();
  ASSERT_EQ(ended.size(), 1u);
  const protocol::RunStats& stats = ended[0].stats;
  ASSERT_EQ(stats.workers.size(), 2u);
  EXPECT_EQ(stats.makespan_ns, 5'000'000);
  EXPECT_EQ(stats.workers[0].present_ns, 2'000'000);
  EXPECT_EQ(stats.workers[1].present_ns, 2'000'000) << "it came a millisecond later";
}

TEST_F(Transcript, AWorkerWhoseSlotsAreHeldGetsNothingAndGivesBackWhatItHas) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  step(FromDriver{session, protocol::CancelRun{0}});
  submit(1, graph_of({{}, {0}}, {1}));
  EXPECT_EQ(sent<protocol::AssignTasks>(1).size(), 1u) << "nobody knows yet that task 0 goes on";
  say(1, protocol::SlotsHeld{1});
  ASSERT_EQ(sent<protocol::RevokeTasks>(1).size(), 1u);
  EXPECT_EQ(sent<protocol::RevokeTasks>(1)[0].task.size(), 2u);
  submit(2, graph_of({{}}, {0}));
  EXPECT_TRUE(sent<protocol::AssignTasks>(1).empty());
  join(2);
  std::size_t assigned = 0;
  for (const auto& message : sent<protocol::AssignTasks>(2)) assigned += message.task.size();
  EXPECT_EQ(assigned, 3u);
  submit(3, graph_of({{}, {}, {}}, {0}));
  EXPECT_TRUE(sent<protocol::AssignTasks>(1).empty());
  say(1, protocol::SlotsHeld{0});
  lose(2);
  EXPECT_FALSE(sent<protocol::AssignTasks>(1).empty()) << "it may run tasks again";
}

TEST_F(Transcript, ATaskThatKillsThreeWorkersIsGivenUp) {
  submit(0, graph_of({{}}, {0}));
  for (std::uint32_t w = 1; w <= 3; ++w) {
    join(w);
    ASSERT_EQ(sent<protocol::AssignTasks>(w).size(), 1u);
    lose(w);
  }
  expect_failed("took down 3 workers and is given up; the last was w3: SIGKILL",
                ErrorKind::task_failed);
}

TEST_F(Transcript, OnlyTasksThatTheWorkerWasInAreBlamed) {
  submit(0, graph_of({{}, {}}, {0, 1}));
  for (std::uint32_t w = 1; w <= 3; ++w) {
    join(w);
    ASSERT_EQ(sent<protocol::AssignTasks>(w)[0].task.size(), 2u);
    lose(w, {{{{session, 0}, 1}}});
  }
  EXPECT_EQ(told<protocol::DataLost>().at(0).data, (std::vector<DatumId>{{{session, 0}, 1}}));
  join(4);
  done(4, 0, 4);
  EXPECT_EQ(told<protocol::DataReady>().size(), 1u) << "the other one is done by the next worker";
  expect_failed("task 1, kernel \"add\", main.cpp:7 main: took down 3 workers",
                ErrorKind::task_failed);
}

TEST_F(Transcript, ImpossibleClaimsDropThePeer) {
  join(1);
  submit(0, graph_of({{}}, {0}));
  done(1, 9);
  EXPECT_EQ(dropped(), 1u);
  step(FromDriver{session, protocol::ReleaseData{{{{session, 50}, 0}}}});
  EXPECT_EQ(dropped(), 1u);
  EXPECT_EQ(engine_.counters().peers_dropped, 2u);
}

TEST_F(Transcript, ARunFailsWhenNothingCanGoOnForWantOfMemory) {
  join(1, {"add"}, 12);
  join(2, {"add"}, 12);
  auto graph = graph_of({{}, {}, {}, {}}, {0, 1, 2, 3});
  graph->flops.assign(4, 1e8F);  // two for each worker
  submit(0, graph);
  const auto first = sent<protocol::AssignTasks>(1).at(0).task;
  const auto second = sent<protocol::AssignTasks>(2).at(0).task;
  ASSERT_TRUE(first.size() == 2 && second.size() == 2);
  done(1, first[0]);
  say(1, protocol::MemoryShort{1, 8, {{{session, 0}, first[1]}}, {8}, {}});
  wait(Duration::seconds(10));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "worker 2 may be running something";
  done(2, second[0]);
  say(2, protocol::MemoryShort{0, 8, {{{session, 0}, second[1]}}, {8}, {}});
  wait(Duration::seconds(10));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "it has not seen all that was sent";
  say(2, protocol::MemoryShort{1, 8, {{{session, 0}, second[1]}}, {8}, {}});
  wait(Duration::milliseconds(500));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "the program may release something";
  wait(Duration::milliseconds(600));
  expect_failed(
      "main.cpp:7 main: out of memory: needs 8 bytes on worker w1, where 8 of 12 are in "
      "use, and nothing runs that could free any; in all 2 tasks wait for memory on 2 "
      "workers, which hold 16 of 24 bytes: use smaller chunks, more workers",
      ErrorKind::overloaded);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Transcript, AProgramMayTakeItsTimeOverAPartOfItsResults) {
  join(1, {"add"}, 12);
  submit(0, graph_of({{}, {}}, {0, 1}));
  const auto task = sent<protocol::AssignTasks>(1).at(0).task;
  ASSERT_EQ(task.size(), 2u);
  done(1, task[0]);
  const auto say_short = [&] {
    say(1, protocol::MemoryShort{1, 8, {{{session, 0}, task[1]}}, {8}, {}});
  };
  say_short();
  step(FromDriver{session, protocol::StreamHeld{0, true}});
  wait(Duration::seconds(100));
  EXPECT_TRUE(told<protocol::RunEnded>().empty());
  step(FromDriver{session, protocol::StreamHeld{0, false}});
  wait(Duration::milliseconds(500));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "it may release something now";
  wait(Duration::milliseconds(600));
  ASSERT_EQ(told<protocol::RunEnded>().size(), 1u) << "it waits for what cannot come";
}

TEST_F(Transcript, AnotherRunMayBeWhatTheProgramWaitsFor) {
  join(1, {"add"}, 12);
  submit(0, graph_of({{}, {}}, {0, 1}));
  const auto task = sent<protocol::AssignTasks>(1).at(0).task;
  done(1, task[0]);
  step(FromDriver{session, protocol::StreamHeld{0, true}});
  submit(1, graph_of({{}}, {0}));
  say(1, protocol::MemoryShort{2, 8, {{{session, 0}, task[1]}, {{session, 1}, 0}}, {8, 8}, {}});
  wait(Duration::milliseconds(1100));
  ASSERT_EQ(told<protocol::RunEnded>().size(), 1u);
  EXPECT_EQ(told<protocol::RunEnded>().front().run, 1u);
}

TEST_F(Transcript, ReleasedMemoryEndsAShortage) {
  join(1, {"add"}, 20);
  submit(0, graph_of({{}}, {0}));
  done(1, 0);
  submit(1, graph_of({{}}, {0}));
  say(1, protocol::MemoryShort{2, 8, {{{session, 1}, 0}}, {16}, {}});
  wait(Duration::milliseconds(900));
  step(FromDriver{session, protocol::ReleaseData{{{{session, 0}, 0}}}});
  ASSERT_EQ(sent<protocol::FreeData>(1).size(), 1u);
  wait(Duration::seconds(9));
  EXPECT_TRUE(told<protocol::RunEnded>().empty()) << "it has yet to see that";
  EXPECT_EQ(engine_.unfinished_tasks(), 1u);
}

TEST_F(Transcript, ATaskThatFitsIntoNoWorkerIsRefusedAtOnce) {
  join(1, {"add"}, 4);
  join(2, {"add"}, 7);
  submit(0, graph_of({{}}, {0}));
  expect_failed(
      "task 0, kernel \"add\", main.cpp:7 main: its outputs take 8 bytes, more than any "
      "worker may hold (the highest limit is 7): use smaller chunks, for this task of at most 7 "
      "bytes each, or workers with a higher memory limit",
      ErrorKind::overloaded);
  join(3, {"add"}, 8);
  submit(1, graph_of({{}, {}, {}}, {0}));
  EXPECT_EQ(sent<protocol::AssignTasks>(3).size(), 1u) << "the one with the memory";
  EXPECT_TRUE(sent<protocol::AssignTasks>(1).empty());
  step(WorkerLost{PeerId{3}, "SIGKILL"});
  expect_failed("the highest limit is 7", ErrorKind::overloaded);
}

TEST_F(Transcript, ATaskWhoseInputsHaveNoRoomBesideItsOutputsOnTheOnlyWorkerIsRefusedAtOnce) {
  join(1, {"add"}, 20);
  submit(0, graph_of({{}, {}, {0, 1}}, {2}));
  expect_failed(
      "task 2, kernel \"add\", main.cpp:7 main: it reads and makes 24 bytes, more than the only "
      "worker may hold (its limit is 20): use smaller chunks, for this task of at most 6 bytes "
      "each",
      ErrorKind::overloaded);
  submit(1, graph_of({{}, {0, 0}}, {1}));
  EXPECT_EQ(sent<protocol::AssignTasks>(1).size(), 1u) << "what is read twice is there once";
}

TEST_F(Transcript, AClosedSessionLeavesNothing) {
  join(1);
  submit(0, graph_of({{}, {0}}, {0, 1}));
  done(1, 0);
  step(SessionClosed{session});
  EXPECT_EQ(sent<protocol::RevokeTasks>(1).size(), 1u);
  EXPECT_EQ(sent<protocol::FreeData>(1).size(), 1u);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

}  // namespace
}  // namespace ashlar::scheduler
