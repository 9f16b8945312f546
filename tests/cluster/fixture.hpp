#pragma once

#include <ashlar/ashlar.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

/// The tasks of the test programs.
namespace ashlar::testing {

int add_one(int x);
/// The sum of two numbers, below 1000.
int add_both(int a, int b);
int fail_if_negative(int x);
double sum_of(View<const double, 2> x);
std::string fail_with(const std::string& why);
int wait_for_file(const std::string& path);
/// The same, unless the path is empty.
int hold(const std::string& path);
/// Only the first call with this path waits for the file. Declared as pure: its result is the same.
int stall_once(const std::string& path);
int pid_of_worker();
/// Writes the worker's pid to a file, and waits for ever.
int report_and_wait(const std::string& path);
int crash(int x);
void add_into(View<const double, 2> a, View<double, 2> c);
HostArray make_block(std::int64_t n, double value);
double total(const std::vector<double>& values);

Tasks test_tasks();

/// Two workers with one slot each, and little memory.
Session two_workers();

/// This process's children that are not yet reaped.
std::vector<int> child_processes();

/// A new, empty folder that vanishes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// What is in it, in order.
  std::vector<std::string> names() const;

 private:
  std::string path_;
};

/// Tests that share a session of two workers, which leaves no process behind.
class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { session_ = new Session(two_workers()); }
  static void TearDownTestSuite() {
    delete session_;
    EXPECT_TRUE(child_processes().empty()) << "worker processes are left";
  }
  static Session& session() { return *session_; }

 private:
  static inline Session* session_ = nullptr;
};

}  // namespace ashlar::testing
