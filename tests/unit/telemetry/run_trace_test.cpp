#include "telemetry/run_trace.hpp"

#include <gtest/gtest.h>
#include <ashlar/error.hpp>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace ashlar::telemetry {
namespace {

TaskEvent event(const char* name, std::int64_t start_ns, std::int64_t ns) {
  return {.name = name, .worker = 2, .slot = 1, .start = {start_ns}, .duration = {ns}};
}

TEST(RunTrace, EveryEventIsInTheJson) {
  RunTrace trace;
  trace.name_worker(2, "host:17");
  trace.add(event("gemm", 5'000'000, 1'234));
  trace.add(event("add \"x\"\n", 4'000'000, 10));
  const auto json = nlohmann::json::parse(trace.to_json());
  const auto& events = json["traceEvents"];
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0]["args"]["name"], "host:17");
  EXPECT_EQ(events[1]["name"], "gemm");
  EXPECT_EQ(events[1]["ph"], "X");
  EXPECT_EQ(events[1]["pid"], 2);
  EXPECT_EQ(events[1]["tid"], 1);
  EXPECT_DOUBLE_EQ(events[1]["ts"], 1000.0);  // from the earliest event on
  EXPECT_DOUBLE_EQ(events[1]["dur"], 1.234);
  EXPECT_EQ(events[2]["name"], "add \"x\"\n");
  EXPECT_DOUBLE_EQ(events[2]["ts"], 0.0);
}

TEST(RunTrace, TransfersBeginAndEndAtWhoReceives) {
  RunTrace trace;
  trace.name_worker(1, "left");
  trace.add(
      {.name = "sum", .from = 1, .to = 2, .bytes = 77, .start = {5'000}, .duration = {2'000}});
  trace.add(event("gemm", 4'000, 1));
  const auto json = nlohmann::json::parse(trace.to_json());
  const auto& events = json["traceEvents"];
  ASSERT_EQ(events.size(), 5u) << "two names, a task, a begin, an end";
  const auto &begin = events[3], &end = events[4];
  EXPECT_EQ(begin["ph"], "b");
  EXPECT_EQ(end["ph"], "e");
  EXPECT_EQ(begin["id"], end["id"]);
  EXPECT_EQ(begin["cat"], end["cat"]);
  EXPECT_EQ(begin["pid"], 2);
  EXPECT_EQ(begin["args"]["from"], "left");
  EXPECT_EQ(begin["args"]["bytes"], 77);
  EXPECT_DOUBLE_EQ(begin["ts"], 1.0);
  EXPECT_DOUBLE_EQ(end["ts"], 3.0);
  EXPECT_EQ(trace.event_count(), 2u);
}

TEST(RunTrace, AnEmptyTraceIsValidJson) {
  const auto json = nlohmann::json::parse(RunTrace().to_json());
  EXPECT_TRUE(json["traceEvents"].empty());
}

TEST(RunTrace, EventsOverTheLimitAreCounted) {
  RunTrace trace({.events = 2});
  for (int i = 0; i < 5; ++i) trace.add(event("gemm", i, 1));
  EXPECT_EQ(trace.event_count(), 2u);
  EXPECT_EQ(trace.dropped_count(), 3u);
  EXPECT_EQ(nlohmann::json::parse(trace.to_json())["otherData"]["dropped_events"], 3);
}

TEST(RunTrace, WritesAFile) {
  const std::string path = testing::TempDir() + "ashlar_run_trace_test.json";
  RunTrace trace;
  trace.add(event("gemm", 0, 1));
  trace.write(path);
  std::ifstream file(path);
  EXPECT_EQ(nlohmann::json::parse(file)["traceEvents"].size(), 2u);
  std::remove(path.c_str());
}

TEST(RunTrace, AFileThatCannotBeWrittenIsNamed) {
  EXPECT_THROW(RunTrace().write("/dev/null/trace.json"), BadInput);
}

}  // namespace
}  // namespace ashlar::telemetry
