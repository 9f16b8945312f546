#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

/// The pids of a session's workers.
std::vector<int> workers() { return child_processes(); }

/// Waits until a condition holds; says whether it came to that.
bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 10'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// Whether the worker is gone and the session has its full number again.
bool is_replaced(const Session& session, int pid, std::size_t workers_now) {
  const std::vector<int> pids = workers();
  return std::find(pids.begin(), pids.end(), pid) == pids.end() && pids.size() == workers_now &&
         session.worker_count() == workers_now;
}

/// The text of the error that a call ends with.
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Failures, AKilledWorkerChangesNoBit) {
  auto session = two_workers();
  auto a = random::uniform({1600, 1600}, {.chunks = {100, 100}, .seed = 3});
  const auto expression = matmul(a, a) - 1.0;
  const HostArray expected = session.compute(expression);
  auto future = session.compute_async(expression);
  const int killed = workers().front();
  ASSERT_EQ(0, ::kill(killed, SIGKILL));
  const HostArray found = future.get();
  EXPECT_EQ(0, std::memcmp(found.bytes().data(), expected.bytes().data(), expected.size_bytes()));
  EXPECT_TRUE(eventually([&] { return is_replaced(session, killed, 2); }));
  const HostArray again = session.compute(expression);
  EXPECT_EQ(0, std::memcmp(again.bytes().data(), expected.bytes().data(), expected.size_bytes()));
}

TEST(Failures, WhatADeadWorkerKeptIsMadeAgain) {
  auto session = two_workers();
  auto kept = session.persist(random::normal({800, 800}, {.chunks = {100, 100}, .seed = 4}));
  session.wait(kept);
  const HostArray before = session.compute(kept);
  ASSERT_EQ(0, ::kill(workers().back(), SIGKILL));
  const HostArray after = session.compute(kept * 1.0);
  EXPECT_EQ(0, std::memcmp(before.bytes().data(), after.bytes().data(), before.size_bytes()));
}

TEST(Failures, TheOnlyWorkerIsReplaced) {
  auto session = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  const int first = session.submit<pid_of_worker>().get();
  ASSERT_EQ(0, ::kill(first, SIGKILL));
  const int second = session.submit<pid_of_worker>().get();
  EXPECT_NE(second, first);
  EXPECT_EQ(session.worker_count(), 1u);
}

TEST(Failures, WorkGoesAroundACancelledTaskThatStillRuns) {
  auto session = Session::local({.workers = 2, .threads_per_worker = 1, .progress = false});
  TemporaryFolder folder;
  const auto endless = session.submit<report_and_wait>(folder / "pid");
  wait_for_file(folder / "pid");
  endless.cancel();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(session.submit<add_one>(i).get(), i + 1);
}

TEST(Failures, ATaskWhoseWorkerIsKilledAgainAndAgainIsGivenUp) {
  auto session = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  TemporaryFolder folder;
  const auto future = session.submit<report_and_wait>(folder / "pid");
  for (int i = 0; i < 3; ++i) {
    int pid = 0;
    ASSERT_TRUE(eventually([&] { return std::ifstream(folder / "pid") >> pid && pid > 0; }));
    std::filesystem::remove(folder / "pid");
    ASSERT_EQ(0, ::kill(pid, SIGKILL));
  }
  const std::string error = error_of([&] { future.get(); });
  EXPECT_TRUE(contains(error, "signal 9") && contains(error, "report_and_wait") &&
              contains(error, "3 workers"))
      << error;
  EXPECT_EQ(session.submit<add_one>(1).get(), 2);
}

TEST(Failures, ATaskThatCrashesIsGivenUpAndTheRestGoesOn) {
  auto session = two_workers();
  std::vector<Future<int>> others;
  for (int i = 0; i < 20; ++i) others.push_back(session.submit<add_one>(i));
  const auto bad = session.submit<crash>(1);
  for (int i = 20; i < 40; ++i) others.push_back(session.submit<add_one>(i));
  const std::string error = error_of([&] { bad.get(); });
  EXPECT_TRUE(contains(error, "kernel \"crash\"") && contains(error, "failures_test.cpp:") &&
              contains(error, "signal 11") && contains(error, "took down 3 workers"))
      << error;
  for (int i = 0; i < 40; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), i + 1);
  EXPECT_TRUE(eventually([&] { return session.worker_count() == 2; }));
  const auto a = random::uniform({400, 400}, {.chunks = {100, 100}, .seed = 3});
  EXPECT_EQ(session.compute(sum(a * 0.0)).item<double>(), 0.0) << "the session is usable";
}

