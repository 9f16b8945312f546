#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "worker/state.hpp"

namespace ashlar::worker {

/// Whether the task needs nothing but memory, and what is done here already, to start.
bool WorkerEngine::State::is_at_hand(const Task& task) const {
  const auto inputs = inputs_of(task);
  return std::ranges::all_of(inputs, [this](const DatumId& id) {
    const Datum& datum = data[data_table.find(id)];
    const bool is_being_made =
        datum.producer != no_slot && tasks[datum.producer].state == TaskState::started;
    return is_held(datum) || is_being_made;
  });
}

UseKey WorkerEngine::State::key_of(std::uint32_t slot) const {
  const Task& task = tasks[slot];
  return {is_at_hand(task) ? UseKey::Kind::at_hand : UseKey::Kind::task, rank_of(task), task.order};
}

/// When each datum is needed next, by slot.
std::vector<UseKey> WorkerEngine::State::next_uses() const {
  std::vector<UseKey> uses_of(data.slot_count());
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    uses_of[slot].order = uses - data[slot].used;
  }
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (!task.is_used || task.state == TaskState::started) continue;
    const UseKey key = key_of(slot);
    for (const DatumId& id : inputs_of(task)) {
      UseKey& use = uses_of[data_table.find(id)];
      use = std::min(use, key);
    }
  }
  return uses_of;
}

/// Data here that nobody reads now and nothing needs before `by`, last needed first.
std::vector<std::pair<UseKey, std::uint32_t>> WorkerEngine::State::movable(
    const UseKey& by, std::uint32_t for_task) const {
  const std::vector<UseKey> uses_of = next_uses();
  std::vector<std::pair<UseKey, std::uint32_t>> found;
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    const bool is_movable = datum.is_used && datum.presence == Presence::here &&
                            datum.charged > 0 && datum.running == 0 && datum.readers == 0 &&
                            datum.bytes >= limits.spill_bytes_min && uses_of[slot] > by;
    if (is_movable) found.emplace_back(uses_of[slot], slot);
  }
  if (for_task != no_slot) {
    const auto inputs = inputs_of(tasks[for_task]);
    std::erase_if(found, [&](const auto& entry) {
      return std::ranges::find(inputs, data[entry.second].id) != inputs.end();
    });
  }
  std::ranges::sort(found, [](const auto& a, const auto& b) { return a > b; });
  return found;
}

bool WorkerEngine::State::is_disk_usable() const {
  if (!limits.can_spill || load_failures >= limits.load_failures) return false;
  return !spill_failed || now - *spill_failed >= limits.spill_pause;
}

bool WorkerEngine::State::can_write() const {
  return is_disk_usable() && writes < limits.spill_writes;
}

/// Memory that may become free when the writes under way end.
std::uint64_t WorkerEngine::State::bytes_being_written() const {
  std::uint64_t total = 0;
  for (const auto& [copy, transfer] : transfers) {
    const std::uint32_t slot = data_table.find(transfer.datum);
    if (transfer.is_load || slot == no_slot || data[slot].copy != copy) continue;
    if (data[slot].running == 0) total += data[slot].charged;
  }
  return total;
}

/// Whether so many bytes are free. If not, but if that helps, has what is needed after `by` moved
/// to disk: what has a copy there goes at once, the rest when it is written.
bool WorkerEngine::State::make_room(std::uint64_t bytes, const UseKey& by, std::uint32_t for_task) {
  if (fits(bytes)) return true;
  if (!limits.can_spill || bytes > memory_limit) return false;
  std::uint64_t coming = bytes_being_written();
  const auto found = movable(by, for_task);
  std::uint64_t most = coming;
  for (const auto& entry : found) {
    const Datum& datum = data[entry.second];
    if (datum.is_written || is_disk_usable()) most += datum.charged;
  }
  if (reserved - std::min(reserved, most) > memory_limit - bytes) return false;
  for (const auto& entry : found) {
    const std::uint32_t slot = entry.second;
    if (fits(bytes)) return true;
    if (data[slot].is_written) {
      evict(slot);
      continue;
    }
    if (reserved - std::min(reserved, coming) <= memory_limit - bytes) return false;
    if (can_write()) {
      const Task* task = for_task == no_slot ? nullptr : &tasks[for_task];
      coming += data[slot].charged;
      start_write(data[slot], task == nullptr ? data[slot].id.run : task->run);
    }
  }
  return fits(bytes);
}

