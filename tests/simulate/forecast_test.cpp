#include "simulate/forecast.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "simulate/suite.hpp"

namespace ashlar::simulate {
namespace {

using Pieces = std::vector<std::pair<std::int64_t, std::int64_t>>;

Machine machine_of(std::size_t workers) {
  Machine machine{.speeds = std::vector<double>(workers, 1.0)};
  machine.slots_of.assign(workers, 2);
  machine.memory_of.assign(workers, std::uint64_t{1} << 34);
  machine.bandwidth_of.assign(workers, 1.25e9);
  machine.latency_of.assign(workers, Duration::microseconds(30));
  machine.vanishes_of.assign(workers, {});
  return machine;
}

Forecast forecast_of(const Program& program, const Machine& machine,
                     scheduler::PolicyKind policy = scheduler::PolicyKind::least_loaded) {
  return forecast({.program = std::make_shared<const Program>(program),
                   .machine = std::make_shared<const Machine>(machine),
                   .policy = policy});
}

/// One task that makes a datum, and one on each of so many workers' worth that reads it.
Program fan(std::uint32_t readers, std::uint64_t bytes) {
  Program program;
  graph::TaskGraph& g = program.graph;
  g.kernels = {"source", "reader"};
  for (std::uint32_t t = 0; t <= readers; ++t) {
    g.kernel.push_back(t == 0 ? 0 : 1);
    if (t > 0) g.inputs.push_back(0);
    g.input_offsets.push_back(static_cast<std::uint32_t>(g.inputs.size()));
    g.output_bytes.push_back(t == 0 ? bytes : 8);
    g.output_offsets.push_back(t + 1);
    g.param_offsets.push_back(0);
    if (t > 0) g.wanted.push_back(t);
    program.task_seconds.push_back(t == 0 ? 0.001 : 1.0);
  }
  return program;
}

TEST(Forecast, RepeatedRunsArePlacedAsTheFirstOne) {
  const auto program =
      std::make_shared<const Program>(suite::make_program(suite::Shape::stencil, 20, 1));
  Config config{.memory_limit = std::uint64_t{1} << 40};
  config.machine = std::make_shared<const Machine>(machine_of(2));
  config.programs.assign(3, program);
  EXPECT_EQ(Cluster(config).run(1).template_runs, 0u);
  config.repeats = 100;
  const Outcome outcome = Cluster(config).run(1);
  EXPECT_EQ(outcome.problem, "");
  EXPECT_EQ(outcome.template_runs, 2u);
}

TEST(Forecast, EveryTaskIsInTheHistoryOnceAndSlotsRunOneAtATime) {
  const Program program = suite::make_program(suite::Shape::cholesky, 200, 1);
  const Machine machine = machine_of(3);
  const Forecast found = forecast_of(program, machine);
  ASSERT_EQ(found.error, "");
  ASSERT_EQ(found.history.tasks.size(), program.graph.task_count());
  std::vector<bool> has_run(program.graph.task_count(), false);
  std::map<std::pair<std::uint32_t, std::uint32_t>, Pieces> rows;
  double busy = 0;
  for (const History::Task& task : found.history.tasks) {
    EXPECT_FALSE(has_run[task.task]);
    has_run[task.task] = true;
    EXPECT_LT(task.slot, 2u);
    EXPECT_LT(task.worker, 3u);
    EXPECT_NEAR(task.took.in_seconds(), program.task_seconds[task.task], 1e-8);
    rows[{task.worker, task.slot}].emplace_back(task.start.ns, (task.start + task.took).ns);
    busy += task.took.in_seconds();
  }
  EXPECT_EQ(rows.size(), 6u) << "every slot works";
  for (auto& [row, pieces] : rows) {
    std::ranges::sort(pieces);
    for (std::size_t i = 1; i < pieces.size(); ++i) {
      EXPECT_GE(pieces[i].first, pieces[i - 1].second);
    }
  }
  EXPECT_NEAR(found.utilisation, busy / (6 * found.makespan_seconds), 1e-9);
  EXPECT_GE(found.makespan_seconds, found.bound_seconds);
}

TEST(Forecast, TheSameQuestionGivesTheSameForecast) {
  const Program program = suite::make_program(suite::Shape::stencil, 150, 1);
  Machine machine = machine_of(4);
  machine.vanishes_of[1] = Duration::milliseconds(50);
  const Forecast one = forecast_of(program, machine), two = forecast_of(program, machine);
  EXPECT_EQ(one.makespan_seconds, two.makespan_seconds);
  EXPECT_EQ(one.moved_bytes, two.moved_bytes);
  ASSERT_EQ(one.history.tasks.size(), two.history.tasks.size());
  EXPECT_GT(one.moved_bytes, 0u);
}

TEST(Forecast, TransfersTakeTheTimeOfTheSlowerLinkAndTheLatencyOfBoth) {
  Machine machine = machine_of(2);
  machine.slots_of = {1, 1};
  machine.bandwidth_of = {1e9, 1e8};
  machine.latency_of = {Duration::milliseconds(1), Duration::milliseconds(3)};
  const Forecast found = forecast_of(fan(2, 10'000'000), machine);
  ASSERT_EQ(found.error, "");
  ASSERT_EQ(found.history.transfers.size(), 1u);
  const History::Transfer& transfer = found.history.transfers[0];
  EXPECT_NE(transfer.from, transfer.to);
  EXPECT_EQ(transfer.datum, 0u);
  EXPECT_EQ(transfer.bytes, 10'000'000u);
  EXPECT_EQ(found.moved_bytes, 10'000'000u);
  EXPECT_NEAR(transfer.took.in_seconds(), 0.1 + 0.002, 1e-4);
}

TEST(Forecast, WorkersOfOneHostReadInPlaceAndShareItsLink) {
  Machine machine = machine_of(4);
  machine.slots_of.assign(4, 1);
  machine.bandwidth_of.assign(4, 1e8);
  machine.host_of = {0, 0, 1, 1};
  // Four readers: two on the host of the data, two elsewhere, one of which brings its copy along.
  const Forecast found = forecast_of(fan(4, 10'000'000), machine);
  ASSERT_EQ(found.error, "");
  EXPECT_GE(found.history.transfers.size(), 1u);
  EXPECT_LE(found.history.transfers.size(), 2u);
  for (const History::Transfer& transfer : found.history.transfers) {
    EXPECT_NE(machine.host_of[transfer.from], machine.host_of[transfer.to]);
    EXPECT_GE(transfer.took.in_seconds(), 0.1);
  }
  machine.host_of = {0, 0, 0, 0};
  machine.is_driver_on_first_host = true;
  const Forecast local = forecast_of(fan(4, 10'000'000), machine);
  EXPECT_EQ(local.moved_bytes, 0u);
  EXPECT_TRUE(local.history.transfers.empty());
}

TEST(Forecast, AWorkerThatVanishesLeavesTheOthersOfItsHostAlone) {
  const Program program = suite::make_program(suite::Shape::stencil, 150, 1);
  Machine machine = machine_of(4);
  machine.host_of = {0, 0, 1, 1};
  machine.vanishes_of[1] = Duration::milliseconds(50);
  const Forecast found = forecast_of(program, machine);
  EXPECT_EQ(found.error, "");
  EXPECT_GE(found.makespan_seconds, found.bound_seconds);
}

TEST(Forecast, SlotsAreBusyWithTheOverheadOfEachTask) {
  Machine machine = machine_of(1);
  machine.slots_of = {1};
  const double before = forecast_of(fan(3, 8), machine).makespan_seconds;
  machine.task_overhead = Duration::milliseconds(250);
  EXPECT_NEAR(forecast_of(fan(3, 8), machine).makespan_seconds, before + 4 * 0.25, 1e-3);
  machine.output_seconds_per_byte = 1e-7;
  EXPECT_NEAR(forecast_of(fan(3, 10'000'000), machine).makespan_seconds, before + 4 * 0.25 + 1,
              1e-3);
}

TEST(Forecast, WhatAVanishedWorkerDidIsDoneByOthers) {
  const Program program = suite::make_program(suite::Shape::matmul, 200, 1);
  Machine machine = machine_of(3);
  const Forecast calm = forecast_of(program, machine);
  machine.vanishes_of[0] = Duration::seconds(calm.makespan_seconds / 2);
  machine.vanishes_of[2] = Duration::seconds(calm.makespan_seconds / 2);
  const Forecast found = forecast_of(program, machine);
  EXPECT_EQ(found.error, "");
  EXPECT_GT(found.makespan_seconds, 1.5 * calm.makespan_seconds);
  EXPECT_GT(found.bound_seconds, calm.bound_seconds);
  EXPECT_GE(found.makespan_seconds, found.bound_seconds);
  for (const History::Task& task : found.history.tasks) EXPECT_LT(task.worker, 3u);
}

TEST(Forecast, MemoryIsThatOfTheWorkerWithMostAndTooLittleIsAnError) {
  Machine machine = machine_of(1);
  const Forecast found = forecast_of(fan(2, 50'000'000), machine);
  EXPECT_GE(found.memory_peak, 50'000'000u);
  EXPECT_LT(found.memory_peak, 51'000'000u) << "the run before has left nothing";
  machine.memory_of = {40'000'000};
  EXPECT_NE(forecast_of(fan(2, 50'000'000), machine).error.find("memory"), std::string::npos);
}

}  // namespace
}  // namespace ashlar::simulate
