#include "scheduler/worker_speed.hpp"

#include <algorithm>

namespace ashlar::scheduler {
namespace {

constexpr double slowness_min = 0.05, slowness_max = 20;
/// One message counts for at most so many times what was expected, or one over it.
constexpr double surprise_max = 3;
constexpr Duration calm_memory = Duration::seconds(2);
/// Without a task for so long, what tasks showed last is old.
constexpr Duration fresh = Duration::milliseconds(500);
/// A worker that is passed over is an average one again after about so long.
constexpr Duration passed_over_memory = Duration::seconds(30);
/// Less is within what the host's clock ticks can tell.
constexpr double stretch_noise = 1.1;

void approach(double& estimate, double seen, double weight) {
  const double clipped = std::clamp(seen, estimate / surprise_max, estimate * surprise_max);
  estimate = std::clamp(estimate + weight * (clipped - estimate), slowness_min, slowness_max);
}

double share_of(Duration passed, Duration memory) {
  return std::clamp(passed.in_seconds() / memory.in_seconds(), 0.0, 1.0);
}

}  // namespace

double WorkerSpeed::slowness() const {
  // What the host says is late by a few tenths of a second, and tasks by their own time.
  return stretch_ < stretch_noise ? recent_ : std::max(recent_, calm_ * stretch_);
}

void WorkerSpeed::observe(double ratio, double stretch, Instant now) {
  const double learning = 1 / static_cast<double>(count_ + 2);
  const double passed = count_ == 0 ? 1 : share_of(now - observed_, calm_memory);
  approach(recent_, ratio, std::max(0.1, learning));
  // By time: in a second there may be one message or a thousand, and the stretch lags behind.
  approach(calm_, ratio / stretch, std::max(std::min(0.1, passed), std::min(learning, 0.5)));
  ++count_;
  observed_ = now;
}

void WorkerSpeed::hear(double stretch, bool is_passed_over, Instant now) {
  const Duration passed = now - heard_;
  heard_ = now;
  stretch_ = stretch;
  if (count_ == 0 || now - observed_ < fresh) return;
  recent_ += 0.1 * (calm_ * stretch - recent_);
  if (is_passed_over) calm_ += share_of(passed, passed_over_memory) * (1 - calm_);
}

}  // namespace ashlar::scheduler
