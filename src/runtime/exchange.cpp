#include "runtime/exchange.hpp"

#include <ashlar/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/check.hpp"
#include "net/ucx.hpp"
#include "runtime/clock.hpp"
#include "runtime/exchange_link.hpp"

namespace ashlar::runtime {

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
    listeners_.push_back(net::Listener::open(loop_.io(), wanted, on_link, {}, options_.tls));
    endpoint_.remote_address = listeners_.back()->address().to_string();
  }
  if (options_.uses_ucx && options_.tls) {
    throw Unsupported(
        "data that go by UCX cannot be encrypted: use transport tcp, or no certificates");
  }
  if (options_.uses_ucx) net::need_ucx();
  if (options_.uses_ucx && !options_.listen_host.empty()) {
    const net::Address wanted{net::Address::Kind::tcp, options_.listen_host, 0};
    listeners_.push_back(net::listen_by_ucx(loop_.io(), wanted, on_link));
    endpoint_.ucx_address = net::ucx_text(listeners_.back()->address());
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
  peer->expect_hello();
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
  failing_.erase(peer);
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
  auto link = std::make_shared<PeerLink>(*this, peer, true);
  links_.push_back(link);
  outgoing_[peer] = link.get();
  try {
    connect(link, info->second.endpoint);
  } catch (const Error& error) {
    // Later, so that the asker hears of the failure after it has asked.
    loop_.io().get_executor().post([link, why = std::string(error.what())] { link->closed(why); },
                                   std::allocator<void>());
  }
  return link.get();
}

void Exchange::connect(const std::shared_ptr<PeerLink>& link, const protocol::Endpoint& there) {
  const bool is_same_host =
      !there.host_identity.empty() && there.host_identity == endpoint_.host_identity;
  if (is_same_host && !there.local_address.empty()) return connect(link, there.local_address);
  if (!options_.uses_ucx || there.ucx_address.empty()) return connect(link, there.remote_address);
  const auto done = [this, link, by_tcp = there.remote_address](
                        std::shared_ptr<net::Link> connected, const net::NoLink& why_not) {
    if (connected && link->is_closed_) return connected->detach();
    if (link->is_closed_) return;
    if (connected) return link->connected(std::move(connected));
    log_.warning(why_not.reason + "; goes on by " + by_tcp);
    try {
      connect(link, by_tcp);
    } catch (const Error& error) {
      link->closed(error.what());
    }
  };
  try {
    net::connect_by_ucx(loop_.io(), there.ucx_address, options_.connect_timeout_ms, done);
  } catch (const Error& error) {
    log_.warning(std::string(error.what()) + "; goes on by " + there.remote_address);
    connect(link, there.remote_address);
  }
}

void Exchange::connect(const std::shared_ptr<PeerLink>& link, const std::string& address) {
  link->is_local_ = address.starts_with("unix:");
  const auto done = [link](std::shared_ptr<net::Link> connected, const net::NoLink& why_not) {
    if (link->is_closed_) {
      if (connected) connected->detach();
    } else if (connected) {
      link->connected(std::move(connected));
    } else {
      link->closed(why_not.reason);
    }
  };
  net::connect(loop_.io(), net::Address::parse(address), options_.connect_timeout_ms, done, {},
               options_.tls);
}

void Exchange::start_fetch(DatumId datum, PeerId peer, bool is_copied,
                           const protocol::Urgency& urgency) {
  PeerLink* link = outgoing(peer);
  if (link == nullptr) {
    events_.on_fetch_failed(datum, peer, {});
    return;
  }
  ask(*link, datum, {.peer = peer, .is_copied = is_copied, .urgency = urgency});
}

void Exchange::ask(PeerLink& link, DatumId datum, Fetching fetching) {
  fetching.request = next_request_++;
  link.asked_.emplace_hint(link.asked_.end(), fetching.request, datum);
  fetching_.set(datum, fetching);
  protocol::Fetch& asking = link.asking_;
  asking.requests.push_back(fetching.request);
  asking.data.push_back(datum);
  // On one host nothing waits for its turn.
  if (!link.is_local_ && !(fetching.urgency.is_none() && asking.urgency.empty())) {
    asking.urgency.resize(asking.requests.size() - 1);
    asking.urgency.push_back(fetching.urgency);
  }
  gather_on(link);
}