void WorkerEngine::State::start_write(Datum& datum, RunId run) {
  datum.copy = ++last_copy;
  transfers[datum.copy] = {datum.id, run};
  ++writes;
  lend(datum);
  act(SpillDatum{datum.id, datum.copy});
}

/// The block is given up, as the copy on disk is whole.
void WorkerEngine::State::evict(std::uint32_t slot) {
  Datum& datum = data[slot];
  ASHLAR_CHECK(datum.presence == Presence::here && datum.is_written && datum.readers == 0 &&
               datum.running == 0);
  act(DropDatum{datum.id});
  datum.presence = Presence::on_disk;
  charge(datum, 0);
  --here_count;
  ++on_disk_count;
  if (datum.users > 0) wait_for(slot);
}

/// Tasks that were to read the datum wait until it is back.
void WorkerEngine::State::wait_for(std::uint32_t slot) {
  const DatumId id = data[slot].id;
  for (std::uint32_t t = 0; t < tasks.slot_count(); ++t) {
    Task& task = tasks[t];
    if (!task.is_used || task.state == TaskState::started) continue;
    for (const DatumId& input : inputs_of(task)) {
      if (input != id) continue;
      const bool is_first = data[slot].first_waiter == no_slot;
      const std::uint32_t waiter = waiters.add();
      waiters[waiter].task = t;
      waiters[waiter].next = std::exchange(data[slot].first_waiter, waiter);
      data[slot].urgency =
          is_first ? urgency_of(task) : std::min(data[slot].urgency, urgency_of(task));
      ++task.missing;
      if (task.state == TaskState::ready) unready(t);
    }
  }
}

/// Writes what nobody is known to read while there is still room, so that room need not be waited
/// for later: some is to be free, or free as soon as it is wanted.
void WorkerEngine::State::write_ahead() {
  constexpr std::uint32_t writes_ahead = 2;
  const std::uint64_t wanted = memory_limit * limits.room_ahead_percent / 100;
  std::uint64_t room = memory_limit - std::min(memory_limit, reserved);
  if (!can_write() || writes >= writes_ahead || room >= wanted) return;
  const UseKey assigned{UseKey::Kind::task, ~std::uint32_t{0}, ~std::uint64_t{0}};
  const auto found = movable(assigned, no_slot);
  for (const auto& [use, slot] : found) room += data[slot].is_written ? data[slot].charged : 0;
  room += bytes_being_written();
  for (const auto& [use, slot] : found) {
    if (room >= wanted || writes >= writes_ahead || !can_write()) return;
    if (data[slot].copy != 0) continue;
    room += data[slot].charged;
    start_write(data[slot], data[slot].id.run);
  }
}

void WorkerEngine::State::forget_copy(Datum& datum) {
  if (datum.copy == 0) return;
  act(DropCopy{std::exchange(datum.copy, 0)});
  datum.is_written = false;
}

void WorkerEngine::State::on(const SpillDone& event) {
  const auto found = transfers.find(event.copy);
  if (found == transfers.end() || found->second.is_load) {
    ++counters.stale_events;
    return;
  }
  const Transfer transfer = found->second;
  transfers.erase(found);
  --writes;
  last_progress = now;
  const std::uint32_t slot = data_table.find(transfer.datum);
  if (slot != no_slot && data[slot].copy == event.copy) {
    data[slot].is_written = true;
    counters.spilled_bytes += data[slot].bytes;
    account(transfer.run, data[slot].bytes, 0);
  }
  returned(transfer.datum);
}

/// The datum stays in memory; nothing is written for a while.
void WorkerEngine::State::on(const SpillFailed& event) {
  const auto found = transfers.find(event.copy);
  if (found == transfers.end() || found->second.is_load) {
    ++counters.stale_events;
    return;
  }
  const DatumId id = found->second.datum;
  transfers.erase(found);
  --writes;
  last_progress = now;
  spill_failed = now;
  spill_error = event.error;
  const std::uint32_t slot = data_table.find(id);
  if (slot != no_slot && data[slot].copy == event.copy) data[slot].copy = 0;
  returned(id);
}

}  // namespace ashlar::worker
