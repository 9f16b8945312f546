#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// The tasks without inputs that others read from, in blocks of neighbours: one block for each
/// host, of as much work as its workers are fast. What the readers read is then where they run, but
/// at the blocks' borders.
struct RootBlocks {
  std::vector<std::uint32_t> owners;  ///< by task, the block's host, or no_host; empty: no blocks
  /// All tasks, producers first, so that all blocks are worked through side by side, and readers
  /// come with what they read.
  std::vector<std::uint32_t> order;
};

/// Cuts this order, which has neighbours together and producers first. No blocks where they are not
/// worth it: where moving data is little beside the tasks, most readers read from several blocks
/// anyway, or there are less than two hosts or hardly a task for each.
RootBlocks root_blocks(const View& view, const Submission& run,
                       const std::vector<std::uint32_t>& order);

}  // namespace ashlar::scheduler::placement
