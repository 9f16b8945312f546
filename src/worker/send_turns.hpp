#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace ashlar::worker {

/// Which large data a process sends to other hosts now. If all that were asked for were sent at
/// once, each would come as many times later, and with it what its reader passes on: so few are
/// under way at once, in the order in which they were asked for. One that does not read holds up
/// the others for a second.
template <class Item>
class SendTurns {
 public:
  static constexpr std::uint64_t bytes_min = 1 << 18;  ///< smaller data are sent at once
  static constexpr std::size_t most = 4;
  static constexpr Duration patience = Duration::seconds(1);

  void wait(PeerId peer, Item item) { waiting_.emplace_back(peer, std::move(item)); }

  /// The next one if it may be sent, which is under way then. Times do not go back.
  std::optional<Item> begin_next(Instant now) {
    const auto is_late = [now](const UnderWay& sent) { return now - sent.since >= patience; };
    const auto late = static_cast<std::size_t>(std::ranges::count_if(under_way_, is_late));
    if (waiting_.empty() || under_way_.size() - late >= most) return std::nullopt;
    Item item = std::move(waiting_.front().second);
    under_way_.push_back({waiting_.front().first, now});
    waiting_.pop_front();
    return item;
  }

  /// The oldest that is under way to the peer, if any, has been sent.
  void end(PeerId peer) {
    const auto ended = std::ranges::find(under_way_, peer, &UnderWay::peer);
    if (ended != under_way_.end()) under_way_.erase(ended);
  }

  /// The peer is gone: nothing is under way to it any more.
  void end_all(PeerId peer) {
    std::erase_if(under_way_, [peer](const UnderWay& sent) { return sent.peer == peer; });
  }

  /// What waits, and of which this holds, is not to be sent: called with PeerId and Item.
  template <class Predicate>
  void forget_if(Predicate is_vain) {
    std::erase_if(waiting_, [&](const auto& entry) { return is_vain(entry.first, entry.second); });
  }

 private:
  struct UnderWay {
    PeerId peer;
    Instant since;
  };

  std::deque<std::pair<PeerId, Item>> waiting_;
  std::vector<UnderWay> under_way_;
};

}  // namespace ashlar::worker
