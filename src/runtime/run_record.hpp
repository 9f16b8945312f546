#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.hpp"
#include "store/arena.hpp"

namespace ashlar::runtime {

/// What a worker process runs, in memory that outlives it: who started the process learns after
/// its death which tasks it died in.
/// Threads: begin() and end() from any, with positions of their own.
class RunRecord {
 public:
  /// Errors: Unsupported or Overloaded when the system does not give the memory.
  static RunRecord create(std::size_t positions);
  /// Shows the same memory in another process. Errors: as create.
  static RunRecord open(store::FileDescriptor descriptor);
  RunRecord() = default;
  ~RunRecord();
  RunRecord(RunRecord&& other) noexcept { swap(other); }
  RunRecord& operator=(RunRecord&& other) noexcept {
    swap(other);
    return *this;
  }

  const store::FileDescriptor& descriptor() const { return descriptor_; }

  void begin(std::size_t position, RunId run, std::uint32_t task) {
    if (position >= entries_.size()) return;
    Entry& entry = entries_[position];
    entry.session.store(run.session.value, std::memory_order_relaxed);
    entry.run.store(run.number, std::memory_order_relaxed);
    entry.task.store(task, std::memory_order_relaxed);
    entry.is_running.store(1, std::memory_order_release);
  }
  void end(std::size_t position) {
    if (position < entries_.size()) {
      entries_[position].is_running.store(0, std::memory_order_release);
    }
  }

  /// Run and task of each that has begun and not ended.
  std::vector<DatumId> running() const;

 private:
  struct Entry {
    std::atomic<std::uint32_t> session, run, task, is_running;
  };
  void swap(RunRecord& other) noexcept;
  void map(std::size_t bytes);

  store::FileDescriptor descriptor_;
  std::span<Entry> entries_;
};

}  // namespace ashlar::runtime
