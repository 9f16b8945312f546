#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "template_rig.hpp"

/// Graphs that run again and again, told event by event.
namespace ashlar::scheduler {
namespace {

TEST_F(Templates, AThirdRunCostsOneMessageForEachWorker) {
  join(1);
  join(2);
  open(0);
  run(0, stencil(rows, false), 5);
  expect_done(0);
  EXPECT_TRUE(workers_.at(PeerId{1}).templates.empty());
  run(0, nullptr, 5);
  expect_done(tasks);
  EXPECT_EQ(workers_.at(PeerId{1}).templates.size(), 1u);
  EXPECT_EQ(workers_.at(PeerId{2}).templates.size(), 1u);
  EXPECT_EQ(assignments_[PeerId{1}], 1);
  for (int again = 0; again < 3; ++again) {
    const std::uint32_t number = submit(0, nullptr, 5, put_of(0));
    EXPECT_EQ(templates_[PeerId{1}], 1);
    EXPECT_EQ(templates_[PeerId{2}], 1);
    EXPECT_EQ(assignments_[PeerId{1}] + assignments_[PeerId{2}], 0);
    play();
    EXPECT_EQ(templates_[PeerId{1}] + templates_[PeerId{2}], 2);
    expect_done(tasks);
    release(0, number);
  }
  EXPECT_EQ(engine_.counters().template_runs, 4u);
}

TEST_F(Templates, ARunReadsWhatTheOneBeforeIsStillMaking) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  // Neither run is played before both are submitted.
  const std::uint32_t first = submit(0, nullptr, 5, put_of(0));
  const std::uint32_t second = submit(0, nullptr, 5, {{SessionId{0}, first}, tasks - 1});
  EXPECT_EQ(templates_[PeerId{1}] + templates_[PeerId{2}], 2);
  play();
  expect_done(tasks);
  EXPECT_EQ(values(0, second).size(), 2u);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Templates, BothInOneStep) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  const std::uint32_t first = next_run_[0];
  std::vector<Event> events;
  events.push_back(
      FromDriver{SessionId{0}, protocol::SubmitRun{first, nullptr, {put_of(0)}, false, false, 5}});
  events.push_back(
      FromDriver{SessionId{0},
                 protocol::SubmitRun{
                     first + 1, nullptr, {{{SessionId{0}, first}, tasks - 2}}, false, false, 5}});
  Actions actions;
  engine_.step(events, now_, actions);
  engine_.check_invariants();
  int templates = 0;
  for (Action& action : actions) {
    auto* to = std::get_if<ToWorker>(&action);
    if (to == nullptr) continue;
    templates += std::holds_alternative<protocol::RunTemplate>(to->message);
    workers_.at(to->worker).inbox.push_back(std::move(to->message));
  }
  EXPECT_EQ(templates, 4);
  play();
  expect_done(tasks);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
}

TEST_F(Templates, WhenAWorkerIsLostBetweenRunsTheNextIsPlacedAnew) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  lose(2);
  run(0, nullptr, 5);
  expect_done(0);
  EXPECT_TRUE(workers_.at(PeerId{1}).templates.empty()) << "it is told to forget";
  run(0, nullptr, 5);
  expect_done(tasks);
  run(0, nullptr, 5);
  expect_done(tasks);
  EXPECT_EQ(workers_.at(PeerId{1}).templates.size(), 1u);
}

TEST_F(Templates, WhenAWorkerIsLostDuringARunItEndsElsewhere) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  submit(0, nullptr, 5, put_of(0));
  for (int moves = 0; moves < 4; ++moves) {
    for (auto& [id, worker] : workers_) work(worker);
  }
  lose(2);
  play();
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::done) << end_.error;
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  run(0, nullptr, 5);
  expect_done(0);
}

TEST_F(Templates, ANewcomerGetsItsShare) {
  join(1);
  open(0);
  warm_up(0, 5);
  join(2);
  run(0, nullptr, 5);
  expect_done(0);
  EXPECT_GT(std::ranges::count(ran_, PeerId{2}, [](const auto& ran) { return ran.second; }), 0);
}

TEST_F(Templates, AWorkerThatWantsToLeaveGetsNothing) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  step(FromWorker{PeerId{2}, protocol::Leaving{"asked"}});
  submit(0, nullptr, 5, put_of(0));
  EXPECT_EQ(templates_[PeerId{2}] + assignments_[PeerId{2}], 0);
  play();
  expect_done(0);
}

