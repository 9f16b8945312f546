#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>

#include <cstddef>
#include <span>
#include <string>

#include "array/operations.hpp"

namespace ashlar::kernels {

/// What the header of a .npy file says (format versions 1 to 3).
///
/// Errors: BadInput that names the file when it is missing, no .npy file, shorter than its header
/// says, big-endian, or of an element type that Ashlar does not have.
array::NpyFile npy_read_header(const std::string& path);

/// Where the elements of a file that npy_create makes lie; touches no file.
array::NpyFile npy_layout(const std::string& path, DType dtype, const Shape& shape,
                          bool is_fortran = false);

/// Makes a .npy file of this shape in C or Fortran order, all zero, replacing what is there.
///
/// Errors: BadInput when it cannot be written; Overloaded when the disk is too small.
array::NpyFile npy_create(const std::string& path, DType dtype, const Shape& shape,
                          bool is_fortran = false);

/// The header that npy_create writes: magic, version, dictionary, padding to 64 bytes.
std::string npy_header(DType dtype, const Shape& shape, bool is_fortran = false);

/// Reads the box at `start` of `extents`, row-major, into `to`, which has its size.
///
/// Errors: BadInput when the file is missing or shorter than it must be; TaskFailed when the
/// system cannot read it.
void npy_read_box(const array::NpyFile& file, const Shape& start, const Shape& extents,
                  std::span<std::byte> to);

/// Writes a row-major box to its place in a file that exists already in full length. Boxes that do
/// not overlap may be written at once, also from several processes.
///
/// Errors: as npy_read_box.
void npy_write_box(const array::NpyFile& file, const Shape& start, const Shape& extents,
                   std::span<const std::byte> from);

}  // namespace ashlar::kernels
