#include <ashlar/array.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "array/chunk_grid.hpp"
#include "array/node.hpp"
#include "base/shape.hpp"

namespace ashlar {

using array::checked_axis;
using array::make_array;

void Scalar::refuse(std::uint64_t value) {
  throw BadInput(std::to_string(value) + " does not fit into int64: give a floating number");
}

DType Scalar::default_dtype() const {
  switch (kind_) {
    case Kind::boolean:
      return DType::boolean;
    case Kind::integer:
      return DType::int64;
    case Kind::floating:
      return DType::float64;
  }
  return DType::float64;
}

const Shape& Array::shape() const { return node_->shape; }
DType Array::dtype() const { return node_->dtype; }
const Shape& Array::chunks() const { return node_->chunks; }
std::int64_t Array::size() const { return element_count(node_->shape); }

Array Array::transpose(std::source_location where) const {
  std::vector<int> axes(ndim());
  std::iota(axes.rbegin(), axes.rend(), 0);
  return permute_dims(*this, axes, where);
}

Array Array::T(std::source_location where) const { return transpose(where); }

Array Array::rechunk(const Shape& wanted, std::source_location where) const {
  const Shape checked = array::checked_chunks(dtype(), shape(), wanted);
  if (checked == chunks()) return *this;
  // Cutting twice is cutting once.
  const bool is_cut = std::holds_alternative<array::Rechunk>(node_->operation);
  const Array source = is_cut ? Array(node_->inputs[0]) : *this;
  if (checked == source.chunks()) return source;
  return make_array(array::Rechunk{}, dtype(), shape(), checked, {source.node()}, where);
}

namespace {

/// The first position, the step and the number of positions that a Slice names.
struct Range {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
};

Range checked_range(const Slice& slice, std::int64_t extent, std::size_t dimension,
                    const Shape& shape) {
  const auto fail = [&](const std::string& finding) {
    throw BadInput("slice of " + to_string(shape) + ", dimension " + std::to_string(dimension) +
                   ": " + finding);
  };
  const auto position = [&](std::int64_t given, const char* name) {
    const std::int64_t from_start = given < 0 ? given + extent : given;
    if (from_start < 0 || from_start > extent) {
      fail(std::string(name) + " " + std::to_string(given) + " lies outside 0 to " +
           std::to_string(extent));
    }
    return from_start;
  };
  if (slice.step == 0) fail("the step must not be 0");
  const bool is_forward = slice.step > 0;
  Range range{.start = is_forward ? 0 : extent - 1, .step = slice.step};
  if (slice.start) range.start = position(*slice.start, "start");
  if (!is_forward && range.start == extent && extent > 0) {
    fail("start " + std::to_string(*slice.start) + " lies outside 0 to " +
         std::to_string(extent - 1));
  }
  std::int64_t stop = is_forward ? extent : -1;
  if (slice.stop) stop = position(*slice.stop, "stop");
  const std::int64_t distance = is_forward ? stop - range.start : range.start - stop;
  const std::int64_t stride = is_forward ? slice.step : -slice.step;
  if (distance > 0) range.count = 1 + (distance - 1) / stride;
  return range;
}

}  // namespace

Array Array::slice(const std::vector<Slice>& slices, std::source_location where) const {
  if (slices.size() > ndim()) {
    throw BadInput("slice of " + to_string(shape()) + ": " + std::to_string(slices.size()) +
                   " slices for " + std::to_string(ndim()) + " dimensions");
  }
  array::Slicing operation{Shape(ndim(), 0), Shape(ndim(), 1)};
  Shape out = shape();
  Shape out_chunks = chunks();
  for (std::size_t d = 0; d < slices.size(); ++d) {
    constexpr std::int64_t most = std::int64_t{1} << 62;
    Slice slice = slices[d];
    slice.step = std::clamp(slice.step, -most, most);  // steps beyond every array are alike
    const Range range = checked_range(slice, shape()[d], d, shape());
    operation.start[d] = range.start;
    operation.step[d] = range.count > 1 ? range.step : 1;
    out[d] = range.count;
    const std::int64_t stride = std::max(operation.step[d], -operation.step[d]);
    const std::int64_t fitting = std::max<std::int64_t>(1, chunks()[d] / stride);
    out_chunks[d] = std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(range.count, 1));
  }
  const bool is_whole = out == shape() && operation.step == Shape(ndim(), 1);
  if (is_whole) return *this;
  return make_array(std::move(operation), dtype(), out, out_chunks, {node()}, where);
}

Array permute_dims(const Array& x, const std::vector<int>& axes, std::source_location where) {
  const std::string name = "permute_dims";
  if (axes.size() != x.ndim()) {
    throw BadInput(name + " of " + to_string(x.shape()) + ": " + std::to_string(axes.size()) +
                   " axes for " + std::to_string(x.ndim()) + " dimensions");
  }
  array::Permute operation;
  Shape shape, chunks;
  for (int given : axes) {
    const auto axis = checked_axis(given, x.ndim(), name, x.shape());
    if (std::find(operation.axes.begin(), operation.axes.end(), axis) != operation.axes.end()) {
      throw BadInput(name + " of " + to_string(x.shape()) + ": axis " + std::to_string(given) +
                     " is named twice");
    }
    operation.axes.push_back(axis);
    shape.push_back(x.shape()[axis]);
    chunks.push_back(x.chunks()[axis]);
  }
  if (std::is_sorted(operation.axes.begin(), operation.axes.end())) return x;
  return make_array(std::move(operation), x.dtype(), shape, chunks, {x.node()}, where);
}

