#pragma once

#include <cstdint>
#include <map>
#include <source_location>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"

namespace ashlar::session {

/// What a task carries beside kernel, parameters and inputs.
struct Annotation {
  std::int32_t priority = 0;
  double cost_seconds = 0;
  const std::vector<std::pair<std::string, double>>* resources = nullptr;  ///< or none
  std::source_location where;
};

/// Adds annotations to a graph under construction: equal source lines and constraints are kept
/// once, and vectors whose entries are all defaults stay empty.
class Annotator {
 public:
  /// Annotates the task after the last. Call it before the task's kernel is appended.
  /// Errors: BadInput for more than 65,536 different sets of resources.
  void annotate(graph::TaskGraph& graph, const Annotation& annotation);

 private:
  std::uint32_t source_of(graph::TaskGraph& graph, const std::source_location& where);

  using Place = std::tuple<const char*, const char*, std::uint32_t>;
  std::map<Place, std::uint32_t> sources_;
  Place last_place_{};
  std::uint32_t last_source_ = 0;
};

}  // namespace ashlar::session
