#include <cstdio>

#include "load_cluster.hpp"

/// What is done when times turn out other than predicted.
namespace ashlar::scheduler {
namespace {

constexpr Duration ms(std::int64_t n) { return Duration::milliseconds(n); }

/// Two workers of which the first becomes ten times slower at that time.
LoadCluster with_sudden_slowness(Instant& from, Limits limits = {}) {
  std::vector<LoadCluster::Worker> workers(2);
  workers[0].others = [&from](Instant now) { return now < from ? 0.0 : 9.0; };
  LoadCluster cluster(std::move(workers), limits);
  cluster.mute(true);
  return cluster;
}

constexpr Instant never{std::int64_t{1} << 60};

TEST(Stealing, WhatWaitsBehindATaskThatTakesTenTimesAsLongGoesToTheIdleWorker) {
  Instant slow_from = never;
  LoadCluster cluster = with_sudden_slowness(slow_from);
  cluster.submit(40);
  cluster.run(ms(100));  // learns the time
  slow_from = cluster.now();
  cluster.submit(4);
  const double took = cluster.run(ms(100)).in_seconds();
  const Counters& counters = cluster.engine().counters();
  std::printf("%.3f s\n", took);
  EXPECT_EQ(counters.tasks_stolen, 1u);
  EXPECT_EQ(counters.tasks_relieved, 0u) << "no host is hot";
  EXPECT_EQ(cluster.revoked(), 1u) << "it had not begun";
  EXPECT_EQ(counters.steals_useful, 1u);
  EXPECT_EQ(counters.steals_useless, 0u);
  EXPECT_LT(took, 1.05) << "the one that runs; both would take 2 s";
  std::size_t told = 0;
  for (std::uint32_t t = 0; t < 4; ++t) {
    const std::string story = cluster.engine().story({SessionId{0}, 1}, t);
    told += story.find("placed before: it waited there, and another worker had nothing to do") !=
            std::string::npos;
  }
  EXPECT_EQ(told, 1u);
}

TEST(Stealing, NothingIsMovedThatWouldNotEndClearlySooner) {
  Limits limits;
  limits.steal_gain = Duration::seconds(5);
  Instant slow_from = never;
  LoadCluster cluster = with_sudden_slowness(slow_from, limits);
  cluster.submit(40);
  cluster.run(ms(100));
  slow_from = cluster.now();
  cluster.submit(4);
  EXPECT_GT(cluster.run(ms(100)).in_seconds(), 1.9);
  EXPECT_EQ(cluster.engine().counters().tasks_stolen, 0u);
}

TEST(Stealing, EqualWorkersWithTimesAsPredictedKeepWhatTheyHave) {
  LoadCluster cluster(std::vector<LoadCluster::Worker>(4));
  for (int i = 0; i < 10; ++i) {
    cluster.submit(40);
    cluster.run(ms(10));
  }
  EXPECT_EQ(cluster.engine().counters().tasks_stolen, 0u);
}

TEST(Stealing, ATaskIsMovedSeldom) {
  // Each worker in turn is slow for the time of one task.
  std::vector<LoadCluster::Worker> workers(3);
  for (std::size_t w = 0; w < 3; ++w) {
    workers[w].others = [w](Instant now) {
      return now.ns / 300'000'000 % 3 == static_cast<std::int64_t>(w) ? 20.0 : 0.0;
    };
  }
  LoadCluster cluster(std::move(workers));
  cluster.mute(true);
  for (int i = 0; i < 5; ++i) {
    cluster.submit(31);
    cluster.run(ms(50));
  }
  const Counters& counters = cluster.engine().counters();
  std::printf("%llu moves of %llu tasks, %llu useful, %llu useless\n",
              static_cast<unsigned long long>(counters.tasks_stolen),
              static_cast<unsigned long long>(counters.tasks_done),
              static_cast<unsigned long long>(counters.steals_useful),
              static_cast<unsigned long long>(counters.steals_useless));
  EXPECT_LE(counters.tasks_assigned, 3 * counters.tasks_done);
  EXPECT_LE(counters.steals_useful + counters.steals_useless, counters.tasks_stolen);
  EXPECT_GT(counters.steals_useful, counters.steals_useless);
}

TEST(Stealing, WrongEstimatesCostLess) {
  // One worker is ten times slower for half a second every two.
  double took[2];
  for (const bool steals : {false, true}) {
    std::vector<LoadCluster::Worker> workers(4);
    workers[0].others = [](Instant now) {
      return now.ns % 2'000'000'000 < 500'000'000 ? 9.0 : 0.0;
    };
    Limits limits;
    if (!steals) limits.steal_gain = Duration::seconds(3600);
    LoadCluster cluster(std::move(workers), limits);
    cluster.mute(true);
    for (int i = 0; i < 12; ++i) {
      cluster.submit(24);
      cluster.run(ms(40));
    }
    took[steals] = (cluster.now() - Instant{}).in_seconds();
  }
  std::printf("%.2f s without, %.2f s with stealing\n", took[0], took[1]);
  EXPECT_LT(took[1], 0.9 * took[0]);
}

}  // namespace
}  // namespace ashlar::scheduler
