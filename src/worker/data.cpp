#include <utility>

#include "base/check.hpp"
#include "worker/state.hpp"

namespace ashlar::worker {

/// The datum's record, made when there is none.
std::uint32_t WorkerEngine::State::obtain(const DatumId& id) {
  const std::uint32_t found = data_table.find(id);
  if (found != no_slot) return found;
  const std::uint32_t slot = data.add();
  data[slot].id = id;
  data_table.insert(id, slot);
  dropped.forget(id);
  return slot;
}

void WorkerEngine::State::charge(Datum& datum, std::uint64_t bytes) {
  const std::uint64_t taken = limits.taken_bytes(bytes);
  reserved += taken - std::exchange(datum.charged, taken);
}

/// The datum is in the store now.
void WorkerEngine::State::come(std::uint32_t slot, std::uint64_t bytes, bool is_own,
                               std::uint64_t charged) {
  Datum& datum = data[slot];
  datum.holder = PeerId::none();
  datum.bytes = bytes;
  datum.is_own = is_own;
  datum.is_reported = false;
  datum.is_early = false;
  charge(datum, charged);
  wake(slot);
}

/// The datum's bytes are in the store: whoever waited for them goes on.
void WorkerEngine::State::wake(std::uint32_t slot) {
  Datum& datum = data[slot];
  datum.presence = Presence::here;
  datum.used = ++uses;
  ++here_count;
  answer_requests(slot);
  std::uint32_t waiter = std::exchange(datum.first_waiter, no_slot);
  while (waiter != no_slot) {
    const Waiter current = waiters[waiter];
    waiters.remove(waiter);
    waiter = current.next;
    if (--tasks[current.task].missing == 0) transition(current.task, TaskState::ready);
  }
}

/// The datum goes, from the store and from disk: dropped, taken over, replaced, or lost.
void WorkerEngine::State::leave_store(Datum& datum) {
  ASHLAR_CHECK(is_held(datum));
  if (datum.presence == Presence::here) --here_count;
  if (datum.presence == Presence::on_disk) --on_disk_count;
  if (datum.presence == Presence::loading) {
    // The block that is being filled is free when that has ended.
    const auto load = transfers.find(datum.copy);
    if (load != transfers.end()) load->second.charged = std::exchange(datum.charged, 0);
  }
  linger(datum);
  borrow(datum, 0);
  forget_copy(datum);
  datum.presence = Presence::absent;
  datum.is_own = false;
  dropped.note(datum.id);
}

void WorkerEngine::State::drop(std::uint32_t slot) {
  if (data[slot].presence == Presence::here) drops.push_back(data[slot].id);
  leave_store(data[slot]);
}

/// Does what the datum's record calls for after a change: a freed copy that nobody uses is
/// dropped, a fetch for nobody stopped, a record without purpose erased.
void WorkerEngine::State::settle(std::uint32_t slot) {
  Datum& datum = data[slot];
  if (is_held(datum)) {
    if (!datum.is_freed || datum.users > 0) return;
    refuse_requests(slot, now);
    drop(slot);
  }
  if (is_to_be_had(datum)) return;
  if (datum.producer == no_slot && is_coming(datum)) {
    refuse_requests(slot, now);  // it was to be passed on
    dropped.note(datum.id);
  }
  stop_fetch(datum);
  if (datum.producer == no_slot && datum.first_request == no_slot) erase(slot);
}

void WorkerEngine::State::erase(std::uint32_t slot) {
  data_table.erase(data[slot].id);
  data.remove(slot);
}

void WorkerEngine::State::remove_waiter(Datum& datum, std::uint32_t task) {
  std::uint32_t* link = &datum.first_waiter;
  while (waiters[*link].task != task) link = &waiters[*link].next;
  const std::uint32_t waiter = *link;
  *link = waiters[waiter].next;
  waiters.remove(waiter);
}

/// Nobody here is to make the datum and nobody was asked for it: see to it in a while.
void WorkerEngine::State::become_unsure(Datum& datum) {
  datum.since = now;
  unsure.emplace_back(now, datum.id);
}

void WorkerEngine::State::report_missing(Datum& datum, PeerId peer) {
  datum.is_reported = true;
  missing.data.push_back(datum.id);
  missing.peer.push_back(peer);
}

/// What was waited for in vain is refused or reported.
void WorkerEngine::State::look_after_unsure() {
  while (!unsure.empty() && now - unsure.front().first >= limits.unknown_wait) {
    const auto [since, id] = unsure.front();
    unsure.pop_front();
    const std::uint32_t slot = data_table.find(id);
    if (slot == no_slot) continue;
    Datum& datum = data[slot];
    if (is_held(datum) || datum.producer != no_slot) continue;
    if (is_coming(datum)) {  // to be passed on
      if (datum.first_request != no_slot) unsure.emplace_back(now, id);
      continue;
    }
    refuse_requests(slot, since);
    if (datum.presence == Presence::absent && is_to_be_had(datum) && !datum.is_reported &&
        datum.since <= since) {
      report_missing(datum, self);
    }
    settle(slot);
  }
}

}  // namespace ashlar::worker
