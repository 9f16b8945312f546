#include <gtest/gtest.h>

#include "machine/worker/rig.hpp"

namespace ashlar::worker {
namespace {

constexpr std::uint32_t self = 1;

TEST(WorkerTranscript, AChainRunsWithoutTheScheduler) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}}})), "start 0");
  EXPECT_EQ(rig.ended(0), "start 1; done 0");
  EXPECT_EQ(rig.ended(1), "done 1");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0), datum(1)}}), "drop 0; drop 1");
  EXPECT_TRUE(rig.engine.is_empty());
  EXPECT_EQ(rig.engine.memory_reserved(), 0u);
}

TEST(WorkerTranscript, ManyEndsGiveOneReport) {
  Rig rig(2);
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}})),
            "start 0; start 1; start 2");
  EXPECT_EQ(rig({TaskEnded{2, 5}, TaskEnded{0, 5}, TaskEnded{1, 5}}), "done 2 0 1");
}

TEST(WorkerTranscript, ReportsOfShortTasksWaitForCompany) {
  Rig rig(1, 1000, {.report_delay = Duration::microseconds(100)});
  rig.told(assignment({{0, {}, {0}, 1, 0, 10, 1000},
                       {1, {{0, self}}, {1}, 1, 1, 10, 1000},
                       {2, {{1, self}}, {2}, 1, 2, 10, 1000},
                       {3, {{2, self}}, {3}, 1, 3, 10, 1000},
                       {4, {{3, self}}, {4}, 1, 4, 10, 1'000'000},
                       {5, {{4, self}}, {5}, 1, 5, 10, 1000}}));
  EXPECT_EQ(rig.ended(0), "start 1");
  EXPECT_EQ(rig.engine.report_due(), Instant{100'000});
  EXPECT_EQ(rig.later(Duration::microseconds(50)), "");
  EXPECT_EQ(rig.ended(1), "start 2");
  EXPECT_EQ(rig.later(Duration::microseconds(50)), "done 0 1") << "it is due";
  EXPECT_EQ(rig.ended(2), "start 3");
  EXPECT_EQ(rig({Resting{}}), "done 2") << "nothing would come to tell it with";
  EXPECT_EQ(rig.ended(3), "start 4; done 3") << "a long task follows";
  EXPECT_EQ(rig.ended(4), "start 5");
  EXPECT_EQ(rig.ended(5), "done 4 5") << "the last one";
}

TEST(WorkerTranscript, ReportsWaitLongerWhileMoreIsLeftToDoThanThereIsToTell) {
  Rig rig(1, 1000,
          {.report_delay = Duration::microseconds(100),
           .report_delay_max = Duration::microseconds(500)});
  rig.told(assignment({{0, {}, {0}, 1, 0, 10, 1000},
                       {1, {{0, self}}, {1}, 1, 1, 10, 1000},
                       {2, {{1, self}}, {2}, 1, 2, 10, 1000},
                       {3, {{2, self}}, {3}, 1, 3, 10, 1000}}));
  EXPECT_EQ(rig.ended(0), "start 1");
  EXPECT_EQ(rig.engine.report_due(), Instant{500'000});
  EXPECT_EQ(rig.later(Duration::microseconds(200)), "");
  EXPECT_EQ(rig.ended(1), "start 2; done 0 1") << "two of four are left, and it is late for them";
  EXPECT_EQ(rig.ended(2), "start 3");
  EXPECT_EQ(rig.engine.report_due(), Instant{300'000});
  EXPECT_EQ(rig.ended(3), "done 2 3") << "the last one";
}

/// Four tasks in a row, to be kept.
protocol::AssignTasks kept_chain() {
  auto chain = assignment({{0, {}, {0}, 1, 0, 10, 1000},
                           {1, {{0, self}}, {1}, 1, 1, 10, 1000},
                           {2, {{1, self}}, {2}, 1, 2, 10, 1000},
                           {3, {{2, self}}, {3}, 1, 3, 10, 1000}});
  chain.template_number = 4;
  return chain;
}

constexpr Limits patient{.report_delay = Duration::microseconds(100),
                         .report_delay_max = Duration::microseconds(500),
                         .report_delay_template = Duration::milliseconds(2)};

TEST(WorkerTranscript, NobodyWaitsForReportsOfATemplatesTasks) {
  Rig rig(1, 1000, patient);
  EXPECT_EQ(rig.told(kept_chain()), "start 0");
  EXPECT_EQ(rig.ended(0), "start 1");
  EXPECT_EQ(rig.engine.report_due(), Instant{2'000'000});
  EXPECT_EQ(rig.later(Duration::microseconds(600)), "");
  EXPECT_EQ(rig.ended(1), "start 2");
  EXPECT_EQ(rig.ended(2), "start 3") << "though less is left to do than there is to tell";
  EXPECT_EQ(rig.ended(3), "done 0 1 2 3") << "the last one";

  const std::string started = rig.told(protocol::RunTemplate{{SessionId{1}, 2}, 4, {}, {}, {}});
  EXPECT_EQ(started, "start 3") << "the first task, in another slot";
  rig.ended(3);
  EXPECT_EQ(rig.later(Duration::milliseconds(2)), "done 0");
}

TEST(WorkerTranscript, LongTasksOfATemplateAreNotToldOneByOne) {
  Rig rig(1, 1000, patient);
  protocol::AssignTasks chain = kept_chain();
  for (std::uint64_t& expected : chain.expected_ns) expected = 1'500'000;
  rig.told(chain);
  EXPECT_EQ(rig.ended(0), "start 1");
  EXPECT_EQ(rig.later(Duration::microseconds(1500)), "");
  EXPECT_EQ(rig.ended(1), "start 2");
  EXPECT_EQ(rig.later(Duration::microseconds(500)), "done 0 1");
}

TEST(WorkerTranscript, TheEndOfATemplatesRunIsToldSoon) {
  Rig rig(1, 1000, patient);
  rig.told(kept_chain());
  for (const std::uint32_t task : {0u, 1u, 2u}) rig.ended(task);
  rig.told(protocol::RunTemplate{{SessionId{1}, 2}, 4, {}, {}, {}});
  EXPECT_EQ(rig.engine.report_due(), Instant{2'000'000});
  EXPECT_EQ(rig.ended(3), "");
  EXPECT_EQ(rig.engine.report_due(), Instant{100'000});
}

TEST(WorkerTranscript, WhatATemplatesTaskDeliversIsToldSoon) {
  Rig rig(1, 1000, patient);
  protocol::AssignTasks chain = kept_chain();
  chain.deliver[1] = 1;
  rig.told(chain);
  rig.ended(0);
  EXPECT_EQ(rig.engine.report_due(), Instant{2'000'000});
  rig.ended(1);
  EXPECT_EQ(rig.engine.report_due(), Instant{100'000});
}

TEST(WorkerTranscript, TasksBesideATemplatesAreToldSoon) {
  Rig rig(1, 1000, patient);
  rig.told(kept_chain());
  rig.told(assignment({{7, {}, {7}, 1, 0, 10, 1000}, {8, {}, {8}, 1, 0, 10, 1000}}, 9));
  rig.ended(0);
  EXPECT_EQ(rig.engine.report_due(), Instant{2'000'000});
  rig.ended(4);
  EXPECT_EQ(rig.engine.report_due(), Instant{500'000});
}

TEST(WorkerTranscript, WhatOtherTasksReadIsToldSoon) {
  for (const bool is_template : {false, true}) {
    Rig rig(1, 1000, patient);
    rig.told(peer_info(3, "here"));
    auto tasks = assignment({{0, {{7, 3}}, {0}, 1, 0, 10, 1000}, {1, {}, {1}, 1, 0, 10, 1000}});
    if (is_template) tasks.template_number = 4;
    EXPECT_EQ(rig.told(tasks), "start 1; fetch 7@3");
    EXPECT_EQ(rig({FetchDone{datum(7), 10, true}}), "start 0");
    EXPECT_EQ(rig.engine.report_due(), Instant{is_template ? 2'000'000 : 500'000});
  }
}

TEST(WorkerTranscript, ATemplateRunsAgainWithOtherData) {
  Rig rig;
  auto kept = assignment({{0, {{7, 3}}, {0}, 1, 0, 10, 1000}, {1, {{0, self}}, {1}}});
  kept.inputs[0] = datum(7, 0);  // of another run
  kept.template_number = 4;
  rig.told(peer_info(3, "here"));
  EXPECT_EQ(rig.told(kept), "fetch 7@3");
  EXPECT_EQ(rig({FetchDone{datum(7, 0), 10, true}}), "start 0; acquired 7 local 10 remote 0");
  rig.ended(0);
  rig.ended(1);
  rig.told(protocol::FreeData{{datum(0), datum(1), datum(7, 0)}});
  protocol::RunTemplate again{{SessionId{1}, 2}, 4, {datum(9, 0)}, {20}, {PeerId{3}}};
  EXPECT_EQ(rig.told(again), "fetch 9@3");
  EXPECT_EQ(rig({FetchDone{datum(9, 0), 20, true}}), "start 1; acquired 9 local 20 remote 0");
  EXPECT_EQ(rig.engine.task(1).inputs[0], datum(9, 0));
  EXPECT_EQ(rig.engine.task(1).run, (RunId{SessionId{1}, 2}));
  EXPECT_EQ(rig.ended(1), "start 0; done 0");
  EXPECT_EQ(rig.engine.task(0).inputs[0], datum(0, 2));
  EXPECT_EQ(rig.ended(0), "done 1");
  rig.told(protocol::FreeData{{datum(0, 2), datum(1, 2), datum(9, 0)}});
  EXPECT_FALSE(rig.engine.is_empty()) << "it keeps the tasks";

  again.inputs.push_back(datum(8, 0));
  EXPECT_EQ(rig.told(again), "");
  again = {{SessionId{1}, 3}, 5, {}, {}, {}};
  EXPECT_EQ(rig.told(again), "");
  EXPECT_EQ(rig.engine.counters().odd_messages, 2u);
  EXPECT_EQ(rig.told(protocol::DropTemplates{SessionId{1}, {4}}), "");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, TheProducerMayComeAfterTheConsumerInOneBatch) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{1, {{0, self}}, {1}}, {0, {}, {0}}})), "start 1");
  EXPECT_EQ(rig.ended(1), "start 0; done 0");
}

TEST(WorkerTranscript, LowRankStartsFirstAndFewAreStartedAhead) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 1, 9}, {1, {}, {1}, 1, 3}, {2, {}, {2}, 1, 5}})),
            "start 1; start 2");
  EXPECT_EQ(rig.ended(1), "start 0; done 1");
}

TEST(WorkerTranscript, ShortTasksAreStartedInLots) {
  Rig rig;
  std::vector<Assigned> tasks;
  for (std::uint32_t i = 0; i < 20; ++i) tasks.push_back({i, {}, {}, 1, 0, 0, 50'000});
  rig.told(assignment(tasks));
  EXPECT_EQ(rig.engine.counters().tasks_started, 10u);
}

TEST(WorkerTranscript, LongTasksAreExpectedAndReportedInFull) {
  constexpr std::uint64_t ten_seconds = 10'000'000'000;
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 1, 0, 10, ten_seconds}})), "start 0");
  EXPECT_EQ(rig.engine.task(0).expected_ns, ten_seconds);
  EXPECT_EQ(rig({TaskEnded{0, ten_seconds}}), "done 0");
  const auto& report = std::get<ToScheduler>(rig.actions.at(0)).message;
  EXPECT_EQ(std::get<protocol::TasksDone>(report).elapsed_ns.at(0), ten_seconds);
}

