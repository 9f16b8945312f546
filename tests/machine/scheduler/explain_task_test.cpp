#include "explain_fixture.hpp"
#include "load_cluster.hpp"

/// What people are told of tasks.
namespace ashlar::scheduler {
namespace {

// ---- what a task waits for ---------------------------------------------------------------------

TEST_F(Explain, AChainLeadsToWhatReallyHoldsATaskUp) {
  Limits limits;
  limits.window_tasks = 2;
  use(limits);
  join(1);
  submit(short_tasks({{}, {0}, {1}, {2}, {3}, {4}, {5}}));
  pass(Duration::milliseconds(3));
  step(Tick{});
  EXPECT_EQ(
      story(6),
      "task 6, kernel \"add\", main.cpp:7 main: waits for 1 of its 1 input\n"
      "  held up by task 5, kernel \"add\", main.cpp:7 main: waits for 1 of its 1 input\n"
      "  which is held up by task 4, kernel \"add\", main.cpp:7 main: waits for 1 of its 1 "
      "input\n"
      "  which is held up by task 3, kernel \"add\", main.cpp:7 main: waits for 1 of its 1 "
      "input\n"
      "  which is held up by 2 tasks one after the other, at their end task 0, kernel "
      "\"add\", main.cpp:7 main: on worker w1 for 3 ms, expected to take 1 ms; the worker has "
      "2 tasks, 2 ms of work on 1 slot\n"
      "  input 5: 8 B, not there, by task 5");
}

TEST_F(Explain, AReadyTaskSaysThatThereIsNoWorker) {
  submit(short_tasks({{}}));
  expect(story(0), {"ready, but not placed: there is no worker; a run waits 30 s for one"});
}

TEST_F(Explain, AReadyTaskSaysWhichWorkerItIsKeptFor) {
  Limits limits;
  limits.window_tasks = 2;
  limits.holder_windows = 1;
  use(limits);
  join(1, {.host = "a"});
  join(2, {.host = "b"});
  auto graph = short_tasks({{}, {}, {0}, {0}, {0}, {0}});
  graph->output_bytes[0] = 1 << 30;  // too much to be moved
  submit(graph);
  const std::string holder = worker_of(0);
  std::string kept;
  for (std::uint32_t t = 2; t < 6; ++t) {
    if (story(t).find("not placed") != std::string::npos) kept = story(t);
  }
  expect(kept, {"ready, but not placed: kept for worker " + holder +
                    ", which is the best for it and full: 2 tasks, 2 ms of work on 1 slot",
                "why there: it would be done there first; estimated then: done in ",
                holder == "w1" ? ", on worker w2 in 1." : ", on worker w1 in 1."});
}

TEST_F(Explain, AReadyTaskSaysThatAllWorkersAreFull) {
  Limits limits;
  limits.window_tasks = 2;
  use(limits);
  join(1);
  join(2);
  submit(short_tasks({{}, {}, {}, {}, {}, {}}));
  expect(story(5), {"ready, but not placed: full of tasks: all 2 workers that could run it; its "
                    "rank is 5 of 6"});
}

TEST_F(Explain, AReadyTaskSaysThatNobodyKnowsItsKernelYet) {
  join(1);
  auto graph = short_tasks({{}, {}, {}, {}});
  graph->flops.clear();
  submit(graph);
  expect(story(3),
         {"nobody knows yet how long its kernel takes: until one call has come back few"});
}

TEST_F(Explain, AReadyTaskSaysWhichResourcesOthersHave) {
  join(1, {.slots = 2, .resources = {{"licence", 1}}});
  auto graph = short_tasks({{}, {}});
  graph->constraints = {{{{"licence", 1}}}};
  graph->constraint = {0, 0};
  submit(graph);
  expect(story(1), {"other tasks have the resources that it needs: licence 1"});
}

TEST_F(Explain, AReadyTaskSaysThatSlotsAreHeld) {
  join(1);
  submit(short_tasks({{}}));
  step(FromDriver{session, protocol::CancelRun{0}});
  say(1, protocol::SlotsHeld{1});
  submit(short_tasks({{}}));
  expect(story(0, 1), {"the only worker that could run it: tasks that were taken back still run in "
                       "all slots"});
  expect(story(0, 0), {"cancelled: run 0 was cancelled"});
}

TEST_F(Explain, ATaskSaysThatItRunsOrWhatItWaitsBehind) {
  join(1);
  submit(short_tasks({{}, {}}));
  EXPECT_EQ(story(1).find("slot:"), std::string::npos) << "nobody said what runs";
  say(1, protocol::TasksRunning{{{{session, 0}, 1}}, {1}, {3'600'000'000'000}});  // so it says
  expect(story(1), {"on worker w1 for", ", running for 0 ns or longer, expected to take"});
  expect(story(0), {"on worker w1 for", ", waiting there for a slot: task 1, ",
                    " of run 0 runs for 0 ns or longer, expected to take"});
  done(1, {1}, 1'000'000);
  EXPECT_EQ(story(0).find("slot:"), std::string::npos) << "it runs no more";
}

TEST_F(Explain, ATaskThatWaitsForMemorySaysSo) {
  join(1, {.memory_limit = 12});
  auto graph = short_tasks({{}, {}, {}});
  graph->wanted = {0, 1, 2};
  submit(graph);
  done(1, {0}, 1000);
  say(1, protocol::MemoryShort{1, 8, {{{session, 0}, 1}}, {8}, {}});
  expect(story(1), {"it waits for memory: needs 8 B where 8 B of 12 B are in use"});
  EXPECT_EQ(story(2).find("memory"), std::string::npos) << "it may be it, but nobody said so";
}

TEST_F(Explain, AFailureIsToldWithItsCauseByWhatDescendsFromIt) {
  join(1);
  submit(short_tasks({{}, {0}}));
  say(1, protocol::TaskFailed{{session, 0}, 0, 1, ErrorKind::task_failed, "division by zero"});
  const std::string cause =
      "task 0, kernel \"add\", main.cpp:7 main, on worker w1: division by zero";
  expect(story(0), {": failed: " + cause});
  expect(story(1), {": cancelled: " + cause});
  expect(explained(), {"run 0 of session 0: failed, 0 of 2 tasks done, 1 failed, 1 cancelled",
                       "it failed first with: " + cause});
}

TEST_F(Explain, ATaskIsHeldUpByOneOfAnotherRun) {
  Limits limits;
  limits.window_tasks = 1;
  use(limits);
  join(1);
  auto first = short_tasks({{}, {0}, {1}, {2}});
  first->wanted = {3};
  submit(first);
  auto second = short_tasks({{1}});
  second->external_bytes = {8};
  submit(second, {{{session, 0}, 3}});
  expect(story(0, 1), {"waits for 1 of its 1 input", "held up by task 3, kernel \"add\"",
                       "of run 0: waits", "not there, by task 3 of run 0"});
}

// ---- why it went where it did
// --------------------------------------------------------------------

TEST_F(Explain, ATaskGoesToItsInputsAndSaysWhatTheAlternativeWouldHaveCost) {
  join(1, {.host = "a"});
  join(2, {.host = "b"});
  auto graph = short_tasks({{}, {}, {0, 1}});
  graph->output_bytes = {100'000'000, 8, 8};  // a tenth of a second
  submit(graph);
  const std::string there = worker_of(0), other = there == "w1" ? "w2" : "w1";
  EXPECT_EQ(worker_of(2), there);
  expect(story(2), {"why there: it would be done there first; estimated then: done in 2.",
                    ", on worker " + other + " in 102 ms"});
}

TEST_F(Explain, ATaskThatTakesABufferOverSaysSo) {
  join(1);
  join(2);
  auto graph = short_tasks({{}, {0}});
  graph->output_bytes = {1 << 20, 1 << 20};
  graph->reuse_input = {graph::TaskGraph::no_input, 0};
  submit(graph);
  EXPECT_EQ(worker_of(1), worker_of(0));
  expect(story(1), {"it takes over a buffer that lies there"});
}

TEST_F(Explain, TasksWithoutInputsSayWhatDrewThem) {
  join(1);
  join(2);
  submit(short_tasks({{}, {}, {}, {}}));
  expect(story(0), {"why there: the least loaded worker, and nothing that it reads draws it"});
  expect(story(1), {"why there: its neighbours went there"});
  EXPECT_EQ(story(0).find("estimated"), std::string::npos) << "nobody asked";
  done(1, {0, 1}, 1000);
  done(2, {2, 3}, 1000);
  auto small = short_tasks({{}});
  small->flops = {1};
  submit(small);
  submit(small);
  expect(story(0, 2), {"why there: the worker had just got something: sooner than to wake"});
}

TEST_F(Explain, APartOfAProductGoesToItsOwner) {
  for (std::uint32_t w = 1; w <= 4; ++w) join(w, {.host = "host " + std::to_string(w)});
  // Eight by eight chunks of a product, each of what two tasks make.
  std::vector<std::vector<std::uint32_t>> tasks(16);
  auto graph = short_tasks(tasks);
  constexpr std::uint32_t side = 8;
  for (std::uint32_t cell = 0; cell < side * side; ++cell) {
    graph->kernel.push_back(0);
    graph->source.push_back(0);
    graph->inputs.push_back(cell / side);
    graph->inputs.push_back(side + cell % side);
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(1 << 20);
    graph->output_offsets.push_back(17 + cell);
    graph->param_offsets.push_back(0);
  }
  graph->flops.assign(graph->task_count(), 2e8F);
  graph->products = {{side, side, 1, 1024, 1024, 128, 8}};
  graph->cell.assign(16, graph::TaskGraph::no_cell);
  for (std::uint32_t cell = 0; cell < side * side; ++cell) graph->cell.push_back(cell);
  graph->output_bytes.assign(graph->task_count(), 1 << 20);
  submit(graph);
  for (int round = 0; round < 100 && engine_.unfinished_tasks() > 0; ++round) {
    for (std::uint32_t t = 0; t < graph->task_count(); ++t) {
      const std::string text = story(t), state = text.substr(0, text.find('\n'));
      if (state.find(": on worker w") == std::string::npos) continue;
      pass(Duration::milliseconds(10));
      done(static_cast<std::uint32_t>(std::stoul(worker_of(t).substr(1))), {t}, 10'000'000, 0,
           attempt_of(t));
    }
  }
  ASSERT_EQ(engine_.unfinished_tasks(), 0u);
  std::size_t owned = 0;
  for (std::uint32_t t = 16; t < graph->task_count(); ++t) {
    owned += story(t).find("its host is to have this part of the product") != std::string::npos;
  }
  EXPECT_GE(owned, 48u) << story(16);
}

TEST_F(Explain, EveryPolicySaysWhyItChose) {
  const std::pair<PolicyKind, const char*> reasons[] = {
      {PolicyKind::heft, "planned with the whole run"},
      {PolicyKind::locality, "the worker has the most bytes of what it reads"},
      {PolicyKind::lshs, "so that memory and traffic grow least"},
      {PolicyKind::round_robin, "it was the worker's turn"},
      {PolicyKind::random, "chosen by chance"}};
  for (const auto& [policy, reason] : reasons) {
    use(policy);
    next_run_ = 0;
    join(1);
    submit(short_tasks({{}, {0}}));
    expect(story(1), {std::string("why there: ") + reason});
  }
}

TEST_F(Explain, ATaskSaysThatItsWorkerOrAnInputWasLost) {
  join(1);
  auto graph = short_tasks({{}, {0}, {1}});
  submit(graph);
  done(1, {0}, 1'000'000);
  join(2, {.host = "b"});
  step(WorkerLost{PeerId{1}, "SIGKILL"});
  expect(story(1), {"on worker w2", "attempt 2", "it had been placed before: "});
  expect(story(0), {"it had been placed before: it was done, and what it made was lost"});
  EXPECT_TRUE(story(1).find("its worker was lost") != std::string::npos ||
              story(1).find("something that it reads was lost") != std::string::npos);
}

TEST_F(Explain, ATaskSaysThatAllSlotsOfItsWorkerWereHeld) {
  join(1);
  submit(short_tasks({{}, {}}));
  say(1, protocol::SlotsHeld{1});
  expect(story(0), {"not placed"});
  join(2);
  expect(story(0), {"on worker w2", "it had been placed before: tasks that were taken back held"});
}

TEST(ExplainLoad, ATaskSaysThatItWasTakenOffAHotHost) {
  std::vector<LoadCluster::Worker> workers(3);
  bool is_hot = false;
  workers[0].others = [&is_hot](Instant) { return is_hot ? 3.0 : 0.0; };
  LoadCluster cluster(std::move(workers));
  cluster.submit(60);
  cluster.run(Duration::milliseconds(100));  // learns the time
  cluster.submit(6);
  is_hot = true;
  cluster.run(Duration::seconds(1));
  ASSERT_EQ(cluster.engine().counters().tasks_relieved, 1u);
  std::size_t told = 0;
  for (std::uint32_t t = 0; t < 6; ++t) {
    const std::string story = cluster.engine().story({SessionId{0}, 1}, t);
    told += story.find("placed before: its worker's host was busy with something else") !=
            std::string::npos;
  }
  EXPECT_EQ(told, 1u);
}

}  // namespace
}  // namespace ashlar::scheduler
