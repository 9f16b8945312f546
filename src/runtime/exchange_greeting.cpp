#include <chrono>
#include <utility>

#include "runtime/exchange_link.hpp"

// How a link, or a lane of one, begins: by Hello and Welcome.

namespace ashlar::runtime {

void Exchange::PeerLink::connected(std::shared_ptr<net::Link> link) {
  link_ = std::move(link);
  is_local_ = link_->is_local();
  if (!is_local_) exchange_.log_.debug("linked with a peer at " + link_->peer_name());
  link_->start(*this);
  if (is_outgoing_) {
    protocol::Hello hello;
    hello.role = protocol::Role::peer;
    hello.peer = exchange_.self_;
    hello.token = exchange_.options_.token;
    hello.returns_loans = true;
    hello.lane_of = link_it_belongs_to_->link_number_;
    link_->trust();
    link_->send({wire::encode(wire::Handshake(std::move(hello))), {}, {}, -1});
  }
  if (is_ready()) send_waiting();
}

void Exchange::PeerLink::expect_hello() {
  const int limit = exchange_.options_.introduction_ms;
  hello_timer_.expires_after(std::chrono::milliseconds(limit));
  hello_timer_.async_wait([weak = weak_from_this(), limit](const auto& error) {
    const auto self = weak.lock();
    if (error || !self || self->is_greeted_ || self->is_closed_) return;
    self->link_->close("introduced nobody for " + std::to_string(limit) + " ms");
  });
}

void Exchange::PeerLink::greet(std::span<const std::byte> control) {
  auto decoded = wire::decode_handshake(control);
  if (!decoded.message) return link_->close("bad handshake: " + decoded.error);
  if (is_outgoing_) {
    if (const auto* refusal = std::get_if<protocol::Refusal>(&*decoded.message)) {
      return link_->close("refused: " + refusal->reason);
    }
    const auto* welcome = std::get_if<protocol::Welcome>(&*decoded.message);
    if (welcome == nullptr || welcome->peer != peer_) return link_->close("not the peer meant");
    welcomed(*welcome);
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
    if (hello->lane_of != 0 && !join(*hello)) return link_->close("a lane that nobody asked for");
    greet_peer(*hello);
  }
  is_greeted_ = true;
  hello_timer_.cancel();
  send_waiting();
  if (is_lane()) link_it_belongs_to_->send_pieces();
}

void Exchange::PeerLink::welcomed(const protocol::Welcome& welcome) {
  returns_loans_ = welcome.returns_loans;
  takes_pieces_ = welcome.takes_pieces;
  if (welcome.reads_checksums) link_->add_checksums();
  if (exchange_.failing_.erase(peer_) > 0) {
    exchange_.log_.info("peer " + std::to_string(peer_.value) + " at " + link_->peer_name() +
                        " is reached again");
  }
}

void Exchange::PeerLink::greet_peer(const protocol::Hello& hello) {
  peer_ = hello.peer;
  returns_loans_ = hello.returns_loans;
  takes_pieces_ = hello.takes_pieces;
  opens_lanes_ = hello.opens_lanes;
  if (!is_lane()) exchange_.incoming_[peer_] = this;
  protocol::Welcome welcome;
  welcome.peer = exchange_.self_;
  welcome.returns_loans = true;
  link_->trust();
  if (hello.reads_checksums) link_->add_checksums();
  link_->send({wire::encode(wire::Handshake(welcome)), {}, {}, -1});
  link_->share_memory();
}

}  // namespace ashlar::runtime
