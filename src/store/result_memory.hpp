#pragma once

#include <cstddef>
#include <memory>

namespace ashlar::store {

/// Memory for results that a driver merges: large blocks lie on huge pages and are kept for the
/// next result when they become free, because touching fresh pages costs more than filling them.
///
/// Threads: every member may be called from several threads; blocks may outlive the pool.
class ResultPool {
 public:
  struct Limits {
    /// Free memory kept for reuse: a few results of a usual size, little beside a big one.
    std::size_t cached_bytes_max = std::size_t{1} << 30;
  };

  ResultPool();
  explicit ResultPool(Limits limits);
  ~ResultPool();
  ResultPool(const ResultPool&) = delete;
  ResultPool& operator=(const ResultPool&) = delete;

  /// At least `bytes` bytes, 64-byte aligned (from 2 MiB on: 2 MiB aligned); not initialised.
  /// Errors: Overloaded when there is not enough memory.
  std::shared_ptr<std::byte> allocate_result(std::size_t bytes);

  std::size_t cached_bytes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ashlar::store
