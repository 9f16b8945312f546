#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>

#include "fixture.hpp"

namespace ashlar::testing {

int add_one(int x) { return x + 1; }
int add_both(int a, int b) { return (a + b) % 1000; }

int fail_if_negative(int x) {
  if (x < 0) throw std::runtime_error("negative");
  return x;
}

double sum_of(View<const double, 2> x) {
  const auto all = x.span();
  return std::accumulate(all.begin(), all.end(), 0.0);
}

std::string fail_with(const std::string& why) { throw std::runtime_error(why); }

int wait_for_file(const std::string& path) {
  const int watch = ::inotify_init1(IN_CLOEXEC);
  const std::string folder = std::filesystem::path(path).parent_path();
  if (::inotify_add_watch(watch, folder.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
    throw std::runtime_error("cannot watch " + folder);
  }
  char events[4096];
  while (!std::filesystem::exists(path) && ::read(watch, events, sizeof events) > 0) {
  }
  ::close(watch);
  return 1;
}

int hold(const std::string& path) { return path.empty() ? 0 : wait_for_file(path); }

int stall_once(const std::string& path) {
  if (path.empty()) return 0;
  const int begun = ::open((path + ".begun").c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (begun < 0) return 1;
  ::close(begun);
  return wait_for_file(path);
}

int pid_of_worker() { return ::getpid(); }

int report_and_wait(const std::string& path) {
  std::ofstream(path + ".new") << ::getpid() << '\n';
  std::filesystem::rename(path + ".new", path);
  for (;;) ::pause();
}

int crash(int x) {
  ::signal(SIGSEGV, SIG_DFL);  // sanitizers have handlers of their own
  ::raise(SIGSEGV);
  return x;
}

void add_into(View<const double, 2> a, View<double, 2> c) {
  for (std::int64_t i = 0; i < a.size(); ++i) c.data()[i] += a.data()[i];
}

HostArray make_block(std::int64_t n, double value) {
  HostArray block(DType::float64, {n, n});
  for (auto& x : block.view<double, 2>().span()) x = value;
  return block;
}

double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

Tasks test_tasks() {
  Tasks tasks;
  tasks.add<add_one>("add_one").add<sum_of>("sum_of").add<fail_with>("fail_with");
  tasks.add<wait_for_file>("wait_for_file").add<pid_of_worker>("pid_of_worker");
  tasks.add<report_and_wait>("report_and_wait").add<crash>("crash").add<add_into>("add_into");
  tasks.add<make_block>("make_block").add<total>("total");
  tasks.add<add_both>("add_both").add<fail_if_negative>("fail_if_negative");
  tasks.add<hold>("hold").add<stall_once>("stall_once", {.pure = true});
  return tasks;
}

Session two_workers() {
  return Session::local({.workers = 2,
                         .threads_per_worker = 1,
                         .memory_per_worker = std::uint64_t{1} << 30,
                         .progress = false});
}

std::vector<int> child_processes() {
  std::vector<int> pids;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(thread.path() / "children");
    for (int pid; file >> pid;) pids.push_back(pid);
  }
  return pids;
}

TemporaryFolder::TemporaryFolder() {
  std::string path = std::filesystem::temp_directory_path() / "ashlar-test-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make " + path);
  path_ = path;
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ashlar::testing

int main(int argc, char** argv) {
  ashlar::init(argc, argv, ashlar::testing::test_tasks());
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
