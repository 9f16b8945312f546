#include "runtime/replay.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <ashlar/error.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/event_log_file.hpp"
#include "simulate/cluster.hpp"

namespace ashlar::runtime {
namespace {

using Record = std::vector<std::byte>;

std::uint64_t as_it_is(std::uint64_t bytes) { return bytes; }

/// Notes all that the engines of a simulated cluster are told and do.
class Recorder final : public simulate::Observer {
 public:
  explicit Recorder(scheduler::PolicyKind policy) : policy_(policy) {}

  void scheduler_made(std::uint64_t seed) override {
    records.push_back(wire::encode(wire::SchedulerMade{policy_, seed}));
  }
  void worker_made(PeerId worker, std::uint32_t slots, std::uint64_t memory_limit,
                   const std::string& host_identity, bool can_spill) override {
    records.push_back(
        wire::encode(wire::WorkerMade{worker, slots, memory_limit, host_identity, can_spill}));
  }
  void stepped(std::span<const scheduler::Event> events, Instant now,
               const scheduler::Actions& actions) override {
    ++steps;
    records.push_back(wire::encode_step(events, now, actions));
  }
  void stepped(PeerId worker, std::span<const worker::Event> events, Instant now,
               const worker::Actions& actions) override {
    ++steps;
    for (const auto& event : events) loads += std::holds_alternative<worker::LoadDone>(event);
    records.push_back(wire::encode_step(worker, events, now, actions));
  }

  std::vector<Record> records;
  std::uint64_t steps = 0;
  std::uint64_t loads = 0;  ///< from workers' disks

 private:
  scheduler::PolicyKind policy_;
};

/// The log of a run in which workers and drivers die, kernels fail and runs are cancelled.
std::shared_ptr<Recorder> record(std::uint64_t seed, simulate::Config config = {}) {
  config.workers = 4;
  config.drivers = 2;
  config.kills = 2;
  config.joins = 2;
  config.driver_kills = 1;
  config.failing_tasks = 10;
  config.cancels = 15;
  auto recorder = std::make_shared<Recorder>(config.limits.policy);
  config.observer = recorder;
  EXPECT_EQ(simulate::Cluster(config).run(seed).problem, "");
  return recorder;
}

std::string difference(const std::vector<Record>& records) {
  Replay replay(as_it_is);
  for (const Record& record : records) {
    if (std::string wrong = replay.step(record); !wrong.empty()) return wrong;
  }
  return {};
}

TEST(Replay, RunsWithFaultsGiveTheSameActionsByteForByte) {
  for (const scheduler::PolicyKind policy : scheduler::policy_kinds) {
    std::uint64_t loads = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      simulate::Config config;
      config.limits.policy = policy;
      config.is_memory_tight = seed % 2 == 0;
      if (config.is_memory_tight) config.memory_limit = 400'000;
      const auto log = record(seed, config);
      Replay replay(as_it_is);
      for (const Record& record : log->records) {
        ASSERT_EQ(replay.step(record), "") << scheduler::name_of(policy) << ", seed " << seed;
      }
      EXPECT_EQ(replay.steps(), log->steps);
      EXPECT_GT(replay.events(), replay.steps());
      loads += log->loads;
    }
    EXPECT_GT(loads, 0u) << scheduler::name_of(policy);
  }
}

TEST(Replay, OtherActionsAreFound) {
  std::vector<Record> records = record(1)->records;
  const auto longest = std::ranges::max_element(records, {}, &Record::size);
  longest->back() ^= std::byte{1};
  EXPECT_NE(difference(records).find("actions are not those of the log"), std::string::npos);
}

TEST(Replay, AMissingStepIsFound) {
  std::vector<Record> records = record(2)->records;
  const auto longest = std::ranges::max_element(records, {}, &Record::size);
  records.erase(longest);
  EXPECT_NE(difference(records), "");
}

TEST(Replay, AnotherSeedIsFound) {
  simulate::Config config;
  config.limits.policy = scheduler::PolicyKind::random;
  std::vector<Record> records = record(3, config)->records;
  records.front() = wire::encode(wire::SchedulerMade{config.limits.policy, 4});
  EXPECT_NE(difference(records), "");
}

TEST(Replay, RecordsThatMakeNoSenseAreRefused) {
  const std::vector<Record> records = record(4)->records;
  EXPECT_EQ(difference({records[0], records[0]}), "a second scheduler");
  const auto made_worker = wire::encode(wire::WorkerMade{PeerId{7}, 1, 100, "here"});
  EXPECT_EQ(difference({made_worker, made_worker}), "a second worker 7");
  EXPECT_EQ(difference({wire::encode_step(PeerId{7}, {}, {}, {})}),
            "a step of worker 7 before it was made");
  EXPECT_NE(difference({{}}).find("it ends too early"), std::string::npos);
  // Every record, cut off anywhere, is refused as what it is.
  for (std::size_t i = 0; i < records.size(); i += records.size() / 20 + 1) {
    for (std::size_t size = 0; size < records[i].size(); size += 1 + size / 16) {
      const auto decoded = wire::decode_log_record(std::span(records[i]).first(size));
      ASSERT_FALSE(decoded.message) << "record " << i << " of " << size << " bytes";
      ASSERT_NE(decoded.error, "");
    }
  }
}

TEST(Replay, DamagedRecordsNeverCrash) {
  const std::vector<Record> records = record(5)->records;
  for (std::size_t i = 0; i < records.size(); i += records.size() / 40 + 1) {
    for (std::size_t at = 0; at < records[i].size(); at += 1 + at / 32) {
      Record damaged = records[i];
      damaged[at] ^= std::byte{0xff};
      const auto decoded = wire::decode_log_record(damaged);
      EXPECT_NE(decoded.message.has_value(), !decoded.error.empty());
    }
  }
}

class LogFile : public testing::Test {
 protected:
  LogFile() : path_(testing::TempDir() + "event_log_test_" + std::to_string(::getpid())) {}
  ~LogFile() override { std::filesystem::remove(path_); }

  std::vector<Record> read() const {
    std::vector<Record> records;
    read_event_log(path_, [&](std::span<const std::byte> record) {
      records.emplace_back(record.begin(), record.end());
      return true;
    });
    return records;
  }
  std::string refusal() const {
    try {
      read();
    } catch (const BadInput& error) {
      return error.what();
    }
    return "not refused";
  }

  std::string path_;
};

TEST_F(LogFile, GivesBackWhatWasWritten) {
  const std::vector<Record> records = record(6)->records;
  {
    EventLogFile file(path_);
    for (const Record& record : records) file.write(record);
  }
  EXPECT_EQ(read(), records);
  // What a killed process leaves behind.
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  EXPECT_EQ(read(), std::vector<Record>(records.begin(), records.end() - 1));
}

TEST_F(LogFile, OtherFilesAreRefused) {
  EXPECT_NE(refusal().find("cannot be read"), std::string::npos);
  std::ofstream(path_) << "something else\n";
  EXPECT_NE(refusal().find("expected \"ashlar event log 1, protocol"), std::string::npos);
  EXPECT_THROW(EventLogFile("/nowhere/log"), BadInput);
}

}  // namespace
}  // namespace ashlar::runtime
