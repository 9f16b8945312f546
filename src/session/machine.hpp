#pragma once

#include <cstdint>

namespace ashlar::session {

/// Cores this process may use: the smaller of its affinity mask and its cgroup's quota (v1 and
/// v2), at least one.
std::uint32_t usable_cores();

/// Bytes this process may use: the smaller of the host's memory and its cgroup's limit.
std::uint64_t usable_memory();

}  // namespace ashlar::session
