#include <limits>

#include "kernel_runner.hpp"
#include "kernels/blas.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

template <class T>
std::vector<T> stored(const std::vector<T>& values, std::int64_t rows, std::int64_t columns,
                      bool transposed) {
  if (!transposed) return values;
  std::vector<T> out(values.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      out[static_cast<std::size_t>(j * rows + i)] =
          values[static_cast<std::size_t>(i * columns + j)];
    }
  }
  return out;
}

template <class T>
void check(const MatmulParams& params, std::uint64_t seed) {
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::vector<std::vector<std::byte>> inputs;
  std::vector<Wide> expected(at(params.m * params.n));
  std::int64_t terms = 1;
  if (params.accumulates) {
    const auto c = random_values<T>(expected.size(), seed);
    for (std::size_t i = 0; i < c.size(); ++i) expected[i] = static_cast<Wide>(c[i]);
    inputs.push_back(bytes_of(c));
  }
  for (const std::int64_t k : params.k) {
    const auto a = random_values<T>(at(params.m * k), ++seed);
    const auto b = random_values<T>(at(k * params.n), ++seed);
    for (std::int64_t i = 0; i < params.m; ++i) {
      for (std::int64_t j = 0; j < params.n; ++j) {
        for (std::int64_t l = 0; l < k; ++l) {
          expected[at(i * params.n + j)] +=
              static_cast<Wide>(a[at(i * k + l)]) * static_cast<Wide>(b[at(l * params.n + j)]);
        }
      }
    }
    terms += k;
    inputs.push_back(bytes_of(stored(a, params.m, k, params.a_transposed)));
    inputs.push_back(bytes_of(stored(b, k, params.n, params.b_transposed)));
  }
  const auto out = run_as<T>(params, inputs);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      const double tolerance =
          static_cast<double>(terms) * 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
      ASSERT_NEAR(out[i], expected[i], tolerance);
    } else {
      ASSERT_EQ(out[i], static_cast<T>(expected[i]));
    }
  }
  if (params.accumulates) {
    EXPECT_EQ(run_as<T>(params, inputs, 0), out);
  }
}

TEST(Matmul, AnyShapeTypeAndTransposition) {
  SplitMix64 random(11);
  for (int round = 0; round < 60; ++round) {
    const auto extent = [&] { return 1 + static_cast<std::int64_t>(random.below(40)); };
    MatmulParams params{.m = extent(),
                        .n = extent(),
                        .k = {},
                        .accumulates = random.below(2) == 0,
                        .a_transposed = random.below(2) == 0,
                        .b_transposed = random.below(2) == 0};
    for (std::uint64_t i = random.below(4) + 1; i > 0; --i) params.k.push_back(extent());
    check<double>(params, random.next());
    params.dtype = DType::float32;
    check<float>(params, random.next());
    params.dtype = DType::int32;
    check<std::int32_t>(params, random.next());
    params.dtype = DType::int64;
    check<std::int64_t>(params, random.next());
  }
}

TEST(Matmul, LargerThanOneBlock) {
  check<double>({.m = 150, .n = 131, .k = {170}}, 1);
  check<std::int64_t>({.dtype = DType::int64, .m = 10, .n = 20, .k = {300}}, 2);
}

TEST(Matmul, EmptyExtents) {
  EXPECT_EQ(run_as<double>(MatmulParams{.m = 2, .n = 2, .k = {0}}, {{}, {}}),
            std::vector<double>(4, 0.0));
  EXPECT_TRUE(
      run(MatmulParams{.m = 0, .n = 3, .k = {2}}, {{}, bytes_of(std::vector<double>(6))}).empty());
}

TEST(Matmul, GarbageInAFreshOutputDoesNotMatter) {
  // Outputs start as a pattern of bits; beta = 0 must not read them.
  const std::vector<double> one = {1};
  EXPECT_EQ(run_as<double>(MatmulParams{.m = 1, .n = 1, .k = {1}}, {bytes_of(one), bytes_of(one)}),
            one);
}

TEST(Blas, SaysWhatItIsAndHowFast) {
  blas_use_one_thread();
  EXPECT_FALSE(blas_name().empty());
  const double peak = measure_fma_peak_gflops();
  EXPECT_GT(peak, 0.1);
  EXPECT_GT(measure_gflops(0.01), 0.1);
}

}  // namespace
}  // namespace ashlar::kernels::testing
