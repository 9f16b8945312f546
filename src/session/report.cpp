#include <ashlar/report.hpp>

#include <algorithm>
#include <cstdio>

#include "session/core.hpp"

namespace ashlar {

namespace session {
namespace {

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

}  // namespace

RunReport make_report(const Run& run) {
  const protocol::RunStats& stats = run.end.stats;
  RunReport report;
  report.tasks = stats.tasks;
  report.total_task_seconds = static_cast<double>(stats.task_ns) * 1e-9;
  report.mean_task_seconds =
      stats.tasks == 0 ? 0 : report.total_task_seconds / static_cast<double>(stats.tasks);
  report.makespan_seconds = static_cast<double>(stats.makespan_ns) * 1e-9;
  report.wall_seconds = (run.finished_at - run.called_at).in_seconds();
  report.critical_path_seconds = static_cast<double>(stats.critical_path_ns) * 1e-9;
  report.local_bytes = stats.local_bytes;
  report.remote_bytes = stats.remote_bytes;
  report.spilled_bytes = stats.spilled_bytes;
  report.loaded_bytes = stats.loaded_bytes;
  report.template_tasks = stats.template_tasks;
  report.bound_by = stats.bound_by;
  const protocol::RebalanceStats& moved = stats.rebalance;
  report.rebalance = {moved.stolen, moved.useful,    moved.useless,
                      moved.twins,  moved.twins_won, static_cast<double>(moved.twin_ns) * 1e-9};
  for (const float flops : run.graph->flops) report.flops += static_cast<double>(flops);
  double slots = 0, present = 0;  // summed over workers, by the part of the run they were there
  for (const auto& share : stats.workers) {
    WorkerReport worker{share.name, share.slots, share.tasks,
                        static_cast<double>(share.busy_ns) * 1e-9, 0};
    const double part = share.present_ns == 0 || stats.makespan_ns == 0
                            ? 1
                            : std::min(1.0, ratio(static_cast<double>(share.present_ns),
                                                  static_cast<double>(stats.makespan_ns)));
    worker.utilisation =
        std::min(1.0, ratio(worker.busy_seconds, report.makespan_seconds * part * share.slots));
    slots += part * share.slots;
    present += part;
    report.max_utilisation = std::max(report.max_utilisation, worker.utilisation);
    report.mean_utilisation += part * worker.utilisation;
    report.workers.push_back(std::move(worker));
  }
  report.mean_utilisation = ratio(report.mean_utilisation, present);
  report.lower_bound_seconds =
      std::max(ratio(report.total_task_seconds, slots), report.critical_path_seconds);
  report.speedup = ratio(report.total_task_seconds, report.makespan_seconds);
  report.parallelism = ratio(report.total_task_seconds, report.critical_path_seconds);
  report.makespan_over_bound = ratio(report.makespan_seconds, report.lower_bound_seconds);
  return report;
}

}  // namespace session

namespace {

std::string line(const char* format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return std::string(text) + '\n';
}

std::string seconds(double s) {
  char text[64];
  if (s < 1e-3) {
    std::snprintf(text, sizeof text, "%.1f us", s * 1e6);
  } else if (s < 1) {
    std::snprintf(text, sizeof text, "%.2f ms", s * 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.3f s", s);
  }
  return text;
}

}  // namespace

std::string to_string(const RunReport& report) {
  std::string out;
  out += line("tasks                 %llu, mean task time %s",
              static_cast<unsigned long long>(report.tasks),
              seconds(report.mean_task_seconds).c_str());
  out += line("makespan              %s (%s with hand-over to the driver)",
              seconds(report.makespan_seconds).c_str(), seconds(report.wall_seconds).c_str());
  out += line("speed-up              %.2f of %.2f possible (parallelism)", report.speedup,
              report.parallelism);
  out += line("utilisation           mean %.1f %%, max %.1f %%", report.mean_utilisation * 100,
              report.max_utilisation * 100);
  for (const auto& worker : report.workers) {
    out += line("  %-20s %5.1f %%  %llu tasks, busy %s on %u slot%s", worker.name.c_str(),
                worker.utilisation * 100, static_cast<unsigned long long>(worker.tasks),
                seconds(worker.busy_seconds).c_str(), worker.slots, worker.slots == 1 ? "" : "s");
  }
  out += line("bytes                 %.1f MB between processes of a host, %.1f MB between hosts",
              static_cast<double>(report.local_bytes) * 1e-6,
              static_cast<double>(report.remote_bytes) * 1e-6);
  const RebalanceReport& moved = report.rebalance;
  if (moved.stolen > 0) {
    out += line("stolen                %llu tasks, %llu useful, %llu useless",
                static_cast<unsigned long long>(moved.stolen),
                static_cast<unsigned long long>(moved.useful),
                static_cast<unsigned long long>(moved.useless));
  }
  if (moved.second_runs > 0) {
    out += line("run a second time     %llu tasks, %llu of them sooner done, about %s of work",
                static_cast<unsigned long long>(moved.second_runs),
                static_cast<unsigned long long>(moved.second_runs_won),
                seconds(moved.second_run_seconds).c_str());
  }
  if (report.spilled_bytes + report.loaded_bytes > 0) {
    out += line("disk                  %.1f MB written to make room, %.1f MB read back",
                static_cast<double>(report.spilled_bytes) * 1e-6,
                static_cast<double>(report.loaded_bytes) * 1e-6);
  }
  out += line("lower bound           %s; makespan / bound = %.3f",
              seconds(report.lower_bound_seconds).c_str(), report.makespan_over_bound);
  if (report.template_tasks > 0) out += "placement             as in an earlier run\n";
  if (!report.bound_by.empty()) out += "bound by              " + report.bound_by + '\n';
  if (report.flops > 0 && report.makespan_seconds > 0) {
    out +=
        line("rate                  %.1f GFLOP/s", report.flops / report.makespan_seconds * 1e-9);
  }
  return out;
}

}  // namespace ashlar
