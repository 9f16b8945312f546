#include <gtest/gtest.h>

#include "machine/driver/rig.hpp"

namespace ashlar::driver {
namespace {

using protocol::RunOutcome;

/// What the run that has just finished failed with.
std::string error_of(const Rig& rig) {
  for (const Action& action : rig.actions) {
    const auto* end = std::get_if<RunFinished>(&action);
    if (end != nullptr && end->outcome == RunOutcome::failed) return end->error;
  }
  return "";
}

TEST(DriverStream, PullsInOrderAsFarAsItsBytesGo) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  EXPECT_EQ(rig({stream({0, 1, 2, 3}, 300)}), "submit 1");
  EXPECT_EQ(rig.told(ready({1, 2}, 2, 100)), "exists 1; exists 2") << "the first is not made yet";
  EXPECT_EQ(rig.told(ready({0}, 2, 100)), "exists 0; fetch 0@2; fetch 1@2; fetch 2@2");
  EXPECT_EQ(rig.told(ready({3}, 2, 100)), "exists 3") << "three are all that may be here";
  EXPECT_EQ(rig.told(ended()), "");
  EXPECT_EQ(rig({Arrived{datum(1), 100}, Arrived{datum(0), 100}}), "show 1:1; show 1:0");
  EXPECT_EQ(rig({StreamMoved{1, 0}, ReleaseAsked{{datum(0)}}}), "drop 0; fetch 3@2; release 0");
  EXPECT_EQ(rig({StreamMoved{1, 0}}), "") << "once is enough";
  EXPECT_EQ(rig({Arrived{datum(3), 100}, Arrived{datum(2), 100}}), "show 1:3; show 1:2");
  EXPECT_EQ(rig({StreamMoved{1, 1}, StreamMoved{1, 2}}), "drop 1; drop 2");
  EXPECT_EQ(rig({StreamMoved{1, 3}}), "finished 1; drop 3");
  EXPECT_EQ(std::get<RunFinished>(rig.actions.front()).stats.local_bytes, 400u);
}

TEST(DriverStream, TwoDataMayBeHereWhateverTheirSize) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1, 2}, 1)});
  EXPECT_EQ(rig.told(ready({0, 1, 2}, 2, 100)),
            "exists 0; exists 1; exists 2; fetch 0@2; fetch 1@2");
  rig({Arrived{datum(0), 100}});
  EXPECT_EQ(rig({StreamMoved{1, 0}}), "drop 0; fetch 2@2; let go of 1");
}

TEST(DriverStream, PullsWhatIsMadeWhenOrderDoesNotMatter) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  auto asked = stream({0, 1, 2, 3}, 200);
  asked.stream.is_in_order = false;
  rig({asked});
  EXPECT_EQ(rig.told(ready({2}, 2, 100)), "exists 2; fetch 2@2");
  EXPECT_EQ(rig.told(ready({3, 1}, 2, 100)), "exists 3; exists 1; fetch 1@2");
  EXPECT_EQ(rig({Arrived{datum(2), 100}}), "show 1:2; hold 1");
  EXPECT_EQ(rig({StreamMoved{1, 2}}), "drop 2; fetch 3@2; let go of 1");
}

TEST(DriverStream, TheSchedulerIsToldWhetherTheProgramHasSomethingToLookAt) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1, 2}, 200)});
  rig.told(ready({0, 1, 2}, 2, 100));
  EXPECT_EQ(rig({Arrived{datum(1), 100}}), "show 1:1") << "it waits for the first";
  EXPECT_EQ(rig({Arrived{datum(0), 100}}), "show 1:0; hold 1");
  EXPECT_EQ(rig({StreamMoved{1, 0}}), "drop 0; fetch 2@2") << "it has the next one";
  EXPECT_EQ(rig({StreamMoved{1, 1}}), "drop 1; let go of 1");
  EXPECT_EQ(rig({Arrived{datum(2), 100}}), "show 1:2; hold 1");
  EXPECT_EQ(rig({StreamEnded{1}}), "let go of 1; drop 2");
}

TEST(DriverStream, ASchedulerThatDoesNotHeedStreamsIsNotTold) {
  Rig rig({.says_what_is_held = false});
  rig.told(peer_info(2, "here"));
  rig({stream({0}, 200)});
  rig.told(ready({0}, 2, 100));
  EXPECT_EQ(rig({Arrived{datum(0), 100}}), "show 1:0");
}

TEST(DriverStream, DataOfOtherRunsStayWhereTheyAre) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  rig({submission(2, 2, 1, false)});
  rig.told(ready({0, 1}, 2, 100));
  rig.told(ended());
  EXPECT_EQ(rig({stream({0, 1, 0}, 1, 5)}), "submit 5; fetch 0@2; fetch 1@2");
  EXPECT_EQ(rig.told(ended(RunOutcome::done, 5)), "") << "the stream goes on";
  EXPECT_EQ(rig({Arrived{datum(0), 100, false}}), "show 5:0");
  EXPECT_EQ(rig({StreamMoved{5, 0}}), "drop 0; fetch 0@2") << "it comes a second time";
  EXPECT_EQ(rig({Arrived{datum(1), 100, false}, Arrived{datum(0), 100, false}}),
            "show 5:1; show 5:2");
  EXPECT_EQ(rig({StreamMoved{5, 1}, StreamMoved{5, 2}}), "finished 5; drop 1; drop 0");
  EXPECT_EQ(std::get<RunFinished>(rig.actions.front()).stats.remote_bytes, 300u);
  EXPECT_EQ(rig({BringAsked{{datum(1)}}}), "fetch 1@2");
}

