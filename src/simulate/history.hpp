#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"

namespace ashlar::simulate {

/// What happened on a simulated machine from the submission of its last program on. Workers are
/// counted from 0.
struct History {
  struct Task {
    std::uint32_t task = 0;  ///< of the graph
    std::uint32_t worker = 0;
    std::uint32_t slot = 0;
    Instant start;
    Duration took;
  };
  /// Bytes that went from one worker to another.
  struct Transfer {
    std::uint32_t datum = 0;  ///< of the graph
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint64_t bytes = 0;
    Instant start;
    Duration took;
  };
  std::vector<Task> tasks;                 ///< in the order in which they ended
  std::vector<Transfer> transfers;         ///< likewise
  std::vector<std::uint64_t> memory_peak;  ///< bytes reserved at most, of each worker
};

}  // namespace ashlar::simulate
