#include <limits>

#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

// The reference: one output element per kept index, in long double.
template <class In>
std::vector<long double> reference(const ReduceParams& params, const std::vector<In>& in) {
  std::int64_t outputs = 1;
  std::vector<bool> is_reduced(params.input_extents.size());
  for (const auto axis : params.axes) is_reduced[axis] = true;
  for (std::size_t d = 0; d < is_reduced.size(); ++d) {
    if (!is_reduced[d]) outputs *= params.input_extents[d];
  }
  std::vector<long double> result(static_cast<std::size_t>(outputs));
  std::vector<bool> is_set(result.size());
  for (std::size_t p = 0; p < in.size(); ++p) {
    std::int64_t rest = static_cast<std::int64_t>(p);
    std::int64_t at = 0;
    std::int64_t stride = 1;
    for (std::size_t d = is_reduced.size(); d-- > 0;) {
      if (!is_reduced[d]) {
        at += rest % params.input_extents[d] * stride;
        stride *= params.input_extents[d];
      }
      rest /= params.input_extents[d];
    }
    const auto o = static_cast<std::size_t>(at);
    const long double x = in[p];
    if (params.reduction == Reduction::sum) {
      result[o] += x / params.divisor;
    } else if (!is_set[o] || (params.reduction == Reduction::min ? x < result[o] : x > result[o])) {
      result[o] = x;
    }
    is_set[o] = true;
  }
  return result;
}

template <class In, class Out>
void check(SplitMix64& random) {
  ReduceParams params{.reduction = Reduction{static_cast<std::uint8_t>(random.below(3))},
                      .input_dtype = dtype_of<In>,
                      .dtype = dtype_of<Out>,
                      .input_extents = {},
                      .axes = {},
                      .divisor = 1};
  const std::size_t dimensions = random.below(5);
  for (std::size_t d = 0; d < dimensions; ++d) {
    params.input_extents.push_back(1 + static_cast<std::int64_t>(random.below(12)));
    if (random.below(2) == 0) params.axes.push_back(static_cast<std::uint8_t>(d));
  }
  if (std::is_floating_point_v<Out> && params.reduction == Reduction::sum) params.divisor = 3;
  const auto count = static_cast<std::size_t>(element_count(params.input_extents));
  const auto in = random_values<In>(count, random.next());
  const auto out = run_as<Out>(params, {bytes_of(in)});
  const auto expected = reference(params, in);
  ASSERT_EQ(out.size(), expected.size());
  const double epsilon = std::is_floating_point_v<Out> ? std::numeric_limits<Out>::epsilon() : 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(out[i]), static_cast<double>(expected[i]),
                static_cast<double>(count) * 2 * epsilon)
        << to_string(params.input_extents);
  }
}

TEST(Reduce, AnyAxesOfAnyType) {
  SplitMix64 random(3);
  for (int round = 0; round < 150; ++round) {
    check<double, double>(random);
    check<float, float>(random);
    check<float, double>(random);
    check<std::int32_t, std::int64_t>(random);
    check<std::int32_t, double>(random);
    check<std::int64_t, std::int64_t>(random);
    check<std::uint8_t, std::int64_t>(random);
  }
}

TEST(Reduce, LongSumsStayAccurate) {
  // 0.1f a million times: a running float32 sum would be off by about 1 %.
  const std::vector<float> in(1'000'000, 0.1f);
  for (const Shape& extents : {Shape{1'000'000}, Shape{1'000'000, 1}}) {
    const ReduceParams params{.reduction = Reduction::sum,
                              .input_dtype = DType::float32,
                              .dtype = DType::float32,
                              .input_extents = extents,
                              .axes = {0},
                              .divisor = 1};
    EXPECT_NEAR(run_as<float>(params, {bytes_of(in)})[0], 100000, 0.02);
  }
  const std::vector<double> doubles(1'000'000, 0.1);
  const ReduceParams params{.input_extents = {1000, 1000}, .axes = {0, 1}};
  EXPECT_NEAR(run_as<double>(params, {bytes_of(doubles)})[0], 100000, 1e-9);
}

TEST(Reduce, BooleansCount) {
  const std::vector<std::uint8_t> in = {1, 0, 1, 1, 0, 0};
  ReduceParams params{.reduction = Reduction::sum,
                      .input_dtype = DType::boolean,
                      .dtype = DType::int64,
                      .input_extents = {2, 3},
                      .axes = {1},
                      .divisor = 1};
  EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(in)}), (std::vector<std::int64_t>{2, 1}));
  params.reduction = Reduction::min;
  params.dtype = DType::boolean;
  params.axes = {0};
  EXPECT_EQ(run_as<std::uint8_t>(params, {bytes_of(in)}), (std::vector<std::uint8_t>{1, 0, 0}));
}

TEST(Reduce, NotANumberWins) {
  std::vector<double> in(1000, 1.0);
  in[700] = std::nan("");
  for (const auto reduction : {Reduction::sum, Reduction::min, Reduction::max}) {
    for (const Shape& extents : {Shape{1000, 1}, Shape{1, 1000}, Shape{500, 2}}) {
      const ReduceParams params{.reduction = reduction, .input_extents = extents, .axes = {0, 1}};
      EXPECT_TRUE(std::isnan(run_as<double>(params, {bytes_of(in)})[0]));
    }
  }
}

TEST(Reduce, OverNothing) {
  ReduceParams params{.reduction = Reduction::sum, .input_extents = {0, 3}, .axes = {0}};
  EXPECT_EQ(run_as<double>(params, {{}}), std::vector<double>(3, 0.0));
  params.reduction = Reduction::min;
  EXPECT_NE(bad_input_text([&] { run(params, {{}}); }), "");
}

TEST(Combine, FoldsInInputOrder) {
  const std::vector<double> a = {1e16, 5, -1};
  const std::vector<double> b = {1, 7, 3};
  const std::vector<double> c = {-1e16, 6, 2};
  CombineParams params{.count = 3, .inputs = 3};
  const std::vector<std::vector<std::byte>> inputs = {bytes_of(a), bytes_of(b), bytes_of(c)};
  EXPECT_EQ(run_as<double>(params, inputs), (std::vector<double>{0, 18, 4}));
  EXPECT_EQ(run_as<double>(params, inputs, 0), (std::vector<double>{0, 18, 4}));
  params.divisor = 2;
  EXPECT_EQ(run_as<double>(params, inputs), (std::vector<double>{0, 9, 2}));
  params.divisor = 1;
  params.reduction = Reduction::max;
  EXPECT_EQ(run_as<double>(params, inputs), (std::vector<double>{1e16, 7, 3}));
  params.reduction = Reduction::min;
  EXPECT_EQ(run_as<double>(params, inputs), (std::vector<double>{-1e16, 5, -1}));
}

TEST(Combine, IntegersWrap) {
  const std::vector<std::int64_t> high = {std::numeric_limits<std::int64_t>::max()};
  const CombineParams params{.dtype = DType::int64, .count = 1, .inputs = 2};
  EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(high), bytes_of(high)}),
            std::vector<std::int64_t>{-2});
}

}  // namespace
}  // namespace ashlar::kernels::testing
