#include "runtime/slot_time.hpp"

#include <gtest/gtest.h>

namespace ashlar::runtime {
namespace {

constexpr Instant at_ms(std::int64_t ms) { return {1'000'000 * ms}; }

TEST(SlotTime, CountsWhatEndedAndWhatStillRuns) {
  SlotTime time;
  time.take_percent(at_ms(1000));
  time.begin(at_ms(1010));
  time.end(at_ms(1030));
  time.begin(at_ms(1080));
  EXPECT_EQ(time.take_percent(at_ms(1100)), 40u);
  EXPECT_EQ(time.take_percent(at_ms(1200)), 100u);
  time.begin(at_ms(1200));
  EXPECT_EQ(time.take_percent(at_ms(1300)), 200u) << "two slots";
  time.end(at_ms(1300));
  time.end(at_ms(1350));
  EXPECT_EQ(time.take_percent(at_ms(1400)), 50u);
  EXPECT_EQ(time.take_percent(at_ms(1500)), 0u);
}

TEST(SlotTime, ASumThatCannotBeIsNotTold) {
  SlotTime time;
  time.take_percent(at_ms(1000));
  time.begin(at_ms(1000));
  EXPECT_EQ(time.take_percent(at_ms(1100)), 100u);
  time.end(at_ms(1300));  // a slot whose clock is ahead
  EXPECT_EQ(time.take_percent(at_ms(1200)), 200u);
  EXPECT_EQ(time.take_percent(at_ms(1200)), 200u) << "no time has passed: as before";
}

}  // namespace
}  // namespace ashlar::runtime
