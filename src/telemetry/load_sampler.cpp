#include "telemetry/load_sampler.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "telemetry/cores.hpp"

namespace ashlar::telemetry {

namespace {

constexpr std::uint64_t slow_every = 10;
constexpr std::uint32_t cores_max = 65536;
/// No limit: version 1 says so with a number near 2^63.
constexpr std::uint64_t limit_bound = std::uint64_t{1} << 60;
constexpr std::size_t file_bytes_max = std::size_t{1} << 20;

/// Takes the first word off the text.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\n"), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, std::min(text.find_first_of(" \t\n"), text.size()));
  text.remove_prefix(word.size());
  return word;
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

template <class Number>
std::optional<Number> number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || word.empty()) return {};
  return value;
}

/// The number behind this name at the begin of a line.
std::optional<std::uint64_t> number_of(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (next_word(line) == name) return number<std::uint64_t>(next_word(line));
  }
  return {};
}

/// Whether the name is in a list such as "cpu,cpuacct".
bool is_listed(std::string_view name, std::string_view names) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(','), names.size());
    if (names.substr(0, end) == name) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

Duration process_cpu_time() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return Duration{std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec};
}

}  // namespace

/// Opened once: reading again is a single call.
class LoadSampler::File {
 public:
  explicit File(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (is_open()) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  /// The whole text, in `into`, which grows as needed.
  std::string_view read(std::string& into) const {
    std::size_t size = 0;
    while (is_open() && size < file_bytes_max) {
      if (into.size() - size < 4096) into.resize(std::max<std::size_t>(2 * into.size(), 16384));
      const auto got =
          ::pread(descriptor_, into.data() + size, into.size() - size, static_cast<off_t>(size));
      if (got <= 0) break;
      size += static_cast<std::size_t>(got);
    }
    return {into.data(), size};
  }

 private:
  int descriptor_;
};

LoadSampler::LoadSampler(Source source) : source_(std::move(source)) {
  const std::string proc = source_.root + "/proc/";
  stat_ = std::make_unique<File>(proc + "stat");
  stall_ = std::make_unique<File>(proc + "pressure/cpu");
  statm_ = std::make_unique<File>(proc + "self/statm");
  meminfo_ = std::make_unique<File>(proc + "meminfo");
  if (!source_.cpu_time) source_.cpu_time = process_cpu_time;
  find_groups();
}

LoadSampler::~LoadSampler() = default;

std::string_view LoadSampler::read(File& file) { return file.read(text_); }

/// This process's groups and those above them: the limits of all hold. Inside a container the
/// folder that /proc names may not exist, but the mount's root then shows the container's limits.
void LoadSampler::find_groups() {
  File list(source_.root + "/proc/self/cgroup");
  std::string lines;
  for (std::string_view text = list.read(lines); !text.empty();) {
    const std::string_view line = next_line(text);
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const bool is_v2 = names.empty();
    if (!is_v2 && !is_listed("memory", names)) continue;
    const std::string mount = source_.root + "/sys/fs/cgroup" + (is_v2 ? "" : "/memory");
    std::string folder = mount + std::string(line.substr(second + 1));
    while (true) {
      while (folder.size() > mount.size() && folder.back() == '/') folder.pop_back();
      Group group{
          std::make_unique<File>(folder + (is_v2 ? "/memory.current" : "/memory.usage_in_bytes")),
          std::make_unique<File>(folder + (is_v2 ? "/memory.max" : "/memory.limit_in_bytes")),
          std::make_unique<File>(folder + "/memory.stat"),
          is_v2 ? "inactive_file" : "total_inactive_file"};
      if (group.used->is_open() && group.limit->is_open()) groups_.push_back(std::move(group));
      if (folder.size() <= mount.size()) break;
      folder.resize(folder.find_last_of('/'));
    }
  }
}

Load LoadSampler::sample(Instant now) {
  if (samples_++ % slow_every == 0) sample_slow();
  sample_cores();
  const Duration cpu = source_.cpu_time();
  const Duration passed = now - sampled_;
  load_.cpu_percent = 0;
  if (samples_ > 1 && passed.ns > 0 && cpu > cpu_before_) {
    const double percent = 100 * (cpu - cpu_before_).in_seconds() / passed.in_seconds();
    load_.cpu_percent = static_cast<std::uint32_t>(std::min(percent + 0.5, 100.0 * cores_max));
  }
  cpu_before_ = cpu;
  sampled_ = now;
  return load_;
}

/// From lines "cpu3 user nice system idle iowait irq softirq steal …", in ticks.
void LoadSampler::sample_cores() {
  load_.cores_busy_percent = load_.host_busy_percent = load_.run_queue = load_.host_cores = 0;
  double host_busy = 0, own_busy = 0;
  std::string_view text = read(*stat_);
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view name = next_word(line);
    if (name == "procs_running") {
      load_.run_queue = number<std::uint32_t>(next_word(line)).value_or(0);
      break;
    }
    if (!name.starts_with("cpu")) continue;
    const auto core = number<std::uint32_t>(name.substr(3));
    if (!core || *core >= cores_max) continue;
    Busy counted;
    for (int column = 0; column < 8; ++column) {
      const std::uint64_t ticks = number<std::uint64_t>(next_word(line)).value_or(0);
      counted.total += ticks;
      if (column != 3 && column != 4) counted.busy += ticks;
    }
    ++load_.host_cores;
    if (*core >= before_.size()) before_.resize(*core + 1);
    const Busy before = std::exchange(before_[*core], counted);
    if (before.total == 0 || counted.total <= before.total || counted.busy < before.busy) continue;
    const double share = std::min(1.0, static_cast<double>(counted.busy - before.busy) /
                                           static_cast<double>(counted.total - before.total));
    host_busy += share;
    if (std::ranges::binary_search(cores_, static_cast<int>(*core))) own_busy += share;
  }
  load_.host_busy_percent = static_cast<std::uint32_t>(100 * host_busy + 0.5);
  load_.cores_busy_percent =
      std::min(static_cast<std::uint32_t>(100 * own_busy + 0.5), 100 * load_.cores);
}

