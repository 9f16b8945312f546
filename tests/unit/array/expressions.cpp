#include "expressions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ashlar::test {
namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Expression expression(int operations) {
    Expression x = leaf(random_shape());
    for (int i = 0; i < operations; ++i) x = grow(x);
    return x;
  }

 private:
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }

  Shape random_shape() {
    Shape shape(static_cast<std::size_t>(below(4)));
    for (auto& extent : shape) extent = 1 + below(7);
    return shape;
  }

  Shape random_chunks(const Shape& shape) {
    Shape chunks = shape;
    for (auto& extent : chunks) extent = 1 + below(extent);
    return chunks;
  }

  DType random_dtype() { return DType{static_cast<std::uint8_t>(below(dtype_count))}; }

  /// Small whole numbers: every dtype holds them, and products of a few.
  Expression leaf(const Shape& shape) {
    Dense values{shape, {}};
    const DType dtype = random_dtype();
    for_each_position(shape, [&](const Shape&) {
      values.values.push_back(static_cast<double>(below(dtype == DType::boolean ? 2 : 4)));
    });
    const auto host_array = host(dtype, values);
    return {from_host(host_array, {.chunks = random_chunks(shape)}), values};
  }

  Expression grow(const Expression& x) {
    switch (below(10)) {
      case 0:
        return with_number(x);
      case 1:
        return {-as_double(x).array, map(x.expected, [](double v) { return -v; })};
      case 2:
        return with_array(x, leaf(broadcastable(x.expected.shape)));
      case 3:
        return with_array(x, x);
      case 4:
        return {x.array.rechunk(random_chunks(x.expected.shape)), x.expected};
      case 5:
        return permuted(x);
      case 6:
        return sliced(x);
      case 7:
        return reduced(x);
      case 8:
        return {as_double(x).array < 2.03125,
                map(
                    x.expected, [](double v) { return v < 2.03125 ? 1.0 : 0.0; })};
      default:
        return multiplied(x);
    }
  }

  /// Keeps values small and dtypes able to hold them.
  Expression as_double(const Expression& x) { return {x.array.astype(DType::float64), x.expected}; }

  Expression with_number(const Expression& x) {
    const Expression wide = as_double(x);
    const double number = static_cast<double>(below(3)) + 0.5;
    if (below(2) == 0) {
      return {number + wide.array, map(x.expected, [&](double v) { return number + v; })};
    }
    return {wide.array / number, map(x.expected, [&](double v) { return v / number; })};
  }

  Expression with_array(const Expression& a, const Expression& b) {
    switch (below(3)) {
      case 0:
        return {as_double(a).array + b.array, zip(a.expected, b.expected, std::plus{})};
      case 1:
        return {a.array - as_double(b).array, zip(a.expected, b.expected, std::minus{})};
      default:
        return {maximum(a.array, b.array),
                zip(a.expected, b.expected, [](double v, double w) { return std::max(v, w); })};
    }
  }

  Shape broadcastable(const Shape& shape) {
    Shape out(shape.begin() + below(static_cast<std::int64_t>(shape.size()) + 1), shape.end());
    for (auto& extent : out) extent = below(3) == 0 ? 1 : extent;
    return out;
  }

  Expression permuted(const Expression& x) {
    std::vector<int> axes(x.expected.shape.size());
    std::iota(axes.begin(), axes.end(), 0);
    for (std::size_t i = axes.size(); i > 1; --i) {
      std::swap(axes[i - 1], axes[static_cast<std::size_t>(below(static_cast<std::int64_t>(i)))]);
    }
    return {permute_dims(x.array, axes), permute(x.expected, axes)};
  }

  Expression sliced(const Expression& x) {
    Shape start, step, count;
    std::vector<Slice> slices;
    for (std::int64_t extent : x.expected.shape) {
      const std::int64_t first = below(extent);
      const std::int64_t last = below(extent);
      const std::int64_t stride = 1 + below(3);
      const std::int64_t by = first <= last ? stride : -stride;
      start.push_back(first);
      step.push_back(by);
      count.push_back(1 + std::abs(last - first) / stride);
      Slice slice{.start = first, .step = by};
      if (by > 0) slice.stop = last + 1;
      if (by < 0 && last > 0) slice.stop = last - 1;
      slices.push_back(slice);
    }
    return {x.array.slice(slices), slice(x.expected, start, step, count)};
  }

  Expression reduced(const Expression& x) {
    const std::size_t ndim = x.expected.shape.size();
    std::vector<bool> is_reduced(ndim);
    ReduceOptions options{.keepdims = below(2) == 0};
    double count = 1;
    for (std::size_t d = 0; d < ndim; ++d) {
      if (below(2) == 0) continue;
      is_reduced[d] = true;
      options.axes.push_back(below(2) == 0 ? static_cast<int>(d)
                                           : static_cast<int>(d) - static_cast<int>(ndim));
    }
    if (options.axes.empty()) is_reduced.assign(ndim, true);
    for (std::size_t d = 0; d < ndim; ++d) {
      if (is_reduced[d]) count *= static_cast<double>(x.expected.shape[d]);
    }
    const auto folded = [&](const auto& f, double from) {
      return fold(x.expected, is_reduced, options.keepdims, f, from);
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const auto smaller = [](double v, double w) { return std::min(v, w); };
    const auto larger = [](double v, double w) { return std::max(v, w); };
    switch (below(4)) {
      case 0:
        return {sum(x.array, options), folded(std::plus{}, 0)};
      case 1:
        return {min(x.array, options), folded(smaller, infinity)};
      case 2:
        return {max(x.array, options), folded(larger, -infinity)};
      default: {
        const Dense total = folded(std::plus{}, 0);
        return {mean(as_double(x).array, options), map(total, [&](double v) { return v / count; })};
      }
    }
  }

  Expression multiplied(const Expression& x) {
    if (x.expected.shape.size() != 2) return with_number(x);
    Expression a = as_double(x);
    if (below(2) == 0) a = {a.array.T(), permute(a.expected, {1, 0})};
    Expression b = leaf({a.expected.shape[1], 1 + below(6)});
    if (below(2) == 0) {
      b = leaf({b.expected.shape[1], b.expected.shape[0]});
      b = {b.array.T(), permute(b.expected, {1, 0})};
    }
    return {matmul(a.array, b.array), matmul(a.expected, b.expected)};
  }

  SplitMix64 random_;
};

}  // namespace

Expression random_expression(std::uint64_t seed, int operations) {
  return Generator(seed).expression(operations);
}

void expect_close(const HostArray& found, const Dense& expected, const std::string& name) {
  ASSERT_EQ(found.shape(), expected.shape) << name;
  const Dense values = dense(found);
  const double epsilon = found.dtype() == DType::float32 ? 1e-5 : 1e-12;
  for (std::size_t i = 0; i < values.values.size(); ++i) {
    const double tolerance = epsilon * std::max(1.0, std::abs(expected.values[i]));
    ASSERT_NEAR(values.values[i], expected.values[i], tolerance) << name << ", element " << i;
  }
}

}  // namespace ashlar::test
