#include "scheduler/host_load.hpp"

#include <algorithm>

namespace ashlar::scheduler {
namespace {

/// Hosts count CPU time in ticks of 10 ms: a tenth of a second is known to a tenth of a core. Two
/// measurements make one, and less than this is taken for none.
constexpr double smoothing = 0.5;
constexpr double threads_noise = 0.2;
/// Cores are as good as full above this: who wants more does not get it.
constexpr double full_share = 0.95;
constexpr double stretch_max = 16;

double share_of(std::uint64_t used, std::uint64_t limit) {
  return limit == 0 ? 0 : static_cast<double>(used) / static_cast<double>(limit);
}

}  // namespace

void HostLoad::count(HostShare& host, int sign) const {
  host.cpu_percent += sign * std::int64_t{beat_.cpu_percent};
  if (beat_.cores >= beat_.host_cores) host.slots += sign * std::int64_t{slots_};
}

bool HostLoad::hear(const protocol::Heartbeat& beat, std::uint32_t slots, HostShare& host,
                    Instant now) {
  if (beat.sample == beat_.sample || beat.cores == 0) return false;
  if (is_known_) count(host, -1);
  beat_ = beat;
  slots_ = slots;
  is_known_ = true;
  heard_ = now;
  count(host, 1);
  return true;
}

void HostLoad::forget(HostShare& host) {
  if (is_known_) count(host, -1);
  const std::uint64_t sample = beat_.sample;
  *this = {};
  beat_.sample = sample;  // still no news
}

/// Busy on the worker's cores beside itself, but no more than is busy on the host beside all its
/// workers: others may share the worker's cores.
double HostLoad::threads_of_others(const HostShare& host, std::uint32_t slots) const {
  const double own = beat_.cpu_percent / 100.0;
  const double beside_own = beat_.cores_busy_percent / 100.0 - own;
  const double beside_all =
      beat_.host_busy_percent / 100.0 - static_cast<double>(host.cpu_percent) / 100.0;
  double threads = std::max(0.0, std::min(beside_own, beside_all));
  if (beat_.cores_busy_percent < 100 * full_share * beat_.cores) return threads;
  // On full cores all threads get the same share, so what the worker's threads get tells how many
  // there are, though no more than the host counted.
  const double active = std::min(beat_.slots_percent / 100.0, static_cast<double>(slots));
  const double wanted = own > 0.05 && active > own ? threads * active / own : threads;
  return std::min(wanted, std::max(threads, static_cast<double>(beat_.run_queue)));
}

void HostLoad::judge(const HostShare& host, std::uint32_t slots, const Thresholds& thresholds) {
  others_ += smoothing * (threads_of_others(host, slots) - others_);
  const double threads = others_ < threads_noise ? 0 : others_;
  const double cores = beat_.cores;
  share_ = std::min(1.0, threads / cores);
  memory_share_ = std::max(share_of(beat_.host_memory_used, beat_.host_memory_limit),
                           share_of(beat_.cgroup_memory_used, beat_.cgroup_memory_limit));
  // Workers that may use every core share them: they alone may already be more than there are.
  const bool is_shared = beat_.cores >= beat_.host_cores;
  const double workers = is_shared ? static_cast<double>(host.slots) : static_cast<double>(slots);
  stretch_ = std::clamp((workers + threads) / std::max(cores, workers), 1.0, stretch_max);
  is_hot_ = share_ >= thresholds.load_hot || memory_share_ >= thresholds.memory_hot ||
            (is_hot_ && (share_ > thresholds.load_cool || memory_share_ > thresholds.memory_cool));
}

}  // namespace ashlar::scheduler
