#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ashlar {

/// What a plan assumes of the machines; measured figures make it sharper.
struct PlanOptions {
  std::uint32_t workers = 1;
  std::uint32_t slots_per_worker = 1;    ///< tasks a worker runs at once
  std::uint32_t hosts = 1;               ///< alike, with the workers spread over them
  double memory_bytes_per_host = 0;      ///< 0: enough
  double flops_per_second = 50e9;        ///< of one slot
  double moved_bytes_per_second = 10e9;  ///< of one slot, to and from memory
  double seconds_per_task = 5e-6;        ///< overhead of a task
};

/// How a product of matrices, m x k by k x n, is spread over hosts.
struct PlannedProduct {
  std::uint64_t m = 0, n = 0, k = 0;
  /// Hosts along m, n and k; all 0: no grid of so many hosts is good for it, it is placed task by
  /// task.
  std::uint32_t grid_rows = 0, grid_columns = 0, grid_layers = 0;
  double moved_bytes = 0;        ///< from host to host, by the grid
  double least_moved_bytes = 0;  ///< no way to spread it evenly moves less
};

/// What running an array would take, known before anything runs.
struct Plan {
  std::uint64_t tasks = 0;
  double flops = 0;
  double moved_bytes = 0;          ///< read and written by the kernels
  std::uint64_t input_bytes = 0;   ///< host memory and persisted data that is read
  std::uint64_t output_bytes = 0;  ///< of the results
  /// Peak of intermediate data and results, if the work is spread evenly. Predicted from
  /// depth-first execution.
  std::uint64_t memory_peak_bytes_per_worker = 0;
  double total_seconds = 0;          ///< sum of the predicted task times
  double critical_path_seconds = 0;  ///< the longest chain of dependent tasks
  /// max(total / slots, critical path): no schedule is faster, at the assumed rates.
  double lower_bound_seconds = 0;
  std::uint32_t slots = 1;  ///< workers x slots_per_worker
  std::uint32_t workers = 1;
  std::uint32_t hosts = 1;
  std::vector<PlannedProduct> products = {};  ///< on several hosts
};

/// The plan as a few lines for people.
std::string to_string(const Plan& plan);

}  // namespace ashlar
