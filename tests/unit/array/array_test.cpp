// Building expressions: shapes, dtypes, and what is refused.
#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "array/node.hpp"
#include "array/sources.hpp"

namespace ashlar {
namespace {

/// The text of the BadInput that f throws; fails if there is none.
std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const BadInput& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

void expect_refusal(const std::function<void()>& f, const std::vector<std::string>& parts) {
  const std::string text = refusal(f);
  for (const auto& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks " << part;
  }
}

TEST(Array, has_shape_dtype_and_chunks) {
  const auto x = zeros({10, 7}, {.chunks = {4, 7}, .dtype = DType::float32});
  EXPECT_EQ(x.shape(), (Shape{10, 7}));
  EXPECT_EQ(x.chunks(), (Shape{4, 7}));
  EXPECT_EQ(x.dtype(), DType::float32);
  EXPECT_EQ(x.ndim(), 2u);
  EXPECT_EQ(x.size(), 70);
}

TEST(Array, chunks_are_chosen_up_to_8_mib) {
  EXPECT_EQ(zeros({8192, 8192}).chunks(), (Shape{1024, 1024}));
  EXPECT_EQ(zeros({100}).chunks(), Shape{100});
  EXPECT_EQ(zeros({3, std::int64_t{1} << 24}).chunks(), (Shape{3, 262144}));
}

TEST(Array, unsuitable_chunks_are_refused_with_a_remedy) {
  expect_refusal([] { zeros({10, 10}, {.chunks = {0, 10}}); }, {"(0, 10)", "1 to 10", "got 0"});
  expect_refusal([] { zeros({10, 10}, {.chunks = {5, -1}}); }, {"dimension 1", "got -1"});
  expect_refusal(
      [] {
        zeros({10, 10}, {.chunks = {11, 10}});
      },
      {"(11, 10)", "(10, 10)", "dimension 0", "1 to 10"});
  expect_refusal([] { zeros({10, 10}, {.chunks = {10}}); }, {"one extent per dimension"});
  expect_refusal([] { zeros({10}).rechunk({20}); }, {"1 to 10"});
  expect_refusal([] { zeros({-1}); }, {"negative"});
  expect_refusal([] { zeros({std::int64_t{1} << 62, 8}); }, {"2^62"});
  expect_refusal([] { zeros(Shape(17, 1)); }, {"at most 16"});
}

TEST(Array, dtypes_promote_like_numpy) {
  const auto of = [](DType dtype) { return zeros({2}, {.dtype = dtype}); };
  using enum DType;
  EXPECT_EQ((of(uint8) + of(int32)).dtype(), int32);
  EXPECT_EQ((of(int32) + of(int64)).dtype(), int64);
  EXPECT_EQ((of(uint8) + of(float32)).dtype(), float32);
  EXPECT_EQ((of(int32) + of(float32)).dtype(), float64);
  EXPECT_EQ((of(float32) + of(float64)).dtype(), float64);
  EXPECT_EQ((of(boolean) + of(uint8)).dtype(), uint8);
  EXPECT_EQ((of(boolean) + of(boolean)).dtype(), boolean);
  EXPECT_EQ((of(int32) / of(int32)).dtype(), float64);
  EXPECT_EQ((of(float32) / 2).dtype(), float32);
  EXPECT_EQ((of(float32) + 2.5).dtype(), float32);
  EXPECT_EQ((of(int32) + 2).dtype(), int32);
  EXPECT_EQ((of(int32) + 2.5).dtype(), float64);
  EXPECT_EQ((of(boolean) + 2).dtype(), int64);
  EXPECT_EQ((of(uint8) + true).dtype(), uint8);
  EXPECT_EQ((of(int64) < of(float32)).dtype(), boolean);
  EXPECT_EQ(exp(of(int32)).dtype(), float64);
  EXPECT_EQ(exp(of(float32)).dtype(), float32);
  EXPECT_EQ(sum(of(boolean)).dtype(), int64);
  EXPECT_EQ(sum(of(uint8)).dtype(), int64);
  EXPECT_EQ(sum(of(float32)).dtype(), float32);
  EXPECT_EQ(mean(of(int32)).dtype(), float64);
  EXPECT_EQ(mean(of(float32)).dtype(), float32);
  EXPECT_EQ(max(of(uint8)).dtype(), uint8);
}

TEST(Array, scalars_have_the_dtype_of_their_kind) {
  EXPECT_EQ(full({1}, 1).dtype(), DType::int64);
  EXPECT_EQ(full({1}, 1.0f).dtype(), DType::float64);
  EXPECT_EQ(full({1}, true).dtype(), DType::boolean);
  EXPECT_EQ(full({1}, 1, {.dtype = DType::float32}).dtype(), DType::float32);
}

TEST(Array, results_have_the_expected_shapes) {
  const auto x = zeros({4, 1, 6}, {.chunks = {2, 1, 4}});
  const auto y = zeros({5, 1}, {.chunks = {3, 1}});
  EXPECT_EQ((x + y).shape(), (Shape{4, 5, 6}));
  EXPECT_EQ((x + y).chunks(), (Shape{2, 3, 4}));
  EXPECT_EQ(permute_dims(x, {2, 0, 1}).shape(), (Shape{6, 4, 1}));
  EXPECT_EQ(permute_dims(x, {-1, 0, 1}).chunks(), (Shape{4, 2, 1}));
  EXPECT_EQ(x.transpose().shape(), (Shape{6, 1, 4}));
  EXPECT_EQ(sum(x).shape(), Shape{});
  EXPECT_EQ(sum(x, {.axes = {0, -1}}).shape(), Shape{1});
  EXPECT_EQ(sum(x, {.axes = {0}, .keepdims = true}).shape(), (Shape{1, 1, 6}));
  EXPECT_EQ(x.slice({{1, 4}, {}, {0, 6, 2}}).shape(), (Shape{3, 1, 3}));
  EXPECT_EQ(x.slice({{1, 4}}).shape(), (Shape{3, 1, 6}));
  EXPECT_EQ(matmul(zeros({3, 4}), zeros({4, 5})).shape(), (Shape{3, 5}));
}

TEST(Array, what_cannot_work_is_refused_where_it_is_written) {
  const auto x = zeros({3, 4});
  const auto y = zeros({5, 4});
  expect_refusal([&] { x + y; }, {"+", "(3, 4)", "(5, 4)", "dimension 0", "3 and 5"});
  expect_refusal([&] { matmul(x, y); }, {"matmul", "(3, 4)", "(5, 4)", "(4)", "(5)"});
  expect_refusal([&] { matmul(x, zeros({4})); }, {"two dimensions"});
  expect_refusal([&] { sum(x, {.axes = {2}}); }, {"sum", "(3, 4)", "axis 2"});
  expect_refusal([&] { sum(x, {.axes = {0, -2}}); }, {"named twice"});
  expect_refusal([&] { permute_dims(x, {0}); }, {"1 axes", "2 dimensions"});
  expect_refusal([&] { permute_dims(x, {0, 0}); }, {"named twice"});
  expect_refusal([&] { x.slice({{0, 4}}); }, {"dimension 0", "stop 4", "0 to 3"});
  expect_refusal([&] { x.slice({{-4}}); }, {"start -4"});
  expect_refusal([&] { x.slice({{.step = 0}}); }, {"step"});
  expect_refusal([&] { x.slice({{}, {}, {}}); }, {"3 slices", "2 dimensions"});
  expect_refusal([&] { x.slice({{3, 0, -1}}); }, {"start 3"});
  expect_refusal([&] { squeeze(x, {0}); }, {"extent 3"});
  expect_refusal([&] { squeeze(zeros({1, 2}), {0, 0}); }, {"axis 0", "named twice"});
  expect_refusal([&] { squeeze(zeros({1, 2}), {0, -2}); }, {"axis -2", "named twice"});
  expect_refusal([&] { expand_dims(x, 3); }, {"axis 3"});
  expect_refusal([&] { max(zeros({0})); }, {"no element"});
  expect_refusal([&] { mean(zeros({0})); }, {"no element"});
  expect_refusal([&] { random::uniform({2}, {.dtype = DType::int32}); }, {"astype"});
  const double infinite = std::numeric_limits<double>::infinity();
  const double most = std::numeric_limits<double>::max();
  expect_refusal([&] { random::uniform({2}, {.high = infinite}); }, {"finite", "inf"});
  expect_refusal([&] { random::uniform({2}, {.low = -infinite}); }, {"finite"});
  expect_refusal([&] { random::uniform({2}, {.low = std::nan("")}); }, {"finite", "nan"});
  expect_refusal([&] { random::uniform({2}, {.low = -most, .high = most}); }, {"finite"});
  expect_refusal([&] { random::uniform({2}, {.low = 2, .high = 1}); }, {"above"});
  expect_refusal([&] { full({1}, ~0ull); }, {"18446744073709551615", "int64"});
  expect_refusal([&] { x + (1ull << 63); }, {"9223372036854775808"});
  EXPECT_NO_THROW(full({1}, (1ull << 63) - 1));
  expect_refusal([&] { zeros({2}, {.dtype = DType::uint8}) + 300; }, {"300", "uint8"});
  expect_refusal([&] { -zeros({2}, {.dtype = DType::boolean}); }, {"boolean"});
  expect_refusal([&] { (x == x) - (x != x); }, {"boolean"});
  expect_refusal([&] { arange(0, 1, {.step = 0}); }, {"step"});
  expect_refusal([&] { linspace(0, 1, -1); }, {"negative"});
  expect_refusal([&] { from_host(HostArray{}); }, {"empty handle"});
  expect_refusal([&] { full({1}, 1e300, {.dtype = DType::int64}); }, {"int64"});
  expect_refusal([&] { full({1}, 2.5, {.dtype = DType::int32}); }, {"2.5", "int32", "round"});
  EXPECT_EQ(full({1}, 2.0, {.dtype = DType::int32}).dtype(), DType::int32);
}

TEST(Array, operations_remember_their_source_line) {
  const auto x = zeros({3}), y = zeros({3});
  const auto line = [](const Array& a) { return a.node()->where.line(); };
  const auto added = x + y;
  EXPECT_EQ(line(added), std::source_location::current().line() - 1);
  const auto scaled = 2.0 * x;
  EXPECT_EQ(line(scaled), std::source_location::current().line() - 1);
  const auto product = x.slice({{0, 2}});
  EXPECT_EQ(line(product), std::source_location::current().line() - 1);
  EXPECT_NE(std::string(added.node()->where.file_name()).find("array_test"), std::string::npos);
}

TEST(Array, nothing_to_do_makes_no_new_expression) {
  const auto x = zeros({4, 6}, {.chunks = {2, 3}});
  EXPECT_EQ(x.rechunk({2, 3}).node(), x.node());
  EXPECT_EQ(x.rechunk({4, 6}).rechunk({2, 3}).node(), x.node());
  EXPECT_EQ(x.astype(DType::float64).node(), x.node());
  EXPECT_EQ(permute_dims(x, {0, 1}).node(), x.node());
  EXPECT_EQ(x.slice({{0, 4}}).node(), x.node());
}

TEST(Array, files_and_data_must_fit) {
  const array::NpyFile file{.path = "a.npy", .dtype = DType::float64, .shape = {4}};
  EXPECT_EQ(array::npy_source(file, {2}, std::source_location::current()).shape(), Shape{4});
  expect_refusal([&] { array::npy_source(file, {5}, std::source_location::current()); },
                 {"1 to 4"});
  expect_refusal([&] { array::npy_sink(zeros({5}), file, std::source_location::current()); },
                 {"a.npy", "(5,)"});
  expect_refusal(
      [&] { array::from_data(DType::float64, {4}, {2}, {}, std::source_location::current()); },
      {"2 chunks", "not 0"});
}

}  // namespace
}  // namespace ashlar
