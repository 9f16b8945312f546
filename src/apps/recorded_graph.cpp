#include <ashlar/error.hpp>

#include <algorithm>
#include <ranges>
#include <utility>

#include "apps/graph_file.hpp"
#include "runtime/recorded_runs.hpp"

namespace ashlar::apps {
namespace {

using graph::TaskGraph;

/// Data from outside become outputs of tasks that come first and take no time.
TaskGraph without_externals(const TaskGraph& from) {
  TaskGraph to = from;
  const std::uint32_t count = from.external_count(), outputs = from.output_count();
  if (count == 0) return to;
  to.external_bytes.clear();
  to.kernels.push_back("data from outside");
  const auto before = [count](auto& column, auto value) {
    if (!column.empty()) column.insert(column.begin(), count, value);
  };
  to.kernel.insert(to.kernel.begin(), count, static_cast<std::uint32_t>(to.kernels.size() - 1));
  before(to.flops, 0.0f);
  before(to.moved_bytes, 0.0f);
  before(to.priority, 0);
  before(to.constraint, std::uint16_t{0});
  before(to.source, 0u);
  before(to.reuse_input, TaskGraph::no_input);
  before(to.cell, TaskGraph::no_cell);
  before(to.input_offsets, 0u);
  before(to.param_offsets, 0u);
  to.output_bytes.insert(to.output_bytes.begin(), from.external_bytes.begin(),
                         from.external_bytes.end());
  to.output_offsets.clear();
  for (std::uint32_t i = 0; i < count; ++i) to.output_offsets.push_back(i);
  for (const std::uint32_t offset : from.output_offsets) to.output_offsets.push_back(count + offset);
  for (std::uint32_t& datum : to.inputs) datum = datum < outputs ? datum + count : datum - outputs;
  for (std::uint32_t& datum : to.wanted) datum += count;
  return to;
}

}  // namespace

simulate::Program program_of(const runtime::RecordedRun& run, const KernelModels& kernels) {
  TaskGraph graph = *run.graph;
  graph.output_bytes = run.output_bytes;
  simulate::Program program{without_externals(graph), {}};
  program.task_seconds.assign(graph.external_count(), 0);
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    const auto at = [t](const std::vector<float>& column) {
      return column.empty() ? 0.0 : static_cast<double>(column[t]);
    };
    const auto model = kernels.find(graph.kernels[graph.kernel[t]]);
    const bool is_known = model != kernels.end();
    program.task_seconds.push_back(
        is_known ? model->second.seconds(at(graph.flops), at(graph.moved_bytes))
                 : run.task_seconds[t]);
  }
  program.graph.constraints.clear();
  program.graph.constraint.clear();
  return program;
}

simulate::Program load_recorded_graph(const std::string& path, const KernelModels& kernels) {
  const runtime::RecordedRuns recorded = runtime::read_recorded_runs(path);
  for (const runtime::RecordedRun& run : recorded.runs | std::views::reverse) {
    if (run.is_complete()) return program_of(run, kernels);
  }
  throw BadInput(path + ": no run in it has ended well");
}

}  // namespace ashlar::apps