TEST(WorkerTranscript, RemoteInputsAreFetchedInRankOrder) {
  Rig rig(1, 1000, {.fetches = 1});
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}, 1, 7}, {6, {{1, 2}}, {11}, 1, 4}})),
            "fetch 1@2");
  EXPECT_EQ(rig({FetchDone{datum(1), 10}}), "start 1; fetch 0@2; acquired 1 local 0 remote 10");
}

TEST(WorkerTranscript, FetchesOnTheHostAreNotRationedAndTakeNoMemory) {
  Rig rig(1, 1000, {.fetches = 1});
  rig.told(peer_info(2, "here"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}, 1, 7}, {6, {{1, 2}}, {11}, 1, 4}})),
            "fetch 1@2; fetch 0@2");
  EXPECT_EQ(rig({FetchDone{datum(1), 10, true}}), "start 1; acquired 1 local 10 remote 0");
  EXPECT_EQ(rig.engine.memory_reserved(), 10u) << "one output";
}

TEST(WorkerTranscript, FetchedFromAnotherHostTakesMemory) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(rig.engine.memory_reserved(), 10u);
  EXPECT_EQ(rig({FetchDone{datum(0), 10, false}}), "start 0; acquired 0 local 0 remote 10");
  EXPECT_EQ(rig.engine.memory_reserved(), 20u);
}

