#pragma once

#include <ashlar/array.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "array/chunk_grid.hpp"
#include "array/node.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::array {

/// A box of an array in the driver's memory, to be put as one dense datum.
struct HostRegion {
  HostArray array;
  Shape start = {};
  Shape extents = {};
};

/// What an external datum of a lowered graph is.
using External = std::variant<HostRegion, DatumRef>;

/// Decisions of lowering. They depend on shapes and chunks alone, never on workers, so that the
/// same expression always gives the same graph and the same bits.
struct LowerOptions {
  /// Multiplies of one output chunk are put together until a task takes this long …
  double matmul_task_seconds = 2e-3;
  double flops_per_second = 50e9;
  /// … but at most so many.
  std::uint32_t matmul_multiplies_max = 64;
  /// A product of fewer chunks than this has its inner dimension split into sums that can be
  /// computed side by side.
  std::uint32_t matmul_chains_min = 16;
  /// Partial results that one task combines.
  std::uint32_t combine_inputs = 16;
  /// Results that are externals are copied by a task, so that all results are outputs.
  bool copies_external_results = true;
  /// … but not those that are on workers already.
  bool shares_persisted_results = false;
  /// An array of more chunks is refused …
  std::int64_t chunks_max = std::int64_t{1} << 22;
  /// … and so is a graph of more tasks, or more inputs of all tasks: it would take gigabytes here
  /// and in the scheduler, and days to run.
  std::uint64_t tasks_max = std::uint64_t{1} << 24;
  std::uint64_t inputs_max = std::uint64_t{1} << 27;
  /// Files are written under their names with this and a number behind them.
  std::string partial_suffix = ".partial-";
};

/// A file that tasks of the graph fill. It must exist, under its partial name, before they run.
struct WrittenFile {
  NpyFile partial;
  std::string path;  ///< its name when all is written
};

/// The chunks of one root.
struct LoweredRoot {
  DType dtype = DType::float64;
  ChunkGrid grid;
  /// The datum of each chunk in grid order. Below the graph's output_count(): an output of a task
  /// (and wanted); else Lowered::externals[data[i] - output_count()]. Two chunks may be one datum.
  std::vector<std::uint32_t> data = {};
};

/// Arrays as a graph of tasks.
struct Lowered {
  std::shared_ptr<const graph::TaskGraph> graph;
  /// What to bind as the graph's external data, in order, and then what only roots name.
  std::vector<External> externals = {};
  std::vector<LoweredRoot> roots = {};
  std::vector<WrittenFile> files = {};
};

/// Turns array expressions into one graph.
///
/// Shared subexpressions are computed once; elementwise chains become one task; whole chunks are
/// never copied; what no root needs is not computed, but files are written whole. Roots may share
/// chunks.
/// Errors: BadInput if the graph would be too large.
Lowered lower(std::span<const Array> roots, const LowerOptions& options = {});

}  // namespace ashlar::array
