#pragma once

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

/// Systems in which something is missing, each in a process that ends with the test.
namespace ashlar::testing {

inline constexpr int skipped = 77;

/// Runs f in a child process: fails where its expectations fail or something is thrown, skips where
/// it returns `skipped`. The process of the test must have no thread that f needs.
inline void in_a_child(const std::function<int()>& f) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 1;
    try {
      code = f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "thrown: %s\n", error.what());
    }
    if (::testing::Test::HasFailure()) code = 1;
    std::fflush(nullptr);
    ::_exit(code);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == skipped) {
    GTEST_SKIP() << "not allowed here";
  }
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

namespace detail {

template <std::size_t steps>
bool filter_calls(std::array<sock_filter, steps> filter) {
  const sock_fprog program{static_cast<unsigned short>(steps), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace detail

/// From now on this system call fails with this error, in this process and its children.
inline bool deny_call(int number, int error) {
  return detail::filter_calls(std::array<sock_filter, 4>{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }});
}

/// The same for calls whose third argument is `third` alone, such as one advice of madvise.
inline bool deny_call(int number, int third, int error) {
  return detail::filter_calls(std::array<sock_filter, 6>{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(third), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }});
}

/// What is mounted from now on is seen by this process and its children alone. Who may not have
/// that becomes root of a user namespace first.
inline bool mount_for_itself() {
  if (::unshare(CLONE_NEWNS) != 0) {
    const std::string users = "0 " + std::to_string(::geteuid()) + " 1\n";
    const std::string groups = "0 " + std::to_string(::getegid()) + " 1\n";
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    const auto write = [](const char* file, const std::string& text) {
      const int descriptor = ::open(file, O_WRONLY | O_CLOEXEC);
      const bool is_written =
          ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
      ::close(descriptor);
      return is_written;
    };
    if (!write("/proc/self/setgroups", "deny") || !write("/proc/self/uid_map", users) ||
        !write("/proc/self/gid_map", groups)) {
      return false;
    }
  }
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// A disk of memory, of so many bytes.
inline bool mount_small_disk(const std::string& folder, std::size_t bytes) {
  return mount_for_itself() && ::mount("tmpfs", folder.c_str(), "tmpfs", 0,
                                       ("size=" + std::to_string(bytes)).c_str()) == 0;
}

}  // namespace ashlar::testing
