#pragma once

#include <ashlar/host_array.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "array/lower.hpp"

/// The array language done the obvious way: one element at a time, in double.
namespace ashlar::test {

using Buffer = std::vector<std::byte>;

/// Computes the output of one task. `reused`: input whose buffer the output may take over.
using RunTask = std::function<Buffer(std::string_view kernel, std::span<const std::byte> params,
                                     std::span<const Buffer* const> inputs,
                                     std::uint64_t output_bytes, std::uint32_t reused)>;

/// What the kernels' contract says, without any cleverness.
Buffer run_naively(std::string_view kernel, std::span<const std::byte> params,
                   std::span<const Buffer* const> inputs, std::uint64_t output_bytes,
                   std::uint32_t reused);

/// Runs a graph task by task and merges each root. `first_last`: among runnable tasks, the newest
/// goes first instead of the oldest.
std::vector<HostArray> run(const array::Lowered& lowered, const RunTask& run_task = run_naively,
                           bool newest_first = false);

/// Lowers, runs and merges one array.
HostArray compute(const Array& x, const RunTask& run_task = run_naively);

/// An array in row-major order whose elements are doubles, whatever its dtype.
struct Dense {
  Shape shape;
  std::vector<double> values;

  double at(const Shape& position) const;
};

Dense dense(const HostArray& host);
HostArray host(DType dtype, const Dense& x);

/// Calls f(position) for each position of a shape in row-major order.
void for_each_position(const Shape& shape, const std::function<void(const Shape&)>& f);

Dense map(const Dense& x, const std::function<double(double)>& f);
/// With broadcasting.
Dense zip(const Dense& a, const Dense& b, const std::function<double(double, double)>& f);
Dense fold(const Dense& x, const std::vector<bool>& is_reduced, bool keepdims,
           const std::function<double(double, double)>& f, double start);
Dense permute(const Dense& x, const std::vector<int>& axes);
Dense slice(const Dense& x, const Shape& start, const Shape& step, const Shape& count);
Dense matmul(const Dense& a, const Dense& b);

}  // namespace ashlar::test
