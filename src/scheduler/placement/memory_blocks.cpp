#include "scheduler/placement/memory_blocks.hpp"

#include <algorithm>

namespace ashlar::scheduler::placement {
namespace {

using graph::TaskGraph;

/// The largest of the data that cells read and make.
std::uint64_t chunk_bytes(const TaskGraph& graph) {
  std::uint64_t most = 0;
  const auto consider = [&](std::uint64_t bytes) {
    if (bytes != TaskGraph::dynamic_bytes) most = std::max(most, bytes);
  };
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    if (graph.cell[t] == TaskGraph::no_cell) continue;
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      consider(graph.output_bytes[d]);
    }
    for (const std::uint32_t d : graph.inputs_of(t)) {
      const bool is_made_here = d < graph.output_count();
      consider(is_made_here ? graph.output_bytes[d]
                            : graph.external_bytes[d - graph.output_count()]);
    }
  }
  return most;
}

/// Chunks along the edge of a square block: it is summed up in e^2 chunks, from 2e of the factors,
/// while the next 2e are read.
std::uint32_t block_edge(double chunks) {
  constexpr double share = 0.75;  // the rest is for what is being written
  std::uint32_t edge = 0;
  const auto needed = [](double e) { return e * e + 4 * e; };
  while (needed(edge + 1) <= share * chunks) ++edge;
  return edge;
}

/// As many pieces of about equal length as it takes to have none longer.
std::uint32_t even(std::uint32_t length, std::uint32_t longest) {
  const std::uint32_t pieces = (length + longest - 1) / longest;
  return (length + pieces - 1) / pieces;
}

/// Numbers the blocks of all products, cell by cell in ascending order of products.
class Blocks {
 public:
  Blocks(const TaskGraph& graph, std::uint32_t edge) {
    std::uint64_t cell = 0;
    std::uint32_t block = 0;
    for (const graph::Product& product : graph.products) {
      const std::uint32_t rows = even(product.rows, edge), columns = even(product.columns, edge);
      const std::uint32_t across = (product.columns + columns - 1) / columns;
      parts_.push_back({product, cell, block, rows, columns, across});
      cell += product.cells();
      block += across * ((product.rows + rows - 1) / rows);
    }
  }

  std::uint32_t block_of(std::uint64_t cell) const {
    const auto after = std::ranges::upper_bound(parts_, cell, {}, &Part::first_cell);
    const Part& part = *std::prev(after);
    const std::uint64_t chunk = (cell - part.first_cell) / part.product.inner;
    const auto row = static_cast<std::uint32_t>(chunk / part.product.columns);
    const auto column = static_cast<std::uint32_t>(chunk % part.product.columns);
    return part.first_block + row / part.rows * part.across + column / part.columns;
  }

 private:
  struct Part {
    graph::Product product;
    std::uint64_t first_cell;
    std::uint32_t first_block;
    std::uint32_t rows, columns;  ///< chunks of a block
    std::uint32_t across;         ///< blocks
  };
  std::vector<Part> parts_;
};

}  // namespace

std::vector<std::uint32_t> memory_blocks(const TaskGraph& graph,
                                         const std::vector<std::uint32_t>& producer,
                                         const graph::Consumers& consumers, double memory_bytes) {
  if (graph.products.empty() || graph.cell.empty()) return {};
  const auto chunk = static_cast<double>(std::max<std::uint64_t>(chunk_bytes(graph), 1));
  const std::uint32_t edge = block_edge(memory_bytes / chunk);
  if (edge < 2) return {};
  const Blocks blocks(graph, edge);
  std::vector<std::uint32_t> block(graph.task_count(), 0);
  std::vector<bool> is_after_cells(graph.task_count(), false);
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    const bool has_cell = graph.cell[t] != TaskGraph::no_cell;
    is_after_cells[t] = has_cell;
    if (has_cell) block[t] = blocks.block_of(graph.cell[t]);
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum >= graph.output_count() || !is_after_cells[producer[datum]]) continue;
      is_after_cells[t] = true;
      block[t] = std::max(block[t], block[producer[datum]]);
    }
  }
  for (std::uint32_t t = graph.task_count(); t-- > 0;) {
    if (is_after_cells[t]) continue;
    std::uint32_t first = ~std::uint32_t{0};
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      for (const std::uint32_t reader : consumers.of(d)) first = std::min(first, block[reader]);
    }
    block[t] = first;
  }
  return block;
}

}  // namespace ashlar::scheduler::placement
