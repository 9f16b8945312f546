#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "fixture.hpp"
#include "memory_watch.hpp"

namespace ashlar::testing {
namespace {

LocalOptions two_small_workers(const TemporaryFolder& folder, std::uint64_t memory) {
  LocalOptions options;
  options.workers = 2;
  options.threads_per_worker = 1;
  options.memory_per_worker = memory;
  options.spill_dir = folder / "";
  options.progress = false;
  return options;
}

TEST(Spill, AProductThatHasNoRoomIsRightAndStaysUnderTheLimit) {
  const TemporaryFolder folder;
  constexpr std::uint64_t limit = 256 * mebibyte;
  auto session = Session::local(two_small_workers(folder, limit));
  MemoryWatch watch;
  // Factors of 256 and 128 MiB, which stay, and a product of 256 MiB whose sums are easily known.
  const std::int64_t n = 8192, k = 4096;
  const auto a = ones({n, k}, {.chunks = {1024, 1024}});
  const auto b = ones({k, k}, {.chunks = {1024, 1024}}) * 2.0;
  const auto left = session.persist(a);
  const auto right = session.persist(b);
  session.wait(left);
  session.wait(right);
  const HostArray row = session.compute(sum(matmul(left, right), {.axes = {1}}));
  const RunReport report = session.report();
  for (std::int64_t i = 0; i < n; i += 97) {
    ASSERT_EQ((row.view<double, 1>()(i)), 2.0 * static_cast<double>(k) * static_cast<double>(k));
  }
  EXPECT_GT(report.loaded_bytes, 0u);
#ifndef ASHLAR_SANITIZED  // which takes memory of its own
  EXPECT_LE(watch.peak(), limit);
  EXPECT_GT(watch.peak(), limit / 2);
#endif
  EXPECT_TRUE(folder.names().empty()) << "spill files have no names";
}

TEST(Spill, RandomDataComeBackAsTheyWere) {
  const TemporaryFolder folder;
  const auto x = random::uniform({3000, 3000}, {.chunks = {500, 500}, .seed = 3});
  const auto y = random::uniform({3000, 3000}, {.chunks = {500, 500}, .seed = 4});
  const auto result = [&](std::uint64_t memory) {
    auto session = Session::local(two_small_workers(folder, memory));
    const auto kept = session.persist(x);
    session.wait(kept);
    const HostArray product = session.compute(matmul(kept, y) + permute_dims(kept, {1, 0}));
    const RunReport report = session.report();
    EXPECT_EQ(report.spilled_bytes > 0, memory < 512 * mebibyte);
    return product;
  };
  const HostArray small = result(64 * mebibyte);
  const HostArray large = result(1024 * mebibyte);
  const auto a = small.view<double, 2>(), b = large.view<double, 2>();
  for (std::int64_t i = 0; i < 3000; i += 7) {
    for (std::int64_t k = 0; k < 3000; k += 11) ASSERT_EQ(a(i, k), b(i, k));
  }
}

/// Flips a bit of what the process has written to its spill file in the folder.
bool damage_spill_file(int pid, const TemporaryFolder& folder) {
  std::error_code gone;
  const std::string descriptors = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(descriptors, gone)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (!target.starts_with(folder / "") || !target.ends_with("(deleted)")) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    constexpr std::streamoff somewhere = 100'000;
    file.seekg(somewhere);
    const int byte = file.get();
    file.seekp(somewhere);
    file.put(static_cast<char>(byte ^ 4));
    file.close();
    return file.good();
  }
  return false;
}

TEST(Spill, DataThatChangedOnDiskAreMadeAgain) {
  const TemporaryFolder folder;
  auto options = two_small_workers(folder, 64 * mebibyte);
  options.log_level = "warning";
  options.log_file = folder / "log";
  auto session = Session::local(options);
  const auto x = random::uniform({8000, 4000}, {.chunks = {500, 500}, .seed = 5});
  const auto kept = session.persist(x);
  session.wait(kept);
  // On a busy machine one worker may have made so little that it all has room.
  int damaged = 0;
  for (const int pid : child_processes()) damaged += damage_spill_file(pid, folder) ? 1 : 0;
  ASSERT_GT(damaged, 0);
  const HostArray found = session.compute(sum(kept, {.axes = {1}}));
  std::ifstream log(folder / "log");
  const std::string text{std::istreambuf_iterator<char>(log), {}};
  EXPECT_NE(text.find("has another checksum"), std::string::npos) << text;
  const HostArray expected = session.compute(sum(x, {.axes = {1}}));
  for (std::int64_t i = 0; i < 8000; ++i) {
    ASSERT_EQ((found.view<double, 1>()(i)), (expected.view<double, 1>()(i)));
  }
}

TEST(Spill, AKilledWorkerLeavesNoFile) {
  const TemporaryFolder folder;
  auto session = Session::local(two_small_workers(folder, 64 * mebibyte));
  const auto kept = session.persist(random::uniform({8000, 4000}, {.chunks = {500, 500}}));
  session.wait(kept);
  for (const int pid : child_processes()) ::kill(pid, SIGKILL);
  EXPECT_TRUE(folder.names().empty());
  EXPECT_NEAR(
      session.compute(mean(random::uniform({1000, 1000}, {.chunks = {500, 500}}))).item<double>(),
      0.5, 0.01)
      << "others took their place";
}

TEST(Spill, AFullDiskIsNamedByTheError) {
  const TemporaryFolder folder;
  auto options = two_small_workers(folder, 64 * mebibyte);
  options.spill_per_worker = 8 * mebibyte;
  auto session = Session::local(options);
  const auto kept = session.persist(random::uniform({8000, 4000}, {.chunks = {500, 500}}));
  try {
    session.wait(kept);
    FAIL() << "256 MB do not fit into 128 and 16 on disk";
  } catch (const Overloaded& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("out of memory"), std::string::npos) << text;
    EXPECT_NE(text.find("spilling failed"), std::string::npos) << text;
    EXPECT_NE(text.find(folder / ""), std::string::npos) << text;
  }
}

TEST(Spill, AFolderThatIsNoneIsRefused) {
  LocalOptions options;
  options.spill_dir = "/nowhere/at/all";
  EXPECT_THROW(Session::local(options), BadInput);
}

}  // namespace
}  // namespace ashlar::testing
