#include "explain_fixture.hpp"

/// What people are told of runs, present and past, and of links.
namespace ashlar::scheduler {
namespace {

// ---- what bounds a run
// ---------------------------------------------------------------------------

TEST_F(Explain, ARunBoundByItsLongestChainNamesIt) {
  join(1);
  join(2);
  auto graph = short_tasks({{}, {0}, {1}, {}});
  graph->kernels.push_back("mul");
  graph->kernel[1] = 1;
  submit(graph);
  const std::string chain = worker_of(0).substr(1), other = worker_of(3).substr(1);
  pass(Duration::milliseconds(10));
  const auto worker = [](const std::string& name) {
    return static_cast<std::uint32_t>(std::stoul(name));
  };
  done(worker(other), {3}, 2'000'000);
  done(worker(chain), {0}, 9'000'000);
  pass(Duration::milliseconds(50));
  done(worker(chain), {1}, 50'000'000);
  pass(Duration::milliseconds(40));
  done(worker(chain), {2}, 40'000'000);
  expect(explained(),
         {"run 0 of session 0: done, 4 of 4 tasks done, after 100 ms\nbound by: critical path 99 %",
          "\n   99 %  critical path: 99 ms in 3 tasks one after the other: 50 ms in 1 of kernel "
          "\"mul\", main.cpp:7 main; 49 ms in 2 of kernel \"add\", main.cpp:7 main",
          "few ready tasks"});
}

TEST_F(Explain, ARunBoundByItsWorkersOrOneOfThemSaysSo) {
  join(1);
  join(2);
  submit(short_tasks({{}, {}, {}, {}}));
  pass(Duration::milliseconds(100));
  for (const std::uint32_t t : {0u, 2u, 1u, 3u}) {  // nobody is idle while something waits
    done(worker_of(t) == "w1" ? 1 : 2, {t}, 49'000'000);
  }
  expect(explained(),
         {"bound by: workers 98 %", "196 ms of the slots' 200 ms in kernels of this run"});
  submit(short_tasks({{}, {}}));
  pass(Duration::milliseconds(100));
  const std::string first = worker_of(0, 1), second = worker_of(1, 1);
  ASSERT_NE(first, second);
  done(first == "w1" ? 1 : 2, {0}, 100'000'000, 1);
  done(first == "w1" ? 2 : 1, {1}, 20'000'000, 1);
  expect(explained(1),
         {"worker " + first + ": the busiest, 100 ms in kernels on 1 slot; the mean 60 %"});
}

TEST_F(Explain, ARunBoundByALinkNamesIt) {
  join(1, {.host = "a"});
  join(2, {.host = "b"});
  auto graph = short_tasks({{}, {}, {0, 1}});
  graph->output_bytes = {50'000'000, 50'000'000, 8};
  graph->flops = {2e9F, 2e9F, 2e9F};  // long, so that both workers are used
  submit(graph);
  ASSERT_NE(worker_of(0), worker_of(1));
  const std::uint32_t to = worker_of(2) == "w1" ? 1 : 2;
  const std::uint32_t moved = worker_of(0) == worker_of(2) ? 1 : 0;
  pass(Duration::milliseconds(1));
  done(3 - to, {moved}, 1'000'000);
  done(to, {1 - moved}, 1'000'000);
  pass(Duration::milliseconds(50));
  say(to, protocol::DataAcquired{{session, 0}, {{{session, 0}, moved}}, 0, 50'000'000});
  done(to, {2}, 1'000'000);
  expect(explained(), {"bound by: link of w", " 98 %", " 50 MB ", "other hosts, at 1 GB/s\n"});
  step(ForgetLearned{});
  expect(explained(), {"other hosts, at 1 GB/s, which is not measured\n"});
}

TEST_F(Explain, ARunThatWaitedForMemoryOrForOtherRunsSaysSo) {
  join(1, {.memory_limit = 100});
  auto graph = short_tasks({{}, {}});
  graph->wanted = {0, 1};
  submit(graph);
  done(1, {0}, 10);
  say(1, protocol::MemoryShort{1, 96, {{{session, 0}, 1}}, {8}, {}});
  pass(Duration::milliseconds(60));
  expect(explained(), {"run 0 of session 0: goes on, 1 of 2 tasks done, 1 on workers"});
  step(Tick{});
  expect(explained(), {"bound by: memory 100 %"});
  pass(Duration::milliseconds(40));
  done(1, {1}, 10);
  expect(explained(), {"memory: 100 ms of the slots' 100 ms on workers that ran nothing while"});
  submit(short_tasks({{}}));
  submit(short_tasks({{}, {}}));
  pass(Duration::milliseconds(100));
  done(1, {0}, 90'000'000, 1);
  done(1, {0, 1}, 1'000'000, 2);
  expect(explained(2), {"bound by: other runs 90 %"});
}

TEST_F(Explain, TheReportHasWhatBoundTheRunInOneLine) {
  join(1);
  submit(short_tasks({{}, {0}}));
  pass(Duration::milliseconds(10));
  done(1, {0, 1}, 5'000'000);
  ASSERT_FALSE(actions_.empty());
  std::string line;
  for (const Action& action : actions_) {
    const auto* to = std::get_if<ToDriver>(&action);
    const auto* end = to ? std::get_if<protocol::RunEnded>(&to->message) : nullptr;
    if (end != nullptr) line = end->stats.bound_by;
  }
  EXPECT_EQ(line, "critical path 100 %, workers 100 %");
}

// ---- what has ended, what never was
// ----------------------------------------------------------------

TEST_F(Explain, RunsThatEndedAreRememberedForAWhile) {
  join(1);
  submit(short_tasks({{}, {0}}));
  pass(Duration::milliseconds(2));
  done(1, {0, 1}, 1'000'000);
  expect(story(1), {"done on worker w1 in 1 ms; placed 0 ns after the submission",
                    "why there: it would be done there first"});
  for (std::uint32_t run = 1; run <= 16; ++run) {
    submit(short_tasks({{}}));
    done(1, {0}, 1'000'000, run);
  }
  expect(story(1, 16), {"run 16 has no task 1, but 1 task, counted from 0"});
  const std::string gone =
      "run 0 of session 0 is not known: it never was, or ended before the last 16";
  expect(story(1), {gone});
  expect(explained(), {gone});
  expect(engine_.explain({}, session), {"run 16 of session 0: done"});
}

TEST_F(Explain, OfALargeRunOnlyTheWholeIsRemembered) {
  Limits limits;
  limits.ended_run_bytes = 4096;
  use(limits);
  join(1);
  submit(short_tasks(std::vector<std::vector<std::uint32_t>>(200)));
  for (std::uint32_t t = 0; t < 200; ++t) done(1, {t}, 1000);
  ASSERT_EQ(engine_.unfinished_tasks(), 0u);
  expect(explained(), {"run 0 of session 0: done, 200 of 200 tasks done", "bound by: "});
  expect(story(3), {"run 0 has ended and was too large to keep its tasks"});
  expect(engine_.explain({.subject = protocol::Subject::cluster}, session),
         {"\nrun 0 of session 0: done, 200 of 200 tasks done"});
  EXPECT_LT(engine_.state_bytes(), 100'000u);
}

TEST_F(Explain, ADriverGetsAnAnswerToWhateverItAsks) {
  join(1);
  const auto ask = [&](protocol::Explain question) {
    step(FromDriver{session, question});
    EXPECT_EQ(answers().size(), 1u);
    EXPECT_EQ(answers().at(0).request, question.request);
    EXPECT_EQ(engine_.counters().peers_dropped, 0u);
    return answers().at(0).text;
  };
  using protocol::Subject;
  expect(ask({.request = 7}), {"session 0 has no run that is known"});
  expect(ask({.request = 8, .subject = Subject::cluster}),
         {"1 worker with 1 slot, 0 tasks to do", "no run is known"});
  expect(ask({.subject = Subject::task, .session = SessionId{9}, .run = 4, .task = 5}),
         {"run 4 of session 9 is not known"});
  submit(short_tasks({{}, {0}}));
  expect(ask({.subject = Subject::task, .run = 0, .task = ~std::uint32_t{0}}),
         {"run 0 has no task 4294967295, but 2 tasks"});
  expect(ask({.subject = Subject::run}), {"run 0 of session 0: goes on, 0 of 2 tasks done"});
  step(FromDriver{session, protocol::PutData{1, {8}}});
  expect(ask({.subject = Subject::task, .run = 1, .task = 0}), {"is data that the driver put"});
  // Somebody else looks at it.
  const SessionId other{1};
  step(SessionOpened{other, PeerId{101}, {}});
  step(FromDriver{other, protocol::Explain{.subject = Subject::cluster}});
  expect(answers().at(0).text, {"\nsession 0: driver peer 100", "\nrun 0 of session 0: goes on"});
  EXPECT_EQ(answers().at(0).text.find("session 1"), std::string::npos) << "that is who asks";
  step(FromDriver{other, protocol::Explain{.subject = Subject::cluster, .session = SessionId{77}}});
  expect(answers().at(0).text, {"no run is known"});
}

TEST_F(Explain, TextsAreBoundedHoweverLongNamesAre) {
  join(1, {.name = std::string(100'000, 'x')});
  auto graph = short_tasks({{}, {0}});
  graph->sources[0].assign(1'000'000, 'y');
  submit(graph);
  EXPECT_LT(story(1).size(), 2000u);
  const std::string whole = explained();
  EXPECT_LT(whole.size(), 4000u);
  Limits limits;
  limits.explanation_bytes = 100;
  use(limits);
  next_run_ = 0;
  join(1);
  submit(short_tasks({{}, {0}}));
  EXPECT_LE(explained().size(), 100u);
}

TEST_F(Explain, WhatLinksCarryIsAmongWhatWasLearned) {
  join(1);
  EXPECT_EQ(engine_.learned().find("link between hosts"), std::string::npos) << "one host";
  join(2, {.host = "b"});
  expect(engine_.learned(), {"link between hosts", "any other", "1 GB/s", "assumed"});
  auto graph = short_tasks({{}, {0}});
  graph->output_bytes = {10'000'000, 8};
  graph->wanted = {0};
  submit(graph);
  const std::uint32_t from = worker_of(0) == "w1" ? 1 : 2;
  done(from, {0, 1}, 1'000'000);
  auto reader = short_tasks({{2}, {2}});
  reader->flops = {2e9F, 2e9F};
  reader->external_bytes = {10'000'000};
  submit(reader, {{{session, 0}, 0}});
  const std::uint32_t to = 3 - from;
  ASSERT_TRUE(worker_of(0, 1) == name_of(to) || worker_of(1, 1) == name_of(to));
  pass(Duration::milliseconds(20));
  say(to, protocol::DataAcquired{{session, 1}, {{{session, 0}, 0}}, 0, 10'000'000});
  const std::string table = engine_.learned();
  // The first sample counts for all of it, but changes what was assumed by no more than eight.
  expect(table, {"\nw1 ", "\nw2 ", "503 MB/s"});
}

}  // namespace
}  // namespace ashlar::scheduler