Array expand_dims(const Array& x, int axis, std::source_location where) {
  const auto at = checked_axis(axis, x.ndim() + 1, "expand_dims", x.shape());
  Shape shape = x.shape();
  shape.insert(shape.begin() + at, 1);
  Shape chunks = x.chunks();
  chunks.insert(chunks.begin() + at, 1);
  array::checked_chunks(x.dtype(), shape, chunks);
  return make_array(array::Reshape{}, x.dtype(), shape, chunks, {x.node()}, where);
}

Array squeeze(const Array& x, const std::vector<int>& axes, std::source_location where) {
  std::vector<bool> is_removed(x.ndim());
  for (int given : axes) {
    const auto axis = checked_axis(given, x.ndim(), "squeeze", x.shape());
    if (x.shape()[axis] != 1) {
      throw BadInput("squeeze of " + to_string(x.shape()) + ": axis " + std::to_string(given) +
                     " has extent " + std::to_string(x.shape()[axis]) + ", not 1");
    }
    if (is_removed[axis]) {
      throw BadInput("squeeze of " + to_string(x.shape()) + ": axis " + std::to_string(given) +
                     " is named twice");
    }
    is_removed[axis] = true;
  }
  Shape shape, chunks;
  for (std::size_t d = 0; d < x.ndim(); ++d) {
    if (is_removed[d]) continue;
    shape.push_back(x.shape()[d]);
    chunks.push_back(x.chunks()[d]);
  }
  return make_array(array::Reshape{}, x.dtype(), shape, chunks, {x.node()}, where);
}

namespace {

Array reduce(const char* name, array::Reduction reduction, DType dtype, bool is_mean,
             const Array& x, const ReduceOptions& options, const std::source_location& where) {
  array::Reduce operation{.reduction = reduction, .keepdims = options.keepdims};
  std::vector<bool> is_reduced(x.ndim(), options.axes.empty());
  for (int given : options.axes) {
    const auto axis = checked_axis(given, x.ndim(), name, x.shape());
    if (is_reduced[axis]) {
      throw BadInput(std::string(name) + " of " + to_string(x.shape()) + ": axis " +
                     std::to_string(given) + " is named twice");
    }
    is_reduced[axis] = true;
  }
  Shape shape, chunks;
  std::int64_t reduced = 1;
  for (std::size_t d = 0; d < x.ndim(); ++d) {
    if (is_reduced[d]) {
      operation.axes.push_back(static_cast<std::uint8_t>(d));
      reduced *= x.shape()[d];
    }
    if (is_reduced[d] && !options.keepdims) continue;
    shape.push_back(is_reduced[d] ? 1 : x.shape()[d]);
    chunks.push_back(is_reduced[d] ? 1 : x.chunks()[d]);
  }
  if (reduced == 0 && (is_mean || reduction != array::Reduction::sum)) {
    throw BadInput(std::string(name) + " of " + to_string(x.shape()) + ": there is no element");
  }
  if (is_mean) operation.divisor = static_cast<double>(reduced);
  return make_array(std::move(operation), dtype, shape, chunks, {x.node()}, where);
}

}  // namespace

Array sum(const Array& x, const ReduceOptions& options, std::source_location where) {
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : DType::int64;
  return reduce("sum", array::Reduction::sum, dtype, false, x, options, where);
}

Array mean(const Array& x, const ReduceOptions& options, std::source_location where) {
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : DType::float64;
  return reduce("mean", array::Reduction::sum, dtype, true, x, options, where);
}

Array min(const Array& x, const ReduceOptions& options, std::source_location where) {
  return reduce("min", array::Reduction::min, x.dtype(), false, x, options, where);
}

Array max(const Array& x, const ReduceOptions& options, std::source_location where) {
  return reduce("max", array::Reduction::max, x.dtype(), false, x, options, where);
}

Array matmul(const Array& a, const Array& b, std::source_location where) {
  if (a.ndim() != 2 || b.ndim() != 2) {
    throw BadInput(array::describe("matmul", a, b) +
                   ": both must have two dimensions; give one of fewer another with expand_dims");
  }
  if (a.shape()[1] != b.shape()[0]) {
    throw BadInput(array::describe("matmul", a, b) + ": columns of the first (" +
                   std::to_string(a.shape()[1]) + ") and rows of the second (" +
                   std::to_string(b.shape()[0]) +
                   ") must be equal; swap the factors, or transpose one");
  }
  const DType dtype = array::promote(a.dtype(), b.dtype());
  if (dtype == DType::boolean || dtype == DType::uint8) {
    throw BadInput(array::describe("matmul", a, b) + " of " + std::string(dtype_name(dtype)) +
                   ": convert with astype to a wider dtype first");
  }
  Array left = a.astype(dtype, where);
  Array right = b.astype(dtype, where);
  if (left.chunks()[1] != right.chunks()[0]) {
    // Cut the smaller operand anew: that moves less.
    if (left.size() < right.size()) {
      left = left.rechunk({left.chunks()[0], right.chunks()[0]}, where);
    } else {
      right = right.rechunk({left.chunks()[1], right.chunks()[1]}, where);
    }
  }
  return make_array(array::Matmul{}, dtype, {a.shape()[0], b.shape()[1]},
                    {left.chunks()[0], right.chunks()[1]}, {left.node(), right.node()}, where);
}

}  // namespace ashlar
