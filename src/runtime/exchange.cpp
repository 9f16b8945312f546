#include "runtime/exchange.hpp"

#include <ashlar/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <type_traits>
#include <variant>

#include "runtime/token.hpp"
#include "wire/codec.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::runtime {

/// Leases dropped by any thread, to be returned on the loop's turn.
struct Exchange::Returned {
  std::mutex mutex;
  std::vector<std::pair<std::weak_ptr<PeerLink>, std::uint64_t>> leases;
};

/// Data that others have read, noted by whichever thread lets go of them.
struct Exchange::Read {
  std::mutex mutex;
  std::vector<DatumId> data;
};

/// A buffer that somebody elsewhere reads; in the end it is noted, when the buffer is let go.
struct Exchange::Given {
  struct Notice {
    Notice(std::shared_ptr<Read> where, DatumId id) : read(std::move(where)), datum(id) {}
    Notice(Notice&&) noexcept = default;
    Notice& operator=(Notice&&) = delete;
    ~Notice() {
      if (!read) return;
      const std::lock_guard lock(read->mutex);
      read->data.push_back(datum);
    }

    std::shared_ptr<Read> read;
    DatumId datum;
  };

  Notice notice;
  store::Buffer buffer;
};

/// One link to a peer: what was asked on it, what was given on it.
class Exchange::PeerLink : public net::LinkEvents,
                           public std::enable_shared_from_this<Exchange::PeerLink> {
 public:
  PeerLink(Exchange& exchange, PeerId peer, bool is_outgoing)
      : exchange_(exchange), peer_(peer), is_outgoing_(is_outgoing) {}

  void connected(std::shared_ptr<net::Link> link) {
    link_ = std::move(link);
    is_local_ = link_->is_local();
    link_->start(*this);
    if (is_outgoing_) {
      protocol::Hello hello;
      hello.role = protocol::Role::peer;
      hello.peer = exchange_.self_;
      hello.token = exchange_.options_.token;
      hello.returns_loans = true;
      link_->trust();
      link_->send({wire::encode(wire::Handshake(std::move(hello))), {}, {}, -1});
    }
    for (auto& frame : waiting_) link_->send(std::move(frame));
    waiting_.clear();
  }

  void send(const protocol::PeerMessage& message, std::span<const std::byte> payload = {},
            std::shared_ptr<const void> owner = {}, int descriptor = -1) {
    net::Frame frame{wire::encode(message), payload, std::move(owner), descriptor};
    if (link_) {
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

  void on_payload() override {
    exchange_.bytes_received_ += payload_.size();
    finish_payload();
  }

  void on_batch_end() override {}

  void on_closed(const std::string& reason) override { closed(reason); }

  void closed(const std::string& reason) {
    if (is_closed_) return;
    is_closed_ = true;
    const auto self = shared_from_this();
    exchange_.log_.debug("link to peer " + std::to_string(peer_.value) + " closed: " + reason);
    leases_.clear();
    payload_ = {};
    waiting_.clear();
    auto asked = std::move(asked_);
    asked_.clear();
    asking_ = {};
    giving_ = {};
    returning_ = {};
    exchange_.remove(this);
    for (const auto& [request, datum] : asked) {
      exchange_.fetching_.erase(datum);
      exchange_.events_.on_fetch_failed(datum, peer_);
    }
    if (!is_outgoing_ && is_greeted_) {
      exchange_.events_.on_unasked(peer_, worker::FetchUnasked::all);
    }
  }

  Exchange& exchange_;
  PeerId peer_;
  bool is_outgoing_;
  bool is_greeted_ = false;
  bool is_closed_ = false;
  bool is_local_ = false;  ///< to a process of this host
  bool has_shared_arena_ = false;
  bool returns_loans_ = false;  ///< the peer understands LoansWanted
  std::shared_ptr<net::Link> link_;
  std::vector<net::Frame> waiting_;                 ///< until connected
  std::map<std::uint64_t, DatumId> asked_;          ///< our requests
  std::map<std::uint64_t, Given> leases_;            ///< what the peer reads in our arena
  protocol::Fetch asking_;            ///< gathered during a turn
  protocol::FetchInPlace giving_;     ///< likewise
  protocol::LeaseReturned returning_;  ///< likewise

 private:
  void greet(std::span<const std::byte> control) {
    auto decoded = wire::decode_handshake(control);
    if (!decoded.message) return link_->close("bad handshake: " + decoded.error);
    if (is_outgoing_) {
      if (const auto* refusal = std::get_if<protocol::Refusal>(&*decoded.message)) {
        return link_->close("refused: " + refusal->reason);
      }
      const auto* welcome = std::get_if<protocol::Welcome>(&*decoded.message);
      if (welcome == nullptr || welcome->peer != peer_) return link_->close("not the peer meant");
      returns_loans_ = welcome->returns_loans;
    } else {
      const auto* hello = std::get_if<protocol::Hello>(&*decoded.message);
      if (hello == nullptr || hello->role != protocol::Role::peer) {
        return link_->close("expected a peer's hello");
      }
      const std::string why = reason_to_refuse(*hello, exchange_.options_.token);
      if (!why.empty()) {
        link_->send({wire::encode(wire::Handshake(protocol::Refusal{why})), {}, {}, -1});
        link_->detach();
        closed(why);
        return;
      }
      peer_ = hello->peer;
      returns_loans_ = hello->returns_loans;
      exchange_.incoming_[peer_] = this;
      protocol::Welcome welcome;
      welcome.peer = exchange_.self_;
      welcome.returns_loans = true;
      link_->trust();
      link_->send({wire::encode(wire::Handshake(welcome)), {}, {}, -1});
      link_->share_memory();
    }
    is_greeted_ = true;
  }

  void handle(const protocol::Fetch& m) {
    for (std::size_t i = 0; i < m.requests.size(); ++i) {
      exchange_.events_.on_asked(peer_, m.requests[i], m.data[i]);
    }
  }
  void handle(const protocol::FetchCancel& m) { exchange_.events_.on_unasked(peer_, m.request); }

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
    payload_is_push_ = false;
    begin_payload();
  }

  void handle(const protocol::PushBytes& m) {
    expect_payload(m.bytes);
    payload_datum_ = m.datum;
    payload_is_push_ = true;
    begin_payload();
  }

  void handle(const protocol::FetchRefused& m) {
    if (const auto fetch = forget_request(m.request)) {
      exchange_.events_.on_fetch_failed(fetch->datum, peer_);
    }
  }

  void handle(const protocol::LeaseReturned& m) {
    for (const auto request : m.requests) leases_.erase(request);
  }

  void handle(const protocol::LoansWanted&) { exchange_.events_.on_loans_wanted(peer_); }

  struct Asked {
    DatumId datum;
    bool is_copied = false;
  };
  std::optional<Asked> forget_request(std::uint64_t request) {
    const auto it = asked_.find(request);
    if (it == asked_.end()) return std::nullopt;
    const DatumId datum = it->second;
    asked_.erase(it);
    const auto fetching = exchange_.fetching_.find(datum);
    const bool is_copied = fetching != exchange_.fetching_.end() && fetching->second.is_copied;
    exchange_.fetching_.erase(datum);
    return Asked{datum, is_copied};
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
      exchange_.events_.on_fetch_failed(datum, peer_);
      return false;
    }
  }

  void accept_in_place(DatumId datum, std::uint64_t lease, std::span<const std::byte> place) {
    auto give_back = [returned = exchange_.returned_, link = weak_from_this(), lease] {
      std::lock_guard lock(returned->mutex);
      returned->leases.emplace_back(link, lease);
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
    if (payload_is_push_) {
      exchange_.table_.put(payload_datum_, std::move(buffer));
      exchange_.events_.on_pushed(payload_datum_, bytes, is_local_);
    } else if (const auto fetch = forget_request(payload_request_)) {
      exchange_.table_.put(fetch->datum, std::move(buffer));
      exchange_.events_.on_fetched(fetch->datum, bytes, false, is_local_);
    }
  }

  std::shared_ptr<const store::MappedArena> mapped_;
  store::FileDescriptor descriptor_;
  std::span<std::byte> payload_sink_;
  std::uint64_t payload_bytes_ = 0;
  store::Buffer payload_;
  bool payload_is_push_ = false;
  std::uint64_t payload_request_ = 0;
  DatumId payload_datum_;
};

namespace {

std::string random_name() {
  std::random_device device;
  std::uint64_t bits = (std::uint64_t{device()} << 32) | device();
  std::string name = "unix:@ashlar-" + std::to_string(::getpid()) + "-";
  for (int i = 0; i < 16; ++i, bits >>= 4) name += "0123456789abcdef"[bits & 15];
  return name;
}

}  // namespace

Exchange::Exchange(Loop& loop, std::shared_ptr<store::Arena> arena, DataTable& table,
                   ExchangeEvents& events, telemetry::Log& log, Options options)
    : loop_(loop),
      arena_(std::move(arena)),
      table_(table),
      events_(events),
      log_(log),
      options_(std::move(options)),
      returned_(std::make_shared<Returned>()),
      read_(std::make_shared<Read>()) {
  auto on_link = [this](std::shared_ptr<net::Link> link) { accept(std::move(link)); };
  endpoint_.host_identity = net::host_identity();
  listeners_.push_back(
      net::Listener::open(loop_.io(), net::Address::parse(random_name()), on_link));
  endpoint_.local_address = listeners_.back()->address().to_string();
  if (!options_.listen_host.empty()) {
    const net::Address wanted{net::Address::Kind::tcp, options_.listen_host, 0};
    listeners_.push_back(net::Listener::open(loop_.io(), wanted, on_link));
    endpoint_.remote_address = listeners_.back()->address().to_string();
  }
}

Exchange::~Exchange() {
  listeners_.clear();
  for (auto& link : links_) {
    link->is_closed_ = true;
    if (link->link_) link->link_->detach();
  }
}

void Exchange::accept(std::shared_ptr<net::Link> link) {
  auto peer = std::make_shared<PeerLink>(*this, PeerId::none(), false);
  links_.push_back(peer);
  peer->connected(std::move(link));
}

void Exchange::know_peer(const protocol::PeerInfo& info) { infos_[info.peer] = info; }

void Exchange::forget_peer(PeerId peer) {
  infos_.erase(peer);
  for (auto* links : {&outgoing_, &incoming_}) {
    const auto it = links->find(peer);
    if (it == links->end()) continue;
    const auto link = it->second->shared_from_this();
    if (link->link_) link->link_->detach();
    link->closed("peer is gone");
  }
}

void Exchange::remove(PeerLink* link) {
  for (auto* links : {&outgoing_, &incoming_}) {
    const auto it = links->find(link->peer_);
    if (it != links->end() && it->second == link) links->erase(it);
  }
  const auto it = std::find_if(links_.begin(), links_.end(),
                               [link](const auto& other) { return other.get() == link; });
  if (it != links_.end()) {
    closed_.push_back(std::move(*it));
    links_.erase(it);
  }
}

Exchange::PeerLink* Exchange::outgoing(PeerId peer) {
  if (const auto it = outgoing_.find(peer); it != outgoing_.end()) return it->second;
  const auto info = infos_.find(peer);
  if (info == infos_.end()) return nullptr;
  const protocol::Endpoint& there = info->second.endpoint;
  const bool is_same_host =
      !there.host_identity.empty() && there.host_identity == endpoint_.host_identity;
  const std::string& text =
      is_same_host && !there.local_address.empty() ? there.local_address : there.remote_address;
  auto link = std::make_shared<PeerLink>(*this, peer, true);
  link->is_local_ = text.starts_with("unix:");
  links_.push_back(link);
  outgoing_[peer] = link.get();
  const auto done = [link](std::shared_ptr<net::Link> connected, const net::NoLink& why_not) {
    if (link->is_closed_) {
      if (connected) connected->detach();
    } else if (connected) {
      link->connected(std::move(connected));
    } else {
      link->closed(why_not.reason);
    }
  };
  try {
    net::connect(loop_.io(), net::Address::parse(text), options_.connect_timeout_ms, done);
  } catch (const Error& error) {
    // Later, so that the asker hears of the failure after it has asked.
    loop_.io().get_executor().post(
        [link, why = std::string(error.what())] { link->closed(why); }, std::allocator<void>());
  }
  return link.get();
}

void Exchange::start_fetch(DatumId datum, PeerId peer, bool is_copied) {
  PeerLink* link = outgoing(peer);
  if (link == nullptr) {
    events_.on_fetch_failed(datum, peer);
    return;
  }
  const std::uint64_t request = next_request_++;
  link->asked_[request] = datum;
  fetching_[datum] = {peer, request, is_copied};
  link->asking_.requests.push_back(request);
  link->asking_.data.push_back(datum);
  gather_on(*link);
}

void Exchange::abandon_fetch(DatumId datum) {
  const auto it = fetching_.find(datum);
  if (it == fetching_.end()) return;
  const Fetching fetching = it->second;
  fetching_.erase(it);
  if (const auto link = outgoing_.find(fetching.peer); link != outgoing_.end()) {
    link->second->asked_.erase(fetching.request);
    link->second->send_gathered();  // the request itself may be among it
    link->second->send(protocol::FetchCancel{fetching.request});
  }
}

Exchange::Given Exchange::given(DatumId datum) const {
  const store::Buffer* buffer = table_.find(datum);
  const bool is_followed =
      options_.follows_reads && buffer != nullptr && buffer->size() > options_.inline_bytes;
  return {{is_followed ? read_ : nullptr, datum}, buffer == nullptr ? store::Buffer() : *buffer};
}

std::vector<DatumId> Exchange::take_read() {
  const std::lock_guard lock(read_->mutex);
  return std::exchange(read_->data, {});
}

void Exchange::give(PeerLink& link, std::uint64_t number, DatumId datum, bool is_push) {
  if (table_.find(datum) == nullptr) {
    if (!is_push) link.send(protocol::FetchRefused{number});
    return;
  }
  Given data = given(datum);
  const auto bytes = data.buffer.bytes();
  if (link.is_local_ && data.buffer.is_own() && bytes.size() > options_.inline_bytes) {
    if (!link.has_shared_arena_) {
      link.has_shared_arena_ = true;
      link.send(protocol::ArenaShared{0, arena_->capacity()}, {}, {},
                arena_->descriptor().get());
    }
    link.leases_.erase(number);
    link.leases_.emplace(number, std::move(data));
    const std::uint64_t offset = arena_->offset_of(bytes.data());
    if (is_push) {
      link.send(protocol::PushInPlace{number, datum, 0, offset, bytes.size()});
    } else {
      link.giving_.requests.push_back(number);
      link.giving_.offsets.push_back(offset);
      link.giving_.bytes.push_back(bytes.size());
      gather_on(link);
    }
    return;
  }
  bytes_sent_ += bytes.size();
  const auto owner = std::make_shared<Given>(std::move(data));
  if (is_push) {
    link.send(protocol::PushBytes{datum, bytes.size()}, bytes, owner);
  } else {
    link.send(protocol::FetchBytes{number, bytes.size()}, bytes, owner);
  }
}

void Exchange::answer(PeerId peer, std::uint64_t request, DatumId datum) {
  const auto it = incoming_.find(peer);
  if (it == incoming_.end()) return void(given(datum));  // the peer is gone: read, as it were
  give(*it->second, request, datum, false);
}

void Exchange::refuse(PeerId peer, std::uint64_t request) {
  const auto it = incoming_.find(peer);
  if (it != incoming_.end()) it->second->send(protocol::FetchRefused{request});
}

void Exchange::recall_loans() {
  for (const auto& link : links_) {
    if (link->returns_loans_ && !link->leases_.empty()) link->send(protocol::LoansWanted{});
  }
}

std::vector<DatumId> Exchange::copy_loans(std::uint64_t bytes_max) {
  std::vector<DatumId> copied;
  for (const DatumId& datum : table_.leased()) {
    const std::uint64_t bytes = table_.find(datum)->size();
    if (!copied.empty() && bytes > bytes_max) break;
    try {
      copy(datum);
    } catch (const Overloaded& error) {
      log_.warning("what a worker wants back stays there: " + std::string(error.what()));
      break;
    }
    copied.push_back(datum);
    bytes_max -= std::min(bytes_max, bytes);
  }
  return copied;
}

/// What is read in a peer's arena comes into this one.
void Exchange::copy(const DatumId& datum) {
  const auto from = table_.find(datum)->bytes();
  store::Buffer own = store::Buffer::allocate(arena_, from.size());
  std::memcpy(own.writable().data(), from.data(), from.size());
  table_.put(datum, std::move(own));
}

void Exchange::push(PeerId peer, DatumId datum) {
  const auto info = infos_.find(peer);
  const store::Buffer* buffer = table_.find(datum);
  const bool is_due = info != infos_.end() && buffer != nullptr &&
                      protocol::is_pushed(endpoint_.host_identity,
                                          info->second.endpoint.host_identity, buffer->size());
  PeerLink* link = is_due ? outgoing(peer) : nullptr;
  if (link == nullptr) return void(given(datum));
  give(*link, next_lease_++, datum, true);
}

void Exchange::flush() {
  closed_.clear();
  std::vector<std::pair<std::weak_ptr<PeerLink>, std::uint64_t>> leases;
  {
    std::lock_guard lock(returned_->mutex);
    leases.swap(returned_->leases);
  }
  for (const auto& [weak, lease] : leases) {
    const auto link = weak.lock();
    if (!link || link->is_closed_) continue;
    link->returning_.requests.push_back(lease);
    gather_on(*link);
  }
  for (const auto& weak : gathered_on_) {
    if (const auto link = weak.lock()) link->send_gathered();
  }
  gathered_on_.clear();
}

void Exchange::gather_on(PeerLink& link) {
  const bool is_known = !gathered_on_.empty() && gathered_on_.back().lock().get() == &link;
  if (!is_known) gathered_on_.push_back(link.weak_from_this());
}

}  // namespace ashlar::runtime
