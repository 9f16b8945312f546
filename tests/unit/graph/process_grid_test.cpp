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

TEST(ProcessGrid, RaggedAndUnequalSidesAreSharedOutWhole) {
  // The last chunks are smaller, and no number of chunks is a multiple of the hosts.
  const Product product{.rows = 7, .columns = 5, .inner = 11, .m = 1700, .n = 1100, .k = 2600};
  for (const std::uint32_t hosts : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 12u}) {
    const ProcessGrid grid = best_grid(product, hosts);
    ASSERT_EQ(grid.hosts(), hosts);
    std::map<std::uint32_t, std::uint64_t> cells;
    for (std::uint64_t cell = 0; cell < product.cells(); ++cell) {
      ++cells[host_of_cell(product, grid, cell)];
    }
    ASSERT_EQ(cells.size(), hosts) << "every host has a part";
    EXPECT_EQ(cells.rbegin()->first, hosts - 1);
    // Whole chunks: along each side a part may have one more than its share.
    const auto most = [](std::uint32_t chunks, std::uint32_t parts) {
      return (chunks + parts - 1) / parts;
    };
    for (const auto& [host, count] : cells) {
      EXPECT_LE(count, most(product.rows, grid.rows) * most(product.columns, grid.columns) *
                           most(product.inner, grid.layers));
    }
  }
}

TEST(ProcessGrid, OneHostMovesNothing) {
  const Product product = product_of(3, 5, 7);
  EXPECT_EQ(best_grid(product, 1), (ProcessGrid{1, 1, 1}));
  EXPECT_EQ(moved_bytes(product, {1, 1, 1}), 0);
  EXPECT_EQ(least_moved_bytes(product, 1), 0);
}

TEST(ProcessGrid, APrimeNumberOfHostsIsPutAlongOneSide) {
  EXPECT_EQ(best_grid(product_of(32, 16, 16), 7), (ProcessGrid{7, 1, 1}));
  EXPECT_EQ(best_grid(product_of(16, 32, 16), 7), (ProcessGrid{1, 7, 1}));
  EXPECT_EQ(best_grid(product_of(16, 16, 32), 7), (ProcessGrid{1, 1, 7}));
  EXPECT_EQ(best_grid(product_of(4, 4, 4), 7).hosts(), 0u) << "no side has so many chunks";
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
