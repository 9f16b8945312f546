#pragma once

#include <cstdint>

namespace ashlar::graph {

/// A product of matrices within a graph, C (m x n) = A (m x k) B (k x n), in chunks. A *cell* is
/// the product of a chunk of A and one of B: cell (row * columns + column) * inner + i adds A(row,
/// i) B(i, column) to C(row, column).
struct Product {
  std::uint32_t rows = 0, columns = 0, inner = 0;  ///< chunks along m, n and k
  std::uint64_t m = 0, n = 0, k = 0;               ///< elements
  std::uint32_t element_bytes = 8;

  std::uint64_t cells() const { return std::uint64_t{rows} * columns * inner; }
  friend bool operator==(const Product&, const Product&) = default;
};

/// Hosts in a box over the cells of a product: each does the cells of its part. `layers` cut the
/// inner dimension: chunks of C then travel from layer to layer while they are summed up, in the
/// same order as on one host.
struct ProcessGrid {
  std::uint32_t rows = 0, columns = 0, layers = 0;  ///< all 0: none is any good

  std::uint32_t hosts() const { return rows * columns * layers; }
  friend bool operator==(const ProcessGrid&, const ProcessGrid&) = default;
};

/// The grid of exactly so many hosts that moves least, among those of whose parts each fits into a
/// host's memory (bytes; 0: enough), whose parts have chunks, and which give each layer enough
/// chunks of C that all layers are busy. None when there is no such grid. `may_have_layers`: it may
/// cut the inner dimension.
/// After Kwasniewski et al., "Red-blue pebbling revisited", SC'19 (COSMA).
ProcessGrid best_grid(const Product& product, std::uint32_t hosts, double memory_bytes = 0,
                      bool may_have_layers = true);

/// The position in the grid, 0 … hosts()-1, of the host that does the cell.
std::uint32_t host_of_cell(const Product& product, const ProcessGrid& grid, std::uint64_t cell);

/// Bytes that the grid moves from host to host, if each host begins with a share of the A and B
/// that it reads.
double moved_bytes(const Product& product, const ProcessGrid& grid);

/// No way to spread product and operands evenly over so many hosts moves fewer bytes.
///
/// The greater one of two bounds: with any memory, Al Daas et al., "Tight memory-independent
/// parallel matrix multiplication communication lower bounds", SPAA'22; with that much memory on
/// each host (bytes; 0: enough), 2mnk/(p sqrt(S)) - S elements for each, after Irony, Toledo and
/// Tiskin with the constant of Kwasniewski et al.
double least_moved_bytes(const Product& product, std::uint32_t hosts, double memory_bytes = 0);

}  // namespace ashlar::graph
