#include "telemetry/counters.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ashlar::telemetry {
namespace {

TEST(Counters, OneNameIsOneCounter) {
  Counters counters;
  Counter& sent = counters.counter("frames_sent");
  for (int i = 0; i < 100; ++i) counters.counter("other_" + std::to_string(i));
  sent.add();
  counters.counter("frames_sent").add(41);
  EXPECT_EQ(sent.value(), 42u);
}

TEST(Counters, SnapshotIsSortedByName) {
  Counters counters;
  counters.counter("b").add(2);
  counters.counter("a").add(1);
  const auto values = counters.snapshot();
  ASSERT_EQ(values.size(), 2u);
  EXPECT_EQ(values[0], (std::pair<std::string, std::uint64_t>("a", 1)));
  EXPECT_EQ(values[1], (std::pair<std::string, std::uint64_t>("b", 2)));
}

TEST(Counters, SeveralThreadsLoseNothing) {
  Counters counters;
  std::thread other([&] {
    for (int i = 0; i < 10000; ++i) counters.counter("n").add();
  });
  for (int i = 0; i < 10000; ++i) counters.counter("n").add();
  other.join();
  EXPECT_EQ(counters.counter("n").value(), 20000u);
}

}  // namespace
}  // namespace ashlar::telemetry
