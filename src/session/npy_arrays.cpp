#include <ashlar/array.hpp>

#include <ashlar/error.hpp>

#include <filesystem>
#include <set>
#include <variant>
#include <vector>

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

/// Whether computing the array reads this file.
bool reads_file(const Array& array, const std::string& path) {
  std::vector<const array::Node*> open{array.node().get()};
  std::set<const array::Node*> seen;
  while (!open.empty()) {
    const array::Node* node = open.back();
    open.pop_back();
    if (!seen.insert(node).second) continue;
    std::error_code error;
    const auto* source = std::get_if<array::NpySource>(&node->operation);
    if (source != nullptr && std::filesystem::equivalent(source->file.path, path, error)) {
      return true;
    }
    for (const auto& input : node->inputs) open.push_back(input.get());
  }
  return false;
}

}  // namespace

Array load_npy(const std::string& path, const ChunkOptions& options, std::source_location where) {
  return array::npy_source(kernels::npy_read_header(absolute(path)), options.chunks, where);
}

Array save_npy(const std::string& path, const Array& array, const SaveOptions& options,
               std::source_location where) {
  if (reads_file(array, absolute(path))) {
    throw BadInput("save_npy: the array is computed from " + path +
                   ", which writing it would destroy first: save it under another name");
  }
  return array::npy_sink(array,
                         kernels::npy_create(absolute(path), array.dtype(), array.shape(),
                                             options.fortran_order),
                         where);
}

}  // namespace ashlar
