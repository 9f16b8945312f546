#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "array/chunk_grid.hpp"
#include "array/node.hpp"
#include "array/sources.hpp"

namespace ashlar {
namespace {

using array::checked_chunks;
using array::make_array;
using array::make_constant;

Array random_array(array::Random operation, DType dtype, const Shape& shape, const Shape& chunks,
                   const std::source_location& where) {
  if (!is_floating(dtype)) {
    throw BadInput("random numbers are float32 or float64, not " + std::string(dtype_name(dtype)) +
                   ": convert them with astype");
  }
  return make_array(operation, dtype, shape, checked_chunks(dtype, shape, chunks), {}, where);
}

/// How many of start, start + step, … come before stop.
std::int64_t arange_count(Scalar start, Scalar stop, Scalar step, bool is_integer) {
  const auto text = [](Scalar value) {
    return value.kind() == Scalar::Kind::floating ? std::to_string(value.floating())
                                                  : std::to_string(value.integer());
  };
  const std::string name = "arange from " + text(start) + " to " + text(stop) + " by " + text(step);
  if (step.floating() == 0) throw BadInput(name + ": the step must not be 0");
  constexpr double most = 0x1p60;
  const double estimate = std::ceil((stop.floating() - start.floating()) / step.floating());
  if (!(estimate < most)) throw BadInput(name + ": too many elements");
  if (!is_integer) return static_cast<std::int64_t>(std::max(0.0, estimate));
  constexpr double farthest = 0x1p61;
  if (std::abs(start.floating()) > farthest || std::abs(stop.floating()) > farthest) {
    throw BadInput(name + ": integers beyond 2^61");
  }
  const std::int64_t by = step.integer();
  const std::int64_t distance = stop.integer() - start.integer();
  if (distance == 0 || (distance > 0) != (by > 0)) return 0;
  return 1 + (distance - (by > 0 ? 1 : -1)) / by;
}

}  // namespace

Array zeros(const Shape& shape, const ArrayOptions& options, std::source_location where) {
  return full(shape, 0, {options.chunks, options.dtype.value_or(DType::float64)}, where);
}

Array ones(const Shape& shape, const ArrayOptions& options, std::source_location where) {
  return full(shape, 1, {options.chunks, options.dtype.value_or(DType::float64)}, where);
}

Array full(const Shape& shape, Scalar value, const ArrayOptions& options,
           std::source_location where) {
  const DType dtype = options.dtype.value_or(value.default_dtype());
  return make_array(array::Fill{make_constant(value, dtype)}, dtype, shape,
                    checked_chunks(dtype, shape, options.chunks), {}, where);
}

Array eye(std::int64_t rows, const EyeOptions& options, std::source_location where) {
  const DType dtype = options.dtype.value_or(DType::float64);
  const Shape shape{rows, options.columns.value_or(rows)};
  constexpr std::int64_t most = std::int64_t{1} << 60;
  const Shape chunks = checked_chunks(dtype, shape, options.chunks);
  // A diagonal beyond all elements is like any other such.
  return make_array(array::Eye{std::clamp(options.diagonal, -most, most)}, dtype, shape, chunks, {},
                    where);
}

Array arange(Scalar start, Scalar stop, const ArangeOptions& options, std::source_location where) {
  bool is_integer = true;
  for (const Scalar& scalar : {start, stop, options.step}) {
    is_integer = is_integer && scalar.kind() != Scalar::Kind::floating;
  }
  const DType dtype = options.dtype.value_or(is_integer ? DType::int64 : DType::float64);
  if (dtype == DType::boolean) throw BadInput("arange of boolean: give a numeric dtype");
  const Shape shape{arange_count(start, stop, options.step, is_integer)};
  const array::Arange operation{.start = make_constant(start, dtype),
                                .step = make_constant(options.step, dtype),
                                .last = {.dtype = dtype}};
  return make_array(operation, dtype, shape, checked_chunks(dtype, shape, options.chunks), {},
                    where);
}

Array linspace(double start, double stop, std::int64_t count, const ArrayOptions& options,
               std::source_location where) {
  const DType dtype = options.dtype.value_or(DType::float64);
  if (!is_floating(dtype)) {
    throw BadInput("linspace makes floating numbers, not " + std::string(dtype_name(dtype)) +
                   ": convert them with astype");
  }
  const Shape shape{count};
  const Shape chunks = checked_chunks(dtype, shape, options.chunks);
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  const array::Arange operation{.start = make_constant(start, dtype),
                                .step = make_constant(step, dtype),
                                .last = make_constant(stop, dtype),
                                .last_index = count > 1 ? count - 1 : -1};
  return make_array(operation, dtype, shape, chunks, {}, where);
}

Array from_host(const HostArray& host, const ChunkOptions& options, std::source_location where) {
  if (host.storage() == nullptr) {
    throw BadInput("from_host of an empty handle: give an array that has memory");
  }
  return make_array(array::HostSource{host}, host.dtype(), host.shape(),
                    checked_chunks(host.dtype(), host.shape(), options.chunks), {}, where);
}

Array random::uniform(const Shape& shape, const UniformOptions& options,
                      std::source_location where) {
  if (!std::isfinite(options.low) || !std::isfinite(options.high) ||
      !std::isfinite(options.high - options.low)) {
    throw BadInput("random::uniform: the bounds and their distance must be finite, found " +
                   std::to_string(options.low) + " and " + std::to_string(options.high));
  }
  if (options.low > options.high) {
    throw BadInput("random::uniform: low " + std::to_string(options.low) + " is above high " +
                   std::to_string(options.high));
  }
  return random_array({.distribution = array::Distribution::uniform,
                       .a = options.low,
                       .b = options.high,
                       .seed = options.seed},
                      options.dtype, shape, options.chunks, where);
}

Array random::normal(const Shape& shape, const NormalOptions& options, std::source_location where) {
  if (!(options.deviation >= 0)) {
    throw BadInput("random::normal: the deviation must not be negative, found " +
                   std::to_string(options.deviation));
  }
  return random_array({.distribution = array::Distribution::normal,
                       .a = options.mean,
                       .b = options.deviation,
                       .seed = options.seed},
                      options.dtype, shape, options.chunks, where);
}

namespace array {

Array npy_source(NpyFile file, const Shape& chunks, const std::source_location& where) {
  const DType dtype = file.dtype;
  const Shape shape = file.shape;
  return make_array(NpySource{std::move(file)}, dtype, shape, checked_chunks(dtype, shape, chunks),
                    {}, where);
}

Array npy_sink(const Array& x, NpyFile file, const std::source_location& where) {
  if (file.dtype != x.dtype() || file.shape != x.shape()) {
    throw BadInput("\"" + file.path + "\" is made for " + to_string(file.shape) + " of " +
                   std::string(dtype_name(file.dtype)) + ", not for " + to_string(x.shape()) +
                   " of " + std::string(dtype_name(x.dtype())));
  }
  const Shape counts = ChunkGrid(x.shape(), x.chunks()).counts();
  return make_array(NpySink{std::move(file)}, DType::int64, counts, Shape(counts.size(), 1),
                    {x.node()}, where);
}

Array from_data(DType dtype, const Shape& shape, const Shape& chunks, std::vector<DatumRef> data,
                const std::source_location& where) {
  const Shape checked = checked_chunks(dtype, shape, chunks);
  const auto expected = ChunkGrid(shape, checked).size();
  if (static_cast<std::int64_t>(data.size()) != expected) {
    throw BadInput("an array of shape " + to_string(shape) + " in chunks " + to_string(checked) +
                   " has " + std::to_string(expected) + " chunks, not " +
                   std::to_string(data.size()));
  }
  return make_array(DataSource{std::move(data)}, dtype, shape, checked, {}, where);
}

}  // namespace array
}  // namespace ashlar