TEST_F(Templates, AFailingTaskEndsItselfAndWhatDescendsFromIt) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5, false);
  failing_ = {{SessionId{0}, next_run_[0]}, 4};  // in the left one of two columns
  const std::vector<std::uint64_t> made = run(0, nullptr, 5);
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::failed);
  EXPECT_EQ(end_.stats.template_tasks, tasks);
  EXPECT_EQ(lost_, std::vector{tasks - 2});
  EXPECT_EQ(made.size(), 1u) << "the right column comes to its end";
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  run(0, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, WhereTheFirstFailureEndsTheRunNothingGoesOn) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5, false);
  failing_ = {{SessionId{0}, next_run_[0]}, 0};
  submit(
      0,
      {.graph = nullptr, .externals = {put_of(0)}, .ends_on_failure = true, .template_number = 5});
  play();
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::failed);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  EXPECT_FALSE(ran_.contains(tasks - 1));
  run(0, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, WhatReadsLostDataEndsAtOnceAndTheRestGoesOn) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5, false);
  const std::uint32_t bad = next_run_[0];
  failing_ = {{SessionId{0}, bad}, 0};
  run(0, nullptr, 5);
  ASSERT_EQ(lost_, std::vector{tasks - 2});
  submit(0, nullptr, 5, {{SessionId{0}, bad}, tasks - 2});
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::failed);
  EXPECT_EQ(lost_.size(), 2u) << "nothing can be made";
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  run(0, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, ACancelledRunEndsAndTheNextGoesOn) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  const std::uint32_t number = submit(0, nullptr, 5, put_of(0));
  for (auto& [id, worker] : workers_) work(worker);
  step(FromDriver{SessionId{0}, protocol::CancelRun{number}});
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::cancelled);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  play();
  run(0, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, SessionsHaveTheirOwn) {
  join(1);
  join(2);
  open(0);
  open(1);
  warm_up(0, 5, false);
  warm_up(1, 5, false);
  EXPECT_EQ(workers_.at(PeerId{1}).templates.size(), 2u);
  submit(0, nullptr, 5, put_of(0));
  submit(1, nullptr, 5, put_of(1));
  play();
  expect_done(tasks);
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  step(SessionClosed{SessionId{0}});
  play();
  EXPECT_EQ(workers_.at(PeerId{1}).templates.size(), 1u);
  run(1, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, WhatIsDroppedIsForgottenEverywhere) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  step(FromDriver{SessionId{0}, protocol::DropTemplates{SessionId{0}, {5}}});
  play();
  for (const auto& [id, worker] : workers_) EXPECT_TRUE(worker.templates.empty());
  run(0, nullptr, 5);
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::failed);
  EXPECT_EQ(end_.error, "no graph is kept under number 5");
  EXPECT_EQ(dropped_, 0);
}

TEST_F(Templates, NoMoreAreKeptThanTheLimit) {
  join(1);
  open(0);
  for (std::uint32_t n = 0; n <= protocol::templates_max; ++n) run(0, stencil(rows), n);
  run(0, nullptr, protocol::templates_max);
  EXPECT_EQ(end_.outcome, protocol::RunOutcome::failed);
  run(0, nullptr, protocol::templates_max - 1);
  expect_done(tasks);
}

TEST_F(Templates, ANumberIsNotUsedForTwoGraphs) {
  join(1);
  open(0);
  run(0, stencil(rows), 5);
  run(0, stencil(rows), 5);
  EXPECT_EQ(dropped_, 1);
}

TEST_F(Templates, WorkersThatCannotKeepThemAreTold) {
  join(1);
  join(2, false);
  open(0);
  run(0, stencil(rows), 5);
  run(0, nullptr, 5);
  expect_done(0);
}

TEST_F(Templates, TasksThatNeedAmountsOfResourcesAreAlwaysPlaced) {
  protocol::Hello hello;
  hello.kernels = {"k"};
  hello.slots = 2;
  hello.resources = {{"licence", 1.0}};
  workers_[PeerId{1}].id = PeerId{1};
  step(WorkerJoined{PeerId{1}, hello});
  open(0);
  auto graph = std::make_shared<graph::TaskGraph>(*stencil(rows));
  graph->constraints = {{.resources = {{"licence", 1.0}}}};
  graph->constraint.assign(tasks, 0);
  run(0, graph, 5);
  run(0, nullptr, 5);
  expect_done(0);
}

TEST_F(Templates, LongRunsAreAlwaysPlaced) {
  join(1);
  open(0);
  submit(0, stencil(rows), 5, put_of(0));
  play(PeerId{1}, 1000);  // 0.6 s
  run(0, nullptr, 5);
  expect_done(0);
}

