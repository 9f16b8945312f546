#include "telemetry/load_sampler.hpp"

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ashlar::telemetry {
namespace {

/// A host that is made of files.
class LoadSamplerTest : public ::testing::Test {
 protected:
  LoadSamplerTest() {
    std::string path = std::filesystem::temp_directory_path() / "ashlar-load-XXXXXX";
    if (::mkdtemp(path.data()) != nullptr) root_ = path;
  }
  ~LoadSamplerTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = root_ + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  /// Ticks of two cores since the start: busy and idle.
  void tick(int busy0, int idle0, int busy1, int idle1) {
    const auto line = [](int busy, int idle) {
      return std::to_string(busy - 3) + " 1 1 " + std::to_string(idle) + " 0 0 1 0 0 0\n";
    };
    write("/proc/stat", "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 " + line(busy0, idle0) + "cpu1 " +
                            line(busy1, idle1) + "intr 1 2 3\nprocs_running 3\n");
  }
  LoadSampler sampler(std::vector<int> cores) {
    return LoadSampler({.root = root_, .cores = std::move(cores), .cpu_time = [this] {
                          return cpu_;
                        }});
  }
  Instant after_ms(std::int64_t ms) {
    now_ = now_ + Duration::milliseconds(ms);
    return now_;
  }

  std::string root_;
  Duration cpu_;
  Instant now_{1'000'000'000};
};

TEST_F(LoadSamplerTest, CpuUseIsThatOfTheTimeBetweenTwoSamples) {
  tick(1000, 1000, 500, 500);
  auto sampler = this->sampler({1});
  const Load first = sampler.sample(after_ms(100));
  EXPECT_EQ(first.cpu_percent + first.cores_busy_percent + first.host_busy_percent, 0u);
  EXPECT_EQ(first.cores, 1u);
  EXPECT_EQ(first.host_cores, 2u);
  EXPECT_EQ(first.run_queue, 3u);

  tick(1010, 1000, 505, 505);  // core 0 all of the time, core 1 half of it
  cpu_ += Duration::milliseconds(20);
  const Load second = sampler.sample(after_ms(100));
  EXPECT_EQ(second.cpu_percent, 20u);
  EXPECT_EQ(second.host_busy_percent, 150u);
  EXPECT_EQ(second.cores_busy_percent, 50u) << "only the core that may be used";

  const Load idle = sampler.sample(after_ms(100));
  EXPECT_EQ(idle.cpu_percent + idle.cores_busy_percent + idle.host_busy_percent, 0u);
}

TEST_F(LoadSamplerTest, ASystemThatTellsNothingGivesZeros) {
  auto sampler = this->sampler({0});
  sampler.sample(after_ms(100));
  EXPECT_EQ(sampler.sample(after_ms(100)), (Load{.cores = 1}));
}

TEST_F(LoadSamplerTest, NonsenseAndClocksThatGoBackwardsGiveZerosToo) {
  tick(1000, 1000, 500, 500);
  write("/proc/pressure/cpu", "what? avg10=no\n");
  write("/proc/self/statm", "-1 x\n");
  write("/proc/meminfo", "MemTotal: 10 kB\nMemAvailable: 99 kB\n");
  write("/proc/self/cgroup", "0::/\nnonsense\n4:memory\n");
  auto sampler = this->sampler({0, 1});
  sampler.sample(after_ms(100));
  tick(900, 900, 400, 400);
  cpu_ += Duration::milliseconds(-5);
  const Load load = sampler.sample(after_ms(0));
  EXPECT_EQ(load.cpu_percent + load.host_busy_percent + load.cpu_stall_percent, 0u);
  EXPECT_EQ(load.process_bytes, 0u);
  EXPECT_EQ(load.host_memory_used, 0u) << "no more is available than there is";
}

TEST_F(LoadSamplerTest, MemoryIsWhatCannotBeFreed) {
  write("/proc/self/statm", "1000 25 10 5 0 100 0\n");
  write("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:   400 kB\n");
  write("/proc/pressure/cpu", "some avg10=12.60 avg60=1.00 avg300=0.00 total=1\n");
  const Load load = sampler({0}).sample(after_ms(100));
  EXPECT_EQ(load.process_bytes, 25u * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(load.host_memory_limit, 1000u * 1024);
  EXPECT_EQ(load.host_memory_used, 600u * 1024);
  EXPECT_EQ(load.cpu_stall_percent, 13u);
  EXPECT_EQ(load.cgroup_memory_limit, 0u);
}

TEST_F(LoadSamplerTest, OfTheGroupsAboveTheTightestCounts) {
  write("/proc/self/cgroup", "0::/jobs/mine\n");
  write("/sys/fs/cgroup/jobs/mine/memory.max", "max\n");
  write("/sys/fs/cgroup/jobs/mine/memory.current", "300\n");
  write("/sys/fs/cgroup/jobs/memory.max", "1000\n");
  write("/sys/fs/cgroup/jobs/memory.current", "900\n");
  write("/sys/fs/cgroup/jobs/memory.stat", "anon 1\nfile 600\ninactive_file 200\n");
  const Load load = sampler({0}).sample(after_ms(100));
  EXPECT_EQ(load.cgroup_memory_limit, 1000u);
  EXPECT_EQ(load.cgroup_memory_used, 700u);
}

TEST_F(LoadSamplerTest, ControlGroupsOfTheFirstVersionAreReadToo) {
  write("/proc/self/cgroup", "5:cpu:/\n4:memory:/outside/of/this/container\n0::/\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
  write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4000\n");
  write("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1500\n");
  const Load load = sampler({0}).sample(after_ms(100));
  EXPECT_EQ(load.cgroup_memory_limit, 5000u);
  EXPECT_EQ(load.cgroup_memory_used, 2500u);
}

TEST(LoadSampler, ThisHostIsMeasuredAndItCostsLittle) {
  LoadSampler sampler;
  const auto cpu_ns = [] {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
  };
  Instant now{1'000'000'000};
  sampler.sample(now);
  constexpr int samples = 200;
  const std::int64_t begin = cpu_ns();
  Load load;
  for (int i = 0; i < samples; ++i) load = sampler.sample(now = now + Duration::milliseconds(100));
  const double us = static_cast<double>(cpu_ns() - begin) / samples / 1000;
  std::printf("%.1f us a sample: %.3f %% of a core at 10 a second\n", us, us * 1e-3);
  EXPECT_LT(us, 5000) << "fifty times what is promised: not a matter of a busy machine";
  EXPECT_GE(load.cores, 1u);
  EXPECT_LE(load.cores_busy_percent, 100 * load.cores);
  EXPECT_GE(load.host_cores, load.cores);
}

}  // namespace
}  // namespace ashlar::telemetry