TEST(WorkerTranscript, AFailedFetchIsReportedAndTriedElsewhere) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{3}}}), "") << "nobody asked peer 3";
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}}}), "missing 0@2");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{3}}}), "fetch 0@3");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{4}}}), "abandon 0; fetch 0@4");
  EXPECT_EQ(rig.told(protocol::PeerGone{PeerId{4}, ""}), "forget 4; abandon 0; missing 0@4");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{1}}}), "");
  EXPECT_EQ(rig.told(assignment({{2, {}, {0}}})), "start 1");
  EXPECT_EQ(rig.ended(1), "start 0; done 2");
}

TEST(WorkerTranscript, RequestsAreAnsweredOnceTheDatumIsMade) {
  Rig rig;
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 7, datum(0)}}), "") << "ahead of its assignment";
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}})), "start 0");
  EXPECT_EQ(rig({FetchAsked{PeerId{3}, 1, datum(0)}, FetchAsked{PeerId{3}, 2, datum(0)}}), "");
  EXPECT_EQ(rig({FetchUnasked{PeerId{3}, 1}}), "");
  EXPECT_EQ(rig.later(Duration::seconds(5)), "") << "it is to be made here: no refusal";
  EXPECT_EQ(rig.ended(0), "answer 0 to 2#7; answer 0 to 3#2; done 0");
  EXPECT_EQ(rig({FetchAsked{PeerId{4}, 0, datum(0)}}), "answer 0 to 4#0");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "drop 0");
  EXPECT_EQ(rig({FetchAsked{PeerId{4}, 1, datum(0)}}), "refuse 4#1");
}

