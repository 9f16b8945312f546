#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
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

TEST(Failures, AKilledWorkerChangesNoBit) {
  auto session = two_workers();
  auto a = random::uniform({1600, 1600}, {.chunks = {100, 100}, .seed = 3});
  const auto expression = matmul(a, a) - 1.0;
  const HostArray expected = session.compute(expression);
  auto future = session.compute_async(expression);
  ASSERT_EQ(0, ::kill(workers().front(), SIGKILL));
  const HostArray found = future.get();
  EXPECT_EQ(0, std::memcmp(found.bytes().data(), expected.bytes().data(), expected.size_bytes()));
  EXPECT_TRUE(eventually([&] { return session.worker_count() == 1; }));
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

TEST(Failures, NoWorkerLeftIsAnErrorNotAHang) {
  auto session = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  TemporaryFolder folder;
  const auto future = session.submit<wait_for_file>(folder / "never");
  EXPECT_FALSE(future.wait_for(std::chrono::milliseconds(10)));
  ASSERT_EQ(0, ::kill(workers().front(), SIGKILL));
  try {
    future.get();
    FAIL() << "no worker could have run it";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("signal 9"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("wait_for_file"), std::string::npos) << error.what();
  }
}

TEST(Failures, ATaskThatKillsItsWorkersIsGivenUp) {
  auto session = Session::local({.workers = 4, .threads_per_worker = 1, .progress = false});
  const auto future = session.submit<kill_own_worker>();
  try {
    future.get();
    FAIL() << "it never succeeds";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("kill_own_worker"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(session.submit<add_one>(1).get(), 2) << "the fourth worker lives";
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
