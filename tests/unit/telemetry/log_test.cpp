#include "telemetry/log.hpp"

#include <gtest/gtest.h>
#include <ashlar/error.hpp>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace ashlar::telemetry {
namespace {

// A file name of this test's own, removed before and after.
class LogTest : public testing::Test {
 protected:
  LogTest()
      : path_(testing::TempDir() + "ashlar_log_" +
              testing::UnitTest::GetInstance()->current_test_info()->name() + ".txt") {
    std::remove(path_.c_str());
  }
  ~LogTest() override { std::remove(path_.c_str()); }

  std::vector<std::string> lines() const {
    std::ifstream file(path_);
    std::vector<std::string> out;
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }

  std::string path_;
};

TEST_F(LogTest, WithoutOptionsItIsSilent) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  Log log;
  log.error("nobody hears this");
  Log off(LogOptions{});
  off.error("nor this");
  EXPECT_FALSE(log.is_on(LogLevel::error));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(LogTest, StandardErrorWhenNoFileIsNamed) {
  testing::internal::CaptureStderr();
  {
    Log log({.level = LogLevel::info, .name = "worker 3"});
    log.info("joined");
    log.flush();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("worker 3 info: joined\n"), std::string::npos) << text;
}

TEST_F(LogTest, KeepsOnlyTheLevelAndAbove) {
  {
    Log log({.level = LogLevel::warning, .file = path_});
    EXPECT_FALSE(log.is_on(LogLevel::info));
    EXPECT_TRUE(log.is_on(LogLevel::warning));
    EXPECT_FALSE(log.is_on(LogLevel::off));
    log.debug("debug text");
    log.info("info text");
    log.warning("warning text");
    log.error("error text");
  }
  const auto written = lines();
  ASSERT_EQ(written.size(), 2u);
  EXPECT_NE(written[0].find("warning: warning text"), std::string::npos) << written[0];
  EXPECT_NE(written[1].find("error: error text"), std::string::npos) << written[1];
}

TEST_F(LogTest, BracesInATextAreJustBraces) {
  {
    Log log({.level = LogLevel::info, .file = path_});
    log.info("{0} {} {");
  }
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_NE(lines()[0].find("{0} {} {"), std::string::npos);
}

TEST_F(LogTest, SeveralThreadsWriteWholeLines) {
  constexpr int thread_count = 4, line_count = 200;
  {
    Log log({.level = LogLevel::info, .file = path_});
    std::vector<std::thread> threads;
    for (int t = 0; t < thread_count; ++t) {
      threads.emplace_back([&log] {
        for (int i = 0; i < line_count; ++i) log.info("abcdefghij");
      });
    }
    for (auto& thread : threads) thread.join();
  }
  const auto written = lines();
  ASSERT_EQ(written.size(), std::size_t{thread_count} * line_count);
  for (const auto& line : written) EXPECT_TRUE(line.ends_with("info: abcdefghij")) << line;
}

TEST_F(LogTest, AMovedLogGoesOnWriting) {
  {
    Log first({.level = LogLevel::info, .file = path_});
    Log second = std::move(first);
    second.info("still here");
  }
  EXPECT_EQ(lines().size(), 1u);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsNamed) {
  try {
    Log log({.level = LogLevel::info, .file = "/dev/null/log.txt"});
    FAIL() << "expected BadInput";
  } catch (const BadInput& error) {
    EXPECT_NE(std::string(error.what()).find("/dev/null/log.txt"), std::string::npos);
  }
}

TEST(LogLevel, Names) {
  EXPECT_EQ(log_level("debug"), LogLevel::debug);
  EXPECT_EQ(log_level("warning"), LogLevel::warning);
  EXPECT_EQ(log_level("off"), LogLevel::off);
  EXPECT_THROW(log_level("loud"), BadInput);
}

}  // namespace
}  // namespace ashlar::telemetry
