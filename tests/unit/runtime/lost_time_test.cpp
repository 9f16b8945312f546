#include "runtime/lost_time.hpp"

#include <gtest/gtest.h>

namespace ashlar::runtime {
namespace {

/// How often it is too much in a second in which the core is lost for so long in each period.
int too_much(Duration each, Duration period) {
  LostTime lost;
  int count = 0;
  for (Instant now{1'000'000'000'000}; now < Instant{1'001'000'000'000}; now = now + period) {
    count += lost.note(now, now + each);
  }
  return count;
}

TEST(LostTime, WhoIsWokenForAMomentMayHaveTheCore) {
  EXPECT_EQ(too_much(Duration::microseconds(25), Duration::microseconds(300)), 0);
  EXPECT_EQ(too_much(Duration::microseconds(45), Duration::microseconds(500)), 0);
}

TEST(LostTime, ATimeSliceIsTooMuchAtOnce) {
  LostTime lost;
  EXPECT_TRUE(lost.note(Instant{0}, Instant{0} + Duration::milliseconds(1)));
}

TEST(LostTime, HalfOfTheTimeIsTooMuchHoweverShortItsParts) {
  // Within 150 us.
  EXPECT_GT(too_much(Duration::microseconds(21), Duration::microseconds(42)), 6000);
}

}  // namespace
}  // namespace ashlar::runtime
