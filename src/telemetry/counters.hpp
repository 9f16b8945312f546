#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ashlar::telemetry {

/// A number that only grows. Threads: any.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// The counters of one process, by name ("frames_sent"). Threads: any.
class Counters {
 public:
  /// The counter with this name, made at the first call; the reference stays good as long as
  /// the Counters live, so look it up once and keep it.
  Counter& counter(std::string_view name);

  /// All counters and their values, by name.
  std::vector<std::pair<std::string, std::uint64_t>> snapshot() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Counter, std::less<>> counters_;
};

}  // namespace ashlar::telemetry
