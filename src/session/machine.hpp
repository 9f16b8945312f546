#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::session {

/// Cores this process may use: the smaller of its affinity mask and its cgroup's quota (v1 and
/// v2), at least one.
std::uint32_t usable_cores();

/// Errors: BadInput for more threads, over all workers, than 32 for each usable core: they would
/// only be in each other's way.
void check_threads(std::uint32_t workers, std::uint32_t threads_per_worker);

/// Errors: BadInput for a worker's memory that no address space has room for.
void check_memory(std::uint64_t bytes);

/// Keeps this process on these cores. Does nothing where the system refuses.
void bind_to_cores(const std::vector<int>& cores);

/// Bytes this process may use: the smaller of the host's memory and its cgroup's limit.
std::uint64_t usable_memory();

}  // namespace ashlar::session