/// What was asked for came spoiled: it is asked for again, or given up here.
void Exchange::spoiled(PeerLink& link, std::uint64_t request) {
  const auto asked = link.asked_.extract(request);
  if (!asked) return;  // nobody wants it any more
  const DatumId datum = asked.mapped();
  auto fetching = fetching_.take(datum);
  ASHLAR_CHECK(fetching, "a datum that is asked for is being fetched");
  if (++fetching->times_spoiled < options_.spoiled_max) {
    ask(link, datum, *fetching);
  } else {
    events_.on_fetch_failed(datum, link.peer_, {});
  }
}

/// What was asked for does not come, since its link is gone. On another one it may, when bytes had
/// changed.
void Exchange::missed(const DatumId& datum, PeerId peer, Missed how, const std::string& why) {
  auto fetching = fetching_.take(datum);
  if (how != Missed::link_is_gone && fetching) {
    if (how == Missed::is_spoiled) ++fetching->times_spoiled;
    const bool is_given_up = fetching->times_spoiled >= options_.spoiled_max;
    PeerLink* link = is_given_up ? nullptr : outgoing(peer);
    if (link != nullptr) return ask(*link, datum, *fetching);
  }
  events_.on_fetch_failed(datum, peer, how == Missed::is_spoiled ? std::string() : why);
}

void Exchange::abandon_fetch(DatumId datum) {
  const auto fetching = fetching_.take(datum);
  if (!fetching) return;
  if (const auto link = outgoing_.find(fetching->peer); link != outgoing_.end()) {
    link->second->asked_.erase(fetching->request);
    link->second->forget_pieces(fetching->request);
    link->second->send_gathered();  // the request itself may be among it
    link->second->send(protocol::FetchCancel{fetching->request});
  }
}

Exchange::Given Exchange::given(DatumId datum) const {
  const store::Buffer* buffer = table_.find(datum);
  const bool is_followed =
      options_.follows_reads && buffer != nullptr && buffer->size() > options_.inline_bytes;
  return {{is_followed ? read_ : nullptr, datum}, buffer == nullptr ? store::Buffer() : *buffer};
}

std::vector<DatumId> Exchange::take_read() { return read_->data.take(); }

void Exchange::give(PeerLink& link, std::uint64_t number, DatumId datum, bool is_push,
                    const protocol::Urgency& urgency) {
  if (table_.find(datum) == nullptr) {
    if (!is_push) link.send(protocol::FetchRefused{number});
    return;
  }
  Given data = given(datum);
  const auto bytes = data.buffer.bytes();
  if (link.is_local_ && data.buffer.is_own() && bytes.size() > options_.inline_bytes) {
    if (!link.has_shared_arena_) {
      link.has_shared_arena_ = true;
      link.send(protocol::ArenaShared{0, arena_->capacity()}, {}, {}, arena_->descriptor().get());
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
  } else if (!link.is_local_ && bytes.size() >= turns_.bytes_min) {
    turns_.wait({link.peer_, datum.run.session, urgency, bytes.size()},
                {link.weak_from_this(), number, owner});
    send_next();
  } else {
    link.send(protocol::FetchBytes{number, bytes.size()}, bytes, owner);
  }
}

/// Sends large data whose turn it is.
void Exchange::send_next() {
  takes_turns_ = true;
  for (const PeerId peer : read_->sent_to.take()) turns_.end(peer);
  while (auto next = turns_.begin_next(now())) {
    const auto link = next->link.lock();
    const auto bytes = next->data->buffer.bytes();
    const net::SendingRate rate = link->link_->sending_rate();
    link->want_lanes(rate);
    auto sending = std::make_shared<Sending>(read_, link->peer_, std::move(next->data));
    if (link->wants_pieces(bytes, rate)) {
      link->send_in_pieces(next->request, bytes, std::move(sending));
    } else {
      link->send(protocol::FetchBytes{next->request, bytes.size()}, bytes, std::move(sending));
    }
  }
}

void Exchange::answer(PeerId peer, std::uint64_t request, DatumId datum,
                      const protocol::Urgency& urgency) {
  const auto it = incoming_.find(peer);
  if (it == incoming_.end()) return void(given(datum));  // the peer is gone: read, as it were
  give(*it->second, request, datum, false, urgency);
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
  if (takes_turns_) send_next();
  for (const auto& [weak, lease] : returned_->leases.take()) {
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