TEST(WorkerTranscript, ARequestForAnUnknownDatumIsRefusedInTheEnd) {
  Rig rig;
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 7, datum(0)}}), "");
  EXPECT_EQ(rig.later(Duration::seconds(1)), "");
  EXPECT_EQ(rig.later(Duration::seconds(1.5)), "refuse 2#7");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, ARequestForWhatIsStillComingIsKept) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig({FetchAsked{PeerId{3}, 7, datum(0)}}), "") << "ahead of its assignment";
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(rig({FetchAsked{PeerId{4}, 1, datum(0)}}), "");
  EXPECT_EQ(rig.later(Duration::seconds(5)), "");
  EXPECT_EQ(rig.later(Duration::seconds(5)), "");
  EXPECT_EQ(rig({FetchDone{datum(0), 10, false}}),
            "answer 0 to 3#7; answer 0 to 4#1; start 0; acquired 0 local 0 remote 10");
}

TEST(WorkerTranscript, ARequestForWhatIsNotFetchedAnyMoreIsRefused) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(rig({FetchAsked{PeerId{3}, 7, datum(0)}}), "");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{{SessionId{1}, 1}, {5}, {1}}), "refuse 3#7; abandon 0");
  EXPECT_EQ(rig({FetchAsked{PeerId{4}, 1, datum(0)}}), "refuse 4#1");
}

TEST(WorkerTranscript, AnInputNobodyMakesHereIsReportedInTheEnd) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{5, {{0, self}}, {10}}})), "");
  EXPECT_EQ(rig.later(Duration::seconds(3)), "missing 0@1");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "fetch 0@2");
}

TEST(WorkerTranscript, RevokedTasksDoNotStartAndRunningOnesDropTheirOutputs) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}}, {2, {{7, 2}}, {2}}})),
            "start 0; fetch 7@2");
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 0, datum(0)}}), "");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {0, 1, 2}, {1, 1, 1}}),
            "refuse 2#0; withdraw 0; abandon 7");
  EXPECT_EQ(rig.ended(0), "drop 0");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, WhatAnotherWorkerMakesInsteadTakesAsMuchMemory) {
  Rig rig(1, 40);
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}}})), "start 0");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {0}, {1}}), "withdraw 0");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "fetch 0@2");
  EXPECT_EQ(rig.engine.memory_reserved(), 20u) << "of the kernel that still runs, and for the copy";
}

