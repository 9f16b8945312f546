// Products of chunks, and chunks made of other chunks.
#include <algorithm>
#include <cmath>
#include <utility>

#include "array/lowering.hpp"
#include "base/check.hpp"

namespace ashlar::array {
namespace {

/// How the multiplies of one output chunk become tasks.
struct MatmulGrouping {
  std::size_t multiplies_per_task = 1;
  std::size_t multiplies_per_chain = 1;
};

MatmulGrouping group_multiplies(const ChunkGrid& c, std::int64_t k_chunk, std::size_t multiplies,
                                const LowerOptions& options) {
  const auto ceiling = [](std::size_t a, std::size_t b) { return (a + b - 1) / b; };
  const double flops = 2.0 * static_cast<double>(c.chunks()[0]) *
                       static_cast<double>(c.chunks()[1]) * static_cast<double>(k_chunk);
  const double wanted = options.matmul_task_seconds * options.flops_per_second / flops;
  const double most =
      std::min<double>(options.matmul_multiplies_max, static_cast<double>(multiplies));
  const auto per_task = static_cast<std::size_t>(std::clamp(std::ceil(wanted), 1.0, most));
  const std::size_t tasks = ceiling(multiplies, per_task);
  // Fewer output chunks than chains_min: shorten the chains, to at least two tasks each.
  const std::size_t output_chunks = static_cast<std::size_t>(c.size());
  const std::size_t chains = std::clamp<std::size_t>(
      ceiling(options.matmul_chains_min, output_chunks), 1, std::max<std::size_t>(1, tasks / 2));
  const std::size_t per_chain = ceiling(multiplies, chains);
  // Tasks of a chain of nearly equal size.
  return {.multiplies_per_task = ceiling(per_chain, ceiling(per_chain, per_task)),
          .multiplies_per_chain = per_chain};
}

/// A stretch of one dimension of an output chunk that comes from one source chunk.
struct Stretch {
  std::int64_t chunk = 0;              ///< of the source, along this dimension
  std::int64_t source_start = 0;       ///< within that chunk
  std::int64_t destination_start = 0;  ///< within the output chunk
  std::int64_t count = 0;
};

/// The source positions first, first + step, … (count of them), cut at chunk borders.
std::vector<Stretch> stretches(std::int64_t first, std::int64_t step, std::int64_t count,
                               std::int64_t chunk_extent) {
  std::vector<Stretch> out;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t at = first + done * step;
    const std::int64_t chunk = at / chunk_extent;
    const std::int64_t inside = at - chunk * chunk_extent;
    const std::int64_t room =
        step > 0 ? (chunk_extent - 1 - inside) / step + 1 : inside / -step + 1;
    const std::int64_t taken = std::min(room, count - done);
    out.push_back({chunk, inside, done, taken});
    done += taken;
  }
  return out;
}

}  // namespace

Lowering::Chunks Lowering::matmul(const Node& node, const Step& step) {
  // Cut as the operands of the node are; what is stored may be the transpose.
  const ChunkGrid a(node.inputs[0]->shape, node.inputs[0]->chunks);
  const ChunkGrid b(node.inputs[1]->shape, node.inputs[1]->chunks);
  const ChunkGrid c(node.shape, node.chunks);
  const Chunks& a_chunks = chunks_.at(step.inputs[0]);
  const Chunks& b_chunks = chunks_.at(step.inputs[1]);
  const std::int64_t k_count = a.counts()[1];
  if (c.size() == 0 || k_count == 0) {
    Node zeros;
    zeros.operation = Fill{{.dtype = node.dtype}};
    return generate(zeros, c);
  }
  const auto at = [](const Chunks& chunks, const ChunkGrid& grid, bool is_transposed,
                     std::int64_t row, std::int64_t column) {
    const std::int64_t number =
        is_transposed ? column * grid.counts()[0] + row : row * grid.counts()[1] + column;
    return chunks[static_cast<std::size_t>(number)];
  };
  const auto grouping =
      group_multiplies(c, a.chunks()[1], static_cast<std::size_t>(k_count), options_);
  std::vector<std::int64_t> k;
  for (std::int64_t i = 0; i < k_count; ++i) k.push_back(a.extent(1, i));

  builder_.begin_product({.rows = static_cast<std::uint32_t>(c.counts()[0]),
                          .columns = static_cast<std::uint32_t>(c.counts()[1]),
                          .inner = static_cast<std::uint32_t>(k_count),
                          .m = static_cast<std::uint64_t>(node.shape[0]),
                          .n = static_cast<std::uint64_t>(node.shape[1]),
                          .k = static_cast<std::uint64_t>(node.inputs[0]->shape[1]),
                          .element_bytes = static_cast<std::uint32_t>(dtype_bytes(node.dtype))});
  Chunks out(static_cast<std::size_t>(c.size()));
  // A few rows at a time, column after column: neighbours in this order share operands.
  constexpr std::int64_t panel = 4;
  for (std::int64_t top = 0; top < c.counts()[0]; top += panel) {
    for (std::int64_t column = 0; column < c.counts()[1]; ++column) {
      for (std::int64_t row = top; row < std::min(top + panel, c.counts()[0]); ++row) {
        std::vector<Ref> pairs;
        for (std::int64_t i = 0; i < k_count; ++i) {
          pairs.push_back(at(a_chunks, a, step.a_transposed, row, i));
          pairs.push_back(at(b_chunks, b, step.b_transposed, i, column));
        }
        const MatmulParams params{.dtype = node.dtype,
                                  .m = c.extent(0, row),
                                  .n = c.extent(1, column),
                                  .k = {},
                                  .a_transposed = step.a_transposed,
                                  .b_transposed = step.b_transposed};
        const std::int64_t number = row * c.counts()[1] + column;
        std::vector<Ref> sums;
        for (std::size_t i = 0; i < k.size(); i += grouping.multiplies_per_chain) {
          const std::size_t length = std::min(grouping.multiplies_per_chain, k.size() - i);
          sums.push_back(multiply_chain(
              params, {k.data() + i, length}, {pairs.data() + 2 * i, 2 * length},
              grouping.multiplies_per_task, static_cast<std::uint64_t>(number * k_count) + i));
        }
        builder_.set_cell(graph::TaskGraph::no_cell);
        out[static_cast<std::size_t>(number)] =
            combine(Reduction::sum, node.dtype, params.m * params.n, 1, std::move(sums));
      }
    }
  }
  return out;
}

