#pragma once

#include <ashlar/error.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/clock.hpp"
#include "runtime/exchange.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/token.hpp"
#include "wire/codec.hpp"
#include "worker/worker_engine.hpp"

/// What an exchange is made of; for its own files only.
namespace ashlar::runtime {

/// Leases dropped by any thread, to be returned on the loop's turn.
struct Exchange::Returned {
  Mailbox<std::pair<std::weak_ptr<PeerLink>, std::uint64_t>> leases;
};

/// Data that others have read, noted by whichever thread lets go of them.
struct Exchange::Read {
  Mailbox<DatumId> data;
  Mailbox<PeerId> sent_to;  ///< whose turn has ended
};

/// A buffer that somebody elsewhere reads; in the end it is noted, when the buffer is let go.
struct Exchange::Given {
  struct Notice {
    Notice(std::shared_ptr<Read> where, DatumId id) : read(std::move(where)), datum(id) {}
    Notice(Notice&&) noexcept = default;
    Notice& operator=(Notice&&) = delete;
    ~Notice() {
      if (read) read->data.put(datum);
    }

    std::shared_ptr<Read> read;
    DatumId datum;
  };

  Notice notice;
  store::Buffer buffer;
};

/// What a peer is sent in its turn.
struct Exchange::Sending {
  Sending(std::shared_ptr<Read> where, PeerId to, std::shared_ptr<Given> what)
      : read(std::move(where)), peer(to), data(std::move(what)) {}
  Sending(const Sending&) = delete;
  Sending& operator=(const Sending&) = delete;
  ~Sending() { read->sent_to.put(peer); }

