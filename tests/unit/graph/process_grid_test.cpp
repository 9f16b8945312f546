#include "graph/process_grid.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>

namespace ashlar::graph {
namespace {

Product product_of(std::uint32_t rows, std::uint32_t columns, std::uint32_t inner) {
  constexpr std::uint64_t chunk = 512;
  return {.rows = rows,
          .columns = columns,
          .inner = inner,
          .m = rows * chunk,
          .n = columns * chunk,
          .k = inner * chunk};
}

TEST(ProcessGrid, SquareProductsGetTwoThenThreeDimensions) {
  EXPECT_EQ(best_grid(product_of(32, 32, 32), 4), (ProcessGrid{2, 2, 1}));
  EXPECT_EQ(best_grid(product_of(32, 32, 32), 8), (ProcessGrid{2, 2, 2}));
  EXPECT_EQ(best_grid(product_of(32, 32, 32), 64), (ProcessGrid{4, 4, 4}));
}

TEST(ProcessGrid, OneLongSideIsCutAlone) {
  EXPECT_EQ(best_grid(product_of(64, 16, 16), 4), (ProcessGrid{4, 1, 1}));
  EXPECT_EQ(best_grid(product_of(16, 64, 16), 4), (ProcessGrid{1, 4, 1}));
  EXPECT_EQ(best_grid(product_of(16, 16, 64), 4), (ProcessGrid{1, 1, 4}));
}

TEST(ProcessGrid, LittleMemoryForbidsLayers) {
  const Product product = product_of(32, 32, 32);
  const double all = 8.0 * 3 * static_cast<double>(product.m * product.n);
  EXPECT_EQ(best_grid(product, 64, all).layers, 4u);
  // A layered part holds 1/16 of each matrix, a flat one an eighth of A and B and 1/64 of C.
  EXPECT_EQ(best_grid(product, 64, all / 20).hosts(), 0u);
}

TEST(ProcessGrid, ThereIsNoneForMoreHostsThanChunks) {
  EXPECT_EQ(best_grid(product_of(2, 2, 2), 64).hosts(), 0u);
}

TEST(ProcessGrid, EachHostGetsAsManyCells) {
  const Product product = product_of(8, 12, 16);
  const ProcessGrid grid{2, 3, 2};
  std::map<std::uint32_t, std::uint64_t> cells;
  for (std::uint64_t cell = 0; cell < product.cells(); ++cell) {
    ++cells[host_of_cell(product, grid, cell)];
  }
  ASSERT_EQ(cells.size(), grid.hosts());
  for (const auto& [host, count] : cells) EXPECT_EQ(count, product.cells() / grid.hosts()) << host;
}

TEST(ProcessGrid, NoGridMovesLessThanTheBound) {
  for (const std::uint32_t hosts : {2u, 4u, 6u, 8u, 16u, 36u, 64u}) {
    for (const Product& product :
         {product_of(32, 32, 32), product_of(64, 16, 16), product_of(16, 16, 64),
          product_of(64, 64, 4), product_of(64, 4, 64), product_of(128, 2, 16)}) {
      const ProcessGrid grid = best_grid(product, hosts);
      if (grid.hosts() == 0) continue;
      EXPECT_EQ(grid.hosts(), hosts);
      EXPECT_GE(moved_bytes(product, grid), 0.999999 * least_moved_bytes(product, hosts));
    }
  }
  // Where the box of a host can be a cube, the bound is met.
  const Product cube = product_of(32, 32, 32);
  EXPECT_NEAR(moved_bytes(cube, {4, 4, 4}), least_moved_bytes(cube, 64), 1e-6 * 19e9);
}

}  // namespace
}  // namespace ashlar::graph
