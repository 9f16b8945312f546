#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {

/// The tasks that read from everywhere, as the reducers of a shuffle do. Such a task has many
/// inputs, most of which it alone reads, and those who made them made some for others, too, as many
/// as there are hosts. Wherever it runs, it reads as much, so that each host gets its share of what
/// is read, beside its share of the work, and what is made may be sent there long before all of it
/// is there.
struct WideReaders {
  /// By task, the host that is to run it, or no_host. None where moving what they read is little
  /// beside the tasks, or where sizes are not known: then there may be some when some tasks are
  /// done (Submission::made_bytes).
  std::vector<std::uint32_t> owners = {};
  /// Tasks that do nothing but cut what they read out of one larger datum: the sooner they run, the
  /// sooner it can move.
  std::vector<std::uint32_t> cutters = {};
};

/// `order` has producers first.
WideReaders wide_readers(const View& view, const Submission& run,
                         const std::vector<std::uint32_t>& order);

}  // namespace ashlar::scheduler::placement
