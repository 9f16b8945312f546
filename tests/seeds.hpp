// How many random histories a test plays.
#pragma once

#include <cstdint>

namespace ashlar {

/// The number of seeds of a test of engines. Sanitizers make these tests ten times slower and
/// look for something else than the histories do, so a fifth is played there.
constexpr std::uint64_t seeds(std::uint64_t count) {
#ifdef ASHLAR_SANITIZED
  return (count + 4) / 5;
#else
  return count;
#endif
}

}  // namespace ashlar
