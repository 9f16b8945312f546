#include "apps/calibration.hpp"

#include <ashlar/error.hpp>
#include <gtest/gtest.h>

#include <memory>

#include "apps/graph_file.hpp"
#include "simulate/forecast.hpp"

namespace ashlar::apps {
namespace {

using runtime::RecordedRun;
using runtime::RecordedRuns;
using simulate::Machine;
using simulate::Program;

constexpr double seconds_per_flop = 2e-10;

/// Two workers of one slot on one host, whose figures are to be found out.
Machine truth() {
  Machine machine{.speeds = {1, 1}, .slots = 1};
  machine.host_of = {0, 0};
  machine.is_driver_on_first_host = true;
  machine.latency = Duration::microseconds(20);
  machine.engine_delay = Duration::microseconds(2);
  machine.task_overhead = Duration::microseconds(3);
  machine.output_seconds_per_byte = 2e-10;
  return machine;
}

/// So many tasks of so many flops, each of which reads what the one `width` before it made.
Program rows(std::uint32_t tasks, std::uint32_t width, double flops, std::uint64_t bytes) {
  Program program;
  graph::TaskGraph& g = program.graph;
  g.kernels = {"k"};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    g.kernel.push_back(0);
    if (t >= width) g.inputs.push_back(t - width);
    g.input_offsets.push_back(static_cast<std::uint32_t>(g.inputs.size()));
    g.output_bytes.push_back(bytes);
    g.output_offsets.push_back(t + 1);
    g.param_offsets.push_back(0);
    g.flops.push_back(static_cast<float>(flops));
    program.task_seconds.push_back(flops * seconds_per_flop);
  }
  for (std::uint32_t t = tasks - std::min(tasks, width); t < tasks; ++t) g.wanted.push_back(t);
  return program;
}

RecordedRun run_of(const Program& program) {
  const auto found = simulate::forecast({.program = std::make_shared<const Program>(program),
                                         .machine = std::make_shared<const Machine>(truth())});
  EXPECT_EQ(found.error, "");
  RecordedRun run;
  run.graph = std::make_shared<const graph::TaskGraph>(program.graph);
  run.last_done = Instant{} + Duration::seconds(found.makespan_seconds);
  run.task_seconds = program.task_seconds;
  run.output_bytes = program.graph.output_bytes;
  run.tasks_done = program.graph.task_count();
  return run;
}

RecordedRuns recorded() {
  RecordedRuns all;
  all.workers = {{"a", "here", 1, 1 << 30}, {"b", "here", 1, 1 << 30}};
  all.driver_host = "here";
  for (int i = 0; i < 3; ++i) {
    all.runs.push_back(run_of(rows(1, 1, 1e4, 8)));
    all.runs.push_back(run_of(rows(2000, 2000, 5e3, 8)));
    all.runs.push_back(run_of(rows(120, 6, 5e6, 4'000'000)));
    all.runs.push_back(run_of(rows(80, 8, 2e7, 1'000'000)));
  }
  return all;
}

TEST(Calibration, FindsTheFiguresOfTheMachineThatRunsWereOn) {
  const Calibration found = calibrated(recorded());
  ASSERT_EQ(found.hosts.size(), 1u);
  EXPECT_EQ(found.hosts[0].workers, 2u);
  EXPECT_EQ(found.hosts[0].slots, 1u);
  EXPECT_EQ(found.hosts[0].memory_bytes, 1u << 30);
  EXPECT_TRUE(found.is_driver_local);
  EXPECT_NEAR(found.task_overhead_us, 3, 0.5);
  EXPECT_NEAR(found.latency_us, 20, 3);
  EXPECT_NEAR(found.output_seconds_per_byte, 2e-10, 0.3e-10);
  EXPECT_NEAR(found.kernels.at("k").seconds(1e6, 0), 1e6 * seconds_per_flop, 1e-6);
}

TEST(Calibration, IsReadAsItWasWritten) {
  const Calibration found = calibrated(recorded());
  const ClusterFile read = parse_cluster(to_toml(found, "a comment"), "the text");
  EXPECT_EQ(read.hosts, (std::vector<std::string>{"host1/0", "host1/1"}));
  EXPECT_EQ(read.machine.host_of, (std::vector<std::uint32_t>{0, 0}));
  EXPECT_TRUE(read.machine.is_driver_on_first_host);
  EXPECT_NEAR(read.machine.task_overhead.in_seconds(), 1e-6 * found.task_overhead_us, 1e-9);
  EXPECT_NEAR(read.machine.latency_at(0).in_seconds(), 1e-6 * found.latency_us, 1e-9);
  EXPECT_NEAR(read.machine.output_seconds_per_byte, found.output_seconds_per_byte, 1e-15);
  EXPECT_NEAR(read.kernels.at("k").seconds(1e6, 1e6), found.kernels.at("k").seconds(1e6, 1e6),
              1e-9);
}

TEST(Calibration, NeedsARunThatHasEnded) {
  RecordedRuns all = recorded();
  for (RecordedRun& run : all.runs) run.tasks_done = 0;
  EXPECT_THROW(calibrated(all), BadInput);
  EXPECT_THROW(calibrated({}), BadInput);
}

TEST(RecordedGraph, DataFromOutsideAreThereFromTheBeginning) {
  Program program = rows(6, 2, 1e6, 100);
  program.graph.external_bytes = {7, 9};
  program.graph.inputs[0] = 7;  // of task 2: the second one from outside
  RecordedRun run;
  run.graph = std::make_shared<const graph::TaskGraph>(program.graph);
  run.task_seconds.assign(6, 0.5);
  run.output_bytes = {100, 100, 33, 100, 100, 100};
  const Program found = program_of(run, {{"other", {}}});
  EXPECT_EQ(graph::validate(found.graph), "");
  EXPECT_EQ(found.graph.external_count(), 0u);
  EXPECT_EQ(found.task_seconds, (std::vector<double>{0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}));
  EXPECT_EQ(found.graph.output_bytes, (std::vector<std::uint64_t>{7, 9, 100, 100, 33, 100, 100, 100}));
  EXPECT_EQ(found.graph.inputs_of(4)[0], 1u);
  EXPECT_EQ(found.graph.inputs_of(5)[0], 3u);
  EXPECT_EQ(found.graph.wanted, (std::vector<std::uint32_t>{6, 7}));
  EXPECT_EQ(program_of(run, {{"k", {.fixed_seconds = 2}}}).task_seconds[2], 2);
}

}  // namespace
}  // namespace ashlar::apps
