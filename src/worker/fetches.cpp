#include <utility>

#include "worker/state.hpp"

namespace ashlar::worker {

bool WorkerEngine::State::is_off_host(PeerId peer) const {
  const auto found = peers.find(peer);
  return found == peers.end() || host_identity.empty() ||
         found->second.host_identity != host_identity;
}

void WorkerEngine::State::queue_fetch(Datum& datum, PeerId holder, std::uint32_t rank) {
  datum.presence = Presence::queued;
  datum.holder = holder;
  datum.fetch_rank = rank;
  datum.is_freed = false;
  datum.is_reported = false;
  is_shortage_told = false;  // it may wait for room now
  peers[holder].queued.insert({rank, datum.id});
  peers_with_queue.insert(holder);
}

/// Takes a fetch out of the queue, or abandons it; nothing when there is none.
void WorkerEngine::State::stop_fetch(Datum& datum) {
  if (datum.presence == Presence::queued) {
    Peer& peer = peers[datum.holder];
    peer.queued.erase({datum.fetch_rank, datum.id});
    if (peer.queued.empty()) peers_with_queue.erase(datum.holder);
    datum.presence = Presence::absent;
  } else if (datum.presence == Presence::fetching) {
    act(AbandonFetch{datum.id});
    --fetches;
    uncount(datum);
    charge(datum, 0);
    borrow(datum, 0);
    datum.presence = Presence::absent;
  }
}

void WorkerEngine::State::uncount(Datum& datum) {
  if (!datum.is_counted) return;
  datum.is_counted = false;
  --fetches_counted;
  --peers[datum.holder].fetches_counted;
}

/// The most urgent of the peer's queued fetches that may start, or null. What lies on this host is
/// shown in place at once: bytes on a network are rationed, and others' memory.
const FetchKey* WorkerEngine::State::next_fetch(PeerId id, const Peer& peer) const {
  if (now < peer.retry_at) return nullptr;
  const bool may_take = !lacks_fetch_room && fetches_counted < limits.fetches &&
                        peer.fetches_counted < limits.fetches_per_peer;
  if (!may_take && (lacks_loan_room || is_off_host(id))) return nullptr;
  for (const FetchKey& key : peer.queued) {
    const bool takes = takes_memory(data[data_table.find(key.id)], id);
    if (takes ? may_take : !lacks_loan_room) return &key;
  }
  return nullptr;
}

/// The most urgent of all queued fetches that may start, or no_slot.
std::uint32_t WorkerEngine::State::next_fetch() const {
  const FetchKey* best = nullptr;
  for (const PeerId id : peers_with_queue) {
    const FetchKey* next = next_fetch(id, peers.at(id));
    if (next != nullptr && (best == nullptr || *next < *best)) best = next;
  }
  return best == nullptr ? no_slot : data_table.find(best->id);
}

/// Starts queued fetches, most urgent first, as far as limits and memory allow.
void WorkerEngine::State::pump_fetches() {
  lacks_fetch_room = lacks_loan_room = false;
  while (true) {
    const std::uint32_t slot = next_fetch();
    if (slot == no_slot) return;
    Datum& datum = data[slot];
    if (!takes_memory(datum, datum.holder)) {
      lacks_loan_room = !may_borrow(datum);
      if (!lacks_loan_room) start_fetch(datum);
      continue;
    }
    // A quarter is left to the outputs of tasks, unless nothing is known to be under way.
    const bool is_busy = started_count() > 0 || fetches_counted > 0;
    const std::uint64_t spared = is_busy && !limits.can_spill ? memory_limit / 4 : 0;
    const std::uint64_t taken = limits.taken_bytes(datum.bytes);
    const std::uint64_t wanted = taken > memory_limit ? taken : taken + spared;
    const std::uint32_t waiter = waiters[datum.first_waiter].task;
    if (!fits(wanted) && !make_room(wanted, key_of(waiter), waiter)) {
      lacks_fetch_room = taken <= memory_limit;
      if (!lacks_fetch_room) fail_for_memory(waiter, taken);
      continue;
    }
    start_fetch(datum);
  }
}

void WorkerEngine::State::start_fetch(Datum& datum) {
  const PeerId holder = datum.holder;
  stop_fetch(datum);
  datum.presence = Presence::fetching;
  datum.since = now;
  ++fetches;
  ++counters.fetches;
  last_progress = now;
  if (takes_memory(datum, holder)) {
    datum.is_counted = true;
    ++fetches_counted;
    ++peers[holder].fetches_counted;
    patience.emplace_back(now, datum.id);
    charge(datum, datum.bytes);
  } else {
    borrow(datum, datum.bytes);
  }
  act(StartFetch{datum.id, holder, datum.bytes, datum.is_copied});
}

void WorkerEngine::State::add_request(std::uint32_t slot, const FetchAsked& event) {
  const std::uint32_t added = requests.add();
  requests[added].peer = event.peer;
  requests[added].number = event.request;
  requests[added].datum = slot;
  requests[added].asked = now;
  std::uint32_t* link = &data[slot].first_request;
  while (*link != no_slot) link = &requests[*link].next;
  *link = added;
  request_table.emplace(std::pair{event.peer, event.request}, added);
  ++peers[event.peer].waiting_requests;
  if (data[slot].producer == no_slot) unsure.emplace_back(now, event.datum);
}

void WorkerEngine::State::remove_request(std::uint32_t request) {
  const Request removed = requests[request];
  std::uint32_t* link = &data[removed.datum].first_request;
  while (*link != request) link = &requests[*link].next;
  *link = removed.next;
  request_table.erase({removed.peer, removed.number});
  --peers[removed.peer].waiting_requests;
  requests.remove(request);
}

void WorkerEngine::State::forget_request(std::uint32_t request) {
  const std::uint32_t slot = requests[request].datum;
  remove_request(request);
  settle(slot);
}

void WorkerEngine::State::refuse_requests(std::uint32_t slot, Instant asked_until) {
  std::uint32_t request = data[slot].first_request;
  while (request != no_slot) {
    const Request current = requests[request];
    if (current.asked <= asked_until) {
      act(RefuseFetch{current.peer, current.number});
      remove_request(request);
    }
    request = current.next;
  }
}

void WorkerEngine::State::answer(PeerId peer, std::uint64_t request, Datum& datum) {
  act(AnswerFetch{peer, request, datum.id});
  if (datum.bytes > limits.untracked_bytes) lend(datum);
}

void WorkerEngine::State::answer_requests(std::uint32_t slot) {
  while (data[slot].first_request != no_slot) {
    const std::uint32_t request = data[slot].first_request;
    answer(requests[request].peer, requests[request].number, data[slot]);
    remove_request(request);
  }
}

}  // namespace ashlar::worker
