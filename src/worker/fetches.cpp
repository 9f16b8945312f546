#include <utility>

#include "worker/state.hpp"

namespace ashlar::worker {

bool WorkerEngine::State::is_off_host(PeerId peer) const {
  const auto found = peers.find(peer);
  return found == peers.end() || host_identity.empty() ||
         found->second.host_identity != host_identity;
}

void WorkerEngine::State::queue_fetch(Datum& datum, PeerId holder) {
  datum.presence = Presence::queued;
  datum.holder = holder;
  datum.is_freed = false;
  datum.is_reported = false;
  is_shortage_told = false;  // it may wait for room now
  peers.try_emplace(holder);
  const SessionId session = datum.id.run.session;
  fetch_queues[{session, holder}].insert({datum.urgency, datum.id});
  fetch_turns.enter(session);
  loan_turns.enter(session);
}

void WorkerEngine::State::unqueue_fetch(Datum& datum) {
  const SessionId session = datum.id.run.session;
  const auto queue = fetch_queues.find({session, datum.holder});
  queue->second.erase({datum.urgency, datum.id});
  datum.presence = Presence::absent;
  if (!queue->second.empty()) return;
  fetch_queues.erase(queue);
  const auto other = fetch_queues.lower_bound({session, PeerId{0}});
  if (other != fetch_queues.end() && other->first.first == session) return;
  fetch_turns.leave(session);
  loan_turns.leave(session);
}

/// Takes a fetch out of the queue, or abandons it; nothing when there is none.
void WorkerEngine::State::stop_fetch(Datum& datum) {
  if (datum.presence == Presence::queued) {
    unqueue_fetch(datum);
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

bool WorkerEngine::State::may_copy_from(PeerId id) const {
  const Peer& peer = peers.at(id);
  return now >= peer.retry_at && peer.fetches_counted < limits.fetches_per_peer;
}

/// The most urgent of the session's queued fetches that may start, of those that take memory here
/// or of the others; or null.
const FetchKey* WorkerEngine::State::next_fetch(SessionId session, bool takes) const {
  const FetchKey* best = nullptr;
  for (auto queue = fetch_queues.lower_bound({session, PeerId{0}});
       queue != fetch_queues.end() && queue->first.first == session; ++queue) {
    const PeerId holder = queue->first.second;
    const bool is_off = is_off_host(holder);
    if (takes ? !may_copy_from(holder) : is_off || now < peers.at(holder).retry_at) continue;
    for (const FetchKey& key : queue->second) {
      if (best != nullptr && *best < key) break;
      if ((is_off || data[data_table.find(key.id)].is_copied) != takes) continue;
      best = &key;
      break;
    }
  }
  return best;
}

/// That of the session whose turn it is; or no_slot.
std::uint32_t WorkerEngine::State::next_fetch(const FairTurns<SessionId>& turns, bool takes) const {
  for (const auto& entry : turns.order()) {
    const FetchKey* next = next_fetch(entry.key, takes);
    if (next != nullptr) return data_table.find(next->id);
  }
  return no_slot;
}

/// When the datum is needed first, and by which task.
std::pair<UseKey, std::uint32_t> WorkerEngine::State::first_use(const Datum& datum) const {
  std::pair<UseKey, std::uint32_t> first{{}, no_slot};
  for (std::uint32_t w = datum.first_waiter; w != no_slot; w = waiters[w].next) {
    const std::pair use{key_of(waiters[w].task), waiters[w].task};
    if (first.second == no_slot || use < first) first = use;
  }
  return first;
}

/// Of the queued fetches that may start and take memory, the one that is needed first; or no_slot.
std::uint32_t WorkerEngine::State::next_fetch_by_use() const {
  std::uint32_t best = no_slot;
  UseKey best_use;
  for (const auto& [key, queue] : fetch_queues) {
    if (!may_copy_from(key.second)) continue;
    for (const FetchKey& fetch : queue) {
      const std::uint32_t slot = data_table.find(fetch.id);
      if (!takes_memory(data[slot], key.second)) continue;
      const UseKey use = first_use(data[slot]).first;
      if (best != no_slot && !(use < best_use)) continue;
      best = slot;
      best_use = use;
    }
  }
  return best;
}

/// Starts queued fetches, as far as limits and memory allow. What lies on this host is shown in
/// place at once: bytes on a network are rationed, and others' memory.
void WorkerEngine::State::pump_fetches() {
  lacks_fetch_room = lacks_loan_room = false;
  if (fetch_queues.empty()) return;
  pump_loans();
  pump_copies();
}

void WorkerEngine::State::pump_loans() {
  while (true) {
    const std::uint32_t slot = next_fetch(loan_turns, false);
    if (slot == no_slot) return;
    lacks_loan_room = !may_borrow(data[slot]);
    if (lacks_loan_room) return;
    loan_turns.take(data[slot].id.run.session, data[slot].bytes);
    start_fetch(data[slot]);
  }
}

/// Sessions take turns while there is room. Then what is needed first comes first, whosever it is,
/// as where data make room for each other: else two could wait for each other's.
void WorkerEngine::State::pump_copies() {
  bool is_short = false;
  while (fetches_counted < limits.fetches) {
    const std::uint32_t slot = is_short ? next_fetch_by_use() : next_fetch(fetch_turns, true);
    if (slot == no_slot) return;
    Datum& datum = data[slot];
    if (datum.users == 0 && !has_early_room(datum.bytes)) {
      decline(slot);
      continue;
    }
    if (has_fetch_room(datum)) {
      fetch_turns.take(datum.id.run.session, datum.bytes);
      start_fetch(datum);
      continue;
    }
    const std::uint64_t taken = limits.taken_bytes(datum.bytes);
    if (taken > memory_limit) {
      fail_for_memory(waiters[datum.first_waiter].task, taken);
      continue;
    }
    if (is_short) {
      lacks_fetch_room = true;
      return;
    }
    is_short = true;
  }
}

bool WorkerEngine::State::has_fetch_room(const Datum& datum) {
  // A quarter is left to the outputs of tasks, unless nothing is known to be under way.
  const bool is_busy = started_count() > 0 || fetches_counted > 0;
  const std::uint64_t spared = is_busy && !limits.can_spill ? memory_limit / 4 : 0;
  const std::uint64_t taken = limits.taken_bytes(datum.bytes);
  const std::uint64_t wanted = taken > memory_limit ? taken : taken + spared;
  if (fits(wanted)) return true;
  const auto [use, task] = first_use(datum);
  return make_room(wanted, use, task);
}

void WorkerEngine::State::start_fetch(Datum& datum) {
  const PeerId holder = datum.holder;
  unqueue_fetch(datum);
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
  act(StartFetch{datum.id, holder, datum.bytes, datum.is_copied, datum.urgency});
}

void WorkerEngine::State::add_request(std::uint32_t slot, const FetchAsked& event) {
  const std::uint32_t added = requests.add();
  requests[added].peer = event.peer;
  requests[added].number = event.request;
  requests[added].datum = slot;
  requests[added].asked = now;
  requests[added].urgency = event.urgency;
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

void WorkerEngine::State::answer(const AnswerFetch& answer, Datum& datum) {
  act(AnswerFetch(answer));
  if (datum.bytes > limits.untracked_bytes) lend(datum);
}

void WorkerEngine::State::answer_requests(std::uint32_t slot) {
  while (data[slot].first_request != no_slot) {
    const std::uint32_t request = data[slot].first_request;
    const Request& asked = requests[request];
    answer({asked.peer, asked.number, data[slot].id, asked.urgency}, data[slot]);
    remove_request(request);
  }
}

}  // namespace ashlar::worker
