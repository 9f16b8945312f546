#include <utility>

#include "runtime/exchange_link.hpp"

// How a link's lanes begin and end. A connection has buffers at both ends, which hold
// what is on the way; where the way is long, they do not hold as much as it could carry.

namespace ashlar::runtime {

namespace {

constexpr std::size_t lanes_max = 4;  // the link's first connection counted

// Buffers of 4 MiB last for 33 Gbit/s where the way there and back takes a millisecond. It is
// decided anew for each tenth of a second that there was something to send.
constexpr std::uint64_t long_way_us = 1'000;
constexpr std::uint64_t busy_us = 100'000;

}  // namespace

/// Becomes a lane of the link that the peer asks on.
bool Exchange::PeerLink::join(const protocol::Hello& hello) {
  const auto link = exchange_.incoming_.find(hello.peer);
  const bool is_wanted = link != exchange_.incoming_.end() &&
                         link->second->link_number_ == hello.lane_of &&
                         link->second->lanes_.size() + 1 < lanes_max;
  if (!is_wanted) return false;
  link_it_belongs_to_ = link->second;
  link_it_belongs_to_->lanes_.push_back(this);
  return true;
}

void Exchange::PeerLink::want_lanes(const net::SendingRate& rate) {
  if (!opens_lanes_ || !takes_pieces_ || is_local_ || link_number_ != 0) return;
  const std::uint64_t busy = rate.busy_us - seen_.busy_us;
  if (busy < busy_us) return;
  const std::uint64_t held_up = rate.held_up_us - seen_.held_up_us;
  seen_ = rate;
  if (rate.way_us < long_way_us || held_up * 4 < busy) return;
  link_number_ = exchange_.next_link_++;
  send(protocol::LanesWanted{link_number_});
}

void Exchange::PeerLink::open_lanes(std::uint32_t link_number) {
  if (!is_outgoing_) throw BadInput("peer wants lanes where it has to connect them itself");
  const auto info = exchange_.infos_.find(peer_);
  if (is_local_ || link_number_ != 0 || info == exchange_.infos_.end()) return;
  exchange_.log_.debug("the way to " + link_->peer_name() + " is long: opens further lanes");
  link_number_ = link_number;
  for (std::size_t count = 1; count < lanes_max; ++count) {
    const auto lane = std::make_shared<PeerLink>(exchange_, peer_, true);
    lane->link_it_belongs_to_ = this;
    lanes_.push_back(lane.get());
    exchange_.links_.push_back(lane);
    exchange_.connect(lane, info->second.endpoint.remote_address);
  }
}

void Exchange::PeerLink::close_lanes(const std::string& reason) {
  for (PeerLink* lane : std::exchange(lanes_, {})) {
    if (lane->link_) lane->link_->detach();
    lane->closed(reason);
  }
}

/// What was on its way on it does not come, and nobody knows what that was: the link closes, too.
void Exchange::PeerLink::lane_closed(const std::string& reason) {
  hello_timer_.cancel();
  PeerLink& link = *link_it_belongs_to_;
  std::erase(link.lanes_, this);
  exchange_.remove(this);
  const std::uint64_t request = request_being_received();
  payload_ = {};
  if (link.is_closed_) return;
  if (!is_greeted_) return exchange_.log_.debug("a lane could not be opened: " + reason);
  if (link_->is_spoiled()) {
    link.is_spoiled_ = true;
    link.spoiled_request_ = request;
  }
  link.link_->close("a lane of it closed: " + reason);
}

}  // namespace ashlar::runtime
