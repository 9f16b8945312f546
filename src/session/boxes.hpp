#pragma once

#include <ashlar/detail/destination.hpp>
#include <ashlar/host_array.hpp>

#include <cstddef>
#include <span>

namespace ashlar::session {

/// Copies a dense block into the box of the destination at `start`. The block has the box's
/// extents, row-major. Requires that the box lies in the destination.
void copy_into_box(const detail::Destination& to, const Shape& start, const Shape& extents,
                   std::span<const std::byte> block);
/// Copies the box of an array at `start` into such a block.
void copy_out_of_box(const HostArray& array, const Shape& start, const Shape& extents,
                     std::span<std::byte> block);

}  // namespace ashlar::session
