#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "graph/task_graph.hpp"
#include "scheduler/worker_table.hpp"

namespace ashlar::scheduler {

/// Hosts with workers that take new tasks.
struct EqualHosts {
  std::vector<std::uint32_t> hosts;  ///< none if they differ much in what they can do
  std::uint32_t slots = 1;           ///< of the one that has most
  double memory_bytes = 0;           ///< the least that the workers of one may use; 0: no limit
  /// What the cells of a graph's products take, in the mean; 0: no layers (ProcessGrid).
  std::int64_t cell_ns = 0;
  double bytes_per_second = 0;  ///< from host to host
};
EqualHosts equal_hosts(const WorkerTable& workers);

/// What the tasks of the graph's products take, in the mean.
std::int64_t mean_cell_ns(const graph::TaskGraph& graph,
                          const std::function<std::int64_t(std::uint32_t task)>& task_ns);

/// By task, the turn in which it comes, if hosts hand chunks of some product on to each other: as
/// many chunks at a time as a host has slots, so that all hosts have some at any time. Tasks of a
/// turn come after those that they read from; lower turns come first. Else empty.
std::vector<std::uint32_t> turns_of(const graph::TaskGraph& graph,
                                    const graph::Consumers& consumers, const EqualHosts& on);

/// By task, the host that is to run it, so that little moves between hosts: for each product of
/// the graph the cells are spread over the hosts on the grid that moves least, and what only such
/// tasks read is made where one of them is, evenly. Empty when the graph has no product that a
/// grid is good for, or there are less than two hosts. Requires tasks after what they read.
std::vector<std::uint32_t> owners_of(const graph::TaskGraph& graph,
                                     const graph::Consumers& consumers, const EqualHosts& on);

/// What level_owners has to know of a run.
struct OwnedTasks {
  const graph::TaskGraph& graph;
  std::function<bool(std::uint32_t task)> is_to_do;
  /// Who may take over the task's buffer.
  std::function<std::optional<std::uint32_t>(std::uint32_t task)> heir_of;
};

/// Passes cells that are to be done from hosts that own more than others, and from hosts that are
/// not among these any more, to those that own least; chains of cells that take over one another's
/// buffer stay together. The other tasks of hosts that are gone have no owner from then on.
void level_owners(std::vector<std::uint32_t>& owners, const OwnedTasks& tasks,
                  const std::vector<std::uint32_t>& hosts);

}  // namespace ashlar::scheduler
