#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace ashlar::worker {

/// Which large data a process sends to other hosts now. If all that were asked for were sent at
/// once, each would come as many times later, and with it what its reader passes on: so few are
/// under way at once, in the order in which they were asked for, and one to each peer, so that one
/// that does not read holds up no other.
template <class Item>
class SendTurns {
 public:
  static constexpr std::uint64_t bytes_min = 1 << 18;  ///< smaller data are sent at once
  static constexpr std::size_t most = 3;

  void wait(PeerId peer, Item item) { waiting_.emplace_back(peer, std::move(item)); }

  /// The next one that may be sent, which is under way then; nothing if none may.
  std::optional<Item> begin_next() {
    if (under_way_.size() >= most) return std::nullopt;
    const auto next = std::ranges::find_if(
        waiting_, [this](const auto& entry) { return !is_under_way(entry.first); });
    if (next == waiting_.end()) return std::nullopt;
    under_way_.push_back(next->first);
    Item item = std::move(next->second);
    waiting_.erase(next);
    return item;
  }

  /// What was under way to the peer, if anything, has been sent or never will be.
  void end(PeerId peer) { std::erase(under_way_, peer); }

  /// What waits, and of which this holds, is not to be sent: called with PeerId and Item.
  template <class Predicate>
  void forget_if(Predicate is_vain) {
    std::erase_if(waiting_, [&](const auto& entry) { return is_vain(entry.first, entry.second); });
  }

 private:
  bool is_under_way(PeerId peer) const {
    return std::ranges::find(under_way_, peer) != under_way_.end();
  }

  std::deque<std::pair<PeerId, Item>> waiting_;
  std::vector<PeerId> under_way_;
};

}  // namespace ashlar::worker
