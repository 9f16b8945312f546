#include <algorithm>
#include <utility>
#include <vector>

#include "worker/state.hpp"

namespace ashlar::worker {

/// Reads back what the next tasks need, the next one's inputs first, as far as there is room beside
/// the outputs of those before.
void WorkerEngine::State::pump_loads() {
  lacks_load_room.reset();
  lacks_request_room = false;
  if (on_disk_count == 0) return;
  load_for_requests();
  std::vector<std::pair<UseKey, std::uint32_t>> next;
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (task.is_used && task.state != TaskState::started) next.emplace_back(key_of(slot), slot);
  }
  const std::size_t most = std::size_t{slots} * limits.prefetch_per_slot;
  const auto end = next.begin() + static_cast<std::ptrdiff_t>(std::min(next.size(), most));
  std::ranges::partial_sort(next, end);
  std::uint64_t spared = 0;
  for (auto entry = next.begin(); entry != end; ++entry) {
    if (load_inputs(entry->second, entry->first, spared)) {
      if (tasks.has(entry->second)) spared += bytes_needed(tasks[entry->second]);
      continue;
    }
    lacks_load_room = entry->first;
    return;
  }
}

/// Starts to read those of the task's inputs that are on disk; false when there is no room.
bool WorkerEngine::State::load_inputs(std::uint32_t slot, const UseKey& key,
                                      std::uint64_t spared) {
  const RunId run = tasks[slot].run;
  for (const DatumId& id : inputs_of(tasks[slot])) {
    Datum& datum = data[data_table.find(id)];
    if (datum.presence != Presence::on_disk) continue;
    if (can_never_fit(tasks[slot])) {
      fail_for_memory(slot, bytes_lacking(tasks[slot]));
      return true;
    }
    const std::uint64_t taken = limits.taken_bytes(datum.bytes);
    const bool may_take = key.kind == UseKey::Kind::at_hand && has_waited();
    const bool has_room = make_room(taken + spared, key, slot) ||
                          (may_take && take_from_fetches(taken + spared, key));
    if (!has_room) return false;
    start_load(datum, run);
  }
  return true;
}

/// Memory that other processes read, or that is being filled for them.
std::uint64_t WorkerEngine::State::bytes_read_elsewhere() const {
  std::uint64_t total = 0;
  for (const auto& [id, left] : lingering) total += left.charged;
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (!datum.is_used) continue;
    const bool is_asked = datum.presence == Presence::loading && datum.first_request != no_slot;
    const bool is_written = datum.copy == 0 || datum.is_written;
    if (is_asked || (is_written && datum.readers > 0)) total += datum.charged;
  }
  return total;
}

/// Reads back what other processes ask for, who wait now. What they read cannot be moved, so they
/// have no more than a quarter of the memory, or one datum, unless nothing else goes on.
void WorkerEngine::State::load_for_requests() {
  if (requests.size() == 0) return;
  constexpr UseKey most_urgent{UseKey::Kind::at_hand, 0, 0};
  std::uint64_t read = bytes_read_elsewhere();
  for (const auto& [key, request] : request_table) {
    Datum& datum = data[requests[request].datum];
    if (datum.presence != Presence::on_disk) continue;
    const std::uint64_t taken = limits.taken_bytes(datum.bytes);
    const std::uint64_t most = memory_limit / 4;
    const bool is_within = read == 0 || (taken <= most && read <= most - taken);
    lacks_request_room = !(is_within || may_lend_more(requests[request])) ||
                         !(make_room(taken, most_urgent, no_slot) ||
                           (may_take_from_fetches(requests[request]) &&
                            take_from_fetches(taken, most_urgent)));
    if (lacks_request_room) return;
    start_load(datum, datum.id.run);
    read += taken;
  }
}

void WorkerEngine::State::start_load(Datum& datum, RunId run) {
  datum.presence = Presence::loading;
  --on_disk_count;
  charge(datum, datum.bytes);
  transfers[datum.copy] = {datum.id, run, true};
  act(LoadDatum{datum.id, datum.copy, datum.bytes});
}

void WorkerEngine::State::on(const LoadDone& event) { end_load(event.copy, nullptr); }
void WorkerEngine::State::on(const LoadFailed& event) { end_load(event.copy, &event.error); }

void WorkerEngine::State::end_load(std::uint64_t copy, const std::string* error) {
  const auto found = transfers.find(copy);
  if (found == transfers.end() || !found->second.is_load) {
    ++counters.stale_events;
    return;
  }
  const Transfer transfer = found->second;
  transfers.erase(found);
  last_progress = now;
  reserved -= transfer.charged;
  const std::uint32_t slot = data_table.find(transfer.datum);
  const bool is_current =
      slot != no_slot && data[slot].copy == copy && data[slot].presence == Presence::loading;
  if (error != nullptr) {
    ++load_failures;
    spill_failed = now;
    spill_error = *error;
    if (is_current) lose(slot);
    return;
  }
  if (!is_current) {
    // It may have come into the store just before its copy was dropped.
    drops.push_back(transfer.datum);
    return;
  }
  counters.loaded_bytes += data[slot].bytes;
  account(transfer.run, 0, data[slot].bytes);
  wake(slot);
}

/// Notes what was moved for a run, for the next report.
void WorkerEngine::State::account(RunId run, std::uint64_t spilled, std::uint64_t loaded) {
  protocol::DataAcquired& report = acquired_report(run);
  is_report_awaited = true;
  report.spilled_bytes += spilled;
  report.loaded_bytes += loaded;
}

/// The datum cannot be had from here any more: the scheduler finds it elsewhere, or has it made
/// again.
void WorkerEngine::State::lose(std::uint32_t slot) {
  Datum& datum = data[slot];
  leave_store(datum);
  refuse_requests(slot, now);
  report_missing(datum, self);
  datum.is_reported = datum.users > 0;
  settle(slot);
}

}  // namespace ashlar::worker
