#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "net/address.hpp"
#include "net/link.hpp"
#include "net/tls.hpp"
#include "protocol/peer_messages.hpp"
#include "runtime/data_table.hpp"
#include "runtime/loop.hpp"
#include "store/arena.hpp"
#include "store/buffer.hpp"
#include "telemetry/log.hpp"
#include "telemetry/sparing_log.hpp"
#include "worker/send_turns.hpp"

namespace ashlar::runtime {

/// Who hears of the data plane; called on the loop's turn.
class ExchangeEvents {
 public:
  virtual ~ExchangeEvents() = default;
  /// A datum asked for is in the table now.
  virtual void on_fetched(DatumId datum, std::uint64_t bytes, bool is_in_place, bool is_local) = 0;
  /// `broken`: why there is no link to the peer; empty: it does not have the datum.
  virtual void on_fetch_failed(DatumId datum, PeerId peer, const std::string& broken) = 0;
  /// Another process asks for a datum; answer() or refuse() it.
  virtual void on_asked(PeerId peer, std::uint64_t request, DatumId datum,
                        const protocol::Urgency& urgency) = 0;
  /// One request, or all of a peer's (worker::FetchUnasked::all), needs no answer any more.
  virtual void on_unasked(PeerId peer, std::uint64_t request) = 0;
  /// The peer wants back what is read in its memory and not used now.
  virtual void on_loans_wanted(PeerId peer) = 0;
  /// A datum came unasked and is in the table now.
  virtual void on_pushed(DatumId datum, std::uint64_t bytes, bool is_local) = 0;
};

/// The data plane of one process: moves data between its store and its peers'.
///
/// Peers of the same host read each other's arenas in place under a lease; others get the bytes,
/// straight from arena to arena. Each process connects to the peers it asks; answers come back
/// on the link the question came from.
/// Threads: on the loop's turn.
class Exchange {
 public:
  struct Options {
    std::string token;
    std::shared_ptr<const net::Tls> tls = {};  ///< for links to other hosts; or none
    /// Where other hosts reach this process; empty: nowhere but on this host.
    std::string listen_host;
    /// Up to this size data are sent as bytes even where they could be read in place: a lease
    /// costs two messages more.
    std::uint64_t inline_bytes = 4096;
    int connect_timeout_ms = 5000;
    int introduction_ms = 10'000;  ///< who connects says by then who it is
    /// A datum that has come spoiled so often is taken for lost at that peer. Where a third of all
    /// come spoiled, that is one in forty million.
    int spoiled_max = 16;
    /// Whether data move by UCX to and from other hosts' processes that use it, too.
    bool uses_ucx = false;
    /// Whether it is of interest when others have read what they were given; see take_read().
    bool follows_reads = false;
  };

  Exchange(Loop& loop, std::shared_ptr<store::Arena> arena, DataTable& table,
           ExchangeEvents& events, telemetry::Log& log, Options options);
  ~Exchange();

  /// Where this process's listeners are. Errors of opening them: Disconnected, BadInput, and
  /// Unsupported for UCX where there is none.
  const protocol::Endpoint& endpoint() const { return endpoint_; }

  void set_self(PeerId self) { self_ = self; }
  PeerId self() const { return self_; }

  void know_peer(const protocol::PeerInfo& info);
  /// Closes links to the peer; fetches from it fail.
  void forget_peer(PeerId peer);

  /// `is_copied`: into this process's own memory, also where it could be read in place.
  void start_fetch(DatumId datum, PeerId peer, bool is_copied = false,
                   const protocol::Urgency& urgency = {});
  void abandon_fetch(DatumId datum);
  /// `urgency`: as it was asked for.
  void answer(PeerId peer, std::uint64_t request, DatumId datum, const protocol::Urgency& urgency);
  void refuse(PeerId peer, std::uint64_t request);
  /// Asks whoever reads in this arena, and understands it, for what is not used now.
  void recall_loans();
  /// Copies data that are read in peers' arenas into the own one, up to so many bytes and as far as
  /// there is room: their leases are returned when nobody uses them any more. Says which.
  std::vector<DatumId> copy_loans(std::uint64_t bytes_max);
  /// Pushes a datum of the table, if it is small or the peer is on this host.
  void push(PeerId peer, DatumId datum);

  /// Sends what was gathered, and returns leases that were dropped. A turn hook's last step.
  void flush();

  /// Data of more than Options::inline_bytes that were given by answer() or push() and are no
  /// longer read since the last call: once for each time.
  std::vector<DatumId> take_read();

  std::uint64_t bytes_sent() const { return bytes_sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }

 private:
  class PeerLink;
  struct Returned;
  struct Read;
  struct Given;
  struct Sending;
  struct Answer {
    std::weak_ptr<PeerLink> link;
    std::uint64_t request = 0;
    std::shared_ptr<Given> data;
  };
  struct Fetching {
    PeerId peer;
    std::uint64_t request = 0;
    bool is_copied = false;
    protocol::Urgency urgency = {};
    int times_spoiled = 0;  ///< it came, but not as it was sent
  };

  PeerLink* outgoing(PeerId peer);
  void connect(const std::shared_ptr<PeerLink>& link, const protocol::Endpoint& there);
  void connect(const std::shared_ptr<PeerLink>& link, const std::string& address);
  void accept(std::shared_ptr<net::Link> link);
  Given given(DatumId datum) const;
  void give(PeerLink& link, std::uint64_t number, DatumId datum, bool is_push,
            const protocol::Urgency& urgency = {});
  void send_next();
  void copy(const DatumId& datum);
  void ask(PeerLink& link, DatumId datum, Fetching fetching);
  void spoiled(PeerLink& link, std::uint64_t request);
  enum class Missed { link_is_gone, link_is_spoiled, is_spoiled };
  void missed(const DatumId& datum, PeerId peer, Missed how, const std::string& why);
  void gather_on(PeerLink& link);
  void remove(PeerLink* link);

  Loop& loop_;
  std::shared_ptr<store::Arena> arena_;
  DataTable& table_;
  ExchangeEvents& events_;
  telemetry::Log& log_;
  telemetry::SparingLog strangers_{log_};  ///< what they do
  Options options_;
  protocol::Endpoint endpoint_;
  PeerId self_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;

  std::map<PeerId, protocol::PeerInfo> infos_;
  std::map<PeerId, PeerLink*> outgoing_;
  std::map<PeerId, PeerLink*> incoming_;
  std::vector<std::shared_ptr<PeerLink>> links_;
  std::vector<std::shared_ptr<PeerLink>> closed_;  ///< freed when no callback of theirs is active
  std::set<PeerId> failing_;                       ///< the last link to them ended before it worked
  worker::IdMap<Fetching> fetching_;
  std::uint64_t next_request_ = 1;
  std::uint32_t next_link_ = 1;
  std::uint64_t next_lease_ = std::uint64_t{1} << 63;
  std::shared_ptr<Returned> returned_;
  std::shared_ptr<Read> read_;
  worker::SendTurns<Answer> turns_;
  bool takes_turns_ = false;  ///< something large was to go to another host since the start
  std::vector<std::weak_ptr<PeerLink>> gathered_on_;  ///< have something for the turn's end
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace ashlar::runtime