TEST(WorkerTranscript, ANewerAttemptReplacesAnOlder) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 2}})), "start 0");
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 1}})), "") << "stale";
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 3}})), "withdraw 0; start 1");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {0}, {2}}), "") << "stale";
  EXPECT_EQ(rig.ended(1), "done 0");
  EXPECT_EQ(rig.ended(0), "") << "the newer attempt's output stays";
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "drop 0");
}

TEST(WorkerTranscript, AFreedDatumInUseIsDroppedWhenTheTaskEnds) {
  Rig rig;
  rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}}}));
  EXPECT_EQ(rig.ended(0), "start 1; done 0");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "");
  EXPECT_EQ(rig.ended(1), "drop 0; done 1");
}

TEST(WorkerTranscript, FreeingAbandonsFetches) {
  Rig rig;
  EXPECT_EQ(rig.told(assignment({{1, {{0, 2}}, {1}}})), "fetch 0@2");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "abandon 0");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {1}, {1}}), "");
  EXPECT_EQ(rig({FetchDone{datum(0), 10, false}}), "drop 0") << "it came in the same moment";
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, ADyingInputIsTakenOver) {
  Rig rig(1, 25);
  rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}, 1, 1, 10, 0, 0}}));
  EXPECT_EQ(rig.ended(0), "start 1 reusing 0; done 0");
  EXPECT_EQ(rig.engine.memory_reserved(), 10u);
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 0, datum(0)}}), "refuse 2#0");
  EXPECT_EQ(rig.ended(1), "done 1");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0), datum(1)}}), "drop 1");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, AnInputOthersReadIsNotTakenOver) {
  Rig rig(1);
  rig.told(
      assignment({{0, {}, {0}}, {1, {{0, self}}, {1}, 1, 1, 10, 0, 0}, {2, {{0, self}}, {2}}}));
  EXPECT_EQ(rig.ended(0), "start 2; start 1; done 0");
  Rig other(1);
  other.told(peer_info(2, "here"));
  other.told(assignment({{1, {{0, 2}}, {1}, 1, 1, 10, 0, 0}}));
  EXPECT_EQ(other({FetchDone{datum(0), 10, true}}), "start 0; acquired 0 local 10 remote 0")
      << "it lies in another process's store";
}

TEST(WorkerTranscript, TasksWaitForMemory) {
  Rig rig(2, 25);
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}})), "start 0; start 1");
  EXPECT_EQ(rig({TaskEnded{0, 1}, TaskEnded{1, 1}}),
            "done 0 1; short after 1, 20 used: 2 needs 10");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "drop 0; start 2");
}

TEST(WorkerTranscript, MemoryIsCountedAsTheStoreTakesIt) {
  Rig rig(2, 32, {.taken_bytes = [](std::uint64_t bytes) { return (bytes + 15) / 16 * 16; }});
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}})), "start 0; start 1");
  EXPECT_EQ(rig.engine.memory_reserved(), 32u);
  EXPECT_EQ(rig({TaskEnded{0, 1}, TaskEnded{1, 1}}),
            "done 0 1; short after 1, 32 used: 2 needs 16");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(0)}}), "drop 0; start 2");
}

TEST(WorkerTranscript, ATaskThatCannotFitFailsWithTheNumbers) {
  Rig rig(1, 25);
  EXPECT_EQ(rig.told(assignment({{0, {}, {0}, 1, 0, 30}})),
            "failed 0 \"out of memory: 30 bytes needed, 0 in use, limit 25; its data fit into no "
            "worker like this: use smaller chunks or a higher memory limit\"");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, AWorkerThatIsStuckOnMemorySaysSoOnce) {
  Rig rig(1, 25);
  rig.told(assignment({{1, {}, {1}, 1, 0, 20}, {2, {}, {2}, 1, 0, 20}, {3, {}, {3}, 1, 0, 10}}));
  EXPECT_EQ(rig.ended(0), "done 1; short after 1, 20 used: 2 needs 20 3 needs 10");
  EXPECT_EQ(rig.later(Duration::seconds(100)), "") << "it stays as it was said";
  EXPECT_EQ(rig.told(protocol::Heartbeat{}), "");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(9)}}),
            "short after 2, 20 used: 2 needs 20 3 needs 10");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(1)}}), "drop 1; start 1");
}

