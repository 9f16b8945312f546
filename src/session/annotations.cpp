#include "session/annotations.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <limits>

namespace ashlar::session {
namespace {

// A cost in seconds is told as flops at the speed that the scheduler assumes of unknown kernels;
// what it measures afterwards corrects both alike.
constexpr double flops_per_cost_second = 2.0e10;

/// Appends an entry of an "or empty" vector that has `count` entries or none.
template <class T>
void append(std::vector<T>& entries, std::size_t count, T value, T standard) {
  if (entries.empty()) {
    if (value == standard) return;
    entries.assign(count, standard);
  }
  entries.push_back(value);
}

std::uint16_t constraint_of(graph::TaskGraph& graph, const Annotation& annotation) {
  if (annotation.resources == nullptr || annotation.resources->empty()) return 0;
  if (graph.constraints.empty()) graph.constraints.emplace_back();  // number 0: any worker
  const graph::Constraint constraint{*annotation.resources};
  const auto found = std::find(graph.constraints.begin(), graph.constraints.end(), constraint);
  const auto position = found - graph.constraints.begin();
  if (position > std::numeric_limits<std::uint16_t>::max()) {
    throw BadInput("graph: more than 65536 different sets of resources");
  }
  if (found == graph.constraints.end()) graph.constraints.push_back(constraint);
  return static_cast<std::uint16_t>(position);
}

}  // namespace

std::uint32_t Annotator::source_of(graph::TaskGraph& graph, const std::source_location& where) {
  const Place place{where.file_name(), where.function_name(), where.line()};
  if (place == last_place_ && !graph.sources.empty()) return last_source_;
  const auto [entry, is_new] =
      sources_.emplace(place, static_cast<std::uint32_t>(graph.sources.size()));
  if (is_new) {
    graph.sources.push_back(std::string(where.file_name()) + ":" + std::to_string(where.line()) +
                            " " + where.function_name());
  }
  last_place_ = place;
  last_source_ = entry->second;
  return last_source_;
}

void Annotator::annotate(graph::TaskGraph& graph, const Annotation& annotation) {
  const std::size_t count = graph.kernel.size();
  const std::uint16_t constraint = constraint_of(graph, annotation);
  append(graph.priority, count, annotation.priority, std::int32_t{0});
  append(graph.flops, count, static_cast<float>(annotation.cost_seconds * flops_per_cost_second),
         0.0f);
  append(graph.constraint, count, constraint, std::uint16_t{0});
  graph.source.push_back(source_of(graph, annotation.where));
}

}  // namespace ashlar::session
