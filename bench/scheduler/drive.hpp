#pragma once

#include <cstdint>
#include <memory>

#include "graph/task_graph.hpp"

/// The scheduler engine alone, without sockets, on workers that answer at once.
namespace ashlar::bench {

/// A stencil over time on a ring: three dependencies each, but for the first row.
std::shared_ptr<const graph::TaskGraph> stencil(std::uint32_t width, std::uint32_t steps);

struct Cluster {
  std::uint32_t workers = 64;  ///< of one slot, eight on a host
  std::uint32_t batch = 64;    ///< tasks that a worker reports at once, at most
};

/// Processor time inside of the engine.
struct Driven {
  double submit_seconds = 0;  ///< checking, ordering and taking in the graph
  double decide_seconds = 0;  ///< from the first assignment to the last report
  double state_bytes = 0;     ///< the most that the engine said it holds, with the graph
  double heap_bytes = 0;      ///< the most that the engine and the graph took of the heap
};

/// Runs the graph once, from submission to its end. Ends the process when the engine stands still.
/// `heap_before`: of heap_in_use() without the graph.
Driven drive(const std::shared_ptr<const graph::TaskGraph>& graph, Cluster cluster,
             double heap_before);

/// Bytes that the process has allocated and not freed.
double heap_in_use();

}  // namespace ashlar::bench
