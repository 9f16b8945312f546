#include <gtest/gtest.h>

#include <string>

#include "fixture.hpp"
#include "runtime/event_log_file.hpp"
#include "runtime/replay.hpp"
#include "store/arena.hpp"

namespace ashlar::testing {
namespace {

namespace testing = ::testing;

/// A real run of everything that can happen to one: arrays, tasks that fail, a worker that dies.
void run_and_record(const std::string& path, const std::string& policy) {
  auto session = Session::local({.workers = 2,
                                 .threads_per_worker = 1,
                                 .memory_per_worker = std::uint64_t{1} << 30,
                                 .policy = policy,
                                 .progress = false,
                                 .event_log = path});
  const auto a = random::uniform({400, 400}, {.chunks = {50, 50}, .seed = 3});
  session.compute(matmul(a, a) + 1.0);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 200; ++i) futures.push_back(session.submit<add_one>(i));
  auto failed = session.submit<fail_with>(std::string("no"));
  EXPECT_EQ(session.gather(futures).back(), 200);
  EXPECT_THROW(failed.get(), TaskFailed);
  EXPECT_THROW(session.submit<crash>(1).get(), Error);
  EXPECT_EQ(session.submit<add_one>(1).get(), 2);
}

class EventLogOfPolicy : public testing::TestWithParam<const char*> {};

TEST_P(EventLogOfPolicy, ARealRunReplaysToTheSameActionsByteForByte) {
  const TemporaryFolder folder;
  const std::string path = folder / "log";
  run_and_record(path, GetParam());
  runtime::Replay replay([](std::uint64_t bytes) { return store::Arena::block_bytes(bytes); });
  runtime::read_event_log(path, [&](std::span<const std::byte> record) {
    const std::string wrong = replay.step(record);
    EXPECT_EQ(wrong, "");
    return wrong.empty();
  });
  EXPECT_GT(replay.steps(), 10u);
  EXPECT_GT(replay.events(), 10u);
}

INSTANTIATE_TEST_SUITE_P(Any, EventLogOfPolicy,
                         testing::Values("least_loaded", "locality", "heft", "lshs", "round_robin",
                                         "random"));

TEST(EventLog, APolicyThatThereIsNotIsAnErrorThatNamesThoseThereAre) {
  try {
    Session::local({.workers = 1, .policy = "best"});
    FAIL() << "no error";
  } catch (const BadInput& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("\"best\": expected one of least_loaded, "), std::string::npos) << text;
  }
}

TEST(EventLog, AFileThatCannotBeMadeIsAnError) {
  EXPECT_THROW(Session::local({.workers = 1, .progress = false, .event_log = "/nowhere/log"}),
               BadInput);
}

}  // namespace
}  // namespace ashlar::testing
