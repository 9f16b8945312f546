#include "scheduler/host_load.hpp"

#include <gtest/gtest.h>

namespace ashlar::scheduler {
namespace {

constexpr HostLoad::Thresholds thresholds{0.85, 0.6, 0.95, 0.9};

/// Workers of one host that say the same again and again.
class HostLoadTest : public ::testing::Test {
 protected:
  double stretch(protocol::Heartbeat beat, std::uint32_t slots = 1, int beats = 8) {
    for (int i = 0; i < beats; ++i) hear(load_, beat, slots);
    return load_.stretch();
  }
  bool hear(HostLoad& load, protocol::Heartbeat beat, std::uint32_t slots) {
    beat.sample = ++samples_;
    const bool is_news = load.hear(beat, slots, host_, now_);
    if (is_news) load.judge(host_, slots, thresholds);
    return is_news;
  }

  HostLoad load_;
  HostShare host_;
  Instant now_;
  std::uint64_t samples_ = 0;
};

TEST_F(HostLoadTest, AWorkerThatFillsItsCoreHasNobodyBeside) {
  EXPECT_EQ(stretch({.cpu_percent = 100,
                     .slots_percent = 100,
                     .cores = 1,
                     .cores_busy_percent = 100,
                     .host_cores = 2,
                     .host_busy_percent = 100,
                     .run_queue = 1}),
            1);
  EXPECT_FALSE(load_.is_hot());
}

TEST_F(HostLoadTest, HalfOfACoreThatIsFullMeansTwiceTheTime) {
  protocol::Heartbeat beat{.cpu_percent = 50,
                           .slots_percent = 100,
                           .cores = 1,
                           .cores_busy_percent = 100,
                           .host_cores = 2,
                           .host_busy_percent = 100,
                           .run_queue = 2};
  EXPECT_NEAR(stretch(beat), 2, 0.1);
  EXPECT_TRUE(load_.is_hot());
  beat.cpu_percent = 0;  // a worker that has nothing to do sees the other one just as well
  beat.slots_percent = 0;
  EXPECT_NEAR(stretch(beat), 2, 0.1);
}

TEST_F(HostLoadTest, AQuarterOfACoreMeansThreeOthersIfTheHostCountsSoMany) {
  protocol::Heartbeat beat{.cpu_percent = 25,
                           .slots_percent = 100,
                           .cores = 1,
                           .cores_busy_percent = 100,
                           .host_cores = 1,
                           .host_busy_percent = 100,
                           .run_queue = 4};
  EXPECT_NEAR(stretch(beat), 4, 0.2);
  beat.run_queue = 1;  // a kernel that sleeps looks as if it got too little
  EXPECT_NEAR(stretch(beat), 2, 0.2);
}

TEST_F(HostLoadTest, FreeCoresTakeTheOthers) {
  EXPECT_EQ(stretch({.cpu_percent = 100,
                     .slots_percent = 100,
                     .cores = 8,
                     .cores_busy_percent = 600,
                     .host_cores = 8,
                     .host_busy_percent = 600,
                     .run_queue = 6}),
            1);
  EXPECT_NEAR(load_.share(), 5.0 / 8, 0.05);
}

TEST_F(HostLoadTest, OtherWorkersOfTheHostAreNoOthers) {
  HostLoad neighbour;
  const protocol::Heartbeat beat{.cpu_percent = 100,
                                 .slots_percent = 100,
                                 .cores = 2,
                                 .cores_busy_percent = 200,
                                 .host_cores = 2,
                                 .host_busy_percent = 200,
                                 .run_queue = 2};
  for (int i = 0; i < 8; ++i) {
    hear(neighbour, beat, 1);
    hear(load_, beat, 1);
  }
  EXPECT_EQ(load_.stretch(), 1);
  neighbour.forget(host_);
  stretch(beat);
  EXPECT_NEAR(load_.others(), 1, 0.1) << "whoever it is, it is no worker any more";
}

TEST_F(HostLoadTest, BusyCoresOfOthersOnTheHostDoNotMatter) {
  EXPECT_EQ(stretch({.cpu_percent = 100,
                     .slots_percent = 100,
                     .cores = 1,
                     .cores_busy_percent = 100,
                     .host_cores = 2,
                     .host_busy_percent = 200,
                     .run_queue = 2}),
            1);
}

TEST_F(HostLoadTest, HotBeginsHighAndEndsLow) {
  protocol::Heartbeat beat{.cores = 1, .cores_busy_percent = 80, .host_cores = 1};
  beat.host_busy_percent = 80;
  stretch(beat);
  EXPECT_FALSE(load_.is_hot());
  beat.cores_busy_percent = beat.host_busy_percent = 90;
  stretch(beat);
  EXPECT_TRUE(load_.is_hot());
  beat.cores_busy_percent = beat.host_busy_percent = 70;
  stretch(beat);
  EXPECT_TRUE(load_.is_hot());
  beat.cores_busy_percent = beat.host_busy_percent = 50;
  stretch(beat);
  EXPECT_FALSE(load_.is_hot());
}

TEST_F(HostLoadTest, MemoryOfTheHostOrTheGroupMakesHotToo) {
  stretch({.cores = 1, .host_memory_used = 96, .host_memory_limit = 100});
  EXPECT_TRUE(load_.is_hot());
  stretch({.cores = 1,
           .host_memory_used = 50,
           .host_memory_limit = 100,
           .cgroup_memory_used = 92,
           .cgroup_memory_limit = 100});
  EXPECT_TRUE(load_.is_hot());
  stretch({.cores = 1, .cgroup_memory_used = 85, .cgroup_memory_limit = 100});
  EXPECT_FALSE(load_.is_hot());
  EXPECT_DOUBLE_EQ(load_.memory_share(), 0.85);
}

TEST_F(HostLoadTest, WhatWasSaidBeforeOrSaysNothingIsNoNews) {
  const protocol::Heartbeat beat{.cores = 1, .sample = 7};
  EXPECT_TRUE(load_.hear(beat, 1, host_, now_));
  EXPECT_FALSE(load_.hear(beat, 1, host_, now_ + Duration::seconds(1)));
  EXPECT_EQ(load_.heard(), now_);
  load_.forget(host_);
  EXPECT_FALSE(load_.is_known());
  EXPECT_FALSE(load_.hear(beat, 1, host_, now_));
  EXPECT_FALSE(load_.hear({.memory_used = 5}, 1, host_, now_)) << "a worker of an older version";
  EXPECT_EQ(host_.cpu_percent, 0);
  EXPECT_EQ(host_.slots, 0);
}

}  // namespace
}  // namespace ashlar::scheduler
