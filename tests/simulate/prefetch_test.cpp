#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "seeds.hpp"
#include "simulate/suite.hpp"

/// What comes to the hosts of readers before these are placed, on a slow network.
namespace ashlar::simulate {
namespace {

constexpr double bytes_per_second = 2e7;

struct Count : Observer {
  void scheduler_made(std::uint64_t) override {}
  void worker_made(PeerId, std::uint32_t, std::uint64_t, const std::string&, bool) override {}
  void stepped(std::span<const scheduler::Event>, Instant,
               const scheduler::Actions& actions) override {
    for (const scheduler::Action& action : actions) {
      const auto* to = std::get_if<scheduler::ToWorker>(&action);
      if (to == nullptr) continue;
      const auto* prefetch = std::get_if<protocol::Prefetch>(&to->message);
      if (prefetch != nullptr) asked += prefetch->datum.size();
    }
  }
  void stepped(PeerId self, std::span<const worker::Event> events, Instant,
               const worker::Actions& actions) override {
    for (const worker::Event& event : events)
      come += std::holds_alternative<worker::FetchDone>(event);
    for (const worker::Action& action : actions) {
      const auto* to = std::get_if<worker::ToScheduler>(&action);
      if (to == nullptr) continue;
      const auto* told = std::get_if<protocol::DataMissing>(&to->message);
      if (told != nullptr) missing += told->data.size();
      if (told != nullptr) declined += std::ranges::count(told->peer, self);
    }
  }

  std::uint64_t asked = 0, come = 0, missing = 0, declined = 0;  ///< data
};

/// Two workers on each of three hosts.
Config shuffles(std::uint64_t seed, std::shared_ptr<Count> count) {
  Machine machine{.speeds = std::vector<double>(6, 1.0), .bandwidth = bytes_per_second};
  machine.host_of = {0, 0, 1, 1, 2, 2};
  Config config{.check_every = 5};
  config.machine = std::make_shared<const Machine>(std::move(machine));
  config.limits.remote_bandwidth = bytes_per_second;
  const auto program =
      std::make_shared<const Program>(suite::make_program(suite::Shape::shuffle, 60, seed));
  config.programs = {program, program};
  config.observer = std::move(count);
  return config;
}

TEST(Prefetch, EachDatumComesOnceToEachHost) {
  const auto count = std::make_shared<Count>();
  const Outcome outcome = Cluster(shuffles(1, count)).run(1);
  EXPECT_EQ(outcome.problem, "");
  // 12 reducers of 48 inputs each, two in three of which are made on other hosts; twice. The last
  // inputs come with the readers.
  EXPECT_GT(count->asked, 2 * 12 * 48 / 3);
  EXPECT_EQ(count->missing, 0u);
  EXPECT_LT(outcome.remote_bytes, 2 * (std::uint64_t{48} << 20) * 3 / 4);
}

TEST(Prefetch, WorkersMayDieAndLinksBeCut) {
  const auto count = std::make_shared<Count>();
  for (std::uint64_t seed = 1; seed <= seeds(40); ++seed) {
    Config config = shuffles(seed, count);
    config.kills = seed % 3;
    config.cuts = 4 * (seed % 4);
    const Outcome outcome = Cluster(config).run(seed);
    ASSERT_EQ(outcome.problem, "") << "seed " << seed;
  }
  EXPECT_GT(count->asked, 0u);
  EXPECT_GT(count->missing, 0u);
}

TEST(Prefetch, RunsMayBeCancelledInTheSameMoment) {
  const auto count = std::make_shared<Count>();
  std::uint64_t cancelled = 0;
  for (std::uint64_t seed = 1; seed <= seeds(40); ++seed) {
    Config config = shuffles(seed, count);
    Machine machine = *config.machine;
    machine.engine_delay = Duration::milliseconds(20);  // so that events come together
    config.machine = std::make_shared<const Machine>(std::move(machine));
    config.programs.resize(4, config.programs[0]);
    config.cancels = 50;
    config.kills = seed % 3;
    const Outcome outcome = Cluster(config).run(seed);
    ASSERT_EQ(outcome.problem, "") << "seed " << seed;
    cancelled += outcome.runs_cancelled;
  }
  EXPECT_GT(count->asked, 0u);
  EXPECT_GT(cancelled, 0u);
}

TEST(Prefetch, WhatFindsNoRoomComesWithItsReader) {
  const auto count = std::make_shared<Count>();
  for (std::uint64_t seed = 1; seed <= seeds(10); ++seed) {
    Config config = shuffles(seed, count);
    config.memory_limit = std::uint64_t{12} << 20;
    const Outcome outcome = Cluster(config).run(seed);
    ASSERT_EQ(outcome.problem, "") << "seed " << seed;
    EXPECT_EQ(outcome.runs_failed, 0u);
  }
  EXPECT_GT(count->asked, 0u);
  EXPECT_GT(count->declined, count->asked / 10);
}

}  // namespace
}  // namespace ashlar::simulate
