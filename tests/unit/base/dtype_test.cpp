#include <gtest/gtest.h>
#include <ashlar/dtype.hpp>

#include <set>
#include <string>

namespace ashlar {
namespace {

struct Row {
  DType dtype;
  const char* name;
  const char* npy_code;
  std::size_t bytes;
  bool is_floating;
};

// Written out by hand on purpose: the numbers travel on the wire, so they may never change.
constexpr Row rows[] = {
    {DType{0}, "float32", "f4", 4, true}, {DType{1}, "float64", "f8", 8, true},
    {DType{2}, "int32", "i4", 4, false},  {DType{3}, "int64", "i8", 8, false},
    {DType{4}, "uint8", "u1", 1, false},  {DType{5}, "boolean", "b1", 1, false},
};

TEST(DType, TheTable) {
  ASSERT_EQ(dtype_count, std::size(rows));
  for (const Row& row : rows) {
    EXPECT_EQ(dtype_name(row.dtype), row.name);
    EXPECT_EQ(dtype_npy_code(row.dtype), row.npy_code);
    EXPECT_EQ(dtype_bytes(row.dtype), row.bytes);
    EXPECT_EQ(is_floating(row.dtype), row.is_floating);
    EXPECT_EQ(dtype_from_npy_code(row.npy_code), row.dtype);
  }
}

TEST(DType, FromTheTypeAndBack) {
  for (const Row& row : rows) {
    const DType again = visit_dtype(
        row.dtype, [](auto tag) { return dtype_of<const typename decltype(tag)::type>; });
    EXPECT_EQ(again, row.dtype);
  }
  static_assert(dtype_of<double> == DType::float64);
  static_assert(dtype_of<const std::uint8_t> == DType::uint8);
}

TEST(DType, UnknownCodesAreNone) {
  for (const char* code : {"", "f2", "c16", "f", "f88", "<f8", "O"}) {
    EXPECT_EQ(dtype_from_npy_code(code), std::nullopt) << code;
  }
}

}  // namespace
}  // namespace ashlar
