#include <gtest/gtest.h>

#include "rig.hpp"

namespace ashlar::worker {
namespace {

/// What nobody is known to read is written at once.
const Limits with_disk{
    .can_spill = true, .spill_bytes_min = 1, .room_ahead_percent = 100, .untracked_bytes = 0};
const Limits with_usual_disk{.can_spill = true, .spill_bytes_min = 1, .untracked_bytes = 0};
constexpr Duration while_later = Duration::milliseconds(250);

TEST(WorkerSpill, WhatNobodyReadsMakesRoom) {
  Rig rig(1, 25, with_disk);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}}));
  EXPECT_EQ(rig.ended(0), "spill 0 as 1; done 0") << "written ahead, as little is free";
  EXPECT_EQ(rig.ended(1), "spill 1 as 2; done 1");
  EXPECT_EQ(rig({SpillDone{1}}), "drop 0; start 2; acquired local 0 remote 0 spilled 10");
}

TEST(WorkerSpill, WhatIsOnDiskAlreadyIsRoomEnough) {
  Rig rig(1, 40, with_usual_disk);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}, {3, {}, {3}}}));
  EXPECT_EQ(rig.ended(0), "start 2; done 0") << "a quarter is free";
  EXPECT_EQ(rig.ended(1), "start 3; spill 0 as 1; done 1");
  EXPECT_EQ(rig({SpillDone{1}}), "acquired local 0 remote 0 spilled 10");
  EXPECT_EQ(rig.ended(2), "done 2") << "datum 0 need not stay";
}

TEST(WorkerSpill, WhatIsNeededLastGoesAndComesBackBeforeItsTask) {
  Rig rig(1, 40, with_usual_disk);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}}));
  for (std::uint32_t task = 0; task < 3; ++task) rig.ended(task);
  EXPECT_EQ(
      rig.told(assignment(
          {{3, {{0, 1}}, {3}, 1, 1, 20}, {4, {{1, 1}}, {4}, 1, 8}, {5, {{2, 1}}, {5}, 1, 9}})),
      "spill 2 as 1")
      << "the input of the last task";
  EXPECT_EQ(rig({SpillDone{1}}), "drop 2; start 2; acquired local 0 remote 0 spilled 10");
  EXPECT_EQ(rig.ended(2), "spill 3 as 2; done 3") << "nobody is known to read it";
  EXPECT_EQ(rig({SpillDone{2}}),
            "spill 0 as 3; drop 3; load 2 from 1; start 1; acquired local 0 remote 0 spilled 20");
  EXPECT_EQ(rig({LoadDone{1}}), "acquired local 0 remote 0 loaded 10");
}

TEST(WorkerSpill, ACopyThatCannotBeReadIsLost) {
  Rig rig(1, 25, with_disk);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}}));
  rig.ended(0);
  rig.ended(1);
  rig({SpillDone{1}, SpillDone{2}});
  rig.ended(2);
  EXPECT_EQ(rig.told(assignment({{3, {{0, 1}}, {3}}})), "drop 1; load 0 from 1");
  EXPECT_EQ(rig({LoadFailed{1, "the bytes have changed"}}), "drop copy 1; missing 0@1");
}

TEST(WorkerSpill, AFullDiskIsNamedWithTheShortage) {
  Rig rig(1, 25, with_disk);
  rig.told(assignment({{0, {}, {0}}, {1, {}, {1}}, {2, {}, {2}}}));
  rig.ended(0);
  rig.ended(1);
  EXPECT_EQ(rig({SpillFailed{1, "full"}, SpillFailed{2, "full"}}),
            "short after 1, 20 used: 2 needs 10 (full)");
  EXPECT_EQ(rig.later(with_disk.spill_pause), "spill 0 as 3; spill 1 as 4; short after 1, 20 used:")
      << "it is tried again, and short no more";
}

/// A worker with room for 40 bytes, which has data 2 and 3 of 10 bytes and 4 of 20, and 0 and 1 on
/// disk. All are written already.
Rig full_of_written() {
  Rig rig(1, 40, with_disk);
  rig.told(peer_info(2, "here"));
  std::vector<Assigned> tasks;
  for (std::uint32_t task = 0; task < 4; ++task) tasks.push_back({task, {}, {task}});
  tasks.push_back({4, {}, {4}, 1, 1, 20});
  rig.told(assignment(tasks));
  for (std::uint32_t task = 0; task < 4; ++task) rig.ended(task);
  rig({SpillDone{1}, SpillDone{2}});
  rig({SpillDone{3}, SpillDone{4}});
  rig.ended(4);
  rig({SpillDone{5}});
  return rig;
}

TEST(WorkerSpill, OthersReadAQuarter) {
  Rig rig = full_of_written();
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 1, datum(0)}, FetchAsked{PeerId{2}, 2, datum(1)}}),
            "drop 2; load 0 from 1");
  EXPECT_EQ(rig({LoadDone{1}}), "answer 0 to 2#1; acquired local 0 remote 0 loaded 10");
  EXPECT_EQ(rig.later(while_later), "recall");
  EXPECT_EQ(rig({ReadDone{datum(0)}}), "drop 3; load 1 from 2") << "its turn";
}

