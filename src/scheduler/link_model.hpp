#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "scheduler/data_table.hpp"

namespace ashlar::scheduler {

/// Learns how many bytes a second each peer can receive from other hosts, and send to them; a
/// transfer is bounded by both ends. A sample is what one end received, or sent, while something
/// that was there when it was asked for was under way, be it one transfer or many at once.
///
/// A transfer may have waited for something else, or for the other end, so that it shows what an
/// end can do at least: what is higher counts for more than what is lower, and what is lower for
/// less yet while the other end had more under way, unless nothing is known of any end. No sample
/// changes a value by more than a factor of eight at first, and of two later.
class LinkModel {
 public:
  explicit LinkModel(double assumed) : assumed_(assumed) {}

  /// Bytes a second; what others can, for a peer that nothing is known of.
  double receiving(PeerIndex peer) const { return of(receiving_, peer); }
  double sending(PeerIndex peer) const { return of(sending_, peer); }
  double usual() const { return common_.samples > 0 ? common_.rate : assumed_; }

  /// What was learnt; without samples: nothing.
  struct Rate {
    double rate = 0;  ///< bytes a second
    std::uint32_t samples = 0;
  };
  Rate learned_receiving(PeerIndex peer) const { return learned(receiving_, peer); }
  Rate learned_sending(PeerIndex peer) const { return learned(sending_, peer); }
  Rate learned_usual() const { return common_; }

  /// Something that is there, and was asked for, begins to go from one to the other.
  void begin(PeerIndex from, PeerIndex to, Instant now);
  struct Transfer {
    std::uint64_t bytes = 0;
    Instant began;
  };
  /// It is reported to be there.
  void end(PeerIndex from, PeerIndex to, const Transfer& transfer, Instant now);
  void forget() { *this = LinkModel(assumed_); }

 private:
  /// One direction of one peer.
  struct Link {
    Rate learned;
    std::uint32_t under_way = 0;  ///< transfers; also some that were given up, for a while
    std::uint32_t ended = 0;      ///< of those that began in the sample
    std::uint64_t bytes = 0;      ///< likewise
    Instant since;                ///< when the sample began, while something is under way
    Instant last_end;             ///< of a transfer
    bool is_shared = false;       ///< the other end had more under way
  };

  double of(const std::vector<Link>& links, PeerIndex peer) const {
    return peer < links.size() && links[peer].learned.samples > 0 ? links[peer].learned.rate
                                                                  : usual();
  }
  static Rate learned(const std::vector<Link>& links, PeerIndex peer) {
    return peer < links.size() ? links[peer].learned : Rate{};
  }
  static Link& link_of(std::vector<Link>& links, PeerIndex peer);
  static void begin(Link& link, Instant now);
  static void start_sample(Link& link, Instant now);
  void end(Link& link, const Transfer& transfer, Instant now);
  void learn(Rate& rate, double sample, bool is_shared) const;

  double assumed_;
  Rate common_;
  std::vector<Link> receiving_, sending_;
};

}  // namespace ashlar::scheduler
