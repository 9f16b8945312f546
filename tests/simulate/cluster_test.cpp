#include "simulate/cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "seeds.hpp"

namespace ashlar::simulate {
namespace {

/// Where memory is so tight that workers wait for each other, some runs go on only after a few
/// times that somebody has waited in vain.
constexpr Duration tight_run_max = Duration::seconds(60);

/// ASHLAR_SEED=n runs that seed alone; ASHLAR_SEEDS=n runs so many.
std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Runs many seeds; the sum of what happened, so that a test can demand that it happened.
Outcome run_seeds(const Config& config, std::uint64_t count) {
  const std::uint64_t only = number("ASHLAR_SEED", 0);
  const std::uint64_t first = only > 0 ? only : 1;
  const std::uint64_t last = only > 0 ? only : number("ASHLAR_SEEDS", seeds(count));
  Outcome sum;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const Outcome outcome = Cluster(config).run(seed);
    EXPECT_EQ(outcome.problem, "") << "replay with ASHLAR_SEED=" << seed;
    if (!outcome.problem.empty()) break;
    sum.steps += outcome.steps;
    sum.tasks_run += outcome.tasks_run;
    sum.runs_done += outcome.runs_done;
    sum.runs_failed += outcome.runs_failed;
    sum.runs_cancelled += outcome.runs_cancelled;
    sum.runs_short += outcome.runs_short;
    sum.template_runs += outcome.template_runs;
    sum.data_compared += outcome.data_compared;
    sum.spilled_bytes += outcome.spilled_bytes;
    sum.loaded_bytes += outcome.loaded_bytes;
    sum.took = std::max(sum.took, outcome.took);
  }
  return sum;
}

Config everything_at_once() {
  return {.workers = 5,
          .hosts = 3,
          .drivers = 3,
          .runs = 4,
          .kills = 2,
          .joins = 2,
          .driver_kills = 1,
          .failing_tasks = 5,
          .cancels = 15};
}

TEST(Simulation, GraphsGiveTheResultsOfSequentialExecution) {
  const Outcome sum = run_seeds({}, 300);
  EXPECT_EQ(sum.runs_failed + sum.runs_cancelled, 0u);
  EXPECT_GT(sum.data_compared, 0u);
  EXPECT_LT(sum.took, Duration::seconds(20)) << "nothing waits for a time limit";
}

TEST(Simulation, SeveralDriversShareTheWorkers) {
  const Outcome sum = run_seeds({.workers = 5, .hosts = 3, .drivers = 3, .runs = 4}, 100);
  EXPECT_EQ(sum.runs_failed + sum.runs_cancelled, 0u);
  EXPECT_GT(sum.data_compared, 0u);
}

TEST(Simulation, FailingKernelsFailExactlyWhatDescendsFromThem) {
  const Outcome sum = run_seeds({.drivers = 2, .runs = 4, .failing_tasks = 20}, 150);
  EXPECT_GT(sum.runs_failed, 0u);
  EXPECT_GT(sum.runs_done, 0u);
}

TEST(Simulation, CancelledRunsEnd) {
  const Outcome sum = run_seeds({.drivers = 2, .runs = 4, .cancels = 40}, 150);
  EXPECT_GT(sum.runs_cancelled, 0u);
}

TEST(Simulation, TasksMayRunTwiceAtATime) {
  Config config = everything_at_once();
  config.delay_max = Duration::milliseconds(20);  // so that tasks seem to straggle
  config.limits.twin_wait = Duration::milliseconds(1);
  config.limits.twin_lateness = 0.1;
  config.limits.twin_share = 1;
  EXPECT_GT(run_seeds(config, 100).runs_done, 0u);
}

TEST(Simulation, WorkersMayJoinAtAnyTime) {
  const Outcome sum = run_seeds({.workers = 1, .runs = 4, .joins = 3}, 100);
  EXPECT_EQ(sum.runs_failed, 0u);
}

TEST(Simulation, WorkersMayDieAtAnyTime) {
  const Outcome sum = run_seeds({.workers = 4, .runs = 4, .kills = 2, .joins = 1}, 200);
  EXPECT_GT(sum.runs_done, 0u);
}

TEST(Simulation, LinksBetweenWorkersMayBeCut) {
  const Outcome sum = run_seeds({.workers = 4, .hosts = 4, .runs = 4, .cuts = 3}, 900);
  EXPECT_EQ(sum.runs_failed, 0u) << "there is always somebody who can make it";
  EXPECT_GT(sum.data_compared, 0u);
}

TEST(Simulation, NoTwoWorkersNeedReachEachOther) {
  const Outcome sum = run_seeds({.workers = 2, .hosts = 2, .runs = 4, .cuts = 20}, 100);
  // Of a hundred thousand seeds about one fails a run: neither what only one worker has nor what
  // only the other one has can be made again, and the link between them stays cut.
  EXPECT_EQ(sum.runs_failed, 0u);
}

TEST(Simulation, LinksMayBeCutWhileWorkersDieAndJoin) {
  Config config = everything_at_once();
  config.cuts = 6;
  EXPECT_GT(run_seeds(config, 200).runs_done, 0u);
}

TEST(Simulation, DriversMayDieAtAnyTime) {
  const Outcome sum = run_seeds({.drivers = 3, .runs = 4, .driver_kills = 2}, 100);
  EXPECT_EQ(sum.runs_failed, 0u);
  EXPECT_GT(sum.data_compared, 0u);
}

TEST(Simulation, EverythingAtOnce) {
  const Outcome sum = run_seeds(everything_at_once(), 200);
  EXPECT_TRUE(sum.runs_done > 0 && sum.runs_failed > 0 && sum.runs_cancelled > 0);
}

TEST(Simulation, LongDelaysAndManyTasks) {
  run_seeds({.workers = 8,
             .tasks_max = 400,
             .delay_max = Duration::milliseconds(40),
             .task_time_max = Duration::milliseconds(1),
             .check_every = 20},
            15);
}

TEST(Simulation, TightMemoryEndsInResultsOrErrors) {
  for (const std::uint64_t limit : {150'000u, 400'000u, 1'000'000u}) {
    const Outcome sum =
        run_seeds({.memory_limit = limit, .is_memory_tight = true, .can_spill = false}, 100);
    EXPECT_GT(sum.runs_done, limit < 400'000 ? 0 : 2 * sum.runs_failed);
    EXPECT_TRUE(sum.runs_short > 0 || limit == 1'000'000) << "some runs lack memory";
    EXPECT_LT(sum.took, tight_run_max);
  }
}

TEST(Simulation, TightMemoryWithFaultsEnds) {
  Config config = everything_at_once();
  config.memory_limit = 400'000;
  config.is_memory_tight = true;
  config.can_spill = false;
  EXPECT_GT(run_seeds(config, 150).runs_done, 0u);
}

TEST(Simulation, WithADiskNothingFailsForWantOfMemory) {
  // Room for the largest task, and what cannot go to disk beside it.
  const Outcome sum = run_seeds(
      {.workers = 4, .memory_limit = 900'000, .drivers = 2, .runs = 4, .tasks_max = 100}, 100);
  EXPECT_EQ(sum.runs_failed, 0u);
  EXPECT_GT(sum.spilled_bytes, 0u);
  EXPECT_GT(sum.loaded_bytes, 0u);
}

TEST(Simulation, DisksOfWorkersOnOneHostOrOnMany) {
  for (const std::uint32_t hosts : {1u, 6u}) {
    const Outcome sum = run_seeds(
        {.workers = 6, .hosts = hosts, .memory_limit = 900'000, .runs = 5, .tasks_max = 100}, 60);
    EXPECT_EQ(sum.runs_failed, 0u);
    EXPECT_GT(sum.loaded_bytes, 0u);
  }
}

TEST(Simulation, DisksThatFailEndInResultsOrErrors) {
  Config config = everything_at_once();
  config.memory_limit = 900'000;
  config.is_memory_tight = true;
  config.failing_disks = 50;
  const Outcome sum = run_seeds(config, 150);
  EXPECT_GT(sum.loaded_bytes, 0u);
}

TEST(Simulation, MemoryForEverythingAtOnceIsEnough) {
  // Any worker could hold all data there are, and an incoming quarter.
  const Outcome sum = run_seeds({.memory_limit = 7'000'000}, 300);
  EXPECT_EQ(sum.runs_failed, 0u);
}

TEST(Simulation, RepeatedGraphsGiveTheResultsOfSequentialExecution) {
  const Outcome sum =
      run_seeds({.workers = 4, .hosts = 2, .drivers = 2, .runs = 10, .repeats = 80}, 150);
  EXPECT_EQ(sum.runs_failed, 0u);
  EXPECT_GT(sum.template_runs, seeds(100));
  EXPECT_GT(sum.data_compared, 0u);
}

TEST(Simulation, RepeatedGraphsStandEveryFault) {
  Config config = everything_at_once();
  config.runs = 10;
  config.repeats = 80;
  EXPECT_GT(run_seeds(config, 200).template_runs, seeds(50));
  config.memory_limit = 400'000;
  config.is_memory_tight = true;
  EXPECT_GT(run_seeds(config, 100).template_runs, 0u);
}

TEST(Simulation, ReportsMayComeLater) {
  Config config{.workers = 4, .drivers = 2, .runs = 6, .repeats = 50};
  config.report_delay = Duration::milliseconds(2);
  const Outcome sum = run_seeds(config, 150);
  EXPECT_EQ(sum.runs_failed, 0u);
  EXPECT_LT(sum.took, Duration::seconds(20)) << "nobody waits for what is held back";
  config = everything_at_once();
  config.report_delay = Duration::milliseconds(2);
  config.repeats = 50;
  EXPECT_GT(run_seeds(config, 100).runs_done, 0u);
  for (const std::uint64_t limit : {150'000u, 400'000u}) {
    config = {.memory_limit = limit, .is_memory_tight = true};
    config.report_delay = Duration::milliseconds(2);
    EXPECT_LT(run_seeds(config, 100).took, tight_run_max);
  }
}

TEST(Simulation, EveryPolicyGivesTheSameResultsUnderFaults) {
  for (const scheduler::PolicyKind policy : scheduler::policy_kinds) {
    SCOPED_TRACE(scheduler::name_of(policy));
    Config config{.workers = 5,
                  .hosts = 3,
                  .drivers = 2,
                  .kills = 2,
                  .joins = 2,
                  .failing_tasks = 5,
                  .cancels = 15};
    config.limits.policy = policy;
    const Outcome sum = run_seeds(config, 40);
    EXPECT_GT(sum.data_compared, 0u);
  }
}

TEST(Simulation, TheSameSeedGivesTheSameHistory) {
  const Config config{.workers = 4, .drivers = 2, .kills = 1, .failing_tasks = 5, .cancels = 20};
  EXPECT_EQ(Cluster(config).run(7).digest, Cluster(config).run(7).digest);
  EXPECT_NE(Cluster(config).run(7).digest, Cluster(config).run(8).digest);
}

}  // namespace
}  // namespace ashlar::simulate
