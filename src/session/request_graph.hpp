#pragma once

#include <ashlar/detail/session_core.hpp>

#include <memory>
#include <span>
#include <vector>

#include "graph/task_graph.hpp"

namespace ashlar::session {

/// Requests as one graph, one task each, in order, all outputs wanted.
struct RequestGraph {
  std::shared_ptr<const graph::TaskGraph> graph;
  std::vector<detail::DatumHandle> externals;  ///< external datum i of the graph
};
/// Sizes of external data are left 0. Errors: BadInput when the requests are too large together.
RequestGraph graph_of(std::span<const detail::TaskRequest> requests);

}  // namespace ashlar::session
