#include "scheduler/words.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "scheduler/bounds.hpp"

namespace ashlar::scheduler {
namespace {

TEST(Words, TimesAndBytesComeInUnitsThatSuit) {
  EXPECT_EQ(time_text(0), "0 ns");
  EXPECT_EQ(time_text(12), "12 ns");
  EXPECT_EQ(time_text(1234), "1.23 us");
  EXPECT_EQ(time_text(12.3e6), "12.3 ms");
  EXPECT_EQ(time_text(999.9e9), "1000 s");
  EXPECT_EQ(time_text(123'456e9), "123456 s");
  EXPECT_EQ(bytes_text(8), "8 B");
  EXPECT_EQ(bytes_text(1.5e6), "1.5 MB");
  EXPECT_EQ(share_text(0.414), "41 %");
  EXPECT_EQ(share_text(0.001), "< 1 %");
  EXPECT_EQ(share_text(0), "0 %");
  EXPECT_EQ(count_text(1, "task"), "1 task");
  EXPECT_EQ(count_text(0, "task"), "0 tasks");
}

TEST(Words, LongTextsAreCutBetweenCharacters) {
  EXPECT_EQ(clipped("short", 5), "short");
  EXPECT_EQ(clipped("longer", 5), "l ...");
  EXPECT_EQ(clipped("\u00e4\u00e4\u00e4\u00e4", 7), "\u00e4 ...") << "not in the middle of one";
  EXPECT_EQ(clipped("longer", 2), " ...") << "the mark stays";
}

TEST(Bounds, TheGreatestComeFirstAndLittleIsLeftOut) {
  Bounds bounds;
  EXPECT_EQ(bounds.line(), "nothing yet");
  bounds.add(0.2, "a", "");
  bounds.add(7, "b", "more than all");
  bounds.add(0.05, "c", "");
  bounds.add(0.001, "d", "");
  bounds.add(-1, "e", "");
  bounds.add(std::numeric_limits<double>::quiet_NaN(), "f", "");
  EXPECT_EQ(bounds.line(), "b 100 %, a 20 %");
  EXPECT_EQ(bounds.table(), "\n  100 %  b: more than all\n   20 %  a\n    5 %  c");
  Bounds little;
  little.add(0.02, "a", "");
  EXPECT_EQ(little.line(), "a 2 %") << "rather than nothing";
}

}  // namespace
}  // namespace ashlar::scheduler