TEST(WorkerTranscript, ASlotHeldByARevokedTaskIsReportedUntilItEnds) {
  Rig rig(1);
  EXPECT_EQ(rig.told(assignment({{1, {}, {1}}, {2, {}, {2}}})), "start 0; start 1");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {1}, {1}}), "withdraw 0");
  EXPECT_EQ(rig.later(Duration::milliseconds(40)), "") << "it may end in a moment";
  EXPECT_EQ(rig.later(Duration::milliseconds(20)), "held 1");
  EXPECT_EQ(rig.later(Duration::seconds(9)), "");
  EXPECT_EQ(rig.ended(0), "drop 1; held 0");
}

TEST(WorkerTranscript, WhatRunsForLongIsToldOnce) {
  Rig rig(2);
  rig.told(assignment({{1, {}, {1}}, {2, {}, {2}}, {3, {}, {3}}, {4, {}, {4}}}));
  EXPECT_EQ(rig.later(Duration::milliseconds(60)), "") << "it may have begun a moment ago";
  EXPECT_EQ(rig.later(Duration::milliseconds(40)), "") << "not looked so soon";
  EXPECT_EQ(rig.later(Duration::milliseconds(20)), "running 1 2") << "there are two slots";
  EXPECT_EQ(rig.later(Duration::seconds(9)), "");
  EXPECT_EQ(rig.ended(0), "done 1");
  EXPECT_EQ(rig.later(Duration::milliseconds(60)), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(60)), "running 2 3");
}

TEST(WorkerTranscript, WhatWasTakenBackIsNotToldToRun) {
  Rig rig(1);
  rig.told(assignment({{1, {}, {1}}, {2, {}, {2}}}));
  rig.told(protocol::RevokeTasks{datum(0).run, {1}, {1}});
  EXPECT_EQ(rig.later(Duration::milliseconds(60)), "held 1");
  EXPECT_EQ(rig.later(Duration::milliseconds(60)), "");
}

TEST(WorkerTranscript, ATaskTakenBackBeforeItBeganHoldsNothing) {
  Rig rig(1, 25);
  EXPECT_EQ(rig.told(assignment({{1, {}, {1}}, {2, {}, {2}}, {3, {}, {3}}})), "start 0; start 1");
  EXPECT_EQ(rig.told(protocol::RevokeTasks{datum(0).run, {2}, {1}}), "withdraw 1");
  TaskEnded withdrawn;
  withdrawn.handle = 1;
  withdrawn.is_ok = false;
  EXPECT_EQ(rig({withdrawn}), "start 2") << "its memory and its place are free";
  EXPECT_EQ(rig.later(Duration::seconds(1)), "") << "no slot is held";
}

TEST(WorkerTranscript, AFetchWithoutRoomIsAShortage) {
  Rig rig(1, 25);
  rig.told(peer_info(2, "there"));
  rig.told(peer_info(3, "here"));
  EXPECT_EQ(rig.told(assignment({{1, {}, {1}, 1, 0, 20}})), "start 0");
  EXPECT_EQ(rig.told(assignment({{4, {{0, 2}}, {4}}, {5, {{8, 3}}, {5}, 1, 9}})), "fetch 8@3")
      << "what takes no memory does not wait for what does";
  EXPECT_EQ(rig.ended(0), "done 1; short after 4, 20 used: 4 needs 20");
  EXPECT_EQ(rig({FetchDone{datum(8), 10, true}}),
            "acquired 8 local 10 remote 0; short after 4, 20 used: 4 needs 20 5 needs 10");
  EXPECT_EQ(rig.told(protocol::FreeData{{datum(1)}}), "drop 1; start 2");
  EXPECT_EQ(rig.ended(2), "fetch 0@2; done 5");
}

TEST(WorkerTranscript, ALaterTaskThatFitsGoesAheadWhenNothingRuns) {
  Rig rig(1, 25);
  rig.told(assignment({{0, {}, {0}, 1, 0, 20}, {1, {}, {1}, 1, 1, 20}, {2, {}, {2}, 1, 2, 5}}));
  EXPECT_EQ(rig.ended(0), "start 2; done 0");
}