TEST(DriverStream, OneCopyServesSeveralReaders) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({submission(2, 2, 1, false)});
  rig.told(ready({0, 1}, 2, 100));
  rig.told(ended());
  rig({stream({0}, 1, 5), stream({0}, 1, 6)});
  EXPECT_EQ(rig({Arrived{datum(0), 100}}), "show 5:0; show 6:0; hold 5; hold 6");
  EXPECT_EQ(rig.told(ended(RunOutcome::done, 5)), "");
  EXPECT_EQ(rig({StreamMoved{5, 0}}), "finished 5") << "the other one still looks at it";
  EXPECT_EQ(rig({BringAsked{{datum(0)}}}), "deliver 0");
  EXPECT_EQ(rig({StreamMoved{6, 0}}), "let go of 6") << "the program keeps it";
  EXPECT_EQ(rig({ReleaseAsked{{datum(0)}}}), "drop 0; release 0");
}

TEST(DriverStream, NothingIsLeftOfAStreamThatEndsEarly) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1, 2}, 200)});
  rig.told(ready({0, 1, 2}, 2, 100));
  rig({Arrived{datum(0), 100}});
  EXPECT_EQ(rig({CancelAsked{1}, StreamEnded{1}}), "cancel 1; abandon 1; let go of 1; drop 0");
  EXPECT_EQ(rig({Arrived{datum(1), 100}}), "drop 1") << "it was on its way";
  EXPECT_EQ(rig({ReleaseAsked{{datum(0), datum(1), datum(2)}}}), "release 0 1 2");
  EXPECT_EQ(rig.told(ended(RunOutcome::cancelled)), "finished 1");
}

TEST(DriverStream, ALostDatumEndsTheRun) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({submission(1, 1, 1, false)});
  rig.told(ready({0}, 2, 100));
  rig.told(ended());
  auto asked = stream({0}, 1, 5);
  rig({asked});
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(0)}, "its only copy"}),
            "abandon 0; lose 0 \"its only copy\"; cancel 5");
  EXPECT_EQ(rig.told(ended(RunOutcome::cancelled, 5)), "finished 5");
  EXPECT_EQ(error_of(rig), "its only copy");
  asked.run.run = 6;
  EXPECT_EQ(rig({asked}), "submit 6; cancel 6") << "known before";
  EXPECT_EQ(rig.told(ended(RunOutcome::done, 6)), "finished 6");
  EXPECT_EQ(error_of(rig), "its only copy");
  EXPECT_EQ(rig({stream({7}, 1, 8)}), "submit 8; cancel 8");
}

TEST(DriverStream, AFailedRunEndsItsStream) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1}, 200)});
  rig.told(ready({0}, 2, 100));
  EXPECT_EQ(rig.told(ended(RunOutcome::failed)), "lose 1 \"bang\"; abandon 0; finished 1");
  EXPECT_EQ(error_of(rig), "bang");
}

TEST(DriverStream, WhatAGonePeerHeldIsLocatedWhenItsTurnComes) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1, 2}, 200)});
  rig.told(ready({0, 1, 2}, 2, 100));
  rig({Arrived{datum(0), 100}});
  EXPECT_EQ(rig.told(protocol::PeerGone{PeerId{2}, ""}), "forget 2; abandon 1; locate 1");
  EXPECT_EQ(rig({StreamMoved{1, 0}}), "drop 0; let go of 1; locate 2");
  EXPECT_EQ(rig.told(ready({1, 2}, 3, 100)), "fetch 1@3; fetch 2@3");
}

TEST(DriverStream, OutputsThatNobodySpokeOfAreLocated) {
  Rig rig;
  auto any = stream({0, 1}, 200);
  any.stream.is_in_order = false;
  rig({any});
  EXPECT_EQ(rig.told(ended()), "locate 0 1");
  EXPECT_EQ(rig.told(protocol::DataLost{{datum(0)}, "gone"}), "lose 0 \"gone\"; finished 1");
  EXPECT_EQ(error_of(rig), "gone");
}

TEST(DriverStream, WithoutASchedulerItFails) {
  Rig rig;
  rig.told(peer_info(2, "here"));
  rig({stream({0, 1}, 200)});
  rig.told(ready({0, 1}, 2, 100));
  rig({Arrived{datum(0), 100}});
  EXPECT_EQ(rig({SchedulerLost{"over"}}), "abandon 1; finished 1; drop 0");
  EXPECT_EQ(error_of(rig), "the link to the scheduler is lost: over");
  EXPECT_EQ(rig({StreamMoved{1, 0}, StreamEnded{1}}), "");
}

}  // namespace
}  // namespace ashlar::driver
