#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::runtime {

/// What a scheduler's event log says of its runs.
struct RecordedWorker {
  std::string name;
  std::string host_identity;
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
};

struct RecordedRun {
  std::shared_ptr<const graph::TaskGraph> graph;
  Instant submitted;
  Instant last_done;                 ///< when the scheduler heard of its last task
  std::vector<double> task_seconds;  ///< time in the kernel, by task; 0: it has not ended well
  std::vector<std::uint64_t> output_bytes;  ///< as the graph says, or the kernels decided
  std::uint32_t tasks_done = 0;
  bool is_repeated = false;  ///< its graph ran before, and perhaps was placed as it was then

  double makespan_seconds() const { return (last_done - submitted).in_seconds(); }
  bool is_complete() const { return tasks_done == graph->task_count(); }
};

struct RecordedRuns {
  std::vector<RecordedWorker> workers;  ///< that were there when the last run was submitted
  std::string driver_host;              ///< host identity of the driver that came last
  std::vector<RecordedRun> runs;        ///< in the order in which they were submitted
};

/// Errors: as read_event_log; BadInput for a record that makes no sense.
RecordedRuns read_recorded_runs(const std::string& path);

}  // namespace ashlar::runtime
