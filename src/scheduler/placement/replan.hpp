#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// How a graph is to run.
struct Plan {
  std::vector<PeerIndex> where;      ///< by task
  std::vector<std::uint32_t> order;  ///< tasks, producers first; workers start what is ready so
};

/// A better plan for a graph that runs again and again than the one it ran by, which was made task
/// by task, with what was known at each moment. Level by level – tasks as far from the beginning –
/// each worker gets its share by slots and speed, and of the tasks those whose inputs it has. Tasks
/// that read what is not the graph's own stay where they were. What others wait for comes first:
/// the order is by the longest way to the end, moving data included, as in HEFT.
///
/// Tasks stay where `from` says when a simulation finds that no better, or when more bytes would
/// move between hosts. For graphs that would take long, and when not all tasks can run on the same
/// workers, the plan is `from`.
Plan replan(const View& view, const Submission& run, Plan from);

}  // namespace ashlar::scheduler::placement