void LoadSampler::sample_slow() {
  cores_ = source_.cores.empty() ? core_numbers() : source_.cores;
  std::ranges::sort(cores_);
  load_.cores = static_cast<std::uint32_t>(cores_.size());

  // "some avg10=1.88 avg60=…"
  std::string_view stall = read(*stall_);
  load_.cpu_stall_percent = 0;
  if (next_word(stall) == "some") {
    const std::string_view share = next_word(stall);
    if (share.starts_with("avg10=")) {
      const double percent = number<double>(share.substr(6)).value_or(0);
      load_.cpu_stall_percent = static_cast<std::uint32_t>(std::clamp(percent, 0.0, 100.0) + 0.5);
    }
  }

  // Pages: of the address space, and resident.
  std::string_view pages = read(*statm_);
  next_word(pages);
  load_.process_bytes = number<std::uint64_t>(next_word(pages)).value_or(0) *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));

  const std::string_view memory = read(*meminfo_);
  const std::uint64_t total = number_of(memory, "MemTotal:").value_or(0);
  const std::uint64_t available = number_of(memory, "MemAvailable:").value_or(total);
  load_.host_memory_limit = 1024 * total;
  load_.host_memory_used = 1024 * (total - std::min(available, total));
  sample_groups();
}

/// The group with the least room. Cached files that were read once are given up without harm, so
/// they do not count as used.
void LoadSampler::sample_groups() {
  load_.cgroup_memory_used = load_.cgroup_memory_limit = 0;
  std::uint64_t least_room = 0;
  for (const Group& group : groups_) {
    std::string_view text = read(*group.limit);
    const auto limit = number<std::uint64_t>(next_word(text));
    if (!limit || *limit == 0 || *limit >= limit_bound) continue;  // "max"
    text = read(*group.used);
    const auto charged = number<std::uint64_t>(next_word(text));
    if (!charged) continue;
    const std::uint64_t cache = number_of(read(*group.stat), group.cache_name).value_or(0);
    const std::uint64_t used = *charged - std::min(cache, *charged);
    const std::uint64_t room = *limit - std::min(used, *limit);
    if (load_.cgroup_memory_limit != 0 && room >= least_room) continue;
    least_room = room;
    load_.cgroup_memory_used = used;
    load_.cgroup_memory_limit = *limit;
  }
}

}  // namespace ashlar::telemetry
