#include "session/destination.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "array/chunk_grid.hpp"
#include "base/shape.hpp"

namespace ashlar::session {

namespace {

std::string text_of(DType dtype, const Shape& shape) {
  return std::string(dtype_name(dtype)) + " of shape " + to_string(shape);
}

/// Each dimension steps over all that the faster ones reach. Strides that interleave without
/// meeting are taken for overlapping, too: nobody cuts memory like that.
bool has_a_place_for_each(const detail::Destination& to) {
  std::vector<std::pair<std::int64_t, std::int64_t>> dimensions;  // stride, extent
  for (std::size_t d = 0; d < to.shape.size(); ++d) {
    if (to.shape[d] > 1) dimensions.emplace_back(std::abs(to.strides[d]), to.shape[d]);
  }
  std::ranges::sort(dimensions);
  std::int64_t reach = 0;
  for (const auto& [stride, extent] : dimensions) {
    if (stride <= reach) return false;
    reach += stride * (extent - 1);
  }
  return true;
}

}  // namespace

detail::Destination destination_of(HostArray& array) {
  return {array.dtype(), array.bytes().data(), array.shape(), array::dense_strides(array.shape())};
}

void check_destination(const detail::Destination& to, const Array& array) {
  if (to.dtype != array.dtype() || to.shape != array.shape()) {
    throw BadInput("compute_into: the array is " + text_of(array.dtype(), array.shape()) +
                   ", and the memory for it " + text_of(to.dtype, to.shape) + ": they must agree");
  }
  if (element_count(to.shape) == 0) return;
  if (to.data == nullptr) {
    throw BadInput("compute_into: there is no memory: the view of " + text_of(to.dtype, to.shape) +
                   " is empty");
  }
  if (!has_a_place_for_each(to)) {
    throw BadInput("compute_into: elements would overwrite each other in memory of " +
                   text_of(to.dtype, to.shape) + " with strides " + to_string(to.strides) +
                   " (in elements)");
  }
}

bool overlap(const detail::Destination& to, std::span<const std::byte> bytes) {
  if (bytes.empty() || element_count(to.shape) == 0) return false;
  const auto element = static_cast<std::int64_t>(dtype_bytes(to.dtype));
  const std::byte* begin = to.data;
  const std::byte* end = to.data + element;
  for (std::size_t d = 0; d < to.shape.size(); ++d) {
    const std::int64_t reach = to.strides[d] * (to.shape[d] - 1) * element;
    (reach < 0 ? begin : end) += reach;
  }
  const std::less<> is_before;
  return is_before(begin, bytes.data() + bytes.size()) && is_before(bytes.data(), end);
}

}  // namespace ashlar::session
