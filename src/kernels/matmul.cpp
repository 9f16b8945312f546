#include <ashlar/error.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/blas.hpp"
#include "kernels/builtin.hpp"

// Every BLAS has the Fortran interface; the last two arguments are the lengths of the strings.
extern "C" {
void dgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
            const double* alpha, const double* a, const int* lda, const double* b, const int* ldb,
            const double* beta, double* c, const int* ldc, std::size_t, std::size_t);
void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
            const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
            const float* beta, float* c, const int* ldc, std::size_t, std::size_t);
}

namespace ashlar::kernels {

namespace {

int to_int(std::int64_t extent) {
  if (extent > std::numeric_limits<int>::max()) {
    throw BadInput("kernel \"ashlar.matmul\": extent " + std::to_string(extent) +
                   " is too large for BLAS; use smaller chunks");
  }
  return static_cast<int>(extent);
}

// Row-major c = a b is column-major c' = b' a'.
template <class T, class Gemm>
void gemm(Gemm function, const GemmShape& shape, const T* a, const T* b, bool adds, T* c) {
  const int m = to_int(shape.m);
  const int n = to_int(shape.n);
  const int k = to_int(shape.k);
  const int lda = std::max(1, shape.a_transposed ? m : k);
  const int ldb = std::max(1, shape.b_transposed ? k : n);
  const int ldc = std::max(1, n);
  const T alpha = 1;
  const T beta = adds ? 1 : 0;
  function(shape.b_transposed ? "T" : "N", shape.a_transposed ? "T" : "N", &n, &m, &k, &alpha, b,
           &ldb, a, &lda, &beta, c, &ldc, 1, 1);
}

template <class T>
std::vector<T> transposed(const T* from, std::int64_t rows, std::int64_t columns) {
  std::vector<T> to(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  }
  return to;
}

// U is unsigned: integers wrap.
template <class U>
void integer_gemm(const GemmShape& shape, const U* a, const U* b, bool adds, U* c) {
  std::vector<U> a_copy;
  std::vector<U> b_copy;
  if (shape.a_transposed) {
    a_copy = transposed(a, shape.k, shape.m);
    a = a_copy.data();
  }
  if (shape.b_transposed) {
    b_copy = transposed(b, shape.n, shape.k);
    b = b_copy.data();
  }
  constexpr std::int64_t block = 128;  // a block of b stays in the cache
  if (!adds) std::fill_n(c, shape.m * shape.n, U{0});
  for (std::int64_t k0 = 0; k0 < shape.k; k0 += block) {
    const std::int64_t k1 = std::min(k0 + block, shape.k);
    for (std::int64_t i = 0; i < shape.m; ++i) {
      U* __restrict row = c + i * shape.n;
      for (std::int64_t k = k0; k < k1; ++k) {
        const U factor = a[i * shape.k + k];
        const U* other = b + k * shape.n;
        for (std::int64_t j = 0; j < shape.n; ++j) row[j] += factor * other[j];
      }
    }
  }
}

template <class T, class Multiply>
void multiply_all(const array::MatmulParams& params, const CheckedCall& call, Multiply multiply) {
  T* c = call.out<T>();
  if (call.output.empty()) return;
  std::size_t input = 0;
  if (params.accumulates) {
    if (!call.is_reused) std::memcpy(c, call.inputs[0].data(), call.output.size());
    input = 1;
  }
  bool adds = params.accumulates;
  for (const std::int64_t k : params.k) {
    const GemmShape shape{params.m, params.n, k, params.a_transposed, params.b_transposed};
    multiply(shape, call.input<T>(input), call.input<T>(input + 1), adds, c);
    adds = true;
    input += 2;
  }
}

void matmul(const array::MatmulParams& params, const CheckedCall& call) {
  switch (params.dtype) {
    case DType::float64:
      return multiply_all<double>(params, call, blas_dgemm);
    case DType::float32:
      return multiply_all<float>(params, call, blas_sgemm);
    case DType::int32:
      return multiply_all<std::uint32_t>(params, call, integer_gemm<std::uint32_t>);
    case DType::int64:
      return multiply_all<std::uint64_t>(params, call, integer_gemm<std::uint64_t>);
    case DType::uint8:
    case DType::boolean:
      break;
  }
  throw BadInput("kernel \"ashlar.matmul\" does not multiply " +
                 std::string(dtype_name(params.dtype)));
}

}  // namespace

void blas_dgemm(const GemmShape& shape, const double* a, const double* b, bool adds, double* c) {
  gemm(dgemm_, shape, a, b, adds, c);
}

void blas_sgemm(const GemmShape& shape, const float* a, const float* b, bool adds, float* c) {
  gemm(sgemm_, shape, a, b, adds, c);
}

void add_matmul(Registry& registry) {
  registry.add(builtin_kernel<array::MatmulParams>(
      matmul, [](const array::MatmulParams& params, std::uint32_t input) {
        return params.accumulates && input == 0;
      }));
}

}  // namespace ashlar::kernels
