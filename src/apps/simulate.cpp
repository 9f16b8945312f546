#include <ashlar/error.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "apps/cluster_file.hpp"
#include "apps/commands.hpp"
#include "apps/graph_file.hpp"
#include "simulate/forecast.hpp"
#include "simulate/suite.hpp"
#include "telemetry/run_trace.hpp"

namespace ashlar::apps {

namespace {

using simulate::Program;

/// The word by which a graph of the suite is asked for: its name without what is in the way.
std::string word_of(simulate::suite::Shape shape) {
  using enum simulate::suite::Shape;
  switch (shape) {
    case matmul:
      return "matmul";
    case cholesky:
      return "cholesky";
    case qr:
      return "qr";
    case stencil:
      return "stencil";
    case tree:
      return "tree";
    case rechunk:
      return "rechunk";
    case fft:
      return "fft";
    case shuffle:
      return "shuffle";
    case layered:
      return "layered";
  }
  return "?";
}

/// A graph of the suite, with tasks and data of the sizes asked for, or else that of a file.
Program program_of(const SimulateOptions& options, const ClusterFile& cluster) {
  std::string known;
  for (const auto shape : simulate::suite::shapes) {
    known += word_of(shape) + ", ";
    if (options.graph != word_of(shape)) continue;
    Program program = simulate::suite::make_program(shape, options.tasks, options.seed);
    constexpr double usual_ms = 10;  // of the suite
    for (double& seconds : program.task_seconds) seconds *= options.task_ms / usual_ms;
    for (float& flops : program.graph.flops) {
      flops *= static_cast<float>(options.task_ms / usual_ms);
    }
    const double larger = static_cast<double>(options.chunk_bytes) / (1 << 20);
    for (std::uint64_t& bytes : program.graph.output_bytes) {
      bytes = static_cast<std::uint64_t>(static_cast<double>(bytes) * larger);
    }
    return program;
  }
  if (options.graph.find_first_of("./") == std::string::npos) {
    throw BadInput("--graph " + options.graph + ": expected " + known +
                   "or a .json file, or the .log of a run");
  }
  if (options.graph.ends_with(".log")) return load_recorded_graph(options.graph, cluster.kernels);
  return load_graph(options.graph, cluster.kernels);
}

void write_trace(const std::string& path, const simulate::History& history,
                 const graph::TaskGraph& graph, const ClusterFile& cluster) {
  telemetry::RunTrace trace;
  for (std::uint32_t w = 0; w < cluster.hosts.size(); ++w) trace.name_worker(w, cluster.hosts[w]);
  for (const auto& task : history.tasks) {
    trace.add(telemetry::TaskEvent{.name = graph.kernels[graph.kernel[task.task]],
                                   .worker = task.worker,
                                   .slot = task.slot,
                                   .start = task.start,
                                   .duration = task.took});
  }
  const std::vector<std::uint32_t> producers = graph::producers(graph);
  for (const auto& transfer : history.transfers) {
    const std::uint32_t task = producers[transfer.datum];
    trace.add(telemetry::TransferEvent{
        .name = graph.kernels[graph.kernel[task]] + " of task " + std::to_string(task),
        .from = transfer.from,
        .to = transfer.to,
        .bytes = transfer.bytes,
        .start = transfer.start,
        .duration = transfer.took});
  }
  trace.write(path);
}

}  // namespace

int simulate(const SimulateOptions& options) {
  const auto policy = scheduler::policy_of(options.policy);
  const ClusterFile cluster = load_cluster(options.cluster);
  const auto program = std::make_shared<const Program>(program_of(options, cluster));
  const auto machine = std::make_shared<const simulate::Machine>(cluster.machine);
  const simulate::Forecast found = simulate::forecast({.program = program,
                                                       .machine = machine,
                                                       .policy = policy,
                                                       .runs = options.runs,
                                                       .seed = options.seed});
  if (!options.trace.empty()) {
    write_trace(options.trace, found.history, program->graph, cluster);
  }
  if (!found.error.empty()) {
    std::fprintf(stderr, "ashlar: the simulated run fails: %s\n", found.error.c_str());
    return 1;
  }
  std::uint64_t slots = 0;
  for (const std::uint32_t count : machine->slots_of) slots += count;
  const double ratio = found.bound_seconds > 0 ? found.makespan_seconds / found.bound_seconds : 1;
  std::printf("graph         %s, %u tasks, %zu kernels\n", options.graph.c_str(),
              program->graph.task_count(), program->graph.kernels.size());
  std::printf("cluster       %u hosts, %llu slots, policy %s\n",
              machine->host_at(cluster.hosts.size() - 1) + 1,
              static_cast<unsigned long long>(slots), options.policy.c_str());
  std::printf("makespan      %.6g s\n", found.makespan_seconds);
  std::printf("lower bound   %.6g s, makespan over bound %.3f\n", found.bound_seconds, ratio);
  std::printf("utilisation   %.1f %%\n", 100 * found.utilisation);
  std::printf("moved         %.6g MB from host to host, %zu transfers\n",
              1e-6 * static_cast<double>(found.moved_bytes), found.history.transfers.size());
  std::printf("peak memory   %.6g MB on the host with most\n",
              1e-6 * static_cast<double>(found.memory_peak));
  return 0;
}

}  // namespace ashlar::apps
