#include "simulate/peer_node.hpp"

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
      for (auto fetch = node->fetches_.begin(); fetch != node->fetches_.end();) {
        const auto current = fetch++;
        if (current->second.peer != id_) continue;
        const DatumId datum = current->first;
        node->fetches_.erase(current);
        node->fetch_failed(datum, id_);
      }
      node->unasked_all(id_);
    });
  }
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
}

void PeerNode::start_fetch(const DatumId& datum, PeerId peer) {
  if (fetches_.contains(datum)) world_.fail(name() + " fetches twice: " + name_of(datum));
  if (store_.contains(datum)) world_.fail(name() + " fetches what it has: " + name_of(datum));
  const std::uint64_t request = ++next_request_;
  fetches_[datum] = {request, peer};
  world_.send(id_, peer, [this, peer, request, datum] {
    if (PeerNode* node = world_.find(peer)) {
      if (is_alive_) node->asked(id_, request, datum);
    } else {
      world_.send(peer, id_, [this, request] { end_fetch(request, nullptr, false); });
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

void PeerNode::end_fetch(std::uint64_t request, const Chunk* chunk, bool is_in_place) {
  if (!is_alive_) return;
  for (auto fetch = fetches_.begin(); fetch != fetches_.end(); ++fetch) {
    if (fetch->second.request != request) continue;
    const DatumId datum = fetch->first;
    const PeerId peer = fetch->second.peer;
    fetches_.erase(fetch);
    if (chunk == nullptr) {
      fetch_failed(datum, peer);
    } else {
      fetched(datum, *chunk, is_in_place);
    }
    return;
  }
}

void PeerNode::answer(PeerId peer, std::uint64_t request, const DatumId& datum) {
  const Chunk chunk = chunk_of(datum, "answer a fetch");
  world_.send_bytes(id_, peer, chunk.bytes,
                    [this, peer, request, datum, chunk, start = world_.now] {
                      if (PeerNode* node = world_.find(peer)) {
                        const bool is_in_place = node->host_ == host_;
                        if (!is_in_place) record(peer, datum, chunk, start);
                        node->end_fetch(request, &chunk, is_in_place);
                      }
                    });
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
    if (PeerNode* node = world_.find(peer)) node->end_fetch(request, nullptr, false);
  });
}

void PeerNode::push(PeerId peer, const DatumId& datum) {
  const Chunk chunk = chunk_of(datum, "push");
  world_.send_bytes(id_, peer, chunk.bytes, [this, peer, datum, chunk] {
    if (PeerNode* node = world_.find(peer)) node->pushed(datum, chunk);
  });
}

Chunk PeerNode::chunk_of(const DatumId& datum, const char* purpose) {
  const auto found = store_.find(datum);
  if (found != store_.end()) return found->second;
  world_.fail(name() + " is to " + purpose + " but has no datum " + name_of(datum) + "\n" + dump());
  return {};
}

}  // namespace ashlar::simulate
