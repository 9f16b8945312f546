#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// Which workers a list schedule looks at for each task.
enum class Candidates {
  all,
  near,  ///< those of its inputs, and a few that are free first: cheaper
};

/// A worker for each task of the run (no_peer: its pool is empty), by a list schedule: the tasks
/// without a place are placed one after the other, the one with the longest way to the end first,
/// where each would be finished first, in gaps between others if they are long enough. Links are
/// free at any time. After Topcuoglu, Hariri and Wu, 2002 (heterogeneous earliest finish time).
std::vector<PeerIndex> list_schedule(const View& view, const Submission& run,
                                     Candidates candidates);

/// The tasks, the one with the longest way to the end first, means of moving data counted; of equal
/// ways depth first.
std::vector<std::uint32_t> by_way_to_end(const View& view, const Submission& run);

/// A list schedule of near candidates if tasks had better go there than where each would be
/// finished first when its turn comes; else nothing. Where the longest chain is what bounds the
/// run, and there are many workers, each choice that looks no further makes some task of some chain
/// wait behind another one. That holds for long tasks of known times whose data move fast, and if
/// the schedule is made in little time beside the run.
Schedule schedule_if_it_pays(const View& view, const Submission& run);

}  // namespace ashlar::scheduler::placement
