#include "kernels.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>

namespace prediction {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Matrix> map(View<const double, 2> view) {
  return {view.data(), view.extent(0), view.extent(1)};
}
Eigen::Map<Matrix> map(View<double, 2> view) {
  return {view.data(), view.extent(0), view.extent(1)};
}

/// A number from 0 to 1 that looks like chance.
double any(std::uint64_t seed) {
  seed = (seed + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
  seed = (seed ^ seed >> 27) * 0x94D049BB133111EBu;
  return static_cast<double>((seed ^ seed >> 31) >> 11) * 0x1p-53;
}

HostArray filled(const ashlar::Shape& shape, std::int64_t seed) {
  HostArray array(ashlar::DType::float64, shape);
  auto* data = reinterpret_cast<double*>(array.bytes().data());
  const std::int64_t count = array.size();
  for (std::int64_t i = 0; i < count; ++i) {
    data[i] = any(static_cast<std::uint64_t>(seed * count + i));
  }
  return array;
}

/// The n smallest of two sorted blocks of n, in order. Takes as long whatever the numbers are:
/// which is smaller decides no jump.
HostArray lower(const double* a, const double* b, std::int64_t n) {
  HostArray out(ashlar::DType::float64, {n});
  auto* to = out.view<double, 1>().data();
  std::int64_t i = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    const double first = a[i], second = b[k - i];
    const bool takes_a = first <= second;
    to[k] = takes_a ? first : second;
    i += takes_a;
  }
  return out;
}

/// The n largest.
HostArray upper(const double* a, const double* b, std::int64_t n) {
  HostArray out(ashlar::DType::float64, {n});
  auto* to = out.view<double, 1>().data();
  std::int64_t i = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    const double first = a[n - 1 - i], second = b[n - 1 - (k - i)];
    const bool takes_a = first > second;
    to[n - 1 - k] = takes_a ? first : second;
    i += takes_a;
  }
  return out;
}

}  // namespace

HostArray make_tile(std::int64_t n, std::int64_t row, std::int64_t column) {
  HostArray tile = filled({n, n}, row * 1000 + column);
  constexpr double dominates = 1e5;
  for (std::int64_t i = 0; row == column && i < n; ++i) tile.view<double, 2>()(i, i) += dominates;
  return tile;
}

void factor(View<double, 2> tile) {
  Eigen::Ref<Matrix> in_place = map(tile);
  const Eigen::LLT<Eigen::Ref<Matrix>> factored(in_place);
}

void solve(View<const double, 2> factor, View<double, 2> tile) {
  auto x = map(tile);
  map(factor).transpose().triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(x);
}

void update(View<const double, 2> left, View<const double, 2> right, View<double, 2> tile) {
  map(tile).noalias() -= map(left) * map(right).transpose();
}

HostArray make_strip(std::int64_t rows, std::int64_t columns, std::int64_t number) {
  return filled({rows, columns}, number);
}

HostArray smooth(View<const double, 2> above, View<const double, 2> strip,
                 View<const double, 2> below) {
  const std::int64_t rows = strip.extent(0), columns = strip.extent(1);
  HostArray out(ashlar::DType::float64, {rows, columns});
  const auto to = out.view<double, 2>();
  for (std::int64_t i = 0; i < rows; ++i) {
    const double* middle = &strip(i, 0);
    const double* up = i > 0 ? &strip(i - 1, 0) : &above(above.extent(0) - 1, 0);
    const double* down = i + 1 < rows ? &strip(i + 1, 0) : &below(0, 0);
    double* result = &to(i, 0);
    result[0] = middle[0];
    result[columns - 1] = middle[columns - 1];
    for (std::int64_t j = 1; j + 1 < columns; ++j) {
      result[j] = 0.5 * middle[j] + 0.125 * (middle[j - 1] + middle[j + 1] + up[j] + down[j]);
    }
  }
  return out;
}

HostArray make_block(std::int64_t count, std::int64_t number) { return filled({count}, number); }

void sort_block(View<double, 1> block) { std::sort(block.data(), block.data() + block.extent(0)); }

HostArray lower_half(View<const double, 1> a, View<const double, 1> b) {
  return lower(a.data(), b.data(), a.extent(0));
}
HostArray upper_half(View<const double, 1> a, View<const double, 1> b) {
  return upper(a.data(), b.data(), a.extent(0));
}

ashlar::Tasks tasks() {
  ashlar::Tasks all;
  all.add<make_tile>("make_tile").add<factor>("factor").add<solve>("solve").add<update>("update");
  all.add<make_strip>("make_strip").add<smooth>("smooth");
  all.add<make_block>("make_block").add<sort_block>("sort_block");
  all.add<lower_half>("lower_half").add<upper_half>("upper_half");
  return all;
}

}  // namespace prediction
