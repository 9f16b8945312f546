// What arrays come to, against NumPy-like references computed element by element.
#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "expressions.hpp"
#include "naive.hpp"

namespace ashlar::test {
namespace {

std::vector<double> values(const Array& x) { return dense(compute(x)).values; }

bool same_bytes(const HostArray& a, const HostArray& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::ranges::equal(a.bytes(), b.bytes());
}

TEST(Values, generators) {
  EXPECT_EQ(values(zeros({2, 3}, {.chunks = {1, 2}})), std::vector<double>(6, 0));
  EXPECT_EQ(values(ones({5}, {.chunks = {2}, .dtype = DType::uint8})), std::vector<double>(5, 1));
  EXPECT_EQ(values(full({3}, 2.5)), std::vector<double>(3, 2.5));
  EXPECT_EQ(values(full({}, 7)), std::vector<double>{7});
  EXPECT_EQ(values(eye(3, {.columns = 4, .diagonal = 1, .chunks = {2, 3}})),
            (std::vector<double>{0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
  EXPECT_EQ(values(eye(2, {.diagonal = -1, .chunks = {1, 1}})), (std::vector<double>{0, 0, 1, 0}));
}

TEST(Values, arange_counts_like_numpy) {
  EXPECT_EQ(values(arange(2, 9, {.step = 3, .chunks = {2}})), (std::vector<double>{2, 5, 8}));
  EXPECT_EQ(values(arange(9, 2, {.step = -3})), (std::vector<double>{9, 6, 3}));
  EXPECT_EQ(values(arange(0, 6, {.step = 3})), (std::vector<double>{0, 3}));
  EXPECT_EQ(values(arange(0, 1, {.step = 0.25, .chunks = {3}})),
            (std::vector<double>{0, 0.25, 0.5, 0.75}));
  EXPECT_EQ(arange(3, 3).shape(), Shape{0});
  EXPECT_EQ(arange(5, 3).shape(), Shape{0});
  EXPECT_EQ(arange(0, 3).dtype(), DType::int64);
  EXPECT_EQ(arange(0, 3, {.step = 0.5}).dtype(), DType::float64);
}

TEST(Values, linspace_ends_exactly) {
  const auto x = values(linspace(0.1, 0.7, 7, {.chunks = {2}}));
  EXPECT_EQ(x.size(), 7u);
  EXPECT_EQ(x.front(), 0.1);
  EXPECT_EQ(x.back(), 0.7);
  EXPECT_NEAR(x[3], 0.4, 1e-15);
  EXPECT_EQ(values(linspace(3, 5, 1)), std::vector<double>{3});
}

TEST(Values, random_numbers_do_not_depend_on_chunks) {
  const auto one = random::uniform({7, 9}, {.chunks = {7, 9}, .seed = 5, .low = 2, .high = 3});
  const auto many = random::uniform({7, 9}, {.chunks = {2, 4}, .seed = 5, .low = 2, .high = 3});
  const auto other = random::uniform({7, 9}, {.seed = 6, .low = 2, .high = 3});
  EXPECT_TRUE(same_bytes(compute(one), compute(many)));
  EXPECT_TRUE(same_bytes(compute(one), compute(many.rechunk({5, 5}))));
  EXPECT_FALSE(same_bytes(compute(one), compute(other)));
  for (double x : values(one)) {
    EXPECT_GE(x, 2);
    EXPECT_LT(x, 3);
  }
}

TEST(Values, normal_numbers_have_their_mean_and_deviation) {
  const auto x =
      random::normal({100, 100}, {.chunks = {30, 30}, .seed = 1, .mean = 4, .deviation = 2});
  const double average = compute(mean(x)).item<double>();
  const double variance = compute(mean((x - 4.0) * (x - 4.0))).item<double>();
  EXPECT_NEAR(average, 4, 0.1);
  EXPECT_NEAR(std::sqrt(variance), 2, 0.1);
}

TEST(Values, functions) {
  const auto x = linspace(0.5, 2, 4, {.chunks = {3}});
  const auto expected = [&](double (*f)(double)) {
    auto out = values(x);
    for (auto& v : out) v = f(v);
    return out;
  };
  EXPECT_EQ(values(exp(x)), expected(std::exp));
  EXPECT_EQ(values(log(x)), expected(std::log));
  EXPECT_EQ(values(sqrt(x)), expected(std::sqrt));
  EXPECT_EQ(values(abs(-x)), values(x));
  EXPECT_EQ(values(minimum(x, 1.0)), (std::vector<double>{0.5, 1, 1, 1}));
  EXPECT_EQ(values(1.0 - x), (std::vector<double>{0.5, 0, -0.5, -1}));
}

TEST(Values, integers_divide_to_float64_and_comparisons_see_the_number) {
  const auto x = arange(1, 4, {.dtype = DType::int32});
  EXPECT_EQ(values(x / 2), (std::vector<double>{0.5, 1, 1.5}));
  EXPECT_EQ(values(x == 2), (std::vector<double>{0, 1, 0}));
  EXPECT_EQ(values(x < 2.5), (std::vector<double>{1, 1, 0}));
  EXPECT_EQ(values(x.astype(DType::uint8) < 300), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(values(x.astype(DType::uint8) != -1), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(values(sum(x > 1)), std::vector<double>{2});
}

TEST(Values, empty_arrays) {
  const auto nothing = zeros({0, 3});
  EXPECT_EQ(values(nothing + 1.0).size(), 0u);
  EXPECT_EQ(values(sum(nothing, {.axes = {0}})), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(values(sum(nothing)), std::vector<double>{0});
  EXPECT_EQ(values(matmul(zeros({2, 0}), zeros({0, 2}))), (std::vector<double>{0, 0, 0, 0}));
  EXPECT_EQ(values(matmul(nothing, zeros({3, 2}))).size(), 0u);
  EXPECT_EQ(values(ones({4}).slice({{2, 2}})).size(), 0u);
  EXPECT_EQ(values(nothing.T()).size(), 0u);
}

TEST(Values, several_roots_share_work_and_chunks) {
  const auto x = linspace(0, 5, 6, {.chunks = {2}});
  const auto y = x * 2.0;
  const std::vector<Array> roots{y, y.slice({{2, 4}}), y + x, y};
  const auto results = run(array::lower(roots));
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(dense(results[0]).values, (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(dense(results[1]).values, (std::vector<double>{4, 6}));
  EXPECT_EQ(dense(results[2]).values, (std::vector<double>{0, 3, 6, 9, 12, 15}));
  EXPECT_TRUE(same_bytes(results[0], results[3]));
}

TEST(Values, negative_slices) {
  const auto x = arange(0, 10, {.chunks = {4}});
  EXPECT_EQ(values(x.slice({{-3}})), (std::vector<double>{7, 8, 9}));
  EXPECT_EQ(values(x.slice({{.step = -4}})), (std::vector<double>{9, 5, 1}));
  EXPECT_EQ(values(x.slice({{8, 2, -3}})), (std::vector<double>{8, 5}));
  EXPECT_EQ(values(x.slice({{.stop = -8}})), (std::vector<double>{0, 1}));
}

TEST(Values, expand_and_squeeze) {
  const auto x = arange(0, 6, {.chunks = {4}});
  const auto table = expand_dims(x, 1) * 10 + expand_dims(x, 0);
  const HostArray result = compute(table);
  const auto view = result.view<std::int64_t, 2>();
  EXPECT_EQ(view(4, 5), 45);
  EXPECT_EQ(squeeze(expand_dims(x, -1), {1}).shape(), Shape{6});
  EXPECT_EQ(values(squeeze(expand_dims(x, -1), {1})), values(x));
}

TEST(Values, long_and_deep_expressions) {
  auto x = ones({4}, {.chunks = {3}});
  for (int i = 0; i < 20'000; ++i) x = x + 1.0;
  EXPECT_EQ(values(x), std::vector<double>(4, 20'001));
}

TEST(Values, random_expressions) {
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    const auto x = random_expression(seed, 1 + static_cast<int>(seed % 7));
    expect_close(compute(x.array), x.expected, "seed " + std::to_string(seed));
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST(Values, order_of_execution_does_not_matter) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const auto x = random_expression(seed, 5);
    const auto lowered = array::lower({&x.array, 1});
    const auto again = array::lower({&x.array, 1});
    EXPECT_EQ(*lowered.graph, *again.graph) << "seed " << seed;
    EXPECT_TRUE(same_bytes(run(lowered).front(), run(lowered, run_naively, true).front()))
        << "seed " << seed;
  }
}

TEST(Values, matmul_of_differently_cut_operands) {
  const auto a = random::uniform({13, 17}, {.chunks = {4, 5}, .seed = 1});
  const auto b = random::uniform({17, 11}, {.chunks = {7, 3}, .seed = 2});
  const auto expected = matmul(dense(compute(a)), dense(compute(b)));
  expect_close(compute(matmul(a, b)), expected, "a b");
  expect_close(compute(matmul(b.T(), a.T())), permute(expected, {1, 0}), "bT aT");
  expect_close(compute(matmul(a.T().T(), b)), expected, "aTT b");
  const auto small = matmul(a, b.astype(DType::float32));
  EXPECT_EQ(small.dtype(), DType::float64);
}

}  // namespace
}  // namespace ashlar::test
