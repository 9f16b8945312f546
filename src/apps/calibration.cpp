#include "apps/calibration.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <memory>
#include <utility>

#include "apps/graph_file.hpp"
#include "simulate/forecast.hpp"

namespace ashlar::apps {
namespace {

using runtime::RecordedRun;
using runtime::RecordedRuns;

double mean_seconds(const RecordedRun& run) {
  double sum = 0;
  for (const double seconds : run.task_seconds) sum += seconds;
  return sum / run.graph->task_count();
}

/// For which a slot is busy with a task beside computing; none without runs that show it.
std::vector<double> overheads_of(const RecordedRuns& recorded) {
  constexpr std::uint32_t many = 500;
  constexpr double short_seconds = 20e-6;
  double slots = 0;
  for (const auto& worker : recorded.workers) slots += worker.slots;
  std::vector<double> overheads;
  for (const RecordedRun& run : recorded.runs) {
    if (!run.is_complete() || run.graph->task_count() < many) continue;
    const double mean = mean_seconds(run);
    if (mean > short_seconds) continue;
    const double each = run.makespan_seconds() * slots / run.graph->task_count();
    overheads.push_back(std::max(each - mean, 0.0));
  }
  return overheads;
}

/// From a task's assignment to the news that it is done, beside the task.
std::vector<double> round_trips_of(const RecordedRuns& recorded) {
  std::vector<double> trips;
  for (const RecordedRun& run : recorded.runs) {
    if (!run.is_complete() || run.graph->task_count() != 1) continue;
    trips.push_back(std::max(run.makespan_seconds() - run.task_seconds[0], 0.0));
  }
  return trips;
}

std::vector<HostGroup> hosts_of(const RecordedRuns& recorded) {
  std::vector<HostGroup> hosts;
  std::map<std::string, std::size_t> positions;
  for (const auto& worker : recorded.workers) {
    const auto [at, is_new] = positions.try_emplace(worker.host_identity, hosts.size());
    if (is_new) {
      hosts.push_back({.name = "host" + std::to_string(hosts.size() + 1),
                       .workers = 0,
                       .slots = worker.slots,
                       .memory_bytes = worker.memory_limit});
    }
    ++hosts[at->second].workers;
  }
  return hosts;
}

/// Of runs of the same graph the one whose makespan is in the middle: those with tasks enough, and
/// long enough, that what is done with outputs shows.
std::vector<const RecordedRun*> typical_runs(const RecordedRuns& recorded) {
  constexpr std::uint32_t tasks_min = 50;
  constexpr double seconds_min = 50e-6;
  constexpr std::size_t graphs_max = 40;
  std::map<std::pair<std::uint32_t, double>, std::vector<const RecordedRun*>> groups;
  for (const RecordedRun& run : recorded.runs) {
    if (!run.is_complete() || run.graph->task_count() < tasks_min) continue;
    if (mean_seconds(run) < seconds_min || groups.size() > graphs_max) continue;
    double flops = 0;
    for (const float each : run.graph->flops) flops += static_cast<double>(each);
    groups[{run.graph->task_count(), flops}].push_back(&run);
  }
  std::vector<const RecordedRun*> typical;
  for (auto& [graph, runs] : groups) {
    const auto middle = runs.begin() + static_cast<std::ptrdiff_t>(runs.size() / 2);
    std::ranges::nth_element(runs, middle, {}, &RecordedRun::makespan_seconds);
    typical.push_back(*middle);
  }
  return typical;
}

/// For which a slot is busy with each byte that a task makes, so that the makespans of runs with
/// the times that their tasks took are what they were, typically.
double output_seconds_per_byte(const RecordedRuns& recorded, const Calibration& calibration) {
  const auto runs = typical_runs(recorded);
  if (runs.empty()) return 0;
  const auto machine = parse_cluster(to_toml(calibration, ""), "calibration").machine;
  const auto is_too_long = [&](double seconds_per_byte) {
    auto tried = std::make_shared<simulate::Machine>(machine);
    tried->output_seconds_per_byte = seconds_per_byte;
    std::vector<double> ratios;
    for (const RecordedRun* run : runs) {
      const auto found = simulate::forecast(
          {.program = std::make_shared<const simulate::Program>(program_of(*run, {})),
           .machine = tried,
           .is_repeated = run->is_repeated});
      ratios.push_back(found.makespan_seconds / run->makespan_seconds());
    }
    return median(ratios) > 1;
  };
  double low = 0, high = 1e-9;
  if (is_too_long(low)) return 0;
  for (int i = 0; i < 10; ++i) {
    const double middle = (low + high) / 2;
    (is_too_long(middle) ? high : low) = middle;
  }
  return low;
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

KernelCalls calls_of(const RecordedRuns& recorded) {
  KernelCalls calls;
  for (const RecordedRun& run : recorded.runs) {
    const graph::TaskGraph& g = *run.graph;
    for (std::uint32_t t = 0; run.is_complete() && t < g.task_count(); ++t) {
      calls[g.kernels[g.kernel[t]]].push_back(
          {.flops = g.flops.empty() ? 0.0 : static_cast<double>(g.flops[t]),
           .bytes = g.moved_bytes.empty() ? 0.0 : static_cast<double>(g.moved_bytes[t]),
           .seconds = run.task_seconds[t]});
    }
  }
  return calls;
}

Calibration calibrated(const RecordedRuns& recorded) {
  Calibration found;
  found.hosts = hosts_of(recorded);
  found.is_driver_local =
      !recorded.workers.empty() && recorded.driver_host == recorded.workers[0].host_identity;
  for (const auto& [name, calls] : calls_of(recorded)) {
    found.kernels[name] = simulate::fit_model(calls);
  }
  if (found.kernels.empty() || found.hosts.empty()) {
    throw BadInput("no run of the event log has ended well: nothing to calibrate from");
  }
  const std::vector<double> overheads = overheads_of(recorded);
  if (!overheads.empty()) found.task_overhead_us = 1e6 * median(overheads);
  const std::vector<double> trips = round_trips_of(recorded);
  if (!trips.empty()) {
    // There, and back; the worker decides twice, the scheduler once.
    const double decisions = 3 * found.decision_us + found.task_overhead_us;
    found.latency_us = std::max((1e6 * median(trips) - decisions) / 2, 0.0);
  }
  found.output_seconds_per_byte = output_seconds_per_byte(recorded, found);
  return found;
}

}  // namespace ashlar::apps
