#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "fixture.hpp"

/// What is done, with real processes, when tasks take far longer than predicted.
namespace ashlar::testing {
namespace {

constexpr auto long_enough = std::chrono::seconds(30);

class RebalanceTest : public SessionTest {
 protected:
  /// The times of both functions, which are short, are learnt.
  void SetUp() override {
    const std::vector<std::string> nothing(200);
    session().gather(session().map<hold>(nothing));
    session().gather(session().map<stall_once>(nothing));
  }
};

TEST_F(RebalanceTest, WhatWaitsBehindATaskThatDoesNotEndIsStolen) {
  const TemporaryFolder folder;
  std::vector<std::string> paths(200);
  paths[0] = folder / "go on";
  const auto futures = session().map<hold>(paths);
  bool are_there = true;
  for (std::size_t i = 1; i < futures.size(); ++i) are_there &= futures[i].wait_for(long_enough);
  EXPECT_TRUE(are_there) << "a worker has nothing to do, and tasks wait";
  EXPECT_FALSE(futures[0].is_ready());
  std::ofstream(paths[0]) << "now";
  for (std::size_t i = 0; i < futures.size(); ++i) EXPECT_EQ(futures[i].get(), i == 0 ? 1 : 0);
  const RunReport report = futures[0].report();
  EXPECT_GT(report.rebalance.useful, 0u) << to_string(report);
  EXPECT_EQ(report.rebalance.useless, 0u) << to_string(report);
  EXPECT_GE(report.rebalance.stolen, report.rebalance.useful) << to_string(report);
  EXPECT_NE(to_string(report).find("\nstolen "), std::string::npos) << to_string(report);
}

TEST_F(RebalanceTest, APureTaskThatDoesNotEndIsDoneElsewhere) {
  const TemporaryFolder folder;
  const std::string path = folder / "go on";
  const auto future = session().submit<stall_once>(path);
  const auto next = session().submit<add_one>(future);
  EXPECT_TRUE(next.wait_for(long_enough)) << "one worker is stuck, the other one idle";
  std::ofstream(path) << "now";
  EXPECT_EQ(next.get(), 2);
  EXPECT_EQ(future.get(), 1);
  const RunReport report = future.report();
  EXPECT_EQ(report.rebalance.second_runs, 1u) << to_string(report);
  EXPECT_EQ(report.rebalance.second_runs_won, 1u) << to_string(report);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(session().submit<add_one>(i).get(), i + 1);
}

TEST_F(RebalanceTest, OtherTasksAreNeverRunTwice) {
  const TemporaryFolder folder;
  const std::string path = folder / "go on";
  const auto future = session().submit<hold>(path);
  EXPECT_FALSE(future.wait_for(std::chrono::milliseconds(500)));
  std::ofstream(path) << "now";
  EXPECT_EQ(future.get(), 1);
  EXPECT_EQ(future.report().rebalance.second_runs, 0u);
}

}  // namespace
}  // namespace ashlar::testing
