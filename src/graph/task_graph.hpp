#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "graph/process_grid.hpp"

namespace ashlar::graph {

/// What a task needs of a worker beside its kernel. A task's constraint names one of these.
struct Constraint {
  std::vector<std::pair<std::string, double>> resources;  ///< name, amount; empty: any worker

  friend bool operator==(const Constraint&, const Constraint&) = default;
};

/// A batch of tasks as flat vectors (no per-task allocation, strings or virtual calls).
///
/// Data are numbered densely: the outputs of all tasks first, in task order (task t makes data
/// output_offsets[t] … output_offsets[t+1]-1), then the external data, which somebody else made
/// and which are bound when the graph is run: data output_count() … data_count()-1.
/// Vectors marked "or empty" mean the default for every task when empty.
struct TaskGraph {
  static constexpr std::uint64_t dynamic_bytes = ~std::uint64_t{0};
  static constexpr std::uint32_t no_input = ~std::uint32_t{0};
  static constexpr std::uint32_t no_cell = ~std::uint32_t{0};

  std::vector<std::string> kernels;            ///< names; tasks refer to them by position
  std::vector<Constraint> constraints;         ///< or empty
  std::vector<std::string> sources;            ///< "file:line function" of the user's program
  std::vector<Product> products;               ///< of matrices, whose cells are tasks, or empty

  // One entry per task (offsets: one more).
  std::vector<std::uint32_t> kernel;
  std::vector<std::uint32_t> input_offsets{0};
  std::vector<std::uint32_t> inputs;           ///< data, task after task
  std::vector<std::uint32_t> output_offsets{0};
  std::vector<std::uint32_t> param_offsets{0};
  std::vector<std::byte> params;               ///< parameter blobs, task after task
  std::vector<float> flops;                    ///< estimate, or empty
  std::vector<float> moved_bytes;              ///< bytes read and written, estimate, or empty
  std::vector<std::int32_t> priority;          ///< the user's, higher first, or empty
  std::vector<std::uint16_t> constraint;       ///< index into constraints, or empty
  std::vector<std::uint32_t> source;           ///< index into sources, or empty
  /// Position among the task's inputs of the one whose buffer output 0 may take over when that
  /// input dies with the task; no_input for none; or empty.
  std::vector<std::uint32_t> reuse_input;
  /// The cell of `products` that the task does, or the first of several; no_cell for none; or
  /// empty. Cells are counted through, product after product. A hint to where tasks with common
  /// data go.
  std::vector<std::uint32_t> cell;

  std::vector<std::uint64_t> output_bytes;     ///< per output datum; dynamic_bytes: kernel decides
  std::vector<std::uint64_t> external_bytes;   ///< per external datum
  std::vector<std::uint32_t> wanted;           ///< outputs to keep when the run is done, ascending

  std::uint32_t task_count() const { return static_cast<std::uint32_t>(kernel.size()); }
  std::uint32_t output_count() const { return static_cast<std::uint32_t>(output_bytes.size()); }
  std::uint32_t external_count() const {
    return static_cast<std::uint32_t>(external_bytes.size());
  }
  std::uint32_t data_count() const { return output_count() + external_count(); }

  std::span<const std::uint32_t> inputs_of(std::uint32_t task) const {
    return {inputs.data() + input_offsets[task], inputs.data() + input_offsets[task + 1]};
  }
  std::span<const std::byte> params_of(std::uint32_t task) const {
    return {params.data() + param_offsets[task], params.data() + param_offsets[task + 1]};
  }
  std::string source_of(std::uint32_t task) const {
    return source.empty() || source[task] >= sources.size() ? std::string{}
                                                            : sources[source[task]];
  }

  friend bool operator==(const TaskGraph&, const TaskGraph&) = default;
};

/// Checks everything a stranger could get wrong: vector lengths, offsets, indices, cycles,
/// duplicate or unsorted wanted data. Kernel names are checked by whoever knows the registry.
/// Returns an empty string when the graph is sound, else what is wrong, naming the task.
std::string validate(const TaskGraph& graph);

/// The producer task of each output datum.
std::vector<std::uint32_t> producers(const TaskGraph& graph);

/// Consumers of each datum (outputs and externals), CSR: offsets (data_count()+1) and tasks.
/// A task that reads a datum twice is listed twice.
struct Consumers {
  std::vector<std::uint32_t> offsets;
  std::vector<std::uint32_t> tasks;
  std::span<const std::uint32_t> of(std::uint32_t datum) const {
    return {tasks.data() + offsets[datum], tasks.data() + offsets[datum + 1]};
  }
};
Consumers consumers(const TaskGraph& graph);

/// Rank of each task in a depth-first order from the sinks: a lower rank first makes
/// intermediate data die young (after dask.order). A permutation of 0 … task_count-1 that
/// respects dependencies. Requires a valid graph.
std::vector<std::uint32_t> depth_first_ranks(const TaskGraph& graph);

/// Bounds on any schedule, from per-task seconds.
struct Bounds {
  double total_seconds = 0;          ///< T1: sum of the task times
  double critical_path_seconds = 0;  ///< longest chain of dependent tasks
  /// max(T1 / slots, critical path): no schedule on `slots` equal slots is shorter.
  double lower_bound(std::uint32_t slots) const;
};
Bounds bounds(const TaskGraph& graph, std::span<const double> task_seconds);

/// By task, the longest chain of tasks that end before it starts, and of those that start after it
/// has ended, in seconds. Requires a valid graph.
struct Ways {
  std::vector<double> before, after;
};
Ways ways(const TaskGraph& graph, std::span<const double> task_seconds);

}  // namespace ashlar::graph
