#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "protocol/messages.hpp"
#include "worker/fair_turns.hpp"

namespace ashlar::worker {

/// Which large data a process sends to other hosts now. If all that were asked for were sent at
/// once, each would come as many times later, and with it what its reader passes on: so few are
/// under way at once. One that does not read holds up the others for a second.
///
/// Sessions get equally many bytes, whoever asks. One that has nothing under way may have one more:
/// it need not wait for the end of what others asked for before. Within a session what tasks read
/// goes in the order of urgency; what is asked for without one, as results by drivers, in the order
/// of asking, and as many bytes of it as of the other while there are both.
///
/// Urgency is that of the time of asking. A datum that a more urgent task wants, too, after it was
/// asked for keeps its place: it waits behind a bounded number, as each peer has few requests open.
template <class Item>
class SendTurns {
 public:
  static constexpr std::uint64_t bytes_min = 1 << 18;  ///< smaller data are sent at once
  static constexpr std::size_t most = 4;
  static constexpr Duration patience = Duration::seconds(1);

  struct Asked {
    PeerId peer;
    SessionId session;
    protocol::Urgency urgency = {};
    std::uint64_t bytes = 0;
  };

  void wait(const Asked& asked, Item item) {
    const auto kind = asked.urgency.is_none() ? Kind::in_order : Kind::by_urgency;
    Session& session = sessions_[asked.session];
    session.waiting[std::size_t(kind)].emplace(std::pair{asked.urgency, next_number_++},
                                               Waiting{asked.peer, asked.bytes, std::move(item)});
    session.kinds.enter(kind);
    turns_.enter(asked.session);
  }

  /// The next one if it may be sent, which is under way then. Times do not go back.
  std::optional<Item> begin_next(Instant now) {
    const auto is_late = [now](const UnderWay& sent) { return now - sent.since >= patience; };
    const auto late = static_cast<std::size_t>(std::ranges::count_if(under_way_, is_late));
    const std::size_t in_time = under_way_.size() - late;
    if (in_time > most) return std::nullopt;
    const auto may_go = [&](const auto& entry) {
      return in_time < most ||
             std::ranges::find(under_way_, entry.key, &UnderWay::session) == under_way_.end();
    };
    const auto next = std::ranges::find_if(turns_.order(), may_go);
    if (next == turns_.order().end()) return std::nullopt;
    return begin(SessionId(next->key), now);
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
    for (auto entry = sessions_.begin(); entry != sessions_.end();) {
      const auto current = entry++;
      for (const Kind kind : {Kind::by_urgency, Kind::in_order}) {
        auto& waiting = current->second.waiting[std::size_t(kind)];
        const auto erased = std::erase_if(waiting, [&](const auto& waits) {
          return is_vain(waits.second.peer, waits.second.item);
        });
        if (erased > 0 && waiting.empty() && leave(current->first, kind)) break;
      }
    }
  }

 private:
  enum class Kind : std::uint8_t { by_urgency, in_order };
  struct Waiting {
    PeerId peer;
    std::uint64_t bytes = 0;
    Item item;
  };
  struct Session {
    std::array<std::map<std::pair<protocol::Urgency, std::uint64_t>, Waiting>, 2> waiting;
    FairTurns<Kind> kinds;
  };
  struct UnderWay {
    PeerId peer;
    SessionId session;
    Instant since;
  };

  Item begin(SessionId id, Instant now) {
    Session& session = sessions_.at(id);
    const Kind kind = session.kinds.order().front().key;
    auto& waiting = session.waiting[std::size_t(kind)];
    const auto begun = waiting.extract(waiting.begin());
    Waiting& first = begun.mapped();
    under_way_.push_back({first.peer, id, now});
    session.kinds.take(kind, first.bytes);
    turns_.take(id, first.bytes);
    if (waiting.empty()) leave(id, kind);
    return std::move(first.item);
  }

  /// Nothing of this kind waits any more. Says whether nothing of the session does.
  bool leave(SessionId id, Kind kind) {
    Session& session = sessions_.at(id);
    session.kinds.leave(kind);
    if (!session.kinds.order().empty()) return false;
    turns_.leave(id);
    sessions_.erase(id);
    return true;
  }

  std::map<SessionId, Session> sessions_;  ///< with something that waits
  FairTurns<SessionId> turns_;
  std::vector<UnderWay> under_way_;
  std::uint64_t next_number_ = 0;
};

}  // namespace ashlar::worker
