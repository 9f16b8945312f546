#pragma once

#include <ashlar/host_array.hpp>

#include <cstddef>
#include <span>

namespace ashlar::session {

/// Copies a dense block into the box of `array` at `start`, or out of it. The block has the box's
/// extents, row-major. Requires that the box lies in the array.
void copy_into_box(HostArray& array, const Shape& start, const Shape& extents,
                   std::span<const std::byte> block);
void copy_out_of_box(const HostArray& array, const Shape& start, const Shape& extents,
                     std::span<std::byte> block);

}  // namespace ashlar::session
