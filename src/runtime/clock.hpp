#pragma once

#include <chrono>

#include "base/time.hpp"

namespace ashlar::runtime {

/// Monotonic time of this process, for engines and measurements.
inline Instant now() {
  return {std::chrono::duration_cast<std::chrono::nanoseconds>(
              std::chrono::steady_clock::now().time_since_epoch())
              .count()};
}

}  // namespace ashlar::runtime
