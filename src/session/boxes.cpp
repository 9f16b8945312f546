#include "session/boxes.hpp"

#include <cstring>

namespace ashlar::session {

namespace {

/// Calls f(offset in the array, offset in the block, bytes) for each run of adjacent elements.
template <class F>
void for_each_run(const HostArray& array, const Shape& start, const Shape& extents, F f) {
  const std::size_t ndim = extents.size();
  for (const auto extent : extents) {
    if (extent == 0) return;
  }
  const Shape& shape = array.shape();
  // Trailing dimensions that the box covers whole are one run with the dimension before them.
  std::size_t outer = ndim;
  std::size_t run = dtype_bytes(array.dtype());
  while (outer > 0) {
    --outer;
    run *= static_cast<std::size_t>(extents[outer]);
    if (extents[outer] != shape[outer]) break;
  }
  std::vector<std::size_t> strides(ndim);
  std::size_t stride = dtype_bytes(array.dtype());
  for (std::size_t i = ndim; i-- > 0;) {
    strides[i] = stride;
    stride *= static_cast<std::size_t>(shape[i]);
  }
  std::size_t base = 0;
  for (std::size_t i = 0; i < ndim; ++i) base += static_cast<std::size_t>(start[i]) * strides[i];
  Shape index(outer, 0);
  std::size_t in_block = 0;
  while (true) {
    std::size_t offset = base;
    for (std::size_t i = 0; i < outer; ++i) offset += static_cast<std::size_t>(index[i]) * strides[i];
    f(offset, in_block, run);
    in_block += run;
    std::size_t i = outer;
    while (i > 0 && ++index[i - 1] == extents[i - 1]) index[--i] = 0;
    if (i == 0) return;
  }
}

}  // namespace

void copy_into_box(HostArray& array, const Shape& start, const Shape& extents,
                   std::span<const std::byte> block) {
  std::byte* to = array.bytes().data();
  for_each_run(array, start, extents, [&](std::size_t there, std::size_t here, std::size_t n) {
    std::memcpy(to + there, block.data() + here, n);
  });
}

void copy_out_of_box(const HostArray& array, const Shape& start, const Shape& extents,
                     std::span<std::byte> block) {
  const std::byte* from = array.bytes().data();
  for_each_run(array, start, extents, [&](std::size_t there, std::size_t here, std::size_t n) {
    std::memcpy(block.data() + here, from + there, n);
  });
}

}  // namespace ashlar::session
