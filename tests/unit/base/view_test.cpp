#include <gtest/gtest.h>
#include <ashlar/view.hpp>

#include <numeric>
#include <vector>

namespace ashlar {
namespace {

TEST(View, RowMajorStrides) {
  std::vector<int> data(24);
  std::iota(data.begin(), data.end(), 0);
  View<int, 3> view(data.data(), {2, 3, 4});
  EXPECT_EQ(view.strides(), (std::array<std::int64_t, 3>{12, 4, 1}));
  EXPECT_EQ(view(1, 2, 3), 23);
  EXPECT_EQ(view(0, 1, 2), 6);
  EXPECT_EQ(view.size(), 24);
  EXPECT_TRUE(view.is_dense());
  EXPECT_EQ(view.span().size(), 24u);
}

TEST(View, WritesThroughAndConvertsToReading) {
  std::vector<double> data(6);
  View<double, 2> view(data.data(), {2, 3});
  view(1, 0) = 4.5;
  const View<const double, 2> reading = view;
  EXPECT_EQ(reading(1, 0), 4.5);
  EXPECT_EQ(data[3], 4.5);
  static_assert(!std::is_convertible_v<View<const double, 2>, View<double, 2>>);
}

TEST(View, ABlockOfALargerOneIsNotDense) {
  std::vector<int> data(12);
  std::iota(data.begin(), data.end(), 0);
  View<int, 2> block(data.data() + 1, {3, 2}, {4, 1});
  EXPECT_FALSE(block.is_dense());
  EXPECT_EQ(block(2, 1), 10);
}

TEST(View, StridesOfSingleElementsDoNotMatter) {
  std::vector<int> data(4);
  EXPECT_TRUE((View<int, 2>(data.data(), {1, 4}, {99, 1}).is_dense()));
}

TEST(View, NoDimensionsShowOneElement) {
  int value = 7;
  View<int, 0> view(&value, {});
  EXPECT_EQ(view.size(), 1);
  EXPECT_EQ(view(), 7);
}

}  // namespace
}  // namespace ashlar