Lowering::Ref Lowering::multiply_chain(MatmulParams params, std::span<const std::int64_t> k,
                                       std::span<const Ref> pairs, std::size_t per_task,
                                       std::uint64_t first_cell) {
  Ref c = 0;
  for (std::size_t i = 0; i < k.size(); i += per_task) {
    const std::size_t count = std::min(per_task, k.size() - i);
    params.accumulates = i > 0;
    params.k.assign(k.begin() + static_cast<std::ptrdiff_t>(i),
                    k.begin() + static_cast<std::ptrdiff_t>(i + count));
    std::vector<Ref> inputs;
    if (params.accumulates) inputs.push_back(c);
    builder_.set_cell(first_cell + i);
    const auto operands = pairs.subspan(2 * i, 2 * count);
    inputs.insert(inputs.end(), operands.begin(), operands.end());
    c = builder_.add(params, inputs, params.accumulates ? 0 : graph::TaskGraph::no_input);
  }
  return c;
}

Lowering::Chunks Lowering::permute(const Node& node, const Permute& operation) {
  const Node& x = *node.inputs[0];
  const ChunkGrid from(x.shape, x.chunks);
  const ChunkGrid grid(node.shape, node.chunks);
  const Chunks& chunks = chunks_.at(&x);
  Chunks out;
  if (grid.size() == 0) return out;
  Shape position(grid.ndim());
  do {
    Shape at(from.ndim());
    for (std::size_t d = 0; d < at.size(); ++d) at[operation.axes[d]] = position[d];
    const PermuteParams params{
        .dtype = node.dtype, .input_extents = from.extents(at), .axes = operation.axes};
    const Ref input = chunks[static_cast<std::size_t>(from.number(at))];
    out.push_back(builder_.add(params, {&input, 1}));
  } while (next_position(position, grid.counts()));
  return out;
}

Lowering::Chunks Lowering::gather(const Node& source, const Shape& start, const Shape& step,
                                  const ChunkGrid& grid) {
  const ChunkGrid from(source.shape, source.chunks);
  const Chunks& chunks = chunks_.at(&source);
  const std::size_t ndim = grid.ndim();
  Chunks out;
  if (grid.size() == 0) return out;
  Shape position(ndim);
  do {
    const Shape grid_start = grid.start(position);
    AssembleParams params{.dtype = source.dtype, .extents = grid.extents(position), .pieces = {}};
    std::vector<std::vector<Stretch>> along(ndim);
    Shape counts(ndim);
    for (std::size_t d = 0; d < ndim; ++d) {
      along[d] = stretches(start[d] + grid_start[d] * step[d], step[d], params.extents[d],
                           from.chunks()[d]);
      counts[d] = static_cast<std::int64_t>(along[d].size());
    }
    std::vector<Ref> inputs;
    Shape chosen(ndim);
    do {
      Piece piece{.input = static_cast<std::uint32_t>(inputs.size()), .source_step = step};
      Shape chunk;
      for (std::size_t d = 0; d < ndim; ++d) {
        const Stretch& stretch = along[d][static_cast<std::size_t>(chosen[d])];
        chunk.push_back(stretch.chunk);
        piece.source_start.push_back(stretch.source_start);
        piece.destination_start.push_back(stretch.destination_start);
        piece.count.push_back(stretch.count);
      }
      piece.input_extents = from.extents(chunk);
      params.pieces.push_back(std::move(piece));
      inputs.push_back(chunks[static_cast<std::size_t>(from.number(chunk))]);
    } while (next_position(chosen, counts));
    params.inputs = static_cast<std::uint32_t>(inputs.size());
    out.push_back(is_whole(params) ? inputs.front() : builder_.add(params, inputs));
  } while (next_position(position, grid.counts()));
  return out;
}

Lowering::Chunks Lowering::write_file(const Node& node, const NpySink& operation) {
  const Node& x = *node.inputs[0];
  const ChunkGrid grid(x.shape, x.chunks);
  NpyFile partial = operation.file;
  partial.path += options_.partial_suffix + std::to_string(files_.size());
  files_.push_back({partial, operation.file.path});
  Chunks out;
  for (std::int64_t i = 0; i < grid.size(); ++i) {
    const Shape position = grid.position(i);
    const NpyWriteParams params{partial, grid.start(position), grid.extents(position)};
    const Ref input = chunks_.at(&x)[static_cast<std::size_t>(i)];
    out.push_back(builder_.add(params, {&input, 1}));
    // The file takes its name when the run has ended: it must be whole then.
    builder_.keep(out.back());
  }
  return out;
}

}  // namespace ashlar::array