TEST_F(Templates, AWorkerThatHasBecomeSlowHasTheGraphPlacedAnew) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5, false);
  int as_before = 0;
  for (; as_before < 10; ++as_before) {
    submit(0, nullptr, 5, put_of(0));
    play(PeerId{2}, 10);
    if (end_.stats.template_tasks == 0) break;
  }
  EXPECT_EQ(as_before, 3) << "not at once, and not never";
  // Placed with what was learnt of the worker; that is no worse than what it was when new.
  for (int again = 0; again < 8; ++again) {
    submit(0, nullptr, 5, put_of(0));
    play(PeerId{2}, 10);
    expect_done(tasks);
  }
}

TEST_F(Templates, WhatIsMovedWhileARunGoesOnIsPlacedThereFromThenOn) {
  join(1);
  join(2);
  open(0);
  const auto submit_again = [&](std::shared_ptr<const graph::TaskGraph> graph) {
    submit(0, {.graph = std::move(graph), .externals = {}, .template_number = 5});
  };
  submit_again(independent(8));
  play();
  submit_again(nullptr);
  play();
  expect_done(8);
  const auto before = ran_;
  submit_again(nullptr);
  now_ = now_ + Duration::seconds(1);
  protocol::Heartbeat full{.cores = 1, .host_cores = 1};
  full.host_memory_used = full.host_memory_limit = 100;
  full.sample = 1;
  step(FromWorker{PeerId{2}, full});
  while (work(workers_.at(PeerId{1}))) {
  }
  step(Tick{});  // the first one has nothing to do, the second one's host is hot
  play();
  expect_done(8);
  EXPECT_EQ(engine_.counters().tasks_relieved, 3u) << "all that waited";
  const auto moved = ran_;
  EXPECT_NE(moved, before);
  for (int again = 0; again < 3; ++again) {
    submit_again(nullptr);
    play();
    expect_done(8);
    EXPECT_EQ(ran_, moved);
  }
}

TEST_F(Templates, WhoIsToTellLaterIsNotTakenForLate) {
  join(1);
  join(2);
  open(0);
  const auto submit_again = [&](std::shared_ptr<const graph::TaskGraph> graph) {
    submit(0, {.graph = std::move(graph), .externals = {}, .template_number = 5});
  };
  submit_again(independent(20));
  play();
  submit_again(nullptr);
  while (work(workers_.at(PeerId{1}))) {
    now_ = now_ + Duration{static_cast<std::int64_t>(task_ns_)};
  }
  step(Tick{});
  EXPECT_EQ(engine_.counters().tasks_stolen, 0u) << "the other one has done as much, but not told";
  now_ = now_ + Duration::seconds(1);
  step(Tick{});
  EXPECT_EQ(engine_.counters().tasks_stolen, 9u) << "now it is late";
  play();
  expect_done(20);
}

TEST_F(Templates, WhenAHostTurnsHotOrCoolAgainTheGraphIsPlacedAnewOnce) {
  join(1);
  join(2);
  open(0);
  warm_up(0, 5);
  std::uint64_t sample = 0;
  const auto hear = [&](std::uint32_t worker, std::uint64_t memory_used) {
    protocol::Heartbeat beat{.cores = 1, .host_cores = 1};
    beat.host_memory_used = memory_used;
    beat.host_memory_limit = 100;
    beat.sample = ++sample;
    step(FromWorker{PeerId{worker}, beat});
  };
  for (const std::uint64_t memory_used : {100, 10}) {
    hear(2, memory_used);
    run(0, nullptr, 5);
    expect_done(0);
    for (int again = 0; again < 3; ++again) {
      run(0, nullptr, 5);
      expect_done(tasks);
    }
  }
  // Where all are hot nobody is better.
  hear(1, 100);
  hear(2, 100);
  run(0, nullptr, 5);
  expect_done(tasks);
}

TEST_F(Templates, WhatAProcessGridGaveToHostsStaysThere) {
  join(1, true, "one");
  join(2, true, "two");
  open(0);
  auto graph = independent(4);
  graph->products = {{.rows = 4, .columns = 1, .inner = 1, .m = 4000, .n = 100, .k = 100}};
  graph->cell = {2, 3, 0, 1};
  submit(0, {.graph = graph, .externals = {}, .template_number = 5});
  play();
  expect_done(0);
  const auto owned = ran_;
  EXPECT_EQ(owned.at(0), owned.at(1));
  EXPECT_EQ(owned.at(2), owned.at(3));
  EXPECT_NE(owned.at(0), owned.at(2));
  for (int again = 0; again < 2; ++again) {
    submit(0, {.graph = nullptr, .externals = {}, .template_number = 5});
    play();
    expect_done(4);
    EXPECT_EQ(ran_, owned);
  }
}

