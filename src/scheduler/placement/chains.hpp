#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// Chains of tasks, each of which reads what only it reads of the one before, as those that update
/// one tile of a factorisation do, or one column. Where moving data takes long beside the tasks, a
/// chain had better stay on one host, and chains that read the same had better share it: the owner
/// computes, as in ScaLAPACK. Chains are shared out so that hosts have about as much to do and to
/// move, by local search from the longest chain on, or in turn, whichever a rehearsal says is
/// sooner done.
///
/// Returns, by task, the host that is to run it; nothing where there are no such chains, moving is
/// little, tasks have constraints, planning would take long beside the run, or a rehearsal does not
/// find it clearly better than to place tasks one by one, where `otherwise`, by task, has no host
/// for them. `order` has producers first.
std::vector<std::uint32_t> chain_owners(const View& view, const Submission& run,
                                        const std::vector<std::uint32_t>& order,
                                        const std::vector<std::uint32_t>& otherwise = {});

}  // namespace ashlar::scheduler::placement
