#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../statistics.hpp"
#include "kernel.hpp"
#include "pattern.hpp"

/// From running times to METG(50 %): the same for every system.
namespace metg {

using ashlar::bench::median;

/// What is asked of a program that measures; see add_options().
struct Options {
  std::vector<std::string> patterns{"stencil_1d"};
  std::vector<int> widths = {};  ///< default: 1, 2 and 4 for each core
  int steps = 400;
  int cores = 2;
  int repeats = 5;
  double run_seconds = 1;       ///< tasks are not made larger once a run takes longer
  double bare_rate = 0;         ///< flop/s of the kernel on one core
  double point_seconds = 0.02;  ///< shorter runs are repeated for so long, and the mean is taken
};

/// Rate of the bare kernel on one core, flop/s. To be measured before a system's threads poll.
inline double kernel_rate() {
  constexpr long iterations = 1 << 22;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    if (compute(iterations) < 0) throw std::runtime_error("the kernel is wrong");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, iterations * flops_per_iteration / took.count());
  }
  return best;
}

/// One size of task: all at once, or medians over repetitions.
struct Point {
  long iterations = 0;
  double granularity = 0;  ///< seconds: wall time x cores / tasks
  double efficiency = 0;   ///< share of the best flop/s that the same system reached
};

/// Points of one sweep, largest tasks first, from the wall time of each size. The rate that counts
/// as 1 is the best of the sweep, or `full_rate`, iterations per second of one core.
inline std::vector<Point> points_of(const std::vector<long>& sizes,
                                    const std::vector<double>& seconds, double cores_per_task,
                                    double full_rate = 0) {
  std::vector<Point> points;
  double best = full_rate;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const double granularity = seconds[i] * cores_per_task;
    points.push_back({sizes[i], granularity, double(sizes[i]) / granularity});
    if (full_rate == 0) best = std::max(best, points.back().efficiency);
  }
  for (Point& point : points) point.efficiency /= best;
  return points;
}

/// The smallest granularity at which half of the best rate is reached: between the smallest size
/// that reaches it and the next smaller one, on a logarithmic scale. NaN if none reaches it.
inline double metg_of(const std::vector<Point>& points) {
  constexpr double half = 0.5;
  for (std::size_t i = points.size(); i-- > 0;) {
    if (points[i].efficiency < half) continue;
    if (i + 1 == points.size()) return points[i].granularity;  // an upper bound
    const Point &above = points[i], &below = points[i + 1];
    const double share = (half - below.efficiency) / (above.efficiency - below.efficiency);
    return below.granularity * std::pow(above.granularity / below.granularity, share);
  }
  return std::nan("");
}

/// Runs the whole graph with so many iterations in each task; returns the wall seconds.
using Run = std::function<double(long)>;

/// Sizes to measure, largest first: up to where twice the size no longer does more flop/s, down to
/// where less than a third of that is left. The better of two runs counts: in the first of a size a
/// system may not know yet how long tasks have become.
inline std::vector<long> find_sizes(const Options& options, const Run& run) {
  std::vector<long> sizes;
  std::vector<double> rates;
  int flat = 0;
  for (long size = 1; flat < 2 && size < (1L << 40); size *= 2) {
    const double first = run(size), seconds = std::min(first, run(size));
    const double rate = double(size) / seconds;
    const double best = rates.empty() ? 0 : *std::max_element(rates.begin(), rates.end());
    // Work must outweigh everything else before a rate that grows no more means anything.
    flat = rate < 1.02 * best && rate > 8 * rates.front() ? flat + 1 : 0;
    sizes.push_back(size);
    rates.push_back(rate);
    if (seconds > options.run_seconds && sizes.size() > 1) break;
  }
  const double best = *std::max_element(rates.begin(), rates.end());
  std::size_t first = 0;
  while (first + 1 < rates.size() && rates[first + 1] < best / 3) ++first;
  std::vector<long> chosen(sizes.begin() + std::ptrdiff_t(first), sizes.end());
  std::reverse(chosen.begin(), chosen.end());
  return chosen;
}

/// Wall seconds of a run: the mean of as many as last for a while. The first is for warming up,
/// unless it is so long that it does not matter.
inline double mean_seconds(const Options& options, const Run& run, long iterations) {
  const double first = run(iterations);
  if (first > 10 * options.point_seconds) return first;
  double total = 0;
  int count = 0;
  do {
    total += run(iterations);
    ++count;
  } while (total < options.point_seconds);
  return total / count;
}

/// What the sweeps of one pattern and width gave.
struct Result {
  std::vector<long> sizes;
  std::vector<double> metgs;       ///< seconds, against the system's own best rate
  std::vector<double> bare_metgs;  ///< against the bare kernel's rate on all cores; NaN: never
  std::vector<double> peaks;       ///< best flop/s of each sweep
  std::vector<std::vector<Point>> sweeps;
};

inline Result sweep(const Options& options, const Pattern& pattern, const Run& run) {
  Result result;
  result.sizes = find_sizes(options, run);
  const double cores_per_task = options.cores / double(pattern.task_count());
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    std::vector<double> seconds;
    for (const long size : result.sizes) seconds.push_back(mean_seconds(options, run, size));
    const auto bare =
        points_of(result.sizes, seconds, cores_per_task, options.bare_rate / flops_per_iteration);
    result.sweeps.push_back(points_of(result.sizes, seconds, cores_per_task));
    result.metgs.push_back(metg_of(result.sweeps.back()));
    result.bare_metgs.push_back(metg_of(bare));
    double share = 0;
    for (const Point& point : bare) share = std::max(share, point.efficiency);
    result.peaks.push_back(share * options.bare_rate * options.cores);
  }
  return result;
}

inline void print_numbers(const char* key, const std::vector<double>& values, double factor = 1) {
  std::printf(", \"%s\": [", key);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) std::printf(", ");
    if (std::isnan(values[i])) {
      std::printf("null");
    } else {
      std::printf("%.6g", values[i] * factor);
    }
  }
  std::printf("]");
}

/// Measures one pattern and width, and prints the JSON line that ./run reads.
inline void measure(const char* name, const Options& options, const Pattern& pattern,
                    const Run& run) {
  const Result result = sweep(options, pattern, run);
  const char* kind = kinds[std::size_t(pattern.kind)].name;
  std::printf(
      "{\"name\": \"%s\", \"job\": \"metg %s, width %d\", \"pattern\": \"%s\", "
      "\"width\": %d, \"cores\": %d, \"steps\": %d, \"tasks\": %ld, \"kernel_gflops\": %.4g",
      name, kind, pattern.width, kind, pattern.width, options.cores, pattern.steps,
      pattern.task_count(), options.bare_rate * 1e-9);
  print_numbers("seconds", result.metgs);
  print_numbers("bare_seconds", result.bare_metgs);
  print_numbers("peak_gflops", result.peaks, 1e-9);
  std::printf(", \"curve\": [");
  for (std::size_t i = 0; i < result.sizes.size(); ++i) {
    std::vector<double> granularities, efficiencies;
    for (const auto& points : result.sweeps) {
      granularities.push_back(points[i].granularity);
      efficiencies.push_back(points[i].efficiency);
    }
    std::printf("%s[%ld, %.4g, %.3f]", i ? ", " : "", result.sizes[i], median(granularities),
                median(efficiencies));
  }
  std::printf("]}\n");
  std::fflush(stdout);
}

/// Seconds that `work` takes.
template <class Work>
double seconds_of(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace metg
