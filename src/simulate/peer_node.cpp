#include "simulate/peer_node.hpp"

#include <algorithm>
#include <utility>

namespace ashlar::simulate {

std::string name_of(const DatumId& datum) {
  return std::to_string(datum.run.session.value) + "." + std::to_string(datum.run.number) + "." +
         std::to_string(datum.index);
}

PeerNode* World::find(PeerId peer) {
  const auto found = peers.find(peer);
  return found != peers.end() && found->second->is_alive() ? found->second.get() : nullptr;
}

void PeerNode::die() {
  is_alive_ = false;
  for (const auto& [datum, chunk] : store_) world_.let_go(chunk.bytes);
  world_.cut_off(id_);
  for (const auto& entry : world_.peers) {
    const PeerId other = entry.first;
    if (other == id_) continue;
    world_.send(id_, other, [this, other] {
      PeerNode* node = world_.find(other);
      if (node == nullptr) return;
      node->lose_link(id_, "the simulated process has died");
      node->turns_.forget_if([this](PeerId peer, const auto&) { return peer == id_; });
      node->turns_.end_all(id_);
      node->send_next();
      node->unasked_all(id_);
      for (auto read = node->lent_.find(id_); read != node->lent_.end();
           read = node->lent_.find(id_)) {
        node->end_read(id_, read->second.first);
      }
    });
  }
}

void PeerNode::lose_link(PeerId peer, const std::string& why) {
  for (auto fetch = fetches_.begin(); fetch != fetches_.end();) {
    const auto current = fetch++;
    if (current->second.peer != peer) continue;
    const DatumId datum = current->first;
    fetches_.erase(current);
    fetch_failed(datum, peer, why);
  }
}

void World::cut(PeerId asker, PeerId asked) {
  cuts.insert({asker, asked});
  if (PeerNode* node = find(asker)) node->lose_link(asked, "the simulated link is cut");
  if (PeerNode* node = find(asked)) node->unasked_all(asker);
}

void PeerNode::keep(const DatumId& datum, const Chunk& chunk) {
  discard(datum);
  store_[datum] = chunk;
  world_.hold(chunk.bytes);
}

void PeerNode::discard(const DatumId& datum) {
  const auto found = store_.find(datum);
  if (found == store_.end()) return;
  world_.let_go(found->second.bytes);
  store_.erase(found);
  const auto loan = borrowed_.find(datum);
  if (loan == borrowed_.end()) return;
  const PeerId lender = loan->second;
  borrowed_.erase(loan);
  give_back(datum, lender);
}

void PeerNode::borrow(const DatumId& datum, PeerId lender) { borrowed_[datum] = lender; }

void PeerNode::give_back(const DatumId& datum, PeerId lender) {
  world_.send(id_, lender, [this, datum, lender] {
    if (PeerNode* node = world_.find(lender)) node->end_read(id_, datum);
  });
}

void PeerNode::lend(PeerId reader, const DatumId& datum, const Chunk& chunk) {
  lent_.emplace(reader, std::pair{datum, chunk});
  if (world_.find(reader) != nullptr) return;
  world_.after({}, [this, reader, datum] {
    if (is_alive_) end_read(reader, datum);
  });
}

void PeerNode::end_read(PeerId reader, DatumId datum) {
  const auto [first, last] = lent_.equal_range(reader);
  const auto read =
      std::find_if(first, last, [&](const auto& entry) { return entry.second.first == datum; });
  if (read == last) return;  // it ended when the reader died
  const Chunk chunk = read->second.second;
  lent_.erase(read);
  read_done(datum, chunk);
}

void PeerNode::recall_loans() {
  for (auto read = lent_.begin(); read != lent_.end(); read = lent_.upper_bound(read->first)) {
    world_.send(id_, read->first, [this, reader = read->first] {
      if (PeerNode* node = world_.find(reader)) node->loans_wanted(id_);
    });
  }
}

void PeerNode::start_fetch(const DatumId& datum, PeerId peer, bool is_copied,
                           const protocol::Urgency& urgency) {
  if (fetches_.contains(datum)) world_.fail(name() + " fetches twice: " + name_of(datum));
  if (store_.contains(datum)) world_.fail(name() + " fetches what it has: " + name_of(datum));
  const std::uint64_t request = ++next_request_;
  fetches_[datum] = {request, peer, is_copied};
  world_.send(id_, peer, [this, peer, request, datum, urgency] {
    PeerNode* node = world_.find(peer);
    if (node != nullptr && !world_.cuts.contains({id_, peer})) {
      if (is_alive_) node->asked(id_, request, datum, urgency);
    } else {
      world_.send(peer, id_, [this, request, peer, datum] {
        end_broken(request, peer, datum, "the simulated connection is refused");
      });
    }
  });
}

void PeerNode::abandon_fetch(const DatumId& datum) {
  const auto fetch = fetches_.find(datum);
  if (fetch == fetches_.end()) return;
  const Fetch abandoned = fetch->second;
  fetches_.erase(fetch);
  world_.send(id_, abandoned.peer, [this, abandoned] {
    if (PeerNode* node = world_.find(abandoned.peer)) node->unasked(id_, abandoned.request);
  });
}

void PeerNode::end_fetch(std::uint64_t request, PeerId peer, const DatumId& datum,
                         const Chunk* chunk) {
  if (!is_alive_) return;
  const auto fetch = fetches_.find(datum);
  const bool is_asked = fetch != fetches_.end() && fetch->second.request == request;
  const bool is_copied = is_asked && fetch->second.is_copied;
  if (is_asked) fetches_.erase(fetch);
  if (chunk == nullptr) {
    if (is_asked) fetch_failed(datum, peer, {});
    return;
  }
  const bool is_in_place = is_asked && !is_copied && world_.peers.at(peer)->host_ == host_;
  if (is_asked) fetched(datum, *chunk, is_in_place);
  is_in_place ? borrow(datum, peer) : give_back(datum, peer);
}

void PeerNode::end_broken(std::uint64_t request, PeerId peer, const DatumId& datum,
                          const std::string& why) {
  const auto fetch = fetches_.find(datum);
  if (!is_alive_ || fetch == fetches_.end() || fetch->second.request != request) return;
  fetches_.erase(fetch);
  fetch_failed(datum, peer, why);
}

void PeerNode::answer(PeerId peer, std::uint64_t request, const DatumId& datum,
                      const protocol::Urgency& urgency) {
  const Chunk chunk = chunk_of(datum, "answer a fetch");
  lend(peer, datum, chunk);
  const PeerNode* asker = world_.find(peer);
  const bool takes_turns =
      asker != nullptr && asker->host_ != host_ && chunk.bytes >= turns_.bytes_min;
  const auto send = [this, peer, request, datum, chunk, takes_turns] {
    world_.send_bytes(id_, peer, chunk.bytes,
                      [this, peer, request, datum, chunk, takes_turns, start = world_.now] {
                        if (takes_turns) sent(peer);
                        if (PeerNode* node = world_.find(peer)) {
                          if (node->host_ != host_) record(peer, datum, chunk, start);
                          node->end_fetch(request, id_, datum, &chunk);
                        }
                      });
  };
  if (!takes_turns) return send();
  turns_.wait({peer, datum.run.session, urgency, chunk.bytes}, send);
  send_next();
}

void PeerNode::send_next() {
  while (const auto send = turns_.begin_next(world_.now)) (*send)();
}

void PeerNode::sent(PeerId peer) {
  turns_.end(peer);
  send_next();
}

void PeerNode::record(PeerId peer, const DatumId& datum, const Chunk& chunk, Instant start) const {
  const std::size_t workers = world_.config.machine ? world_.config.machine->speeds.size() : 0;
  if (!world_.is_recorded() || id_.value > workers || peer.value > workers) return;
  if (datum.run.number + 1 != world_.config.programs.size()) return;
  world_.outcome.history.transfers.push_back({.datum = datum.index,
                                              .from = id_.value - 1,
                                              .to = peer.value - 1,
                                              .bytes = chunk.bytes,
                                              .start = start,
                                              .took = world_.now - start});
}

void PeerNode::refuse(PeerId peer, std::uint64_t request) {
  world_.send(id_, peer, [this, peer, request] {
    if (PeerNode* node = world_.find(peer)) node->end_refused(request, id_);
  });
}

void PeerNode::end_refused(std::uint64_t request, PeerId peer) {
  for (const auto& [datum, fetch] : fetches_) {
    if (fetch.request == request) return end_fetch(request, peer, DatumId(datum), nullptr);
  }
}

void PeerNode::push(PeerId peer, const DatumId& datum) {
  const Chunk chunk = chunk_of(datum, "push");
  lend(peer, datum, chunk);
  world_.send_bytes(id_, peer, chunk.bytes, [this, peer, datum, chunk] {
    PeerNode* node = world_.find(peer);
    if (node == nullptr) return;
    node->pushed(datum, chunk);
    node->host_ == host_ ? node->borrow(datum, id_) : node->give_back(datum, id_);
  });
}

void PeerNode::copy_loans(PeerId lender) {
  std::erase_if(borrowed_, [&](const auto& loan) {
    if (loan.second == lender) give_back(loan.first, lender);
    return loan.second == lender;
  });
}

Chunk PeerNode::chunk_of(const DatumId& datum, const char* purpose) {
  const auto found = store_.find(datum);
  if (found != store_.end()) return found->second;
  world_.fail(name() + " is to " + purpose + " but has no datum " + name_of(datum) + "\n" + dump());
  return {};
}

}  // namespace ashlar::simulate
