#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "scheduler/task_table.hpp"

namespace ashlar::scheduler {

/// Names a datum inside the engine: the slot of its run, and its index there.
struct DataRef {
  static constexpr std::uint32_t no_run = ~std::uint32_t{0};
  std::uint32_t run = no_run;
  std::uint32_t index = 0;
  friend auto operator<=>(const DataRef&, const DataRef&) = default;
};

/// One datum. It is *available* when it has a primary: a holder, or the worker that will make it.
struct Datum {
  std::uint64_t bytes = 0;
  PeerIndex primary = no_peer;
  std::uint32_t replicas = ~std::uint32_t{0};  ///< further copies, in the ReplicaPool
  std::uint32_t uses = 0;                      ///< input entries of unfinished tasks, of all runs
  bool is_made = false;
  bool is_wanted = false;  ///< the driver has not released it
  bool is_lost = false;    ///< it can never be had

  bool is_available() const { return primary != no_peer; }
  bool is_needed() const { return uses > 0 || is_wanted; }
};

/// Lists of further copies of data, beside the primary.
///
/// A copy is *actual* once its holder said so; before, the holder was only told to fetch it.
class ReplicaPool {
 public:
  static constexpr std::uint32_t end = ~std::uint32_t{0};
  struct Replica {
    PeerIndex peer = no_peer;
    std::uint32_t next = end;
    PeerIndex from = no_peer;  ///< it comes from there
    bool is_actual = false;
    bool has_begun = false;          ///< to come: since `began`
    std::uint64_t coming_bytes = 0;  ///< over the network; 0 once it is there
    Instant began;                   ///< when it was there to be sent, and asked for
    Instant due;                     ///< when it is expected to be there
    Instant sends_until;             ///< when those have it that were sent to the peer for it
  };

  const Replica& at(std::uint32_t node) const { return nodes_[node]; }
  Replica& edit(std::uint32_t node) { return nodes_[node]; }
  Replica* find(const Datum& datum, PeerIndex peer) {
    for (std::uint32_t n = datum.replicas; n != end; n = nodes_[n].next) {
      if (nodes_[n].peer == peer) return &nodes_[n];
    }
    return nullptr;
  }

  /// It comes from one that has it or will. Requires that the peer is not listed.
  void add(Datum& datum, PeerIndex peer, PeerIndex from = no_peer) {
    std::uint32_t node = free_;
    if (node == end) {
      node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      free_ = nodes_[node].next;
    }
    Replica& added = nodes_[node] = Replica{};
    added.peer = peer;
    added.next = datum.replicas;
    added.from = from;
    datum.replicas = node;
    ++size_;
  }
  /// It is fetched from another host.
  void add_coming(Datum& datum, PeerIndex peer, PeerIndex from, std::uint64_t bytes, Instant due) {
    add(datum, peer, from);
    Replica& added = nodes_[datum.replicas];
    added.due = due;
    added.coming_bytes = bytes;
    count(incoming_, peer) += bytes;
    count(outgoing_, from) += bytes;
  }
  void arrive(Replica& replica) {
    replica.is_actual = true;
    replica.due = Instant{};
    stop_coming(replica);
  }

  /// Bytes that are to come to the peer from other hosts, or to go from it to them.
  std::uint64_t incoming(PeerIndex peer) const {
    return peer < incoming_.size() ? incoming_[peer] : 0;
  }
  std::uint64_t outgoing(PeerIndex peer) const {
    return peer < outgoing_.size() ? outgoing_[peer] : 0;
  }

  /// Returns whether the peer was listed.
  bool remove(Datum& datum, PeerIndex peer) {
    for (std::uint32_t* link = &datum.replicas; *link != end; link = &nodes_[*link].next) {
      const std::uint32_t node = *link;
      if (nodes_[node].peer != peer) continue;
      stop_coming(nodes_[node]);
      *link = nodes_[node].next;
      nodes_[node].next = free_;
      free_ = node;
      --size_;
      return true;
    }
    return false;
  }

  void clear(Datum& datum) {
    while (datum.replicas != end) remove(datum, nodes_[datum.replicas].peer);
  }

  std::size_t size() const { return size_; }
  std::size_t bytes() const { return nodes_.capacity() * sizeof(Replica); }

 private:
  static std::uint64_t& count(std::vector<std::uint64_t>& counts, PeerIndex peer) {
    if (peer >= counts.size()) counts.resize(peer + 1);
    return counts[peer];
  }
  void stop_coming(Replica& replica) {
    if (replica.coming_bytes == 0) return;
    count(incoming_, replica.peer) -= replica.coming_bytes;
    count(outgoing_, replica.from) -= replica.coming_bytes;
    replica.coming_bytes = 0;
  }

  std::vector<Replica> nodes_;
  std::vector<std::uint64_t> incoming_, outgoing_;  ///< by peer
  std::uint32_t free_ = end;
  std::size_t size_ = 0;
};

}  // namespace ashlar::scheduler
