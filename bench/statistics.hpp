#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <vector>

/// How benchmarks sum up what they measured several times.
namespace ashlar::bench {

/// Of an even number of values the mean of the middle two.
inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// One line: name, median, unit and range.
inline void print(const char* name, const std::vector<double>& values, const char* unit) {
  const auto [least, most] = std::ranges::minmax(values);
  std::printf("%-64s %12.3f %-8s [%.3f … %.3f] of %zu\n", name, median(values), unit, least, most,
              values.size());
  std::fflush(stdout);
}

}  // namespace ashlar::bench