TEST(Failures, TasksThatKeepCrashingAreGivenUpOneByOne) {
  auto session = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  std::vector<Future<int>> bad;
  for (int i = 0; i < 5; ++i) bad.push_back(session.submit<crash>(i));
  for (const auto& future : bad) {
    EXPECT_TRUE(contains(error_of([&] { future.get(); }), "signal 11"));
  }
  EXPECT_EQ(session.submit<add_one>(1).get(), 2) << "each was given up";
}

TEST(Failures, AKernelThatThrowsEndsTheComputationOfItsArray) {
  auto session = two_workers();
  TemporaryFolder folder;
  session.compute(save_npy(folder / "x.npy", ones({40, 40}, {.chunks = {20, 20}})));
  const int line = __LINE__ + 1;
  const auto x = load_npy(folder / "x.npy", {.chunks = {20, 20}});
  std::filesystem::remove(folder / "x.npy");
  const std::string error = error_of([&] { session.compute(sum(x)); });
  EXPECT_TRUE(contains(error, "task ") && contains(error, "kernel \"") &&
              contains(error, "on worker local:") && contains(error, "x.npy") &&
              contains(error, "failures_test.cpp:" + std::to_string(line)))
      << error;
}

TEST(Failures, WhatReadsAKeptArrayThatFailedSaysWhy) {
  auto session = two_workers();
  TemporaryFolder folder;
  session.compute(save_npy(folder / "x.npy", ones({40, 40}, {.chunks = {20, 20}})));
  const int line = __LINE__ + 1;
  const auto x = load_npy(folder / "x.npy", {.chunks = {20, 20}});
  std::filesystem::remove(folder / "x.npy");
  const auto kept = session.persist(x * 2.0), beside = session.persist(ones({40, 40}));
  for (int i = 0; i < 2; ++i) {
    const std::string error = error_of([&] { session.compute(sum(kept + beside)); });
    EXPECT_TRUE(contains(error, "x.npy") && contains(error, "on worker local:") &&
                contains(error, "failures_test.cpp:" + std::to_string(line)))
        << error;
    EXPECT_TRUE(contains(error_of([&] { session.wait(kept); }), "x.npy"));
  }
  EXPECT_EQ(session.compute(sum(beside)).item<double>(), 1600.0);
}

TEST(Failures, AWorkerThatDiesAfterAFailureTakesNothingMoreWithIt) {
  auto session = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  TemporaryFolder folder;
  Graph graph;
  const auto bad = graph.add<fail_with>({.priority = 1}, std::string("too hot"));
  const auto after = graph.add<fail_with>(bad);
  const auto slow = graph.add<wait_for_file>(folder / "go");
  const auto beside = graph.add<add_one>(slow);
  for (const auto& node : {bad, after}) graph.want(node);
  graph.want(beside);
  const auto run = session.run(graph);
  const std::string cause = error_of([&] { run[bad].get(); });
  ASSERT_TRUE(contains(cause, "too hot")) << cause;
  const int killed = workers().front();
  ASSERT_EQ(0, ::kill(killed, SIGKILL));
  ASSERT_TRUE(eventually([&] { return is_replaced(session, killed, 1); }));
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(run[beside].get(), 2);
  EXPECT_EQ(error_of([&] { run[after].get(); }), cause);
  EXPECT_EQ(error_of([&] { run.wait(); }), cause);
}

TEST(Failures, MoreMemoryThanAddressesIsRefused) {
  EXPECT_THROW(Session::local({.workers = 1, .memory_per_worker = ~std::uint64_t{0}}), BadInput);
}

TEST(Failures, WhatDoesNotFitIntoMemoryIsAnErrorNotAHang) {
  auto session = Session::local({.workers = 2,
                                 .threads_per_worker = 1,
                                 .memory_per_worker = std::uint64_t{64} << 20,
                                 .spill_per_worker = 0,
                                 .progress = false});
  {
    const auto kept =
        session.persist(random::uniform({8000, 8000}, {.chunks = {500, 500}, .seed = 1}));
    const std::string error = error_of([&] { session.wait(kept); });
    EXPECT_TRUE(contains(error, "out of memory") && contains(error, "2002944 bytes") &&
                contains(error, "67108864") && contains(error, "failures_test.cpp:") &&
                contains(error, "smaller chunks"))
        << error;
  }
  const auto small = random::uniform({1000, 1000}, {.chunks = {500, 500}, .seed = 1});
  EXPECT_EQ(session.compute(sum(small * 0.0)).item<double>(), 0.0) << "the session is usable";
}

