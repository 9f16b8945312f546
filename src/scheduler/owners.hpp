#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "graph/task_graph.hpp"
#include "scheduler/worker_table.hpp"

namespace ashlar::scheduler {

/// Hosts with workers that take new tasks.
struct EqualHosts {
  std::vector<std::uint32_t> hosts;  ///< none if they differ much in what they can do
  std::uint32_t slots = 1;           ///< of the one that has most
  double memory_bytes = 0;           ///< the least that the workers of one may use; 0: no limit
  bool may_have_layers = true;       ///< they may hand chunks of a product on to each other
};
EqualHosts equal_hosts(const WorkerTable& workers);

/// Whether the tasks of the graph's products take at least so long, in the mean. Shorter ones are
/// assigned so far ahead that hosts which hand chunks on to each other would wait.
bool has_long_cells(const graph::TaskGraph& graph,
                    const std::function<std::int64_t(std::uint32_t task)>& task_ns, Duration least);

/// By task, the turn in which it comes, if hosts hand chunks of some product on to each other: as
/// many chunks at a time as a host has slots, so that all hosts have some at any time. Tasks of a
/// turn come after those that they read from; lower turns come first. Else empty.
std::vector<std::uint32_t> turns_of(const graph::TaskGraph& graph,
                                    const graph::Consumers& consumers, const EqualHosts& on);

/// By task, the host that is to run it, so that little moves between hosts: for each product of
/// the graph the cells are spread over the hosts on the grid that moves least, and what only such
/// tasks read is made where one of them is, evenly. Empty when the graph has no product that a
/// grid is good for, or there are less than two hosts.
///
std::vector<std::uint32_t> owners_of(const graph::TaskGraph& graph,
                                     const graph::Consumers& consumers, const EqualHosts& on);

}  // namespace ashlar::scheduler
