#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>

#include <cstdint>
#include <vector>

namespace ashlar::array {

/// How an array is cut: a regular grid whose last chunk per dimension may be smaller. A dimension
/// of extent 0 has no chunks. Chunks are numbered in row-major order.
class ChunkGrid {
 public:
  /// Requires checked chunks.
  ChunkGrid(Shape shape, Shape chunks);

  const Shape& shape() const { return shape_; }
  const Shape& chunks() const { return chunks_; }
  std::size_t ndim() const { return shape_.size(); }
  const Shape& counts() const { return counts_; }  ///< chunks per dimension
  std::int64_t size() const { return size_; }      ///< chunks

  std::int64_t start(std::size_t dimension, std::int64_t chunk) const {
    return chunk * chunks_[dimension];
  }
  std::int64_t extent(std::size_t dimension, std::int64_t chunk) const;

  /// Position in the grid of chunk `number`, and back.
  Shape position(std::int64_t number) const;
  std::int64_t number(const Shape& position) const;

  Shape start(const Shape& position) const;
  Shape extents(const Shape& position) const;

  friend bool operator==(const ChunkGrid&, const ChunkGrid&) = default;

 private:
  Shape shape_;
  Shape chunks_;
  Shape counts_;
  std::int64_t size_ = 1;
};

/// Steps through all positions of a box in row-major order; false after the last.
bool next_position(Shape& position, const Shape& counts);

/// Chunks of up to 8 MiB, as square as halving makes them.
Shape default_chunks(DType dtype, const Shape& shape);

/// The chunks to use: default ones for none given.
/// Errors: BadInput for a wrong number of them, and for extents below 1 or larger than the array.
Shape checked_chunks(DType dtype, const Shape& shape, const Shape& chunks);

/// Row-major strides in elements.
std::vector<std::int64_t> dense_strides(const Shape& extents);

}  // namespace ashlar::array