TEST(Failures, ChunksThatTheStoreRoundsUpWaitForTheirTurn) {
  auto session = Session::local({.workers = 1,
                                 .threads_per_worker = 2,
                                 .memory_per_worker = std::uint64_t{16} << 20,
                                 .spill_per_worker = 0,
                                 .progress = false});
  const auto x = ones({2000, 2000}, {.chunks = {100, 100}}) + 1.0;  // twice what there is
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(error_of([&] { session.compute(x); }), "no error");
  }
  const auto kept = session.persist(ones({300'000}, {.chunks = {1}}));
  const std::string error = error_of([&] { session.wait(kept); });
  EXPECT_TRUE(contains(error, "out of memory") && contains(error, "smaller chunks")) << error;
}

TEST(Failures, ARunThatWaitsForMemoryGoesOnWhenSomeIsReleased) {
  auto session = Session::local({.workers = 2,
                                 .threads_per_worker = 1,
                                 .memory_per_worker = std::uint64_t{64} << 20,
                                 .spill_per_worker = 0,
                                 .progress = false});
  const auto array = random::uniform({3200, 3200}, {.chunks = {400, 400}, .seed = 1});
  std::optional<Array> first = session.persist(array);  // 82 of 134 MB
  session.wait(*first);
  const auto second = session.persist(array + 1.0);
  first.reset();
  EXPECT_EQ(error_of([&] { session.wait(second); }), "no error");
}

TEST(Failures, AChunkThatFitsNowhereIsRefusedAtOnce) {
  auto session = Session::local({.workers = 1,
                                 .threads_per_worker = 1,
                                 .memory_per_worker = std::uint64_t{64} << 20,
                                 .spill_per_worker = 0,
                                 .progress = false});
  const auto large = random::uniform({8000, 8000}, {.chunks = {4000, 4000}, .seed = 1});
  const std::string error = error_of([&] { session.compute(large); });
  EXPECT_TRUE(contains(error, "128000000 bytes") && contains(error, "67108864") &&
              contains(error, "failures_test.cpp:") && contains(error, "smaller chunks"))
      << error;
}

TEST(Failures, ClosingFailsWhatIsPending) {
  TemporaryFolder folder;
  Future<int> pending;
  {
    auto session = two_workers();
    pending = session.submit<wait_for_file>(folder / "never");
  }
  EXPECT_THROW(pending.get(), Disconnected);
  EXPECT_TRUE(child_processes().empty());
}

TEST(Failures, ResultsOutliveTheirSession) {
  Future<HostArray> kept;
  {
    auto session = two_workers();
    kept = session.submit<make_block>(200, 3.0);
    kept.get();
  }
  EXPECT_EQ((kept.get().view<double, 2>()(199, 0)), 3.0);
}

TEST(Failures, AKilledDriverLeavesNothing) {
  int ends[2];
  ASSERT_EQ(0, ::pipe(ends));
  const pid_t driver = ::fork();
  if (driver == 0) {
    auto session = two_workers();
    const auto pids = child_processes();
    if (::write(ends[1], pids.data(), pids.size() * sizeof(int)) < 0) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  int pids[2] = {};
  ASSERT_EQ(static_cast<ssize_t>(sizeof pids), ::read(ends[0], pids, sizeof pids));
  std::vector<pollfd> workers;
  for (const int pid : pids) {
    workers.push_back({static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0});
    ASSERT_GE(workers.back().fd, 0);
  }
  ASSERT_EQ(0, ::kill(driver, SIGKILL));
  ASSERT_EQ(driver, ::waitpid(driver, nullptr, 0));
  for (pollfd& worker : workers) {
    EXPECT_EQ(1, ::poll(&worker, 1, 10'000)) << "a worker is still there";
    ::close(worker.fd);
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Failures, ImpossibleOptionsAreRefused) {
  EXPECT_THROW(Session::connect("tcp://127.0.0.1:1"), Disconnected);
  EXPECT_THROW(Session::connect("nonsense"), BadInput);
  EXPECT_THROW(Session::local({.workers = 1, .worker_program = "/no/such/program"}), Error);
  EXPECT_THROW(Session::local({.workers = 1, .worker_program = "/bin/true"}), Disconnected);
  EXPECT_THROW(Session::local({.log_level = "loud"}), BadInput);
  EXPECT_TRUE(child_processes().empty());
}

}  // namespace
}  // namespace ashlar::testing
