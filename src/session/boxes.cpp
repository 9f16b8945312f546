#include "session/boxes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/shape.hpp"
#include "kernels/transpose_plane.hpp"
#include "session/uncached_copy.hpp"

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
    for (std::size_t i = 0; i < outer; ++i)
      offset += static_cast<std::size_t>(index[i]) * strides[i];
    f(offset, in_block, run);
    in_block += run;
    std::size_t i = outer;
    while (i > 0 && ++index[i - 1] == extents[i - 1]) index[--i] = 0;
    if (i == 0) return;
  }
}

/// One dimension of a block: how far a step goes in it, and in where it is copied to.
struct Axis {
  std::int64_t extent = 1;
  std::int64_t from_stride = 1;
  std::int64_t to_stride = 1;
};

/// The dimensions of a box, slowest first; those that are one run in the destination are one.
std::vector<Axis> axes_of(const detail::Destination& to, const Shape& extents) {
  std::vector<Axis> axes;  // fastest first
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    if (extents[d] == 1) continue;
    if (!axes.empty() && to.strides[d] == axes.back().to_stride * axes.back().extent) {
      axes.back().extent *= extents[d];
    } else {
      axes.push_back({extents[d], stride, to.strides[d]});
    }
    stride *= extents[d];
  }
  if (axes.empty()) axes.emplace_back();
  std::reverse(axes.begin(), axes.end());
  return axes;
}

/// Calls f(from, to) at each position of the axes.
template <class Word, class F>
void for_each_position(std::span<const Axis> axes, const Word* from, Word* to, F f) {
  std::vector<std::int64_t> index(axes.size());
  for (;;) {
    f(from, to);
    std::size_t d = axes.size();
    for (; d > 0; --d) {
      const Axis& axis = axes[d - 1];
      from += axis.from_stride;
      to += axis.to_stride;
      if (++index[d - 1] < axis.extent) break;
      from -= axis.extent * axis.from_stride;
      to -= axis.extent * axis.to_stride;
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

/// By runs where the fastest dimension of the block is also the destination's; by planes where
/// another one is, as in a column-major matrix; else by elements.
template <class Word>
void copy_words(std::span<const Axis> axes, const Word* from, Word* to, bool is_large) {
  const Axis last = axes.back();
  std::vector<Axis> outer(axes.begin(), axes.end() - 1);
  if (last.to_stride == 1) {
    for_each_position<Word>(outer, from, to, [&](const Word* here, Word* there) {
      const std::size_t bytes = static_cast<std::size_t>(last.extent) * sizeof(Word);
      if (is_large) {
        copy_uncached(there, here, bytes);
      } else {
        std::memcpy(there, here, bytes);
      }
    });
    if (is_large) finish_uncached();
    return;
  }
  const auto fast = std::find_if(outer.begin(), outer.end(),
                                 [](const Axis& axis) { return axis.to_stride == 1; });
  if (fast == outer.end()) {
    for_each_position<Word>(axes, from, to, [](const Word* here, Word* there) { *there = *here; });
    return;
  }
  const Axis rows = *fast;
  outer.erase(fast);
  for_each_position<Word>(outer, from, to, [&](const Word* here, Word* there) {
    kernels::transpose_plane(here, rows.from_stride, rows.extent, there, last.to_stride,
                             last.extent);
  });
}

}  // namespace

void copy_into_box(const detail::Destination& to, const Shape& start, const Shape& extents,
                   std::span<const std::byte> block) {
  if (block.empty()) return;
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < start.size(); ++d) offset += start[d] * to.strides[d];
  const auto axes = axes_of(to, extents);
  // What does not stay in a cache anyway.
  constexpr std::int64_t large_bytes = std::int64_t{64} << 20;
  const auto element_bytes = static_cast<std::int64_t>(dtype_bytes(to.dtype));
  const bool is_large = element_count(to.shape) * element_bytes >= large_bytes;
  const auto copy = [&](auto word) {
    using Word = decltype(word);
    copy_words(axes, reinterpret_cast<const Word*>(block.data()),
               reinterpret_cast<Word*>(to.data) + offset, is_large);
  };
  switch (dtype_bytes(to.dtype)) {
    case 1:
      return copy(std::uint8_t{});
    case 4:
      return copy(std::uint32_t{});
    default:
      return copy(std::uint64_t{});
  }
}

void copy_out_of_box(const HostArray& array, const Shape& start, const Shape& extents,
                     std::span<std::byte> block) {
  const std::byte* from = array.bytes().data();
  for_each_run(array, start, extents, [&](std::size_t there, std::size_t here, std::size_t n) {
    std::memcpy(block.data() + here, from + there, n);
  });
}

}  // namespace ashlar::session
