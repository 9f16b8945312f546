#include <cstdio>

#include "load_cluster.hpp"

/// What is measured of load and speed, and what is done about it.
namespace ashlar::scheduler {
namespace {

constexpr Duration ms(std::int64_t n) { return Duration::milliseconds(n); }

/// Nodes on which other programs keep this share of the core busy.
LoadCluster nodes(const std::vector<double>& loads) {
  std::vector<LoadCluster::Worker> workers;
  for (const double load : loads) {
    workers.push_back({.others = [load](Instant) { return load; }});
  }
  return LoadCluster(std::move(workers));
}

std::size_t coolest_taker(const LoadCluster& cluster, std::size_t count,
                          const std::vector<std::uint64_t>& before) {
  for (std::size_t w = 0; w < count; ++w) {
    if (cluster.done(w) + cluster.held(w) > before[w]) return w;
  }
  return count;
}

TEST(MeasuredLoad, OfFiveNodesTheCoolestGetsNewTasks) {
  const std::vector<double> loads{0.4, 0.5, 0.3, 0.6, 0.2};
  LoadCluster cluster = nodes(loads);
  cluster.run(ms(10), ms(2000));  // heartbeats only
  std::printf("node   load  tasks, one after the other  of 200 at once\n");
  std::vector<std::uint64_t> before(5, 0);
  for (int i = 0; i < 20; ++i) {
    cluster.submit(1);
    EXPECT_EQ(coolest_taker(cluster, 5, before), 4u) << "task " << i;
    cluster.run(ms(10));
    for (std::size_t w = 0; w < 5; ++w) before[w] = cluster.done(w);
  }
  cluster.submit(200);
  cluster.run(ms(10));
  std::vector<std::uint64_t> at_once;
  for (std::size_t w = 0; w < 5; ++w) {
    at_once.push_back(cluster.done(w) - before[w]);
    std::printf("node%zu  %3.0f %%  %24llu  %16llu\n", w + 1, 100 * loads[w],
                static_cast<unsigned long long>(before[w]),
                static_cast<unsigned long long>(at_once[w]));
  }
  EXPECT_EQ(before[4], 20u);
  // Each according to what others leave it.
  double whole = 0;
  for (const double load : loads) whole += 1 / (1 + load);
  for (std::size_t w = 0; w < 5; ++w) {
    EXPECT_NEAR(static_cast<double>(at_once[w]), 200 / (1 + loads[w]) / whole, 3) << w + 1;
  }
}

TEST(MeasuredLoad, ANodeThatBecomesTheCoolestGetsTheNextTasks) {
  std::vector<LoadCluster::Worker> workers(2);
  workers[0].others = [](Instant now) { return now < Instant{5'000'000'000} ? 0.1 : 0.7; };
  workers[1].others = [](Instant) { return 0.4; };
  LoadCluster cluster(std::move(workers));
  cluster.run(ms(1), ms(2000));
  cluster.submit(1);
  cluster.run(ms(1), ms(4000));
  EXPECT_EQ(cluster.done(0), 1u);
  cluster.submit(1);
  cluster.run(ms(1));
  EXPECT_EQ(cluster.done(1), 1u);
}

TEST(MeasuredLoad, AWorkerWithAFourfoldHandicapGetsItsFairShare) {
  LoadCluster cluster({{}, {.slowness = 4}});
  cluster.submit(50);
  cluster.run(ms(3));  // warm-up
  const std::uint64_t fast = cluster.done(0), slow = cluster.done(1);
  cluster.submit(2000);
  const double took = cluster.run(ms(3)).in_seconds();
  const auto fast_share = static_cast<double>(cluster.done(0) - fast);
  const auto slow_share = static_cast<double>(cluster.done(1) - slow);
  const double best = 2000 * 0.003 * 4 / 5;
  std::printf("fast %.0f, slow %.0f of 2000: fair is 400; %.3f of the best time\n", fast_share,
              slow_share, took / best);
  EXPECT_NEAR(slow_share, 400, 0.05 * 400);
  EXPECT_LT(took, 1.02 * best);
}

TEST(MeasuredLoad, ACoreThatSomebodyTakesHalfWayCostsLittleMoreThanHadItBeenKnown) {
  constexpr std::uint32_t tasks = 800;
  constexpr double seconds = 0.01;
  // Alone the two would need 4 s. From 2 s on one gets half: the rest of 4 s of work at 1.5.
  constexpr double best = 2 + (tasks * seconds - 2 * 2) / 1.5;
  for (const bool is_told : {true, false}) {
    std::vector<LoadCluster::Worker> workers(2);
    Instant begin;
    workers[0].others = [&begin](Instant now) {
      return now - begin < Duration::seconds(2) ? 0.0 : 1.0;
    };
    LoadCluster cluster(std::move(workers));
    cluster.mute(!is_told);
    cluster.submit(20);
    cluster.run(ms(10));
    begin = cluster.now();
    cluster.submit(tasks);
    const double took = cluster.run(ms(10)).in_seconds();
    std::printf("%s: %.3f of the best static split\n",
                is_told ? "with heartbeats" : "by measured tasks alone", took / best);
    EXPECT_LT(took, 1.05 * best);
  }
}

TEST(MeasuredLoad, LoadIsForgottenWhenNoNewsComes) {
  LoadCluster cluster = nodes({0.9, 0.0});
  cluster.run(ms(1), ms(2000));
  const auto is_hot = [&] {
    return cluster.engine().learned().find("  hot") != std::string::npos;
  };
  EXPECT_TRUE(is_hot());
  cluster.mute(true);
  cluster.run(ms(1), ms(500));
  EXPECT_TRUE(is_hot());
  cluster.run(ms(1), ms(700));
  EXPECT_FALSE(is_hot()) << cluster.engine().learned();
}

TEST(MeasuredLoad, HeartbeatsThatRepeatTheSameMeasurementAreNoNews) {
  LoadCluster cluster = nodes({0.9, 0.0});
  cluster.run(ms(1), ms(2000));
  cluster.mute(true);
  for (int i = 0; i < 15; ++i) {
    cluster.step(FromWorker{PeerId{0}, protocol::Heartbeat{.cores = 1,
                                                           .cores_busy_percent = 90,
                                                           .host_cores = 1,
                                                           .host_busy_percent = 90,
                                                           .sample = 99'999}});
    cluster.run(ms(1), ms(100));
  }
  EXPECT_EQ(cluster.engine().learned().find("  hot"), std::string::npos);
}

TEST(MeasuredLoad, TasksOfMicrosecondsStayOnTheWorkerThatIsAwakeHoweverItsTimesVary) {
  LoadCluster cluster(std::vector<LoadCluster::Worker>(2));
  for (std::size_t i = 0; i < 300; ++i) {
    for (const std::size_t w : {0, 1}) cluster.worker(w).slowness = i / 100 % 2 == 0 ? 1 : 8;
    cluster.submit(1);
    cluster.run(Duration::microseconds(2));
  }
  EXPECT_EQ(std::max(cluster.done(0), cluster.done(1)), 300u);
}

TEST(Rebalancing, AHotNodeGetsNothingNewWhileACoolerOneHasRoom) {
  for (const bool by_memory : {false, true}) {
    std::vector<LoadCluster::Worker> workers(3);
    for (std::size_t w : {1u, 2u}) {
      if (by_memory) {
        workers[w].host_memory = 0.97;
      } else {
        workers[w].others = [](Instant) { return 2.0; };
      }
    }
    LoadCluster cluster(std::move(workers));
    cluster.run(ms(1), ms(2000));
    cluster.submit(1);
    cluster.run(ms(1));  // learns the time
    for (int i = 0; i < 30; ++i) {
      cluster.submit(2);  // more than one at once, so that idle ones would get some
      cluster.run(ms(1));
    }
    EXPECT_EQ(cluster.done(0), 61u) << "by memory: " << by_memory;
    cluster.submit(200);
    cluster.run(ms(20));
    EXPECT_GT(cluster.done(1), 10u) << "what the cool one cannot take soon they do";
  }
}

TEST(Rebalancing, TasksOfUnknownTimeDoNotWaitForACoolNode) {
  LoadCluster cluster(std::vector<LoadCluster::Worker>{{.host_memory = 0.97}, {}});
  cluster.run(ms(1), ms(2000));
  cluster.submit(2);
  EXPECT_EQ(cluster.held(0), 1u) << "each may take for ever";
  EXPECT_EQ(cluster.held(1), 1u);
}

TEST(Rebalancing, WhatWaitsOnANodeThatTurnsHotGoesToOneThatIsIdle) {
  std::vector<LoadCluster::Worker> workers(3);
  bool is_hot = false;
  workers[0].others = [&is_hot](Instant) { return is_hot ? 3.0 : 0.0; };
  LoadCluster cluster(std::move(workers));
  cluster.submit(60);
  cluster.run(ms(100));  // learns the time
  cluster.submit(6);
  is_hot = true;
  const std::uint64_t before = cluster.done(0);
  const double took = cluster.run(ms(1000)).in_seconds();
  EXPECT_EQ(cluster.done(0) - before, 1u) << "what it runs it goes on with";
  EXPECT_EQ(cluster.revoked(), 1u);
  EXPECT_EQ(cluster.engine().counters().tasks_relieved, 1u);
  EXPECT_LT(took, 4.5) << "its second task did not wait for the first";
}

TEST(Rebalancing, NothingIsTakenFromANodeThatIsCoolOrWhenNobodyIsIdle) {
  LoadCluster cool = nodes({0.5, 0.0});
  cool.submit(9);
  cool.run(ms(300));
  EXPECT_EQ(cool.engine().counters().tasks_relieved, 0u);
  LoadCluster all_hot = nodes({2.0, 2.0});
  all_hot.submit(9);
  all_hot.run(ms(300));
  EXPECT_EQ(all_hot.engine().counters().tasks_relieved, 0u);
}

TEST(Rebalancing, ALoadAroundTheThresholdDoesNotSendTasksToAndFro) {
  std::vector<LoadCluster::Worker> workers(2);
  workers[0].others = [](Instant now) { return now.ns / 300'000'000 % 2 == 0 ? 0.95 : 0.75; };
  workers[1].others = [](Instant now) { return now.ns / 300'000'000 % 2 == 0 ? 0.75 : 0.95; };
  LoadCluster cluster(std::move(workers));
  cluster.submit(101);
  cluster.run(ms(200));
  EXPECT_LE(cluster.engine().counters().tasks_relieved, 2u);
}

TEST(Learned, ThePrintedTableSaysWhatIsKnownAndCanBeForgotten) {
  LoadCluster cluster({{}, {.slowness = 4}});
  cluster.submit(100);
  cluster.run(ms(3));
  const std::string table = cluster.engine().learned();
  std::printf("%s", table.c_str());
  EXPECT_NE(table.find("k                        all"), std::string::npos);
  EXPECT_NE(table.find("       100  "), std::string::npos) << "calls";
  EXPECT_NE(table.find("node2                    cpu"), std::string::npos);
  cluster.step(ForgetLearned{});
  const std::string forgotten = cluster.engine().learned();
  EXPECT_EQ(forgotten.find("k                        all"), std::string::npos);
  EXPECT_NE(forgotten.find("node2                    cpu               1.00"), std::string::npos)
      << forgotten;
}

}  // namespace
}  // namespace ashlar::scheduler
