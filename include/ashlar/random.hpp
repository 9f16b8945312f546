#pragma once

#include <ashlar/array.hpp>

#include <cstdint>
#include <optional>
#include <source_location>

/// Random arrays. Values depend on the seed and on an element's position in the array only: not
/// on chunks, workers or order.
namespace ashlar::random {

struct UniformOptions {
  Shape chunks = {};
  std::uint64_t seed = 0;
  double low = 0;
  double high = 1;
  DType dtype = DType::float64;  ///< floating
};

struct NormalOptions {
  Shape chunks = {};
  std::uint64_t seed = 0;
  double mean = 0;
  double deviation = 1;
  DType dtype = DType::float64;  ///< floating
};

/// Evenly distributed numbers in [low, high).
/// Errors: BadInput for bounds that are not finite or in the wrong order, or an integer dtype.
Array uniform(const Shape& shape, const UniformOptions& options = {},
              std::source_location where = std::source_location::current());

/// Normally distributed numbers.
Array normal(const Shape& shape, const NormalOptions& options = {},
             std::source_location where = std::source_location::current());

}  // namespace ashlar::random
