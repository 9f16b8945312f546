#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace ashlar::scheduler {

/// What became of the workers' slots: sums of time over slots, since ever or of a run's time.
struct SlotAccount {
  std::int64_t present_ns = 0;  ///< of workers that take tasks
  std::int64_t idle_ns = 0;     ///< of that, without a task assigned
  std::int64_t short_ns = 0;    ///< of that, with nothing running while tasks wait for memory
  std::int64_t busy_ns = 0;     ///< in kernels, as reported

  struct Slots {
    std::uint64_t present = 0, idle = 0, without_memory = 0;
  };
  /// So many slots were so for a time.
  void pass(Duration time, const Slots& slots) {
    const std::int64_t passed = std::max<std::int64_t>(time.ns, 0);
    present_ns += passed * static_cast<std::int64_t>(slots.present);
    idle_ns += passed * static_cast<std::int64_t>(slots.idle);
    short_ns += passed * static_cast<std::int64_t>(slots.without_memory);
  }
  friend SlotAccount operator-(const SlotAccount& a, const SlotAccount& b) {
    return {a.present_ns - b.present_ns, a.idle_ns - b.idle_ns, a.short_ns - b.short_ns,
            a.busy_ns - b.busy_ns};
  }
};

}  // namespace ashlar::scheduler
