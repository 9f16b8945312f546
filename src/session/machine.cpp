#include "session/machine.hpp"

#include <ashlar/error.hpp>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "store/spill_file.hpp"
#include "telemetry/cores.hpp"

namespace ashlar::session {

namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// This process's cgroup folder for a v1 controller ("cpu", "memory"), or v2 ("").
std::string cgroup_folder(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string names = ",";
    names += line.substr(first + 1, second - first - 1) + ",";
    std::string wanted = ",";
    wanted += controller + ",";
    if (names.find(wanted) == std::string::npos) continue;
    const std::string mount = controller.empty() ? "" : "/" + controller;
    return "/sys/fs/cgroup" + mount + line.substr(second + 1);
  }
  return {};
}

/// A folder and all folders above it inside the cgroup tree: limits of parents hold too. Inside
/// a container the folder may not exist, but the mount's root shows the container's limits.
std::vector<std::string> with_parents(std::string folder, const std::string& controller) {
  const std::string root = "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + controller);
  std::vector<std::string> out{root};
  while (folder.size() > root.size()) {
    out.push_back(folder);
    folder.resize(folder.find_last_of('/'));
  }
  return out;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double quota_cores() {
  double cores = std::numeric_limits<double>::infinity();
  for (const auto& folder : with_parents(cgroup_folder(""), "")) {
    std::istringstream line(first_line(folder + "/cpu.max"));
    double quota = 0, period = 0;
    if (line >> quota >> period && period > 0) cores = std::min(cores, quota / period);
  }
  for (const auto& folder : with_parents(cgroup_folder("cpu"), "cpu")) {
    std::istringstream quota_line(first_line(folder + "/cpu.cfs_quota_us"));
    std::istringstream period_line(first_line(folder + "/cpu.cfs_period_us"));
    double quota = 0, period = 0;
    if (quota_line >> quota && period_line >> period && quota > 0 && period > 0) {
      cores = std::min(cores, quota / period);
    }
  }
  return cores;
}

std::uint64_t number_or_unlimited(const std::string& path) {
  std::istringstream line(first_line(path));
  std::uint64_t bytes = 0;
  return line >> bytes ? bytes : unlimited;
}

}  // namespace

void bind_to_cores(const std::vector<int>& cores) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int core : cores) CPU_SET(core, &mask);
  if (!cores.empty()) ::sched_setaffinity(0, sizeof mask, &mask);
}

std::uint32_t usable_cores() {
  const std::size_t in_mask = telemetry::core_numbers().size();
  double cores = static_cast<double>(
      in_mask > 0 ? in_mask : static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  cores = std::min(cores, std::ceil(quota_cores()));
  return static_cast<std::uint32_t>(std::max(1.0, cores));
}

void check_threads(std::uint32_t workers, std::uint32_t threads_per_worker) {
  constexpr std::uint64_t threads_per_core_max = 32;
  const std::uint64_t threads = std::uint64_t{workers} * threads_per_worker;
  const std::uint64_t most = threads_per_core_max * usable_cores();
  if (threads <= most) return;
  throw BadInput(std::to_string(workers) + (workers == 1 ? " worker" : " workers") + " with " +
                 std::to_string(threads_per_worker) +
                 (threads_per_worker == 1 ? " thread" : " threads") + " each on " +
                 std::to_string(usable_cores()) + " usable cores: ask for at most " +
                 std::to_string(most) + " threads in all; one per core is best");
}

void check_memory(std::uint64_t bytes) {
  constexpr std::uint64_t most = std::uint64_t{1} << 44;
  if (bytes <= most) return;
  throw BadInput("a worker with " + std::to_string(bytes) + " bytes of memory: ask for at most " +
                 std::to_string(most) + "; 0 takes what the machine has");
}

void allow_all_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::uint64_t usable_memory() {
  std::uint64_t bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& folder : with_parents(cgroup_folder(""), "")) {
    bytes = std::min(bytes, number_or_unlimited(folder + "/memory.max"));
  }
  for (const auto& folder : with_parents(cgroup_folder("memory"), "memory")) {
    bytes = std::min(bytes, number_or_unlimited(folder + "/memory.limit_in_bytes"));
  }
  return bytes;
}

std::uint64_t memory_for_data(std::uint64_t limit) {
  constexpr std::uint64_t process_bytes = std::uint64_t{64} << 20;
  const std::uint64_t beyond = limit - std::min(limit, process_bytes);
  return limit - std::min(process_bytes, beyond / 2);
}

std::uint64_t spill_limit_for(const std::string& folder, std::optional<std::uint64_t> given,
                              std::uint32_t workers) {
  if (given == 0) return 0;
  const bool is_asked_for = !folder.empty() || given.has_value();
  try {
    const store::SpillFile::Options options{.folder = folder, .bytes_max = given.value_or(0)};
    const store::SpillFile trial(options);
    if (given) return *given;
    return store::SpillFile::free_bytes(store::SpillFile::folder_of(options)) / 2 / workers;
  } catch (const BadInput&) {
    if (is_asked_for) throw;
    return 0;
  }
}

}  // namespace ashlar::session
