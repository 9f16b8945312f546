#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace ashlar::worker {

/// Whose turn it is, so that all who wait get equally many bytes (start-time fair queueing). Who
/// comes later begins where the others are: neither behind them, nor with a claim to what they have
/// had. Who has had a long turn waits until the others have had as much, also if it left meanwhile.
/// Once nobody waits, all is forgotten.
///
/// Cost: a search among those who wait, who are few.
template <class Key>
class FairTurns {
 public:
  struct Entry {
    std::uint64_t served = 0;  ///< bytes, as counted from where it began
    Key key;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  /// Begins to wait, if it does not already.
  void enter(const Key& key) {
    if (std::ranges::find(order_, key, &Entry::key) != order_.end()) return;
    std::uint64_t served = begun_;
    const auto known = std::ranges::find(ahead_, key, &Entry::key);
    if (known != ahead_.end()) {
      served = std::max(served, known->served);
      ahead_.erase(known);
    }
    insert({served, key});
  }

  /// Waits no more.
  void leave(const Key& key) {
    const auto left = std::ranges::find(order_, key, &Entry::key);
    ahead_.push_back(*left);
    order_.erase(left);
    if (order_.empty()) {
      ahead_.clear();
      begun_ = 0;
    }
    std::erase_if(ahead_, [this](const Entry& entry) { return entry.served <= begun_; });
  }

  /// Has a turn of so many bytes, and waits on. Those whose turn it was before, and who could not
  /// use it, have lost it.
  void take(const Key& key, std::uint64_t bytes) {
    const auto taker = std::ranges::find(order_, key, &Entry::key);
    begun_ = taker->served;
    for (auto passed = order_.begin(); passed != taker; ++passed) passed->served = begun_;
    order_.erase(taker);
    std::ranges::sort(order_);
    insert({begun_ + std::max<std::uint64_t>(bytes, 1), key});
  }

  /// Those who wait: first whose turn it is.
  const std::vector<Entry>& order() const { return order_; }

 private:
  void insert(const Entry& entry) { order_.insert(std::ranges::upper_bound(order_, entry), entry); }

  std::vector<Entry> order_;
  std::vector<Entry> ahead_;  ///< who have left and have had more than where turns begin now
  std::uint64_t begun_ = 0;   ///< where the last turn began
};

}  // namespace ashlar::worker
