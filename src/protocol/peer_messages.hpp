#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "protocol/messages.hpp"

/// What processes that hand each other data say: the data plane.
namespace ashlar::protocol {

/// Asks for data, one request each; answered one by one, once the peer has them.
struct Fetch {
  std::vector<std::uint64_t> requests;  ///< chosen by the asker, unique on its link
  std::vector<DatumId> data;
  /// Of the first task of the asker that reads each; empty: none says. Large data go to other hosts
  /// in this order, where sessions share the sender: see worker::SendTurns.
  std::vector<Urgency> urgency = {};
  friend bool operator==(const Fetch&, const Fetch&) = default;
};

/// The asker wants no answer any more.
struct FetchCancel {
  std::uint64_t request = 0;
  friend bool operator==(const FetchCancel&, const FetchCancel&) = default;
};

/// An arena whose file descriptor travels with this frame; Unix sockets only.
struct ArenaShared {
  std::uint32_t arena = 0;  ///< number chosen by the sender
  std::uint64_t bytes = 0;
  friend bool operator==(const ArenaShared&, const ArenaShared&) = default;
};

/// The data lie in a shared arena of the sender, who keeps each until its lease is returned.
struct FetchInPlace {
  std::uint32_t arena = 0;
  // One entry per request.
  std::vector<std::uint64_t> requests;
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint64_t> bytes;
  friend bool operator==(const FetchInPlace&, const FetchInPlace&) = default;
};

/// The datum's bytes follow this control message in the same frame.
struct FetchBytes {
  std::uint64_t request = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const FetchBytes&, const FetchBytes&) = default;
};

/// The peer does not have the datum and will not make it.
struct FetchRefused {
  std::uint64_t request = 0;
  friend bool operator==(const FetchRefused&, const FetchRefused&) = default;
};

/// Unasked: an output the driver wants lies in a shared arena of the sender, who keeps it until
/// the lease is returned. Numbers have the top bit set.
struct PushInPlace {
  std::uint64_t lease = 0;
  DatumId datum;
  std::uint32_t arena = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const PushInPlace&, const PushInPlace&) = default;
};

/// Unasked: an output the driver wants; its bytes follow this control message in the same frame.
struct PushBytes {
  DatumId datum;
  std::uint64_t bytes = 0;
  friend bool operator==(const PushBytes&, const PushBytes&) = default;
};

/// The other side no longer reads what FetchInPlace (by request) or PushInPlace (by lease) gave.
struct LeaseReturned {
  std::vector<std::uint64_t> requests;
  friend bool operator==(const LeaseReturned&, const LeaseReturned&) = default;
};

/// What the other side reads here for tasks that have not started stands in the way of what others
/// wait for: it is to return these leases, and to copy what it asks for from now on for them.
struct LoansWanted {
  friend bool operator==(const LoansWanted&, const LoansWanted&) = default;
};

/// Some of a datum's bytes, in order on each lane; they follow this control message in the same
/// frame, as they are or compressed (an LZ4 block). In place of FetchBytes where the network is
/// slow, or a link has lanes.
struct FetchPiece {
  static constexpr std::uint64_t bytes_max = std::uint64_t{1} << 20;
  std::uint64_t request = 0;
  std::uint64_t bytes = 0;        ///< of the datum
  std::uint64_t offset = 0;       ///< in it
  std::uint64_t piece_bytes = 0;  ///< before compression; at most bytes_max
  bool is_packed = false;
  friend bool operator==(const FetchPiece&, const FetchPiece&) = default;
};

/// One connection does not carry what the way would, since the way is long: the one that asks is to
/// connect further lanes (Hello::lane_of), on which pieces of answers come, too.
struct LanesWanted {
  std::uint32_t link = 0;  ///< a number of the sender's for this link; not 0
  friend bool operator==(const LanesWanted&, const LanesWanted&) = default;
};

using PeerMessage =
    std::variant<Fetch, FetchCancel, ArenaShared, FetchInPlace, FetchBytes, FetchRefused,
                 PushInPlace, PushBytes, LeaseReturned, LoansWanted, FetchPiece, LanesWanted>;

}  // namespace ashlar::protocol
