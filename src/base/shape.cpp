#include "base/shape.hpp"

#include <string>

namespace ashlar {

std::int64_t element_count(const Shape& shape) {
  std::int64_t n = 1;
  for (auto extent : shape) n *= extent;
  return n;
}

std::size_t checked_bytes(DType dtype, const Shape& shape) {
  constexpr std::int64_t limit = std::int64_t{1} << 62;
  std::int64_t bytes = static_cast<std::int64_t>(dtype_bytes(dtype));
  bool is_empty = false;
  for (auto extent : shape) {
    if (extent < 0) {
      throw BadInput("shape " + to_string(shape) + ": extents must not be negative");
    }
    is_empty = is_empty || extent == 0;
  }
  if (is_empty) return 0;
  for (auto extent : shape) {
    if (bytes > limit / extent) {
      throw BadInput("shape " + to_string(shape) + " of " + std::string(dtype_name(dtype)) +
                     ": more than 2^62 bytes");
    }
    bytes *= extent;
  }
  return static_cast<std::size_t>(bytes);
}

}  // namespace ashlar
