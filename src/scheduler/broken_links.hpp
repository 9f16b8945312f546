#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "scheduler/task_table.hpp"

namespace ashlar::scheduler {

/// Which processes cannot fetch from which others, as they say, though both live. Each of these
/// links is believed to be broken for a while, then tried again; where it is broken still, for
/// twice as long.
///
/// A worker is *isolated* while another one, which data were made for, cannot reach it: it gets no
/// new tasks if there is a choice.
class BrokenLinks {
 public:
  struct Ends {
    PeerIndex asker = no_peer, asked = no_peer;
    friend auto operator<=>(const Ends&, const Ends&) = default;
  };
  struct Link {
    std::string reason;  ///< what the transport said
    Instant noted;       ///< when it was last found to be broken
    Instant until;       ///< then it may be tried again
    Duration pause;
  };
  struct Pauses {
    Duration first, last;
  };

  explicit BrokenLinks(Pauses pauses) : pauses_(pauses) {}

  /// Whether some link may be broken now.
  bool any(Instant now) const { return now < last_; }
  /// The link if it is broken now, or null.
  const Link* find(Ends ends, Instant now) const;
  const std::map<Ends, Link>& all() const { return links_; }

  void note(Ends ends, const std::string& reason, Instant now);
  /// It may be tried again now.
  void retry(Ends ends, Instant now) { links_.at(ends).until = now; }
  /// Something came over the link.
  void mend(Ends ends);
  /// The peer has left.
  void forget(PeerIndex peer);

  /// `asked` is isolated as long as `asker`, which is not, cannot reach it.
  void isolate(Ends ends);
  void readmit(PeerIndex peer) { isolated_.erase(peer); }
  bool is_isolated(PeerIndex peer, Instant now) const;
  std::vector<PeerIndex> isolated(Instant now) const;

 private:
  Pauses pauses_;
  std::map<Ends, Link> links_;
  std::map<PeerIndex, PeerIndex> isolated_;  ///< from whom
  Instant last_;                             ///< when none is broken any more
};

}  // namespace ashlar::scheduler
