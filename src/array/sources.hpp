#pragma once

#include <ashlar/array.hpp>

#include <source_location>
#include <vector>

#include "array/node.hpp"

/// Arrays that come from or go to places outside of array expressions.
namespace ashlar::array {

/// A .npy file whose header somebody has read. Empty chunks: chosen.
/// Errors: BadInput for unsuitable chunks.
Array npy_source(NpyFile file, const Shape& chunks, const std::source_location& where);

/// Writes x into a .npy file (see Lowered::files); the file's dtype and shape must be x's.
/// The result has one int64 per chunk of x, the bytes written; it is int64 of extents
/// (chunks per dimension) in chunks of one element.
Array npy_sink(const Array& x, NpyFile file, const std::source_location& where);

/// An array whose chunks live on the workers, in grid order.
Array from_data(DType dtype, const Shape& shape, const Shape& chunks, std::vector<DatumRef> data,
                const std::source_location& where);

}  // namespace ashlar::array
