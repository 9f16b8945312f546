#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace ashlar::telemetry {

/// One task as it ran.
struct TaskEvent {
  std::string name;  ///< the kernel
  std::uint32_t worker = 0;
  std::uint32_t slot = 0;  ///< which of the worker's compute slots
  Instant start;
  Duration duration;
};

/// One datum as it went from one worker to another.
struct TransferEvent {
  std::string name;
  std::uint32_t from = 0;  ///< workers
  std::uint32_t to = 0;
  std::uint64_t bytes = 0;
  Instant start;
  Duration duration;
};

/// Collects what ran where and when, and writes it in Chrome's trace format, which
/// chrome://tracing and ui.perfetto.dev draw: one process a worker, one row a slot;
/// transfers stand below the slots of who received.
class RunTrace {
 public:
  struct Limits {
    std::size_t events = 1'000'000;  ///< about 100 MB of JSON, what the viewers still open
  };

  explicit RunTrace(Limits limits = {.events = 1'000'000}) : limits_(limits) {}

  /// The name shown for a worker; without one it is "worker N".
  void name_worker(std::uint32_t worker, std::string name);

  /// Events over the limit are counted, not kept.
  void add(TaskEvent event);
  void add(TransferEvent event);

  std::size_t event_count() const { return events_.size() + transfers_.size(); }
  std::uint64_t dropped_count() const { return dropped_; }

  /// The trace as one JSON object. Times are shown from the earliest event on.
  std::string to_json() const;

  /// Writes to_json() to a file. Errors: BadInput when it cannot be written.
  void write(const std::string& path) const;

 private:
  bool has_room();
  Instant origin() const;
  Limits limits_;
  std::map<std::uint32_t, std::string> worker_names_;
  std::vector<TaskEvent> events_;
  std::vector<TransferEvent> transfers_;
  std::uint64_t dropped_ = 0;
};

}  // namespace ashlar::telemetry
