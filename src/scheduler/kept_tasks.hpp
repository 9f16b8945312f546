#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>

#include "scheduler/task_table.hpp"

namespace ashlar::scheduler {

/// Assignable tasks kept back for a worker that is the best for them and full, by worker.
class KeptTasks {
 public:
  /// Whose turn it is, by user priority, age of the run, and rank.
  struct Entry {
    std::int64_t minus_priority = 0;
    std::uint64_t sequence = 0;
    std::uint32_t rank = 0;
    std::uint32_t run = 0;  ///< its slot
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  bool empty() const { return by_worker_.empty(); }
  std::size_t size() const { return size_; }
  bool has(PeerIndex worker) const { return by_worker_.contains(worker); }
  bool contains(PeerIndex worker, const Entry& entry) const {
    const auto found = by_worker_.find(worker);
    return found != by_worker_.end() && found->second.contains(entry);
  }
  /// Requires that tasks are kept for the worker.
  Entry first(PeerIndex worker) const { return *by_worker_.at(worker).begin(); }
  Entry last(PeerIndex worker) const { return *by_worker_.at(worker).rbegin(); }

  /// Whether tasks are kept for the worker whose turn comes before.
  bool has_before(PeerIndex worker, const Entry& entry) const {
    const auto found = by_worker_.find(worker);
    return found != by_worker_.end() && *found->second.begin() < entry;
  }

  void add(PeerIndex worker, const Entry& entry) {
    by_worker_[worker].insert(entry);
    ++size_;
  }

  void remove(PeerIndex worker, const Entry& entry) {
    const auto found = by_worker_.find(worker);
    if (found == by_worker_.end() || found->second.erase(entry) == 0) return;
    --size_;
    if (found->second.empty()) by_worker_.erase(found);
  }

  /// Goes round the workers for which tasks are kept. Requires that there are some.
  PeerIndex next_worker() {
    auto next = by_worker_.lower_bound(turn_);
    if (next == by_worker_.end()) next = by_worker_.begin();
    turn_ = next->first + 1;
    return next->first;
  }

 private:
  std::map<PeerIndex, std::set<Entry>> by_worker_;
  PeerIndex turn_ = 0;
  std::size_t size_ = 0;
};

}  // namespace ashlar::scheduler
