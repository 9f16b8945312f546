#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// Owners of the tasks that read from everywhere, as the reducers of a shuffle do: by task, the
/// host, or no_host; empty: none. Wherever such a task runs, it reads as much, so that each host
/// gets its share of what is read, beside its share of the work, and what is made may be sent there
/// long before all of it is there.
///
/// None where such tasks do not read most of what is read, where moving it is little beside the
/// tasks, or where sizes are not known: then there may be when some tasks are done
/// (Submission::made_bytes). `order` has producers first.
std::vector<std::uint32_t> wide_readers(const View& view, const Submission& run,
                                        const std::vector<std::uint32_t>& order);

}  // namespace ashlar::scheduler::placement
