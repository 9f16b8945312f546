#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace ashlar::runtime {

/// Time that a poller lost its core to others, and when that is too much. Who is woken for a moment
/// may have the core: an eighth of the time, and so much at once. Whoever takes more needs one.
class LostTime {
 public:
  /// The core was lost from one time to the other. Whether that is too much, with what was lost
  /// before; then it begins anew.
  bool note(Instant since, Instant until) {
    lost_.ns = std::max<std::int64_t>(0, lost_.ns - (since - at_).ns / times_tolerated);
    lost_.ns += (until - since).ns;
    at_ = until;
    if (lost_ <= at_once_max) return false;
    lost_ = {};
    return true;
  }

 private:
  static constexpr std::int64_t times_tolerated = 8;
  static constexpr Duration at_once_max = Duration::microseconds(50);

  Duration lost_;  ///< lately
  Instant at_;     ///< when that was
};

}  // namespace ashlar::runtime
