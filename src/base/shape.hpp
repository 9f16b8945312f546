#pragma once

#include <ashlar/host_array.hpp>

#include <cstddef>
#include <cstdint>

namespace ashlar {

/// Elements of an array of this shape; 1 for a scalar. Requires a checked shape.
std::int64_t element_count(const Shape& shape);

/// Bytes of an array of this shape.
/// Errors: BadInput for a negative extent or a size over 2^62 bytes.
std::size_t checked_bytes(DType dtype, const Shape& shape);

}  // namespace ashlar
