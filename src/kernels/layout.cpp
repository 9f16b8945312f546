#include "kernels/layout.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "base/shape.hpp"
#include "kernels/builtin.hpp"
#include "kernels/transpose_plane.hpp"

namespace ashlar::kernels {

namespace {

using namespace array;

// One output dimension: how far a step goes in the input.
struct Axis {
  std::int64_t extent = 1;
  std::int64_t from_stride = 0;
  std::int64_t to_stride = 0;
};

// The output's dimensions, slowest first; neighbours that stay neighbours are one.
std::vector<Axis> axes_of(const Shape& extents, std::span<const std::uint8_t> axes) {
  std::vector<std::int64_t> strides(extents.size());
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= extents[d];
  }
  std::vector<Axis> result;
  for (const std::uint8_t axis : axes) {
    if (extents[axis] == 1) continue;
    if (!result.empty() && result.back().from_stride == strides[axis] * extents[axis]) {
      result.back().extent *= extents[axis];
      result.back().from_stride = strides[axis];
    } else {
      result.push_back({.extent = extents[axis], .from_stride = strides[axis]});
    }
  }
  if (result.empty()) result.push_back({.extent = 1, .from_stride = 1});
  stride = 1;
  for (std::size_t d = result.size(); d-- > 0;) {
    result[d].to_stride = stride;
    stride *= result[d].extent;
  }
  return result;
}

// Walks the dimensions that neither side has fastest, then moves runs or planes.
template <class Word>
void permute_words(std::span<const Axis> axes, const Word* from, Word* to) {
  const Axis& last = axes.back();
  if (axes.size() == 1 && last.from_stride == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(last.extent) * sizeof(Word));
    return;
  }
  // Which output dimension is the input's fastest: the plane is spanned by it and the last.
  std::size_t fast = 0;
  while (axes[fast].from_stride != 1) ++fast;
  std::vector<Axis> outer;
  for (std::size_t d = 0; d + 1 < axes.size(); ++d) {
    if (d != fast) outer.push_back(axes[d]);
  }
  std::array<std::int64_t, max_dimensions> index{};
  for (;;) {
    if (fast + 1 == axes.size()) {
      std::memcpy(to, from, static_cast<std::size_t>(last.extent) * sizeof(Word));
    } else {
      transpose_plane(from, last.from_stride, last.extent, to, axes[fast].to_stride,
                      axes[fast].extent);
    }
    std::size_t d = outer.size();
    for (; d > 0; --d) {
      const Axis& axis = outer[d - 1];
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

template <class Visit>
void visit_word(std::size_t element_bytes, Visit visit) {
  switch (element_bytes) {
    case 1:
      return visit(std::uint8_t{});
    case 4:
      return visit(std::uint32_t{});
    case 8:
      return visit(std::uint64_t{});
    default:
      ASHLAR_CHECK(false, "elements have 1, 4 or 8 bytes");
  }
}

void permute(const PermuteParams& params, const CheckedCall& call) {
  permute_block(dtype_bytes(params.dtype), params.input_extents, params.axes, call.inputs[0].data(),
                call.output.data());
}

// The strides of a dense block.
std::array<std::int64_t, max_dimensions> dense_strides(const Shape& extents) {
  std::array<std::int64_t, max_dimensions> strides{};
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= extents[d];
  }
  return strides;
}

template <class Word>
void move_piece(const Piece& piece, const Shape& extents, const Word* from, Word* to) {
  const std::size_t dimensions = extents.size();
  const auto from_strides = dense_strides(piece.input_extents);
  const auto to_strides = dense_strides(extents);
  std::array<std::int64_t, max_dimensions> steps{};
  for (std::size_t d = 0; d < dimensions; ++d) {
    from += piece.source_start[d] * from_strides[d];
    to += piece.destination_start[d] * to_strides[d];
    // A step is only taken where there are two elements, and then stays inside.
    steps[d] = piece.count[d] > 1 ? piece.source_step[d] * from_strides[d] : 0;
  }
  if (dimensions == 0) {
    *to = *from;
    return;
  }
  const std::size_t last = dimensions - 1;
  const std::int64_t run = piece.count[last];
  std::array<std::int64_t, max_dimensions> index{};
  for (;;) {
    if (steps[last] == 1 || run == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(run) * sizeof(Word));
    } else {
      for (std::int64_t i = 0; i < run; ++i) to[i] = from[i * steps[last]];
    }
    std::size_t d = last;
    for (; d > 0; --d) {
      from += steps[d - 1];
      to += to_strides[d - 1];
      if (++index[d - 1] < piece.count[d - 1]) break;
      from -= piece.count[d - 1] * steps[d - 1];
      to -= piece.count[d - 1] * to_strides[d - 1];
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

void assemble(const AssembleParams& params, const CheckedCall& call) {
  if (call.is_reused) return;
  visit_word(dtype_bytes(params.dtype), [&](auto word) {
    using Word = decltype(word);
    for (const Piece& piece : params.pieces) {
      move_piece(piece, params.extents, call.input<Word>(piece.input), call.out<Word>());
    }
  });
}

}  // namespace

void permute_block(std::size_t element_bytes, const Shape& extents,
                   std::span<const std::uint8_t> axes, const std::byte* from, std::byte* to) {
  if (element_count(extents) == 0) return;
  const auto collapsed = axes_of(extents, axes);
  visit_word(element_bytes, [&](auto word) {
    using Word = decltype(word);
    permute_words(std::span<const Axis>(collapsed), reinterpret_cast<const Word*>(from),
                  reinterpret_cast<Word*>(to));
  });
}

void add_layout(Registry& registry) {
  registry.add(builtin_kernel<PermuteParams>(permute));
  registry.add(builtin_kernel<AssembleParams>(
      assemble, [](const AssembleParams& params, std::uint32_t) { return is_whole(params); }));
}

}  // namespace ashlar::kernels
