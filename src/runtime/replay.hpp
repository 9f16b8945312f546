#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "scheduler/scheduler_engine.hpp"
#include "wire/event_log.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::runtime {

/// Gives fresh engines the events of a log (wire/event_log.hpp), and compares what they do with
/// what was done, byte for byte.
class Replay {
 public:
  /// `taken_bytes` is that of the worker engines' limits.
  explicit Replay(std::uint64_t (*taken_bytes)(std::uint64_t)) : taken_bytes_(taken_bytes) {}

  /// Takes the next record. Returns an empty string, or what differs, or what is wrong with the
  /// record.
  std::string step(std::span<const std::byte> record);

  std::uint64_t steps() const { return steps_; }
  std::uint64_t events() const { return events_; }

 private:
  std::string on(const wire::SchedulerMade& made);
  std::string on(const wire::WorkerMade& made);
  std::string on(const wire::SchedulerStep& step);
  std::string on(const wire::WorkerStep& step);
  std::string count(std::size_t events, bool is_same, const std::string& engine,
                    std::size_t actions);

  std::uint64_t (*taken_bytes_)(std::uint64_t);
  std::optional<scheduler::SchedulerEngine> scheduler_;
  std::map<PeerId, worker::WorkerEngine> workers_;
  std::uint64_t steps_ = 0, events_ = 0;
};

}  // namespace ashlar::runtime
