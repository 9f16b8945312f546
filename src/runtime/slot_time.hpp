#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/time.hpp"

namespace ashlar::runtime {

/// Adds up the time that slots spend in kernels, also in those that still run.
///
/// Threads: begin() and end() any; take_percent() one at a time.
class SlotTime {
 public:
  void begin(Instant now) {
    spent_ns_.fetch_sub(now.ns, std::memory_order_relaxed);
    running_.fetch_add(1, std::memory_order_relaxed);
  }
  void end(Instant now) {
    running_.fetch_sub(1, std::memory_order_relaxed);
    spent_ns_.fetch_add(now.ns, std::memory_order_relaxed);
  }

  /// Of the time since the last call: 100 for each slot that was busy throughout.
  std::uint32_t take_percent(Instant now) {
    // A slot that begins or ends meanwhile may be seen half: such a sum is out of all bounds.
    const std::int64_t spent = spent_ns_.load(std::memory_order_relaxed) +
                               running_.load(std::memory_order_relaxed) * now.ns;
    const std::int64_t passed = now.ns - taken_.ns, added = spent - spent_before_ns_;
    if (passed <= 0 || added < 0 || added / passed > slots_max) return percent_;
    spent_before_ns_ = spent;
    taken_ = now;
    percent_ = static_cast<std::uint32_t>((100 * added + passed / 2) / passed);
    return percent_;
  }

 private:
  static constexpr std::int64_t slots_max = 65536;

  std::atomic<std::int64_t> spent_ns_ = 0;
  std::atomic<std::int64_t> running_ = 0;
  std::int64_t spent_before_ns_ = 0;
  Instant taken_;
  std::uint32_t percent_ = 0;
};

}  // namespace ashlar::runtime
