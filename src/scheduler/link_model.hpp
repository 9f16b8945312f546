#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "scheduler/data_table.hpp"

namespace ashlar::scheduler {

/// Learns how many bytes a second each peer can receive from other hosts, and send to them; a
/// transfer is bounded by both ends. One transfer to each worker at a time is watched: of a datum
/// that is there when it is asked for, until it is reported; what else came meanwhile shared the
/// link and is counted, too.
///
/// A transfer may have waited for something else, so that it shows what a link can do at least:
/// what is higher counts for more than what is lower. No sample changes a value by more than a
/// factor of eight at first, and of two later.
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

  struct Transfer {
    DataRef datum;
    PeerIndex from = no_peer, to = no_peer;
  };
  /// The worker was told to get the datum from another host, where it is.
  void begin(const Transfer& transfer, Instant now);
  /// The worker reports data from other hosts, so many bytes in all.
  void arrived(PeerIndex to, std::uint64_t bytes) { watch_of(to).received += bytes; }
  /// One of these was this one. After arrived().
  void end(PeerIndex to, DataRef datum, Instant now);
  void forget() { *this = LinkModel(assumed_); }

 private:
  struct Watch {
    Transfer transfer = {};  ///< `to`: no_peer when there is none
    Instant since;
    std::uint64_t received = 0;        ///< since ever
    std::uint64_t received_first = 0;  ///< when it began
  };

  double of(const std::vector<Rate>& rates, PeerIndex peer) const {
    return peer < rates.size() && rates[peer].samples > 0 ? rates[peer].rate : usual();
  }
  static Rate learned(const std::vector<Rate>& rates, PeerIndex peer) {
    return peer < rates.size() ? rates[peer] : Rate{};
  }
  Watch& watch_of(PeerIndex to) {
    if (to >= watches_.size()) watches_.resize(to + 1);
    return watches_[to];
  }
  void learn(Rate& rate, double sample) const;
  Rate& rate_of(std::vector<Rate>& rates, PeerIndex peer);

  double assumed_;
  Rate common_;
  std::vector<Rate> receiving_, sending_;
  std::vector<Watch> watches_;
};

}  // namespace ashlar::scheduler
