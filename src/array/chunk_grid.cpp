#include "array/chunk_grid.hpp"

#include <algorithm>
#include <string>

#include "array/operations.hpp"
#include "base/shape.hpp"

namespace ashlar::array {

ChunkGrid::ChunkGrid(Shape shape, Shape chunks)
    : shape_(std::move(shape)), chunks_(std::move(chunks)) {
  for (std::size_t d = 0; d < shape_.size(); ++d) {
    counts_.push_back((shape_[d] + chunks_[d] - 1) / chunks_[d]);
    size_ *= counts_.back();
  }
}

std::int64_t ChunkGrid::extent(std::size_t dimension, std::int64_t chunk) const {
  return std::min(chunks_[dimension], shape_[dimension] - chunk * chunks_[dimension]);
}

Shape ChunkGrid::position(std::int64_t number) const {
  Shape position(ndim());
  for (std::size_t d = ndim(); d-- > 0;) {
    position[d] = number % counts_[d];
    number /= counts_[d];
  }
  return position;
}

std::int64_t ChunkGrid::number(const Shape& position) const {
  std::int64_t number = 0;
  for (std::size_t d = 0; d < ndim(); ++d) number = number * counts_[d] + position[d];
  return number;
}

Shape ChunkGrid::start(const Shape& position) const {
  Shape out(ndim());
  for (std::size_t d = 0; d < ndim(); ++d) out[d] = start(d, position[d]);
  return out;
}

Shape ChunkGrid::extents(const Shape& position) const {
  Shape out(ndim());
  for (std::size_t d = 0; d < ndim(); ++d) out[d] = extent(d, position[d]);
  return out;
}

bool next_position(Shape& position, const Shape& counts) {
  for (std::size_t d = position.size(); d-- > 0;) {
    if (++position[d] < counts[d]) return true;
    position[d] = 0;
  }
  return false;
}

Shape default_chunks(DType dtype, const Shape& shape) {
  constexpr std::size_t limit = std::size_t{8} << 20;
  Shape chunks = shape;
  for (auto& extent : chunks) extent = std::max<std::int64_t>(extent, 1);
  while (checked_bytes(dtype, chunks) > limit) {
    auto largest = std::max_element(chunks.begin(), chunks.end());
    *largest = (*largest + 1) / 2;
  }
  return chunks;
}

Shape checked_chunks(DType dtype, const Shape& shape, const Shape& chunks) {
  checked_bytes(dtype, shape);
  if (shape.size() > max_dimensions) {
    throw BadInput("shape " + to_string(shape) + ": at most " + std::to_string(max_dimensions) +
                   " dimensions");
  }
  if (chunks.empty()) return default_chunks(dtype, shape);
  const std::string name =
      "chunks " + to_string(chunks) + " of an array of shape " + to_string(shape);
  if (chunks.size() != shape.size()) {
    throw BadInput(name + ": give one extent per dimension, or none to have them chosen");
  }
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t most = std::max<std::int64_t>(shape[d], 1);
    if (chunks[d] < 1 || chunks[d] > most) {
      throw BadInput(name + ": dimension " + std::to_string(d) + " needs an extent from 1 to " +
                     std::to_string(most) + ", got " + std::to_string(chunks[d]));
    }
  }
  return chunks;
}

std::vector<std::int64_t> dense_strides(const Shape& extents) {
  std::vector<std::int64_t> strides(extents.size());
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= extents[d];
  }
  return strides;
}

}  // namespace ashlar::array
