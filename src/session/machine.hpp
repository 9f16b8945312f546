#pragma once

#include <cstdint>
#include <optional>
#include <string>
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

/// Lets this process open as many files and connections as it is ever allowed to: each process of a
/// cluster has connections to many others. For programs of Ashlar's own.
void allow_all_descriptors();

/// Bytes this process may use: the smaller of the host's memory and its cgroup's limit.
std::uint64_t usable_memory();

/// What of a worker's limit its data may take: the rest is for the process itself, its code and
/// what kernels work in. That is 64 MiB from a limit of 192 MiB on, and nothing below 64 MiB.
std::uint64_t memory_for_data(std::uint64_t limit);

/// Disk space for each worker's spilled data: as given, or half of what is free, shared. 0 when
/// there is no disk that could be used and none was asked for.
/// Errors: BadInput naming the folder when one was asked for and cannot be used.
std::uint64_t spill_limit_for(const std::string& folder, std::optional<std::uint64_t> given,
                              std::uint32_t workers);

}  // namespace ashlar::session
