#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ashlar::kernels {

/// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns. Tiles go by way of
/// a small buffer, so that both sides see whole cache lines.
template <class Word>
void transpose_plane(const Word* from, std::int64_t from_stride, std::int64_t rows, Word* to,
                     std::int64_t to_stride, std::int64_t columns) {
  constexpr std::int64_t tile = 32;
  alignas(64) Word buffer[tile][tile];
  for (std::int64_t j0 = 0; j0 < columns; j0 += tile) {
    const std::int64_t width = std::min(tile, columns - j0);
    for (std::int64_t i0 = 0; i0 < rows; i0 += tile) {
      const std::int64_t height = std::min(tile, rows - i0);
      for (std::int64_t i = 0; i < height; ++i) {
        const Word* row = from + (i0 + i) * from_stride + j0;
        for (std::int64_t j = 0; j < width; ++j) buffer[j][i] = row[j];
      }
      for (std::int64_t j = 0; j < width; ++j) {
        std::memcpy(to + (j0 + j) * to_stride + i0, buffer[j],
                    static_cast<std::size_t>(height) * sizeof(Word));
      }
    }
  }
}

}  // namespace ashlar::kernels