TEST(WorkerTranscript, KernelFailuresAreReported) {
  Rig rig;
  rig.told(assignment({{0, {}, {0}}}));
  rig({FetchAsked{PeerId{2}, 0, datum(0)}});
  EXPECT_EQ(rig({TaskEnded{0, 1, false, ErrorKind::task_failed, "no", {}}}),
            "refuse 2#0; failed 0 \"no\"");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST(WorkerTranscript, DynamicOutputsAreReportedWithTheirBytes) {
  Rig rig(2);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}, 1, 0, graph::TaskGraph::dynamic_bytes}}));
  EXPECT_EQ(rig({TaskEnded{0, 1}, TaskEnded{1, 1, true, {}, "", {33}}}), "done 0 1 bytes 10 33");
  EXPECT_EQ(rig.engine.memory_reserved(), 43u);
}

TEST(WorkerTranscript, WantedOutputsArePushedByTheRule) {
  Rig rig(1, 1'000'000);
  rig.told(peer_info(90, "there"));
  rig.told(
      assignment({{0, {}, {0}, 1, 0, 10, 0, 0, true}, {1, {}, {1}, 1, 1, 100'000, 0, 0, true}}));
  EXPECT_EQ(rig.ended(0), "push 0 to 90; done 0");
  EXPECT_EQ(rig.ended(1), "done 1") << "large, and another host";
}

TEST(WorkerTranscript, ShutdownEndsWhenRunningTasksHave) {
  Rig rig;
  rig.told(assignment({{0, {}, {0}}, {1, {{0, self}}, {1}}, {2, {{7, 2}}, {2}}}));
  EXPECT_EQ(rig.told(protocol::Shutdown{"bye"}), "abandon 7");
  EXPECT_EQ(rig.ended(0), "done 0; exit");
  EXPECT_EQ(rig.told(protocol::Shutdown{"bye"}), "");
}

TEST(WorkerTranscript, ContradictoryAssignmentsAreIgnored) {
  Rig rig;
  auto message = assignment({{0, {{1, 2}}, {0}}});
  message.inputs.clear();
  EXPECT_EQ(rig.told(message), "");
  message = assignment({{0, {}, {0}}});
  message.rank.clear();
  EXPECT_EQ(rig.told(message), "");
  EXPECT_EQ(rig.engine.counters().odd_messages, 2u);
  EXPECT_EQ(rig.ended(3), "");
  EXPECT_EQ(rig.engine.counters().stale_events, 1u);
}

TEST(WorkerTranscript, FetchesThatWaitDoNotKeepOutOthers) {
  Rig rig(1, 1000, {.fetches = 1});
  EXPECT_EQ(rig.told(assignment({{0, {{0, 2}}, {10}}, {1, {{1, 3}}, {11}}})), "fetch 0@2");
  EXPECT_EQ(rig.later(Duration::milliseconds(50)), "fetch 1@3");
}

TEST(WorkerTranscript, TheViewOfATask) {
  Rig rig;
  rig.told(assignment({{4, {}, {}}, {5, {}, {8, 9}, 3}}));
  const TaskView view = rig.engine.task(1);
  EXPECT_EQ(view.task, 5u);
  EXPECT_EQ(view.attempt, 3u);
  EXPECT_EQ(view.outputs.size(), 2u);
  EXPECT_EQ(view.outputs[1], 9u);
  EXPECT_EQ(view.params[0], std::byte{5});
}

TEST(WorkerTranscript, ItExplainsItself) {
  Rig rig;
  rig.told(assignment({{5, {{0, 2}}, {10}}}));
  EXPECT_EQ(rig.engine.story(datum(0).run, 5),
            "task 5 of run 1.1, attempt 1, rank 0: waiting for 1 of 1 inputs\n"
            "  datum 1.1.0 (10 bytes) being fetched from peer 2\n");
  const std::uint64_t before = rig.engine.digest();
  rig({FetchDone{datum(0), 10, true}});
  EXPECT_NE(rig.engine.digest(), before);
}

}  // namespace
}  // namespace ashlar::worker
