#pragma once

#include <cstddef>
#include <span>

/// Compression (LZ4) of data that go somewhere slow: to disk, or to another host.
namespace ashlar::store {

/// Whether compressing bytes before they go to where so many bytes a second are taken saves time: a
/// sample from their middle is compressed, and the measured time and size stand for the whole.
bool pays_to_pack(std::span<const std::byte> bytes, double bytes_per_second);

/// What `bytes` bytes take at most when packed. Requires less than 1 GiB.
std::size_t packed_bytes_max(std::size_t bytes);

/// Returns how many bytes were put into `into`; 0: they would not be fewer.
/// Requires room for packed_bytes_max.
std::size_t pack(std::span<const std::byte> bytes, std::span<std::byte> into);

/// Returns whether `packed` are so many bytes as `into` has. Takes any bytes.
bool unpack(std::span<const std::byte> packed, std::span<std::byte> into);

}  // namespace ashlar::store
