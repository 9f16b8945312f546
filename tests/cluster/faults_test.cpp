#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <filesystem>

#include "broken_system.hpp"
#include "fixture.hpp"

/// Sessions on systems that lack something: they say so, or do without.
namespace ashlar::testing {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

void expect_right_results(Session& session) {
  const auto x = ones({2000, 2000}, {.chunks = {500, 500}});
  EXPECT_EQ(session.compute(sum(matmul(x, x))).item<double>(), 8e9);
}

TEST(Faults, WithoutSharedMemoryASessionSaysWhatItNeeds) {
  in_a_child([] {
    if (!deny_call(SYS_memfd_create, ENOSYS)) return skipped;
    try {
      two_workers();
      ADD_FAILURE() << "it has memory from somewhere";
    } catch (const Unsupported& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("memfd_create: Function not implemented"), std::string::npos) << text;
      EXPECT_NE(text.find("allow"), std::string::npos) << text;
    }
    return 0;
  });
}

TEST(Faults, TheFolderOfSharedMemoryIsNotNeeded) {
  in_a_child([] {
    if (std::filesystem::is_directory("/dev/shm")) {
      if (!mount_for_itself() || ::mount("tmpfs", "/dev/shm", "tmpfs", MS_RDONLY, "size=4k") != 0) {
        return skipped;
      }
    }
    auto session = two_workers();
    expect_right_results(session);
    return 0;
  });
}

TEST(Faults, WithoutHugePagesAllIsRight) {
  in_a_child([] {
    if (::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0 ||
        !deny_call(SYS_madvise, MADV_HUGEPAGE, EINVAL)) {
      return skipped;
    }
    auto session = two_workers();
    expect_right_results(session);
    return 0;
  });
}

/// Two workers with 128 MB of memory for data that have to go to disk.
class FullDisk : public ::testing::Test {
 protected:
  static Session small_session(const TemporaryFolder& folder) {
    return Session::local({.workers = 2,
                           .threads_per_worker = 1,
                           .memory_per_worker = 64 * mebibyte,
                           .spill_dir = folder / "",
                           .spill_per_worker = 1024 * mebibyte,
                           .progress = false});
  }

  void expect_named(Session& session, const std::string& why) {
    {
      const auto kept = session.persist(random::uniform({8000, 4000}, {.chunks = {500, 500}}));
      try {
        session.wait(kept);
        ADD_FAILURE() << "256 MB have no room";
      } catch (const Overloaded& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find(why), std::string::npos) << text;
        EXPECT_NE(text.find(folder_ / ""), std::string::npos) << text;
      }
    }
    expect_right_results(session);
  }

  TemporaryFolder folder_;
};

TEST_F(FullDisk, IsNamedAndDoneWithout) {
  in_a_child([&] {
    if (!mount_small_disk(folder_ / "", 16 * mebibyte)) return skipped;
    auto session = small_session(folder_);
    expect_named(session, "No space left on device");
    return 0;
  });
}

TEST_F(FullDisk, SoIsOneWhereFilesMayNotGrow) {
  auto session = small_session(folder_);
  const auto workers = child_processes();
  const rlimit small{mebibyte, mebibyte};
  for (const int pid : workers) ASSERT_EQ(::prlimit(pid, RLIMIT_FSIZE, &small, nullptr), 0);
  expect_named(session, "File too large");
  EXPECT_EQ(child_processes(), workers) << "none was killed and replaced";
}

}  // namespace
}  // namespace ashlar::testing
