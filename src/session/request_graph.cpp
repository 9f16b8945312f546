#include "session/request_graph.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "session/annotations.hpp"

namespace ashlar::session {
namespace {

/// Gives each distinct key the next number.
template <class Key>
class Numbering {
 public:
  /// The key's number, and whether it is new.
  std::pair<std::uint32_t, bool> number_of(const Key& key) {
    const auto [entry, is_new] = numbers_.emplace(key, static_cast<std::uint32_t>(numbers_.size()));
    return {entry->second, is_new};
  }

 private:
  std::map<Key, std::uint32_t> numbers_;
};

}  // namespace

RequestGraph graph_of(std::span<const detail::TaskRequest> requests) {
  auto graph = std::make_shared<graph::TaskGraph>();
  RequestGraph out;
  Annotator annotator;
  Numbering<std::string_view> kernels;
  Numbering<const detail::Datum*> externals;
  const auto output_count = static_cast<std::uint32_t>(requests.size());
  for (const auto& request : requests) {
    annotator.annotate(*graph,
                       {request.priority, request.cost_seconds, &request.resources, request.where});
    const auto [kernel, is_new_kernel] = kernels.number_of(request.kernel);
    if (is_new_kernel) graph->kernels.emplace_back(request.kernel);
    graph->wanted.push_back(graph->task_count());
    graph->kernel.push_back(kernel);
    for (const auto& input : request.inputs) {
      const auto [external, is_new] = externals.number_of(input.get());
      if (is_new) out.externals.push_back(input);
      graph->inputs.push_back(output_count + external);
    }
    graph->params.insert(graph->params.end(), request.params.begin(), request.params.end());
    if (graph->params.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw BadInput("more than 4 GiB of arguments in one batch of tasks");
    }
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->param_offsets.push_back(static_cast<std::uint32_t>(graph->params.size()));
    graph->reuse_input.push_back(request.reuse_input);
    graph->output_bytes.push_back(request.output_bytes);
    graph->output_offsets.push_back(graph->output_count());
  }
  const auto has_no_reuse = [](std::uint32_t reuse) { return reuse == graph::TaskGraph::no_input; };
  if (std::all_of(graph->reuse_input.begin(), graph->reuse_input.end(), has_no_reuse)) {
    graph->reuse_input.clear();
  }
  graph->external_bytes.assign(out.externals.size(), 0);
  out.graph = std::move(graph);
  return out;
}

}  // namespace ashlar::session
