#pragma once

#include <ashlar/host_array.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ashlar::kernels {

/// Permutes the dimensions of a dense block: output dimension d is input dimension axes[d].
///
/// `to` and `from` have as many elements as `extents` says, of 1, 4 or 8 bytes, and do not overlap.
/// `axes` is a permutation.
void permute_block(std::size_t element_bytes, const Shape& extents,
                   std::span<const std::uint8_t> axes, const std::byte* from, std::byte* to);

}  // namespace ashlar::kernels
