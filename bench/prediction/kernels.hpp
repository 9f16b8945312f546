#pragma once

#include <ashlar/ashlar.hpp>

#include <cstdint>

/// The tasks of the graphs whose makespan is predicted.
namespace prediction {

using ashlar::HostArray;
using ashlar::View;

// Cholesky, by tiles: what is on the diagonal dominates.
HostArray make_tile(std::int64_t n, std::int64_t row, std::int64_t column);
void factor(View<double, 2> tile);
void solve(View<const double, 2> factor, View<double, 2> tile);
void update(View<const double, 2> left, View<const double, 2> right, View<double, 2> tile);

// A stencil of five points on a strip of rows, between its neighbours.
HostArray make_strip(std::int64_t rows, std::int64_t columns, std::int64_t number);
HostArray smooth(View<const double, 2> above, View<const double, 2> strip,
                 View<const double, 2> below);

// Sorting by blocks: each is sorted, then pairs are merged and cut in half again.
HostArray make_block(std::int64_t count, std::int64_t number);
void sort_block(View<double, 1> block);
HostArray lower_half(View<const double, 1> a, View<const double, 1> b);
HostArray upper_half(View<const double, 1> a, View<const double, 1> b);

ashlar::Tasks tasks();

}  // namespace prediction
