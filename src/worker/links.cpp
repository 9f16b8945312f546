#include <algorithm>
#include <utility>

#include "worker/state.hpp"

// Links to peers that cannot be made, or are cut. A link may fail by chance, or as its peer dies;
// that the scheduler hears of by itself. One that goes on failing is broken: the scheduler is told,
// since the peer lives and has what it has, but not for this worker.

namespace ashlar::worker {

/// The datum, which was to come from the peer, is asked for there again, or told to be missing.
void WorkerEngine::State::link_failed(Datum& datum, PeerId id, const std::string& why) {
  Peer& peer = peers[id];
  // With a link all fetches fail that were under way on it.
  if (peer.link_failures == 0 || datum.since >= peer.failed_at) {
    if (peer.link_failures == 0) peer.failing_since = now;
    peer.failed_at = now;
    const std::uint32_t doublings = std::min(peer.link_failures, 16u);
    const Duration pause{(limits.link_retry.ns << doublings) / 2};
    peer.retry_at = peer.link_failures == 0 ? now : now + std::min(pause, limits.link_retry_max);
    ++peer.link_failures;
  }
  queue_fetch(datum, id);
  if (peer.is_told_broken || now - peer.failing_since >= limits.link_patience) {
    report_broken(peer, id, why);
  }
}

/// What was to come from the peer is to be had elsewhere, if at all.
void WorkerEngine::State::report_broken(Peer& peer, PeerId id, const std::string& why) {
  peer.is_told_broken = true;
  std::erase(missing.reached, id);
  if (std::ranges::find(missing.unreachable, id) == missing.unreachable.end()) {
    missing.unreachable.push_back(id);
    missing.reasons.push_back(why);
  }
  const auto is_of_peer = [id](const auto& entry) { return entry.first.second == id; };
  auto queue = std::ranges::find_if(fetch_queues, is_of_peer);
  while (queue != fetch_queues.end()) {
    Datum& datum = data[data_table.find(queue->second.begin()->id)];
    stop_fetch(datum);
    report_missing(datum, id);
    queue = std::ranges::find_if(fetch_queues, is_of_peer);
  }
}

/// The peer has answered.
void WorkerEngine::State::link_works(PeerId id) {
  const auto found = peers.find(id);
  if (found == peers.end() || found->second.link_failures == 0) return;
  found->second.link_failures = 0;
  found->second.retry_at = now;
  if (std::exchange(found->second.is_told_broken, false)) missing.reached.push_back(id);
}

}  // namespace ashlar::worker
