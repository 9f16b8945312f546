// Generators, elementwise operations and reductions.
#include <algorithm>
#include <utility>

#include "array/lowering.hpp"
#include "base/check.hpp"
#include "base/shape.hpp"

namespace ashlar::array {

Lowering::Chunks Lowering::generate(const Node& node, const ChunkGrid& grid) {
  Chunks out;
  if (grid.size() == 0) return out;
  out.reserve(static_cast<std::size_t>(grid.size()));
  Shape position(grid.ndim());
  do {
    out.push_back(generate_chunk(node, grid, position));
  } while (next_position(position, grid.counts()));
  return out;
}

Lowering::Ref Lowering::generate_chunk(const Node& node, const ChunkGrid& grid,
                                       const Shape& position) {
  const Shape start = grid.start(position);
  const Shape extents = grid.extents(position);
  if (const auto* fill = std::get_if<Fill>(&node.operation)) {
    return builder_.add(FillParams{extents, fill->value}, {});
  }
  if (const auto* eye = std::get_if<Eye>(&node.operation)) {
    return builder_.add(EyeParams{.dtype = node.dtype,
                                  .extents = extents,
                                  .row_start = start[0],
                                  .column_start = start[1],
                                  .diagonal = eye->diagonal},
                        {});
  }
  if (const auto* arange = std::get_if<Arange>(&node.operation)) {
    return builder_.add(ArangeParams{.count = extents[0],
                                     .first = start[0],
                                     .start = arange->start,
                                     .step = arange->step,
                                     .last_index = arange->last_index,
                                     .last = arange->last},
                        {});
  }
  if (const auto* random = std::get_if<Random>(&node.operation)) {
    return builder_.add(RandomParams{.dtype = node.dtype,
                                     .distribution = random->distribution,
                                     .a = random->a,
                                     .b = random->b,
                                     .seed = random->seed,
                                     .global_shape = node.shape,
                                     .start = start,
                                     .extents = extents},
                        {});
  }
  if (const auto* npy = std::get_if<NpySource>(&node.operation)) {
    return builder_.add(NpyReadParams{npy->file, start, extents}, {});
  }
  const auto& host = std::get<HostSource>(node.operation);
  return builder_.add_external(HostRegion{host.array, start, extents},
                               checked_bytes(node.dtype, extents));
}

Lowering::Chunks Lowering::elementwise(const Node& node, const FusedProgram& fused) {
  struct Input {
    const Node* node;
    ChunkGrid grid;
    const Chunks* chunks;
  };
  std::vector<Input> inputs;
  for (const Node* input : fused.inputs) {
    inputs.push_back({input, ChunkGrid(input->shape, input->chunks), &chunks_.at(input)});
  }
  const ChunkGrid grid(node.shape, node.chunks);
  Chunks out;
  if (grid.size() == 0) return out;
  ElementwiseParams params{.dtype = node.dtype,
                           .inputs = std::vector<ElementwiseInput>(inputs.size()),
                           .constants = fused.constants,
                           .program = fused.program};
  std::vector<Ref> refs(inputs.size());
  Shape position(grid.ndim());
  do {
    params.extents = grid.extents(position);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ChunkGrid& from = inputs[i].grid;
      const std::size_t added = grid.ndim() - from.ndim();
      Shape at(from.ndim());
      for (std::size_t d = 0; d < at.size(); ++d) {
        at[d] = from.shape()[d] == 1 ? 0 : position[d + added];
      }
      refs[i] = (*inputs[i].chunks)[static_cast<std::size_t>(from.number(at))];
      auto& input = params.inputs[i];
      input = {.dtype = inputs[i].node->dtype,
               .extents = from.extents(at),
               .strides = std::vector<std::int64_t>(grid.ndim(), 0)};
      const auto dense = dense_strides(input.extents);
      for (std::size_t d = 0; d < at.size(); ++d) {
        if (from.shape()[d] != 1) input.strides[d + added] = dense[d];
      }
    }
    std::uint32_t reuse = graph::TaskGraph::no_input;
    for (std::size_t i = inputs.size(); i-- > 0;) {
      if (is_aligned(params, i) &&
          dtype_bytes(params.inputs[i].dtype) == dtype_bytes(params.dtype) &&
          std::count(refs.begin(), refs.end(), refs[i]) == 1) {
        reuse = static_cast<std::uint32_t>(i);
      }
    }
    out.push_back(builder_.add(params, refs, reuse));
  } while (next_position(position, grid.counts()));
  return out;
}

Lowering::Chunks Lowering::reduce(const Node& node) {
  const auto& operation = std::get<Reduce>(node.operation);
  const Node& x = *node.inputs[0];
  const Chunks& parts_of_x = chunks_.at(&x);
  const ChunkGrid from(x.shape, x.chunks);
  // How many chunks there are to reduce, and to keep, per dimension of x.
  Shape kept(x.shape.size(), 1);
  Shape reduced(x.shape.size(), 1);
  std::int64_t part_count = 1;
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    const bool is_reduced =
        std::find(operation.axes.begin(), operation.axes.end(), d) != operation.axes.end();
    (is_reduced ? reduced : kept)[d] = from.counts()[d];
    if (is_reduced) part_count *= from.counts()[d];
  }
  const ChunkGrid grid(node.shape, node.chunks);
  if (part_count == 0) {
    // Only a sum gets here: reductions of nothing to something else are refused when built.
    Node zeros;
    zeros.operation = Fill{{.dtype = node.dtype}};
    return generate(zeros, grid);
  }
  Chunks out;
  if (grid.size() == 0) return out;
  Shape kept_position(x.shape.size());
  do {
    std::vector<Ref> parts;
    std::int64_t count = 1;
    Shape reduced_position(x.shape.size());
    do {
      Shape at = kept_position;
      for (std::size_t d = 0; d < at.size(); ++d) at[d] += reduced_position[d];
      const ReduceParams params{.reduction = operation.reduction,
                                .input_dtype = x.dtype,
                                .dtype = node.dtype,
                                .input_extents = from.extents(at),
                                .axes = operation.axes,
                                .divisor = part_count == 1 ? operation.divisor : 1};
      const Ref input = parts_of_x[static_cast<std::size_t>(from.number(at))];
      parts.push_back(builder_.add(params, {&input, 1}));
      count = static_cast<std::int64_t>(output_bytes(params) / dtype_bytes(node.dtype));
    } while (next_position(reduced_position, reduced));
    const double divisor = part_count == 1 ? 1 : operation.divisor;
    out.push_back(combine(operation.reduction, node.dtype, count, divisor, std::move(parts)));
  } while (next_position(kept_position, kept));
  return out;
}

Lowering::Ref Lowering::combine(Reduction reduction, DType dtype, std::int64_t count,
                                double divisor, std::vector<Ref> parts) {
  while (parts.size() > 1) {
    std::vector<Ref> combined;
    const bool is_last = parts.size() <= options_.combine_inputs;
    for (std::size_t i = 0; i < parts.size(); i += options_.combine_inputs) {
      const std::size_t inputs = std::min<std::size_t>(options_.combine_inputs, parts.size() - i);
      const CombineParams params{.reduction = reduction,
                                 .dtype = dtype,
                                 .count = count,
                                 .inputs = static_cast<std::uint32_t>(inputs),
                                 .divisor = is_last ? divisor : 1};
      combined.push_back(inputs == 1 ? parts[i]
                                     : builder_.add(params, {parts.data() + i, inputs}, 0));
    }
    parts = std::move(combined);
  }
  return parts.front();
}

}  // namespace ashlar::array
