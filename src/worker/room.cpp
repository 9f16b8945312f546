#include <algorithm>
#include <utility>
#include <vector>

#include "worker/state.hpp"

namespace ashlar::worker {

/// Workers could wait for each other's memory in a circle: a fetch holds room at the asker while it
/// waits for the lender's room, and what is read in place holds the lender's. Here what only waits
/// gives way.

/// Nothing is under way here that makes room when it ends.
bool WorkerEngine::State::is_at_rest() const { return started_count() == 0 && transfers.empty(); }

bool WorkerEngine::State::has_waited() const {
  return limits.can_spill && is_at_rest() && now - last_progress >= limits.room_patience;
}

/// Asks later for what is fetched for after `by`, if that makes room for so many bytes.
bool WorkerEngine::State::take_from_fetches(std::uint64_t bytes, const UseKey& by) {
  if (bytes > memory_limit) return false;
  const std::vector<UseKey> uses_of = next_uses();
  std::vector<std::pair<UseKey, std::uint32_t>> found;
  std::uint64_t room = 0;
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (!datum.is_used || datum.presence != Presence::fetching || datum.charged == 0) continue;
    if (uses_of[slot] <= by) continue;
    found.emplace_back(uses_of[slot], slot);
    room += datum.charged;
  }
  if (reserved - room > memory_limit - bytes) return false;
  std::ranges::sort(found, [](const auto& a, const auto& b) { return a > b; });
  for (auto entry = found.begin(); !fits(bytes); ++entry) {
    Datum& datum = data[entry->second];
    stop_fetch(datum);
    queue_fetch(datum, datum.holder);
  }
  return true;
}

/// Whether what others read here may exceed its share, as all wait.
bool WorkerEngine::State::may_lend_more(const Request& request) const {
  constexpr std::int64_t times_longer = 4;
  const Duration longest{times_longer * limits.room_patience.ns};
  return has_waited() && now - request.asked >= longest;
}

/// The worker of the lower number is served first, so that two never give up their fetches for each
/// other again and again. It yields too in the end, as what it fetches may depend on this.
bool WorkerEngine::State::may_take_from_fetches(const Request& request) const {
  constexpr std::int64_t times_longer = 8;
  const std::int64_t times = request.peer < self ? 1 : times_longer;
  return has_waited() && now - request.asked >= Duration{times * limits.room_patience.ns};
}

/// Asks for what others read here while something waits for room.
void WorkerEngine::State::recall_loans() {
  if (readers == 0 || !has_waited() || now - last_recall < limits.room_patience) return;
  const bool lacks_room = task_count[std::size_t(TaskState::ready)] > 0 || lacks_fetch_room ||
                          lacks_load_room.has_value() || lacks_request_room;
  if (!lacks_room) return;
  last_recall = now;
  act(RecallLoans{});
}

/// No task that could be failed waits for what a driver asks for: it is told that it cannot be had.
void WorkerEngine::State::refuse_in_vain() {
  if (!lacks_request_room || !has_waited()) return;
  std::vector<std::uint32_t> refused;
  for (const auto& [key, request] : request_table) {
    const bool is_for_driver = peers.at(key.first).is_driver;
    const bool is_in_vain = now - requests[request].asked >= limits.read_wait;
    if (!is_for_driver || !is_in_vain) continue;
    if (data[requests[request].datum].presence == Presence::on_disk) refused.push_back(request);
  }
  for (const std::uint32_t request : refused) {
    act(RefuseFetch{requests[request].peer, requests[request].number});
    forget_request(request);
  }
}

/// What is to be passed on, and has no room here for a while, is to be had elsewhere.
void WorkerEngine::State::refuse_to_pass_on() {
  if (!lacks_fetch_room) return;
  std::vector<std::uint32_t> refused;
  for (const auto& [key, request] : request_table) {
    const Datum& datum = data[requests[request].datum];
    const bool has_waited_long = now - requests[request].asked >= limits.room_patience;
    if (datum.presence == Presence::queued && datum.producer == no_slot && has_waited_long) {
      refused.push_back(request);
    }
  }
  for (const std::uint32_t request : refused) {
    act(RefuseFetch{requests[request].peer, requests[request].number});
    forget_request(request);
  }
}

/// Whether the task can start when all its inputs are in this worker's own memory.
bool WorkerEngine::State::fits_as_copies(const Task& task) const {
  std::vector<std::uint32_t> slots_read;
  for (const DatumId& id : inputs_of(task)) slots_read.push_back(data_table.find(id));
  std::ranges::sort(slots_read);
  const auto repeated = std::ranges::unique(slots_read);
  slots_read.erase(repeated.begin(), repeated.end());
  std::uint64_t left = memory_limit;
  for (const std::uint32_t slot : slots_read) {
    const std::uint64_t taken = limits.taken_bytes(data[slot].bytes);
    if (taken > left) return false;
    left -= taken;
  }
  return output_total(task) <= left;
}

/// What tasks that have not started read in the peer's memory is copied instead.
void WorkerEngine::State::on(const LoansWanted& event) {
  if (is_off_host(event.peer)) return;
  give_back_idle(borrowed);
  std::vector<bool> is_kept(data.slot_count());
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (!task.is_used || task.state == TaskState::started || fits_as_copies(task)) continue;
    for (const DatumId& id : inputs_of(task)) is_kept[data_table.find(id)] = true;
  }
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    const bool is_free = datum.is_used && !is_kept[slot] && datum.users > 0 && datum.running == 0 &&
                         datum.readers == 0 && !datum.is_copied;
    if (is_free && datum.holder == event.peer) copy_instead(slot);
  }
}

void WorkerEngine::State::copy_instead(std::uint32_t slot) {
  Datum& datum = data[slot];
  const PeerId lender = datum.holder;
  if (datum.presence == Presence::here && datum.borrowed > 0) {
    act(DropDatum{datum.id});
    leave_store(datum);
    wait_for(slot);
    report_missing(datum, self);
    datum.is_copied = true;
  } else if (datum.presence == Presence::fetching || datum.presence == Presence::queued) {
    stop_fetch(datum);
    datum.is_copied = true;
    queue_fetch(datum, lender);
  }
}

}  // namespace ashlar::worker