TEST(WorkerSpill, WhenAllWaitOthersReadMore) {
  Rig rig = full_of_written();
  rig({FetchAsked{PeerId{2}, 1, datum(0)}, FetchAsked{PeerId{2}, 2, datum(1)}});
  rig({LoadDone{1}});
  EXPECT_EQ(rig.later(Duration::milliseconds(700)), "recall");
  EXPECT_EQ(rig.later(while_later), "drop 3; load 1 from 2");
}

TEST(WorkerSpill, LoansThatAreWantedAreCopiedInstead) {
  Rig rig(1, 200, with_disk);
  rig.told(peer_info(2, "here"));
  rig.told(peer_info(3, "here"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}, {1, 2}, {2, 3}}, {5}}})),
            "fetch 0@2; fetch 1@2; fetch 2@3");
  rig({FetchDone{datum(0), 10, true, true}});
  EXPECT_EQ(rig.engine.memory_reserved(), 0u);
  EXPECT_EQ(rig({LoansWanted{PeerId{2}}}), "drop 0; abandon 1; copy 1@2; missing 0@1");
  EXPECT_EQ(rig.engine.memory_reserved(), 10u) << "for the copy of datum 1";
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "copy 0@2");
  EXPECT_EQ(rig({LoansWanted{PeerId{2}}}), "") << "nothing is lent any more";
}

TEST(WorkerSpill, LoansOfATaskThatHasNoRoomForCopiesAreKept) {
  Rig rig(1, 25, with_disk);
  rig.told(peer_info(2, "here"));
  rig.told(assignment({{5, {{0, 2}, {1, 2}, {2, 2}}, {5}}}));
  rig({FetchDone{datum(0), 10, true, true}});
  EXPECT_EQ(rig({LoansWanted{PeerId{2}}}), "");
}

TEST(WorkerSpill, WhatIsLentDoesNotWaitBehindACopyThatHasNoRoom) {
  Rig rig(1, 40, with_disk);
  rig.told(peer_info(2, "here"));
  rig.told(assignment({{3, {}, {3}},
                       {4, {}, {4}},
                       {5, {}, {5}},
                       {6, {}, {6}},
                       // The first waits for datum 9, and needs two of the four that are here.
                       {2, {{5, 1}, {6, 1}, {9, 1}}, {2}, 1, 1, 20},
                       {1, {{3, 1}, {4, 1}, {0, 2}}, {1}, 1, 2}}));
  for (std::uint32_t task = 0; task < 4; ++task) rig.ended(task);
  EXPECT_EQ(rig.engine.memory_reserved(), 40u);
  EXPECT_EQ(rig({LoansWanted{PeerId{2}}}), "abandon 0; short after 2, 40 used: 1 needs 20");
  EXPECT_EQ(rig.told(assignment({{7, {{8, 2}}, {7}, 1, 5, 0}})),
            "fetch 8@2; short after 3, 40 used: 1 needs 20");
}

TEST(WorkerSpill, FetchesThatWaitGiveWayToTasksThatCouldStart) {
  Rig rig(1, 25, with_disk);
  rig.told(peer_info(2, "there"));
  rig.told(assignment({{1, {{0, 2}}, {1}, 1, 1, 10, 0, graph::TaskGraph::no_input, false, 20}}));
  EXPECT_EQ(rig.told(assignment({{2, {}, {2}, 1, 5}})), "");
  EXPECT_EQ(rig.later(while_later), "abandon 0; start 1");
}

TEST(WorkerSpill, FetchesThatWaitGiveWayToRequestsOfTheLowerNumberFirst) {
  for (const std::uint32_t asker : {0u, 7u}) {
    Rig rig = full_of_written();
    rig.told(peer_info(8, "there"));
    Assigned task{9, {{20, 8}}, {9}};
    task.output_bytes = 0;
    task.input_bytes = 40;
    EXPECT_EQ(rig.told(assignment({task})), "drop 2; drop 3; drop 4; fetch 20@8");
    EXPECT_EQ(rig({FetchAsked{PeerId{asker}, 1, datum(0)}}), "");
    const Duration patience = with_disk.room_patience;
    const std::string yields = "abandon 20; load 0 from 1";
    EXPECT_EQ(rig.later(patience), asker == 0 ? yields : "");
    EXPECT_EQ(rig.later(Duration{7 * patience.ns}), asker == 0 ? "" : yields);
  }
}

TEST(WorkerSpill, FetchesThatWaitForeverAreAShortage) {
  Rig rig(1, 100, with_disk);
  rig.told(peer_info(2, "here"));
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {5}}})), "fetch 0@2");
  EXPECT_EQ(rig.later(Duration::seconds(29)), "");
  EXPECT_EQ(rig.later(Duration::seconds(2)), "short after 2, 0 used: 5 needs 10");
}

TEST(WorkerSpill, ADriverIsToldWhatThereIsNoRoomToReadBack) {
  Rig rig = full_of_written();
  EXPECT_EQ(rig({FetchAsked{PeerId{2}, 1, datum(2)}, FetchAsked{PeerId{2}, 2, datum(3)},
                 FetchAsked{PeerId{2}, 3, datum(4)}}),
            "answer 2 to 2#1; answer 3 to 2#2; answer 4 to 2#3");
  EXPECT_EQ(rig({FetchAsked{PeerId{90}, 1, datum(0)}}), "");
  EXPECT_EQ(rig.later(Duration::seconds(4)), "recall");
  EXPECT_EQ(rig.later(Duration::seconds(2)), "refuse 90#1; recall");
}

}  // namespace
}  // namespace ashlar::worker