/// Rows of four points, each of which reads its neighbours in the row before.
std::shared_ptr<graph::TaskGraph> four_columns() {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  for (std::uint32_t t = 0; t < 24; ++t) {
    graph->kernel.push_back(0);
    if (t >= 4) graph->inputs.push_back(t - 4);
    if (t >= 4 && t % 4 < 3) graph->inputs.push_back(t - 3);
    if (t >= 4 && t % 4 > 0) graph->inputs.push_back(t - 5);
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(t + 1);
    graph->param_offsets.push_back(0);
  }
  graph->flops.assign(24, 1e7);
  return graph;
}

struct Planned : Templates {
  /// Of each task: who was told to run it when the run was submitted, and with which rank.
  using Told = std::map<std::uint32_t, std::pair<PeerId, std::uint32_t>>;

  Told run_of(std::shared_ptr<const graph::TaskGraph> graph) {
    submit(0, {.graph = std::move(graph), .externals = {}, .template_number = 5});
    Told told;
    for (const auto& [id, worker] : workers_) {
      for (const auto& message : worker.inbox) {
        const auto* assigned = std::get_if<protocol::AssignTasks>(&message);
        for (std::size_t i = 0; assigned != nullptr && i < assigned->task.size(); ++i) {
          told[assigned->task[i]] = {id, assigned->rank[i]};
        }
      }
    }
    play();
    EXPECT_EQ(end_.outcome, protocol::RunOutcome::done) << end_.error;
    return told;
  }
  void SetUp() override {
    task_ns_ = 20'000;
    join(1);
    join(2);
    open(0);
  }
};

TEST_F(Planned, NeighboursAreOnOneWorkerAndWhatTheOtherWaitsForComesFirst) {
  run_of(four_columns());
  const Told told = run_of(nullptr);
  ASSERT_EQ(told.size(), 24u);
  for (std::uint32_t t = 0; t < 20; t += 4) {
    EXPECT_EQ(told.at(t).first, told.at(t + 1).first) << t;
    EXPECT_EQ(told.at(t + 2).first, told.at(t + 3).first) << t;
    EXPECT_NE(told.at(t).first, told.at(t + 2).first) << t;
    EXPECT_LT(told.at(t + 1).second, told.at(t).second) << t;
    EXPECT_LT(told.at(t + 2).second, told.at(t + 3).second) << t;
  }
  run_of(nullptr);
  EXPECT_EQ(engine_.counters().template_runs, 2u);
}

TEST_F(Planned, TheUsersPrioritiesStand) {
  auto graph = four_columns();
  graph->priority.assign(24, 0);
  const Told first = run_of(graph), second = run_of(nullptr);
  ASSERT_EQ(second.size(), 24u);
  for (const auto& [task, told] : first) EXPECT_EQ(second.at(task), told) << task;
}

TEST_F(Templates, AFirstPlacementThatKnewNoTimesGetsASecondChance) {
  join(1);
  join(2, true, "another host");  // not worth a move for short tasks
  open(0);
  auto graph = std::make_shared<graph::TaskGraph>(*stencil(rows, false));
  graph->flops.assign(tasks, 1);  // they are said to be short, and are not
  const auto workers_used = [this] {
    std::set<PeerId> used;
    for (const auto& [task, worker] : ran_) used.insert(worker);
    return used.size();
  };
  run(0, graph, 5);
  ASSERT_EQ(workers_used(), 1u);
  int repeated = 0;
  for (; repeated < 10 && workers_used() == 1; ++repeated) run(0, nullptr, 5);
  EXPECT_EQ(repeated, 4) << "three runs like it, and one placed by the times of these";
  EXPECT_EQ(workers_used(), 2u);
  for (int again = 0; again < 5; ++again) {
    run(0, nullptr, 5);
    expect_done(tasks);
    EXPECT_EQ(workers_used(), 2u);
  }
}

TEST_F(Templates, AnInputIsNeverTakenOver) {
  join(1);
  open(0);
  auto graph = std::make_shared<graph::TaskGraph>(*stencil(rows));
  graph->reuse_input.assign(tasks, 0);
  graph->inputs[1] = graph->inputs[0];
  run(0, graph, 5);
  for (int again = 0; again < 3; ++again) {
    run(0, nullptr, 5);
    expect_done(tasks);
  }
}

}  // namespace
}  // namespace ashlar::scheduler
