#include <ashlar/array.hpp>

#include <filesystem>

#include "array/sources.hpp"
#include "kernels/npy.hpp"

namespace ashlar {

namespace {

/// Workers of this host may have another working directory.
std::string absolute(const std::string& path) {
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  return error ? path : full.string();
}

/// The file behind links, so that it is replaced, not a link to it.
std::string resolved(const std::string& path) {
  const std::string full = absolute(path);
  std::error_code error;
  const auto file = std::filesystem::weakly_canonical(full, error);
  return error ? full : file.string();
}

}  // namespace

Array load_npy(const std::string& path, const ChunkOptions& options, std::source_location where) {
  return array::npy_source(kernels::npy_read_header(absolute(path)), options.chunks, where);
}

Array save_npy(const std::string& path, const Array& array, const SaveOptions& options,
               std::source_location where) {
  return array::npy_sink(
      array,
      kernels::npy_layout(resolved(path), array.dtype(), array.shape(), options.fortran_order),
      where);
}

}  // namespace ashlar
