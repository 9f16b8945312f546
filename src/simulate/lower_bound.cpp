#include "simulate/lower_bound.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace ashlar::simulate {
namespace {

/// What all workers together can do, who may leave.
class Capacity {
 public:
  explicit Capacity(const Machine& machine) {
    for (std::size_t w = 0; w < machine.speeds.size(); ++w) {
      const double speed = machine.slots_at(w) * machine.speeds[w];
      const double vanishes = machine.vanishes_at(w).in_seconds();
      speeds_ += speed;
      if (vanishes > 0) leaving_.emplace_back(vanishes, speed);
    }
    std::ranges::sort(leaving_);
  }

  /// When so many seconds' work at speed 1, begun at `now`, could be done.
  double done_at(double now, double work) const {
    double speeds = speeds_;
    for (const auto& [when, speed] : leaving_) {
      const double until = std::max(when - now, 0.0);
      if (work <= speeds * until) break;
      work -= speeds * until;
      now += until;
      speeds -= speed;
    }
    return now + work / speeds;
  }

 private:
  double speeds_ = 0;
  std::vector<std::pair<double, double>> leaving_;  ///< when, and what is missing from then on
};

/// Some of the times, from the least to the greatest.
std::vector<double> some_of(std::vector<double> times, std::size_t most) {
  std::ranges::sort(times);
  const auto repeated = std::ranges::unique(times);
  times.erase(repeated.begin(), repeated.end());
  std::vector<double> some;
  const std::size_t count = std::min(times.size(), most);
  for (std::size_t i = 0; i < count; ++i) some.push_back(times[i * times.size() / count]);
  return some;
}

/// Of the highest speed, what every worker has on which a task may span a stretch and do less in it
/// than if it were cut off at one end only: half of that speed, or more.
double spanning_speed(const std::vector<double>& speeds, double fastest) {
  double least = fastest;
  for (const double speed : speeds) {
    if (2 * speed > fastest) least = std::min(least, speed);
  }
  return least / fastest;
}

/// How many beginnings and ends of stretches are looked at: for so many tasks.
std::size_t looks_for(std::size_t tasks) {
  constexpr double work_max = 2e7;
  const double looks = std::sqrt(work_max / static_cast<double>(std::max<std::size_t>(tasks, 1)));
  return static_cast<std::size_t>(std::clamp(looks, 1.0, 64.0));
}

}  // namespace

double lower_bound_seconds(const Program& program, const Machine& machine) {
  const double fastest = *std::ranges::max_element(machine.speeds);
  std::vector<double> seconds = program.task_seconds;
  for (double& of_task : seconds) of_task /= fastest;
  const graph::Ways ways = graph::ways(program.graph, seconds);
  double bound = 0;
  for (std::size_t t = 0; t < seconds.size(); ++t) {
    bound = std::max(bound, ways.before[t] + seconds[t] + ways.after[t]);
  }
  const Capacity capacity(machine);
  const double spanning = spanning_speed(machine.speeds, fastest);
  const std::size_t looks = looks_for(seconds.size());
  const std::vector<double> rests = some_of(ways.after, looks);
  for (const double from : some_of(ways.before, looks)) {
    for (const double rest : rests) {
      // The schedule's end is not known, but it takes as long as the bound at least, and the longer
      // the stretch the more of a task is in it.
      const double length = bound - from - rest;
      if (length <= 0) break;
      const double most = length * spanning;
      double inside = 0;
      for (std::size_t t = 0; t < seconds.size(); ++t) {
        const double after_from = ways.before[t] + seconds[t] - from;
        const double before_rest = ways.after[t] + seconds[t] - rest;
        inside += std::max(std::min({after_from, before_rest, seconds[t], most}), 0.0);
      }
      bound = std::max(bound, capacity.done_at(from, inside * fastest) + rest);
    }
  }
  return bound;
}

}  // namespace ashlar::simulate
