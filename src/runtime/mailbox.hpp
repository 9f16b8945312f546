#pragma once

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

namespace ashlar::runtime {

/// Values that any thread leaves for one that looks often: an empty one costs it one atomic load.
template <class T>
class Mailbox {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    has_any_.store(true, std::memory_order_release);
  }

  /// What was put since the last call, in order.
  std::vector<T> take() {
    if (!has_any_.load(std::memory_order_acquire)) return {};
    const std::lock_guard lock(mutex_);
    has_any_.store(false, std::memory_order_relaxed);
    return std::exchange(values_, {});
  }

 private:
  std::atomic<bool> has_any_ = false;
  std::mutex mutex_;
  std::vector<T> values_;
};

}  // namespace ashlar::runtime
