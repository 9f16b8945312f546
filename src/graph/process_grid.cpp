#include "graph/process_grid.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace ashlar::graph {
namespace {

/// Chunks of C that each layer of a host's column should have to work on.
constexpr double chunks_per_layer_min = 4;

struct Elements {
  explicit Elements(const Product& product)
      : m(static_cast<double>(product.m)),
        n(static_cast<double>(product.n)),
        k(static_cast<double>(product.k)) {}
  double all() const { return m * n + m * k + n * k; }
  double m, n, k;
};

bool is_useful(const Product& product, const ProcessGrid& grid, double memory_bytes) {
  if (grid.rows > product.rows || grid.columns > product.columns || grid.layers > product.inner) {
    return false;
  }
  const double chunks =
      static_cast<double>(product.rows) / grid.rows * product.columns / grid.columns;
  if (grid.layers > 1 && chunks < chunks_per_layer_min * grid.layers) return false;
  const Elements e(product);
  const double held = e.m * e.k / grid.rows / grid.layers + e.n * e.k / grid.columns / grid.layers +
                      e.m * e.n / grid.rows / grid.columns;
  return memory_bytes == 0 || held * product.element_bytes <= memory_bytes;
}

/// Elements that some host accesses at least, with any memory.
double accessed(const Product& product, double hosts) {
  std::array<double, 3> sides{static_cast<double>(product.m), static_cast<double>(product.n),
                              static_cast<double>(product.k)};
  std::ranges::sort(sides, std::greater{});
  const auto [m, n, k] = sides;
  if (hosts * n <= m) return (m * n + m * k) / hosts + n * k;
  if (hosts * k * k <= m * n) return 2 * std::sqrt(m * n * k * k / hosts) + m * n / hosts;
  return 3 * std::pow(m * n * k / hosts, 2.0 / 3);
}

std::uint32_t part_of(std::uint64_t position, std::uint32_t parts, std::uint32_t extent) {
  return static_cast<std::uint32_t>(position * parts / extent);
}

}  // namespace

ProcessGrid best_grid(const Product& product, std::uint32_t hosts, double memory_bytes,
                      bool may_have_layers) {
  ProcessGrid best;
  for (std::uint32_t rows = 1; rows <= std::min(hosts, product.rows); ++rows) {
    if (hosts % rows != 0) continue;
    const std::uint32_t columns_max = std::min(hosts / rows, product.columns);
    for (std::uint32_t columns = 1; columns <= columns_max; ++columns) {
      if (hosts / rows % columns != 0) continue;
      const ProcessGrid grid{rows, columns, hosts / rows / columns};
      if (grid.layers > 1 && !may_have_layers) continue;
      if (!is_useful(product, grid, memory_bytes)) continue;
      const double more =
          best.hosts() == 0 ? -1 : moved_bytes(product, grid) - moved_bytes(product, best);
      if (more < 0 || (more == 0 && grid.layers < best.layers)) best = grid;
    }
  }
  return best;
}

std::uint32_t host_of_cell(const Product& product, const ProcessGrid& grid, std::uint64_t cell) {
  const std::uint64_t i = cell % product.inner, chunk = cell / product.inner;
  const std::uint32_t row = part_of(chunk / product.columns, grid.rows, product.rows);
  const std::uint32_t column = part_of(chunk % product.columns, grid.columns, product.columns);
  return (row * grid.columns + column) * grid.layers + part_of(i, grid.layers, product.inner);
}

double moved_bytes(const Product& product, const ProcessGrid& grid) {
  const Elements e(product);
  return product.element_bytes * (e.m * e.k * (grid.columns - 1) + e.n * e.k * (grid.rows - 1) +
                                  e.m * e.n * (grid.layers - 1));
}

double least_moved_bytes(const Product& product, std::uint32_t hosts, double memory_bytes) {
  const Elements e(product);
  double each = accessed(product, hosts) - e.all() / hosts;
  if (memory_bytes > 0) {
    const double memory = memory_bytes / product.element_bytes;
    each = std::max(each, 2 * e.m * e.n * e.k / (hosts * std::sqrt(memory)) - memory);
  }
  return product.element_bytes * std::max(each, 0.0) * hosts;
}

}  // namespace ashlar::graph
