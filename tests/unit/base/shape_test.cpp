#include "base/shape.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace ashlar {
namespace {

TEST(Shape, ElementCount) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({5}), 5);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({2, 0, 4}), 0);
}

TEST(Shape, CheckedBytes) {
  EXPECT_EQ(checked_bytes(DType::float64, {}), 8u);
  EXPECT_EQ(checked_bytes(DType::float32, {2, 3}), 24u);
  EXPECT_EQ(checked_bytes(DType::uint8, {0, 7}), 0u);
  EXPECT_EQ(checked_bytes(DType::uint8, {std::int64_t{1} << 62}), std::size_t{1} << 62);
}

TEST(Shape, SizesThatDoNotFitAreRefused) {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_THROW(checked_bytes(DType::float64, {huge}), BadInput);
  EXPECT_THROW(checked_bytes(DType::uint8, {huge, huge, huge}), BadInput);
  EXPECT_THROW(checked_bytes(DType::float64, {std::int64_t{1} << 60}), BadInput);
  EXPECT_THROW(checked_bytes(DType::float64, {3, -1}), BadInput);
  EXPECT_THROW(checked_bytes(DType::float64, {0, -1}), BadInput);
  EXPECT_EQ(checked_bytes(DType::float64, {huge, huge, 0}), 0u);
}

TEST(Shape, InMessages) {
  EXPECT_EQ(to_string(Shape{}), "()");
  EXPECT_EQ(to_string(Shape{3}), "(3,)");
  EXPECT_EQ(to_string(Shape{3, 4}), "(3, 4)");
}

}  // namespace
}  // namespace ashlar
