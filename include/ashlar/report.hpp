#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar {

/// What one worker did for a run.
struct WorkerReport {
  std::string name;
  std::uint32_t slots = 0;
  std::uint64_t tasks = 0;
  double busy_seconds = 0;  ///< in kernels, summed over its slots
  double utilisation = 0;   ///< busy time / (slots x makespan), 0 … 1
};

/// Tasks that were moved, or run a second time, because times were other than predicted.
struct RebalanceReport {
  std::uint64_t stolen = 0;       ///< times that a waiting task was moved to an idle worker
  std::uint64_t useful = 0;       ///< of them: it ended sooner than it would have where it was
  std::uint64_t useless = 0;      ///< of them: it did not; what became of the others is not known
  std::uint64_t second_runs = 0;  ///< straggling tasks of pure kernels begun once more elsewhere
  std::uint64_t second_runs_won = 0;  ///< of them: the second one was there first
  double second_run_seconds = 0;      ///< their predicted time, at most 5 % of a run's
};

/// How well a run used the machines.
struct RunReport {
  std::uint64_t tasks = 0;
  double mean_task_seconds = 0;      ///< mean time in the kernel
  double total_task_seconds = 0;     ///< T1: sum of the task times
  double makespan_seconds = 0;       ///< submission to last completion, by the scheduler's clock
  double wall_seconds = 0;           ///< the driver's: from the call to the merged result
  double speedup = 0;                ///< T1 / makespan
  double parallelism = 0;            ///< T1 / critical path: what endless workers would reach
  double critical_path_seconds = 0;  ///< longest chain of dependent tasks, as measured
  double mean_utilisation = 0;       ///< over workers
  double max_utilisation = 0;
  std::uint64_t local_bytes = 0;    ///< read from another process of the same host
  std::uint64_t remote_bytes = 0;   ///< moved between hosts; both count the driver's data too
  std::uint64_t spilled_bytes = 0;  ///< written to disk to make room in the workers' memory
  std::uint64_t loaded_bytes = 0;   ///< and read back
  double lower_bound_seconds = 0;   ///< max(T1 / slots, critical path)
  double makespan_over_bound = 0;
  double flops = 0;  ///< as the graph estimates them
  /// Tasks that were given to the workers that had run them in an earlier run of the same graph,
  /// all at once: all or none. See Session::compile.
  std::uint64_t template_tasks = 0;
  std::vector<WorkerReport> workers;
  RebalanceReport rebalance;
  /// What bounded the run most, with shares of its makespan; Future::explain says more. Empty for
  /// a single task.
  std::string bound_by;
};

/// The report as a few lines for people.
std::string to_string(const RunReport& report);

}  // namespace ashlar
