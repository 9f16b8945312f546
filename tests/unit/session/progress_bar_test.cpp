#include "session/progress_bar.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace ashlar::session {
namespace {

TEST(ProgressBar, GrowsFromEmptyToFull) {
  const std::string empty(40, ' '), half = std::string(20, '=') + std::string(20, ' ');
  EXPECT_EQ(progress_line(0, 8), "[" + empty + "] 0/8 tasks");
  EXPECT_EQ(progress_line(4, 8), "[" + half + "] 4/8 tasks");
  EXPECT_EQ(progress_line(8, 8), "[" + std::string(40, '=') + "] 8/8 tasks");
}

TEST(ProgressBar, IsFullWhenTheSchedulerSaysMoreThanThereIs) {
  const std::string full = "[" + std::string(40, '=') + "] ";
  EXPECT_EQ(progress_line(328, 324), full + "328/324 tasks");
  EXPECT_TRUE(progress_line(std::numeric_limits<std::uint64_t>::max(), 3).starts_with(full));
}

}  // namespace
}  // namespace ashlar::session
