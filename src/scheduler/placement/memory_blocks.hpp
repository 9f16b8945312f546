#pragma once

#include <cstdint>
#include <vector>

#include "graph/task_graph.hpp"

namespace ashlar::scheduler::placement {

/// By task, the block in which it comes, where matrices have no room in memory: cells of products
/// that share chunks of their factors are done together, in blocks of which the chunks that are
/// summed up, and those of the factors in use, have room. Each chunk is then read from disk once
/// for a block and not once for a cell (Hong and Kung, I/O complexity: the red-blue pebble game,
/// STOC 1981). Tasks of a block come after those that they read from; lower blocks come first.
///
/// Empty when the graph has no products, or blocks would be too small to help.
/// `memory_bytes`: of the workers of a host.
std::vector<std::uint32_t> memory_blocks(const graph::TaskGraph& graph,
                                         const std::vector<std::uint32_t>& producer,
                                         const graph::Consumers& consumers, double memory_bytes);

}  // namespace ashlar::scheduler::placement
