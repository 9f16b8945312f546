#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace ashlar::telemetry {

/// What this process and its host are doing. Percentages of cores: 100 is one core. 0 also stands
/// for what the system does not tell.
struct Load {
  std::uint32_t cpu_percent = 0;         ///< of this process, since the sample before
  std::uint32_t cores = 0;               ///< that this process may use
  std::uint32_t cores_busy_percent = 0;  ///< of these cores, whoever kept them busy
  std::uint32_t host_cores = 0;
  std::uint32_t host_busy_percent = 0;  ///< of all cores of the host
  std::uint32_t run_queue = 0;          ///< threads of the host that run or could
  std::uint32_t cpu_stall_percent = 0;  ///< of lately, some thread waited for a core
  std::uint64_t process_bytes = 0;      ///< resident, with what it uses of its arena
  std::uint64_t host_memory_used = 0;   ///< what could not be had by freeing caches
  std::uint64_t host_memory_limit = 0;
  std::uint64_t cgroup_memory_used = 0;   ///< of the group nearest to its limit …
  std::uint64_t cgroup_memory_limit = 0;  ///< … or 0: no limit
  friend bool operator==(const Load&, const Load&) = default;
};

/// Measures Load from /proc, and from the control groups of either version.
///
/// Cost: 20 to 60 us a sample, so ten a second take less than 0.1 % of a core. What changes slowly
/// (memory, the cores that may be used) is looked at every tenth time. Threads: one at a time.
class LoadSampler {
 public:
  struct Source {
    std::string root = "";        ///< stands before /proc and /sys
    std::vector<int> cores = {};  ///< that may be used; empty: as the system says of this thread
    /// CPU time of this process so far; empty: as the system says.
    std::function<Duration()> cpu_time = {};
  };

  LoadSampler() : LoadSampler(Source{}) {}
  explicit LoadSampler(Source source);
  ~LoadSampler();

  /// What happened since the last call; the first one tells nothing of CPU use. Files that do not
  /// exist or make no sense leave their fields 0.
  Load sample(Instant now);

 private:
  class File;
  struct Group {
    std::unique_ptr<File> used, limit, stat;
    std::string_view cache_name;  ///< in `stat`
  };
  struct Busy {
    std::uint64_t busy = 0, total = 0;  ///< ticks
  };

  void find_groups();
  void sample_cores();
  void sample_slow();
  void sample_groups();
  std::string_view read(File& file);

  Source source_;
  std::unique_ptr<File> stat_, stall_, statm_, meminfo_;
  std::vector<Group> groups_;
  std::string text_;  ///< of the file read last
  std::vector<int> cores_;
  std::vector<Busy> before_;  ///< by core
  Duration cpu_before_;
  Instant sampled_;
  std::uint64_t samples_ = 0;
  Load load_;
};

}  // namespace ashlar::telemetry
