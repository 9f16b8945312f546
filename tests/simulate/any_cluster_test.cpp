#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/random.hpp"
#include "seeds.hpp"
#include "simulate/cluster.hpp"

/// Ten thousand small clusters, each of another make and with other mishaps: every invariant of
/// every engine is checked after every step; in half of the clusters each event is a step of its
/// own. ASHLAR_SEED=n runs that one; ctest spreads them over several tests that may run at once.
namespace ashlar::simulate {
namespace {

constexpr std::uint64_t lots = 100, runs_of_lot = seeds(100);

Config any_config(std::uint64_t seed) {
  SplitMix64 random(seed);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random.below(n)); };
  const auto one_of = [&](auto... values) {
    const std::uint64_t all[] = {static_cast<std::uint64_t>(values)...};
    return all[below(sizeof...(values))];
  };
  Config config{
      .workers = 1 + below(5),
      .slots_max = 1 + below(3),
      .hosts = 1 + below(3),
      .drivers = 1 + below(2),
      .runs = 1 + below(3),
      .tasks_max = static_cast<std::uint32_t>(one_of(4, 12, 30)),
      .kills = below(3),
      .joins = below(3),
      .failing_tasks = static_cast<std::uint32_t>(one_of(0, 0, 30)),
      .cancels = static_cast<std::uint32_t>(one_of(0, 0, 20)),
      .delay_max = Duration::microseconds(static_cast<std::int64_t>(one_of(10, 500, 8000)))};
  config.driver_kills = config.drivers > 1 ? below(2) : 0;
  config.is_memory_tight = below(4) == 0;
  if (config.is_memory_tight) {
    config.memory_limit = one_of(150'000, 400'000, 1'000'000);
    config.can_spill = below(2) == 0;
    config.failing_disks = static_cast<std::uint32_t>(one_of(0, 0, 50));
    const bool is_room_enough = config.memory_limit == 1'000'000 && config.failing_disks == 0;
    config.is_memory_tight = !(config.can_spill && is_room_enough);
  }
  config.limits.policy = scheduler::policy_kinds[below(std::size(scheduler::policy_kinds))];
  config.gathers_events = below(2) == 0;
  if (below(2) == 0) {  // everything is passed on from reader to reader, if there is any reason to
    config.limits.passed_on_bytes_min = 0;
    config.limits.remote_latency = {};
  }
  config.cuts = static_cast<std::uint32_t>(one_of(0, 0, 1, 4));
  return config;
}

class AnyCluster : public testing::TestWithParam<std::uint64_t> {};

TEST_P(AnyCluster, EndsEveryRunWithTheResultsOfSequentialExecution) {
  const char* only = std::getenv("ASHLAR_SEED");
  const std::uint64_t first = only ? std::strtoull(only, nullptr, 10) : GetParam() * runs_of_lot;
  std::uint64_t steps = 0, compared = 0;
  for (std::uint64_t seed = first; seed < first + (only ? 1 : runs_of_lot); ++seed) {
    const Outcome outcome = Cluster(any_config(seed)).run(seed);
    ASSERT_EQ(outcome.problem, "") << "replay with ASHLAR_SEED=" << seed;
    steps += outcome.steps;
    compared += outcome.data_compared;
  }
  EXPECT_TRUE(only || (steps > runs_of_lot && compared > 0)) << steps << " " << compared;
}

INSTANTIATE_TEST_SUITE_P(TenThousandRuns, AnyCluster, testing::Range(std::uint64_t{0}, lots));

}  // namespace
}  // namespace ashlar::simulate
