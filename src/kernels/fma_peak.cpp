#include <algorithm>
#include <chrono>

#include "kernels/blas.hpp"

namespace ashlar::kernels {

namespace {

constexpr int chains = 12;  // latency 4 x 2 units, and some to spare
constexpr long rounds = 400'000;

// Multiplies and adds in `chains` independent vectors; returns something that depends on all.
template <class Vector>
[[gnu::always_inline]] inline double fma_rounds() {
  Vector sums[chains];
  for (int i = 0; i < chains; ++i) sums[i] = Vector{} + (1.0 + i);
  Vector factor = Vector{} + 0.999999;
  Vector term = Vector{} + 1e-6;
  asm volatile("" : "+m"(factor), "+m"(term));
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) sums[i] = sums[i] * factor + term;
  }
  double total = 0;
  for (const auto& sum : sums) total += sum[0];
  return total;
}

using Vector2 [[gnu::vector_size(16)]] = double;

double rounds_baseline() { return fma_rounds<Vector2>(); }

#if defined(__x86_64__)
using Vector4 [[gnu::vector_size(32)]] = double;
using Vector8 [[gnu::vector_size(64)]] = double;
[[gnu::target("avx2,fma")]] double rounds_avx2() { return fma_rounds<Vector4>(); }
[[gnu::target("avx512f")]] double rounds_avx512() { return fma_rounds<Vector8>(); }
#endif

double best_gflops(double (*function)(), int lanes) {
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    volatile double sink = function();
    static_cast<void>(sink);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2e-9 * lanes * chains * rounds / elapsed.count());
  }
  return best;
}

}  // namespace

double measure_fma_peak_gflops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return best_gflops(rounds_avx512, 8);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return best_gflops(rounds_avx2, 4);
  }
#endif
  return best_gflops(rounds_baseline, 2);
}

}  // namespace ashlar::kernels