  std::shared_ptr<Read> read;
  PeerId peer;
  std::shared_ptr<Given> data;
};

/// One link to a peer: what was asked on it, what was given on it; or a further lane of one, on
/// which only pieces of what was asked on the link come.
class Exchange::PeerLink : public net::LinkEvents,
                           public std::enable_shared_from_this<Exchange::PeerLink> {
 public:
  PeerLink(Exchange& exchange, PeerId peer, bool is_outgoing)
      : exchange_(exchange),
        peer_(peer),
        is_outgoing_(is_outgoing),
        hello_timer_(exchange.loop_.io()) {}

  /// It can be used from now on: greets, or waits to be greeted.
  void connected(std::shared_ptr<net::Link> link);
  /// Who connects and says nothing does not stay.
  void expect_hello();

  /// A remote peer says first whether it reads checksums.
  bool is_ready() const { return link_ && (is_local_ || is_greeted_); }

  void send_waiting() {
    for (auto& frame : waiting_) link_->send(std::move(frame));
    waiting_.clear();
  }

  void send(const protocol::PeerMessage& message, std::span<const std::byte> payload = {},
            std::shared_ptr<const void> owner = {}, int descriptor = -1) {
    net::Frame frame{wire::encode(message), payload, std::move(owner), descriptor};
    if (is_ready()) {
      link_->send(std::move(frame));
    } else if (!is_closed_) {
      waiting_.push_back(std::move(frame));
    }
  }

  /// Sends what was gathered since the last turn, one message of each kind.
  void send_gathered() {
    if (!asking_.requests.empty()) send(std::exchange(asking_, {}));
    if (!giving_.requests.empty()) send(std::exchange(giving_, {}));
    if (!returning_.requests.empty()) send(std::exchange(returning_, {}));
  }

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override {
    store::FileDescriptor owned(descriptor);
    if (!is_greeted_) {
      greet(control);
      return {};
    }
    auto decoded = wire::decode_peer(control);
    if (!decoded.message) {
      link_->close("bad message: " + decoded.error);
      return {};
    }
    if (is_lane() && !std::holds_alternative<protocol::FetchPiece>(*decoded.message)) {
      link_->close("bad message: on a lane come only pieces");
      return {};
    }
    payload_sink_ = {};
    payload_bytes_ = payload_bytes;
    descriptor_ = std::move(owned);
    try {
      std::visit([this](auto& message) { handle(message); }, *decoded.message);
    } catch (const Error& error) {
      link_->close(error.what());
    }
    return payload_sink_;
  }

  std::shared_ptr<const void> payload_owner() override {
    const bool is_in_place = !payload_sink_.empty() && payload_sink_.data() != packed_.data();
    return is_in_place ? std::make_shared<store::Buffer>(payload_) : nullptr;
  }

  void on_payload(bool is_intact) override {
    exchange_.bytes_received_ += payload_bytes_;
    if (!is_intact) return discard_payload();
    payload_kind_ == PayloadKind::piece ? finish_piece() : finish_payload();
  }

  void on_batch_end() override {}

  void on_closed(const std::string& reason) override { closed(reason); }

  void closed(const std::string& reason) {
    if (is_closed_) return;
    is_closed_ = true;
    const auto self = shared_from_this();
    if (is_lane()) return lane_closed(reason);
    const std::string who =
        is_greeted_ || !link_ ? "peer " + std::to_string(peer_.value) : link_->peer_name();
    const std::string what = "link to " + who + " closed: " + reason;
    if (link_ && link_->is_spoiled()) {
      is_spoiled_ = true;
      spoiled_request_ = request_being_received();
    }
    // Where nothing was being received, what was to come next counts.
    if (spoiled_request_ == 0 && !asked_.empty()) spoiled_request_ = asked_.begin()->first;
    // Of a peer that cannot be reached it is said once.
    const bool is_again = is_outgoing_ && !is_greeted_ && !exchange_.failing_.insert(peer_).second;
    const bool is_usual = is_local_ || is_again || (is_greeted_ && !is_spoiled_);
    const auto level = is_usual ? telemetry::LogLevel::debug : telemetry::LogLevel::warning;
    const bool is_stranger = !is_greeted_ && !is_outgoing_;
    is_stranger ? exchange_.strangers_.write(now(), level, what)
                : exchange_.log_.write(level, what);
    hello_timer_.cancel();
    close_lanes(reason);
    leases_.clear();
    payload_ = {};
    coming_.clear();
    leaving_.clear();
    waiting_.clear();
    auto asked = std::move(asked_);
    asked_.clear();
    asking_ = {};
    giving_ = {};
    returning_ = {};
    // Not when the peer has asked again on a link that came in place of this one.
    const auto incoming = exchange_.incoming_.find(peer_);
    const bool is_asked_here = incoming != exchange_.incoming_.end() && incoming->second == this;
    exchange_.remove(this);
    exchange_.turns_.forget_if(
        [this](PeerId, const Answer& answer) { return answer.link.lock().get() == this; });
    for (const auto& [request, datum] : asked) {
      exchange_.missed(datum, peer_, missed(request), reason);
    }
    if (is_asked_here) {
      exchange_.events_.on_unasked(peer_, worker::FetchUnasked::all);
    }
  }

  bool is_lane() const { return link_it_belongs_to_ != this; }
  /// The peer is asked to connect lanes if that would help, as the link's rate says.
  void want_lanes(const net::SendingRate& rate);
  /// It has asked for them.
  void open_lanes(std::uint32_t link_number);

  /// Whether a datum is to go in pieces: they may be compressed, and go on all lanes.
  bool wants_pieces(std::span<const std::byte> bytes, const net::SendingRate& rate) const;
  /// Sends a datum in pieces, after those that are going.
  void send_in_pieces(std::uint64_t request, std::span<const std::byte> bytes,
                      std::shared_ptr<const void> owner);
  /// The rest of what comes or goes in pieces is not wanted.
  void forget_pieces(std::uint64_t request);

  Exchange& exchange_;
  PeerId peer_;
  bool is_outgoing_;
  bool is_greeted_ = false;
  bool is_closed_ = false;
  bool is_local_ = false;  ///< to a process of this host
  bool has_shared_arena_ = false;
  bool returns_loans_ = false;  ///< the peer understands LoansWanted
  bool takes_pieces_ = false;   ///< likewise FetchPiece
  bool opens_lanes_ = false;    ///< likewise LanesWanted
  std::shared_ptr<net::Link> link_;
  boost::asio::steady_timer hello_timer_;
  std::vector<net::Frame> waiting_;         ///< until it is ready
  std::map<std::uint64_t, DatumId> asked_;  ///< our requests
  std::map<std::uint64_t, Given> leases_;   ///< what the peer reads in our arena
  protocol::Fetch asking_;                  ///< gathered during a turn
  protocol::FetchInPlace giving_;           ///< likewise
  protocol::LeaseReturned returning_;       ///< likewise

 private:
  void handle(const protocol::Fetch& m) {
    for (std::size_t i = 0; i < m.requests.size(); ++i) {
      const protocol::Urgency urgency = m.urgency.empty() ? protocol::Urgency{} : m.urgency[i];
      exchange_.events_.on_asked(peer_, m.requests[i], m.data[i], urgency);
    }
  }
  void handle(const protocol::FetchCancel& m) {
    exchange_.turns_.forget_if([&](PeerId, const Answer& answer) {
      return answer.request == m.request && answer.link.lock().get() == this;
    });
    std::erase_if(leaving_, [&m](const Leaving& leaving) { return leaving.request == m.request; });
    exchange_.events_.on_unasked(peer_, m.request);
  }

  void handle(const protocol::ArenaShared& m) {
    if (m.arena != 0) throw BadInput("peer shares more than one arena");
    mapped_ = std::make_shared<store::MappedArena>(std::move(descriptor_), m.bytes);
  }

  void handle(const protocol::FetchInPlace& m) {
    for (std::size_t i = 0; i < m.requests.size(); ++i) {
      const std::uint64_t request = m.requests[i];
      const auto place = place_of(m.offsets[i], m.bytes[i]);  // throws while the request is open
      if (const auto fetch = forget_request(request)) {
        accept_in_place(fetch->datum, request, place);
        if (fetch->is_copied && !copy(fetch->datum)) continue;
        exchange_.events_.on_fetched(fetch->datum, m.bytes[i], !fetch->is_copied, true);
      } else {
        returning_.requests.push_back(request);
        exchange_.gather_on(*this);
      }
    }
  }

  void handle(const protocol::PushInPlace& m) {
    accept_in_place(m.datum, m.lease, place_of(m.offset, m.bytes));
    exchange_.events_.on_pushed(m.datum, m.bytes, true);
  }

  void handle(const protocol::FetchBytes& m) {
    expect_payload(m.bytes);
    payload_request_ = m.request;
    payload_kind_ = PayloadKind::answer;
    begin_payload();
  }

  void handle(const protocol::FetchPiece& m) {
    payload_request_ = m.request;
    payload_kind_ = PayloadKind::piece;
    begin_piece(m);
  }

  void handle(const protocol::PushBytes& m) {
    expect_payload(m.bytes);
    payload_datum_ = m.datum;
    payload_kind_ = PayloadKind::push;
    begin_payload();
  }

  void handle(const protocol::FetchRefused& m) {
    if (const auto fetch = forget_request(m.request)) {
      exchange_.events_.on_fetch_failed(fetch->datum, peer_, {});
    }
  }

  void handle(const protocol::LeaseReturned& m) {
    for (const auto request : m.requests) leases_.erase(request);
  }

  void handle(const protocol::LanesWanted& m) { open_lanes(m.link); }

  void handle(const protocol::LoansWanted&) { exchange_.events_.on_loans_wanted(peer_); }

  enum class PayloadKind { answer, push, piece };
  class Piece;
  struct Coming {
    store::Buffer buffer;
    std::uint64_t came = 0;
    std::map<std::uint64_t, std::uint64_t> begun;  ///< ends of pieces by their offsets
  };
  struct Leaving {
    std::uint64_t request = 0;
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;
    std::size_t left = 0;  ///< bytes that went
  };

  void greet(std::span<const std::byte> control);
  void greet_peer(const protocol::Hello& hello);
  void welcomed(const protocol::Welcome& welcome);
  bool join(const protocol::Hello& hello);

  void close_lanes(const std::string& reason);
  void lane_closed(const std::string& reason);
  PeerLink* free_lane();

  void begin_piece(const protocol::FetchPiece& piece);
  void finish_piece();
  void send_pieces();
  void send_piece(PeerLink& lane, Leaving& leaving);

  /// 0: none.
  std::uint64_t request_being_received() const {
    return payload_ && payload_kind_ != PayloadKind::push ? payload_request_ : 0;
  }

  /// Of a link that has closed.
  Missed missed(std::uint64_t request) const {
    if (!is_spoiled_) return Missed::link_is_gone;
    return spoiled_request_ == request ? Missed::is_spoiled : Missed::link_is_spoiled;
  }

  struct Asked {
    DatumId datum;
    bool is_copied = false;
  };
  std::optional<Asked> forget_request(std::uint64_t request) {
    const auto it = asked_.find(request);
    if (it == asked_.end()) return std::nullopt;
    const DatumId datum = it->second;
    asked_.erase(it);
    if (!coming_.empty()) coming_.erase(request);
    const auto fetching = exchange_.fetching_.take(datum);
    return Asked{datum, fetching && fetching->is_copied};
  }

  std::span<const std::byte> place_of(std::uint64_t offset, std::uint64_t bytes) const {
    if (!mapped_) throw BadInput("peer names an arena that it has not shared");
    return mapped_->at(offset, bytes);
  }

  /// False when there is no room for it: the fetch has failed then.
  bool copy(const DatumId& datum) {
    try {
      exchange_.copy(datum);
      return true;
    } catch (const Overloaded& error) {
      exchange_.log_.warning(std::string("a datum cannot be copied: ") + error.what());
      exchange_.table_.drop(datum);
      exchange_.events_.on_fetch_failed(datum, peer_, {});
      return false;
    }
  }

  void accept_in_place(DatumId datum, std::uint64_t lease, std::span<const std::byte> place) {
    auto give_back = [returned = exchange_.returned_, link = weak_from_this(), lease] {
      returned->leases.put({link, lease});
    };
    exchange_.table_.put(datum, store::Buffer::leased(mapped_, place, std::move(give_back)));
  }

  void expect_payload(std::uint64_t bytes) const {
    if (bytes != payload_bytes_) throw BadInput("peer announces another size than it sends");
  }

  void begin_payload() {
    payload_ = store::Buffer::allocate(exchange_.arena_, payload_bytes_);
    if (payload_bytes_ == 0) return finish_payload();
    payload_sink_ = payload_.writable().first(payload_bytes_);
  }

  void finish_payload() {
    const std::uint64_t bytes = payload_.size();
    store::Buffer buffer = std::exchange(payload_, {});
    if (payload_kind_ == PayloadKind::push) {
      exchange_.table_.put(payload_datum_, std::move(buffer));
      exchange_.events_.on_pushed(payload_datum_, bytes, is_local_);
    } else if (const auto fetch = forget_request(payload_request_)) {
      exchange_.table_.put(fetch->datum, std::move(buffer));
      exchange_.events_.on_fetched(fetch->datum, bytes, false, is_local_);
    }
  }

  /// It is fetched again; a driver fetches what was to be pushed to it and does not come.
  void discard_payload() {
    exchange_.log_.warning(std::to_string(payload_bytes_) + " bytes from peer " +
                           std::to_string(peer_.value) + " at " + link_->peer_name() +
                           " have changed on their way and are discarded");
    payload_ = {};
    if (payload_kind_ != PayloadKind::push) {
      link_it_belongs_to_->coming_.erase(payload_request_);
      exchange_.spoiled(*link_it_belongs_to_, payload_request_);
    }
  }

  std::shared_ptr<const store::MappedArena> mapped_;
  store::FileDescriptor descriptor_;
  std::span<std::byte> payload_sink_;
  std::uint64_t payload_bytes_ = 0;
  store::Buffer payload_;
  PayloadKind payload_kind_ = PayloadKind::answer;
  std::uint64_t payload_request_ = 0;
  DatumId payload_datum_;
  protocol::FetchPiece piece_;
  std::vector<std::byte> packed_;  ///< the piece being received, when it is not received in place

  std::map<std::uint64_t, Coming> coming_;  ///< by request: in pieces
  std::deque<Leaving> leaving_;             ///< likewise; as their turns came
  int pieces_queued_ = 0;

  PeerLink* link_it_belongs_to_ = this;  ///< a lane does not outlive it, but as closed
  std::vector<PeerLink*> lanes_;         ///< further ones
  std::uint32_t link_number_ = 0;        ///< of LanesWanted, once it was sent
  net::SendingRate seen_;                ///< when it was last decided whether lanes would help
  bool is_spoiled_ = false;              ///< it, or a lane, closed since bytes had changed
  std::uint64_t spoiled_request_ = 0;    ///< on what was received then; or 0
};

}  // namespace ashlar::runtime
