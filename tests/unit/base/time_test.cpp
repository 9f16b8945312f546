#include "base/time.hpp"

#include <gtest/gtest.h>

#include "base/ids.hpp"

namespace ashlar {
namespace {

TEST(Time, UnitsAndArithmetic) {
  EXPECT_EQ(Duration::microseconds(3).ns, 3000);
  EXPECT_EQ(Duration::milliseconds(2), Duration::microseconds(2000));
  EXPECT_EQ(Duration::seconds(0.5).ns, 500'000'000);
  EXPECT_DOUBLE_EQ(Duration::milliseconds(250).in_seconds(), 0.25);
  const Instant t{100};
  EXPECT_EQ((t + Duration::nanoseconds(5)).ns, 105);
  EXPECT_EQ(t + Duration{7} - t, Duration{7});
  EXPECT_LT(t, t + Duration{1});
}

TEST(Ids, NoneIsNoId) {
  EXPECT_TRUE(PeerId{}.is_none());
  EXPECT_FALSE(PeerId{0}.is_none());
  EXPECT_LT(PeerId{1}, PeerId{2});
  EXPECT_LT((RunId{SessionId{1}, 9}), (RunId{SessionId{2}, 0}));
}

}  // namespace
}  // namespace ashlar
