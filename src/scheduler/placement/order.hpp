#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/owners.hpp"
#include "scheduler/placement/policy.hpp"

/// In which order the tasks of a run are placed and started.
namespace ashlar::scheduler::placement {

/// Who may share the run's products of matrices, and what the cells take.
EqualHosts hosts_for_products(const View& view, const Submission& run);

/// Nanoseconds that moving so many bytes between hosts takes alone.
std::int64_t moving_ns(const View& view, std::uint64_t bytes);

/// Nanoseconds from the start of each task to the end of the longest chain that begins with it, on
/// average workers, with the means of moving the data in between. `order` has producers first.
std::vector<std::int64_t> ways_to_end(const View& view, const Submission& run,
                                      const std::vector<std::uint32_t>& order);

/// The tasks of a permutation of ranks, lowest rank first; and the other way round.
std::vector<std::uint32_t> inverse(const std::vector<std::uint32_t>& ranks);

/// The most bytes that are held when one task after the other runs in this order, outputs being
/// dropped with their last reader unless they are wanted.
double peak_bytes(const Submission& run, const std::vector<std::uint32_t>& order);

/// An order by the longest way to the end, so that no chain is begun too late; where that would
/// hold more than twice the data that the depth-first order holds, a middle way between both.
///
/// The middle way is depth first, in which a task's turn comes when all slots together have done
/// what is before it. But a task is urgent when less of the run is left then than `urgency` times
/// its way to the end, and comes when that much is left. So a run of many short chains lets its
/// data die young until near its end, and then sees to it that all chains end together.
///
/// Products of matrices that have no room in memory go block by block (memory_blocks.hpp).
///
/// `has_owners`: hosts may own tasks. They may hand chunks of products on to each other, in turns
/// (turns_of); tasks without inputs may go to them in blocks (root_blocks.hpp), tasks that read
/// from everywhere in shares (wide_readers.hpp).
TaskOrder timely_order(const View& view, const Submission& run, bool has_owners);

}  // namespace ashlar::scheduler::placement
