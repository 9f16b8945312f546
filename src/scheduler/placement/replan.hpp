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
/// by task, with what was known at each moment. Tasks stay on their hosts. There each worker gets
/// its share by slots and speed, of each level – tasks as far from the beginning – or of all so
/// far, of the tasks those whose inputs it has. What reads other data than the graph's own stays
/// where it was. What others wait for comes first: the order is by the longest way to the end,
/// moving data included, as in HEFT, unless twice as much would be held at once.
///
/// Tasks are only moved when a simulation of the plans says that it pays. For graphs that would
/// take long, and when not all tasks can run on the same workers, the plan is `from`. Requires
/// Submission::pool and made_bytes.
Plan replan(const View& view, const Submission& run, Plan from);

}  // namespace ashlar::scheduler::placement
