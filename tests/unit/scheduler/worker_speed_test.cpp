#include "scheduler/worker_speed.hpp"

#include <gtest/gtest.h>

namespace ashlar::scheduler {
namespace {

class WorkerSpeedTest : public ::testing::Test {
 protected:
  /// Tasks of 10 ms each, and a heartbeat after ten of them.
  void run(int tasks, double ratio, double stretch = 1) {
    for (int i = 0; i < tasks; ++i) {
      now_ = now_ + Duration::milliseconds(10);
      speed_.observe(ratio, stretch, now_);
      if (i % 10 == 9) speed_.hear(stretch, false, now_);
    }
  }
  void wait(int beats, double stretch, bool is_passed_over) {
    for (int i = 0; i < beats; ++i) {
      now_ = now_ + Duration::milliseconds(100);
      speed_.hear(stretch, is_passed_over, now_);
    }
  }

  WorkerSpeed speed_;
  Instant now_{1'000'000'000};
};

TEST_F(WorkerSpeedTest, AHandicapIsLearntWithinAFewMessages) {
  run(20, 4);
  EXPECT_NEAR(speed_.slowness(), 4, 0.6);
  run(200, 4);
  EXPECT_NEAR(speed_.slowness(), 4, 0.05);
  EXPECT_NEAR(speed_.calm(), 4, 0.05);
}

TEST_F(WorkerSpeedTest, OneMessageChangesLittleHoweverFarOff) {
  run(50, 1);
  run(1, 1000);
  EXPECT_LT(speed_.slowness(), 1.25);
  EXPECT_LT(speed_.calm(), 1.25);
  run(30, 1);
  EXPECT_NEAR(speed_.slowness(), 1, 0.05);
}

TEST_F(WorkerSpeedTest, WhatTheHostSaysCountsBeforeTasksShowIt) {
  run(100, 1);
  speed_.hear(2, false, now_);
  EXPECT_NEAR(speed_.slowness(), 2, 0.1);
}

TEST_F(WorkerSpeedTest, WhatBothSayIsCountedOnce) {
  run(100, 1);
  run(300, 2, 2);
  EXPECT_NEAR(speed_.slowness(), 2, 0.15);
  EXPECT_NEAR(speed_.calm(), 1, 0.1);
  run(20, 1, 1);
  EXPECT_LT(speed_.slowness(), 1.25);
}

TEST_F(WorkerSpeedTest, AWorkerWithoutTasksIsWhatItIsWhenCalm) {
  run(100, 1);
  run(300, 3, 3);
  wait(30, 1, false);
  EXPECT_NEAR(speed_.slowness(), 1, 0.15);
}

TEST_F(WorkerSpeedTest, OneThatIsPassedOverIsTriedAgainInTheEnd) {
  run(200, 4);
  wait(600, 1, false);
  EXPECT_NEAR(speed_.slowness(), 4, 0.1) << "there was no work: nothing is forgotten";
  wait(900, 1, true);
  EXPECT_LT(speed_.slowness(), 1.3) << "after 90 seconds";
}

}  // namespace
}  // namespace ashlar::scheduler
