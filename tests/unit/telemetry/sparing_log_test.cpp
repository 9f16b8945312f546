#include "telemetry/sparing_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace ashlar::telemetry {
namespace {

TEST(SparingLog, WritesAFewInASecondAndThenHowManyThereWere) {
  testing::internal::CaptureStderr();
  {
    Log log({.level = LogLevel::info});
    SparingLog sparing(log);
    const Instant start{5'000'000'000};
    for (int i = 0; i < 1000; ++i) {
      sparing.write(start + Duration::microseconds(i), LogLevel::info, "first");
    }
    sparing.write(start + Duration::seconds(1), LogLevel::info, "second");
    sparing.write(start + Duration::seconds(1), LogLevel::info, "third");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), SparingLog::lines_per_second + 2) << text;
  EXPECT_NE(text.find("second (and 990 more before it)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("third\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace ashlar::telemetry
