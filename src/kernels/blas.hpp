#pragma once

#include <cstdint>
#include <string>

namespace ashlar::kernels {

/// One multiply: a is m x k, b is k x n, c is m x n, row-major; a transposed operand is stored as
/// its transpose.
struct GemmShape {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool a_transposed = false;
  bool b_transposed = false;
};

/// c = a b, or c += a b if `adds`, by whichever BLAS was linked.
///
/// Errors: BadInput when an extent does not fit in 32 bits.
void blas_dgemm(const GemmShape& shape, const double* a, const double* b, bool adds, double* c);
void blas_sgemm(const GemmShape& shape, const float* a, const float* b, bool adds, float* c);

/// Holds the BLAS to the calling thread (OpenBLAS, BLIS or MKL): slots are the parallelism.
/// Call it before the first multiply, once per process that only works for Ashlar.
void blas_use_one_thread();

/// What the BLAS says it is, such as "OpenBLAS 0.3.21 ..., kernel Haswell"; "BLAS" if it is silent.
std::string blas_name();

/// What one float64 multiply of 1024 x 1024 reaches on the calling thread, in GFLOP/s: the best
/// within about `seconds`.
double measure_gflops(double seconds);

/// The processor's float64 peak on one core, by a loop of independent fused multiply-adds in
/// registers, in GFLOP/s. Takes some ten milliseconds.
double measure_fma_peak_gflops();

}  // namespace ashlar::kernels
