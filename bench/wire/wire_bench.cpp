#include <benchmark/benchmark.h>

#include "wire/codec.hpp"

namespace {

using namespace ashlar;

constexpr RunId run{SessionId{1}, 3};

protocol::AssignTasks assign_tasks(std::uint32_t tasks) {
  constexpr std::uint32_t inputs_each = 3;
  protocol::AssignTasks assign;
  assign.run = run;
  assign.driver = PeerId{0};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    assign.task.push_back(t);
    assign.attempt.push_back(1);
    assign.kernel.push_back(t % 5);
    assign.rank.push_back(t);
    assign.expected_ns.push_back(1000 + t);
    assign.reuse_input.push_back(0);
    assign.input_count.push_back(inputs_each);
    assign.output_count.push_back(1);
    assign.param_bytes.push_back(0);
    assign.deliver.push_back(0);
    for (std::uint32_t i = 0; i < inputs_each; ++i) {
      assign.inputs.push_back({run, t * 7 + i});
      assign.input_bytes.push_back(8192);
      assign.input_holder.push_back(PeerId{t % 64});
    }
    assign.outputs.push_back(t);
    assign.output_bytes.push_back(8192);
  }
  return assign;
}

protocol::TasksDone tasks_done(std::uint32_t tasks) {
  protocol::TasksDone done{
      .run = run, .task = {}, .attempt = {}, .elapsed_ns = {}, .output_bytes = {}};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    done.task.push_back(t);
    done.attempt.push_back(1);
    done.elapsed_ns.push_back(1000 + t);
  }
  return done;
}

void report_tasks(benchmark::State& state) {
  state.counters["per_task"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void encode_assign_tasks(benchmark::State& state) {
  const protocol::SchedulerToWorker message =
      assign_tasks(static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(message));
  report_tasks(state);
}
BENCHMARK(encode_assign_tasks)->Arg(1)->Arg(64)->Arg(1000)->Arg(10000);

void decode_assign_tasks(benchmark::State& state) {
  const auto bytes = wire::encode(
      protocol::SchedulerToWorker(assign_tasks(static_cast<std::uint32_t>(state.range(0)))));
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode_scheduler_to_worker(bytes));
  report_tasks(state);
  state.counters["bytes_per_task"] =
      static_cast<double>(bytes.size()) / static_cast<double>(state.range(0));
}
BENCHMARK(decode_assign_tasks)->Arg(1)->Arg(64)->Arg(1000)->Arg(10000);

void encode_tasks_done(benchmark::State& state) {
  const protocol::WorkerToScheduler message =
      tasks_done(static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(message));
  report_tasks(state);
}
BENCHMARK(encode_tasks_done)->Arg(1)->Arg(64)->Arg(1000)->Arg(10000);

void decode_tasks_done(benchmark::State& state) {
  const auto bytes = wire::encode(
      protocol::WorkerToScheduler(tasks_done(static_cast<std::uint32_t>(state.range(0)))));
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode_worker_to_scheduler(bytes));
  report_tasks(state);
}
BENCHMARK(decode_tasks_done)->Arg(1)->Arg(64)->Arg(1000)->Arg(10000);

/// A stencil over time: each task reads three outputs of the row before.
std::shared_ptr<const graph::TaskGraph> stencil(std::uint32_t tasks) {
  constexpr std::uint32_t width = 100;
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"stencil"};
  graph->external_bytes = {8};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    graph->kernel.push_back(0);
    for (std::uint32_t i = 0; i < 3; ++i)
      graph->inputs.push_back(t < width + 1 ? tasks : t - width - 1 + i);
    graph->input_offsets.push_back(3 * (t + 1));
    graph->output_offsets.push_back(t + 1);
    graph->param_offsets.push_back(0);
    graph->output_bytes.push_back(8);
  }
  graph->wanted = {tasks - 1};
  return graph;
}

void encode_submit_run(benchmark::State& state) {
  const protocol::DriverToScheduler message =
      protocol::SubmitRun{.run = 1,
                          .graph = stencil(static_cast<std::uint32_t>(state.range(0))),
                          .externals = {DatumId{run, 0}}};
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(message));
  report_tasks(state);
}
BENCHMARK(encode_submit_run)->Arg(1)->Arg(10000)->Arg(1000000);

void decode_submit_run(benchmark::State& state) {
  const auto bytes = wire::encode(protocol::DriverToScheduler(
      protocol::SubmitRun{.run = 1,
                          .graph = stencil(static_cast<std::uint32_t>(state.range(0))),
                          .externals = {DatumId{run, 0}}}));
  for (auto _ : state)
    benchmark::DoNotOptimize(wire::decode_driver_to_scheduler(bytes, SessionId{1}));
  report_tasks(state);
}
BENCHMARK(decode_submit_run)->Arg(1)->Arg(10000)->Arg(1000000);

void encode_fetch(benchmark::State& state) {
  const protocol::PeerMessage message = protocol::Fetch{{5}, {{run, 9}}};
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(message));
}
BENCHMARK(encode_fetch);

void decode_fetch(benchmark::State& state) {
  const auto bytes =
      wire::encode(protocol::PeerMessage(protocol::Fetch{{5}, {{run, 9}}}));
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode_peer(bytes));
}
BENCHMARK(decode_fetch);

void encode_heartbeat(benchmark::State& state) {
  const protocol::WorkerToScheduler message = protocol::Heartbeat{.memory_used = 5};
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(message));
}
BENCHMARK(encode_heartbeat);

}  // namespace

BENCHMARK_MAIN();
