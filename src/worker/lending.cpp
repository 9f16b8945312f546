#include <utility>
#include <vector>

#include "worker/state.hpp"

namespace ashlar::worker {

/// Somebody begins to read the datum's block: it is not used again before they are done.
void WorkerEngine::State::lend(Datum& datum) {
  ++datum.readers;
  ++readers;
}

/// One reader of the datum, or of a dropped one of the same name, is done.
void WorkerEngine::State::returned(const DatumId& id) {
  const auto old = lingering.find(id);
  if (old != lingering.end()) {
    --readers;
    if (--old->second.readers > 0) return;
    reserved -= old->second.charged;
    lingering.erase(old);
    return;
  }
  const std::uint32_t slot = data_table.find(id);
  if (slot == no_slot || data[slot].readers == 0) {
    ++counters.stale_events;
    return;
  }
  --readers;
  --data[slot].readers;
  data[slot].used = ++uses;
}

/// The datum leaves the store: its memory stays taken until its readers are done.
void WorkerEngine::State::linger(Datum& datum) {
  if (datum.readers > 0) {
    Lingering& left = lingering[datum.id];
    left.readers += std::exchange(datum.readers, 0);
    left.charged += std::exchange(datum.charged, 0);
  } else {
    charge(datum, 0);
  }
}

void WorkerEngine::State::borrow(Datum& datum, std::uint64_t bytes) {
  if (bytes <= limits.untracked_bytes) bytes = 0;
  borrowed += bytes - std::exchange(datum.borrowed, bytes);
}

/// Whether a datum may be read in the memory of another process of this host, which cannot use it
/// otherwise as long. So that workers do not hold up each other, each takes a quarter of its own
/// limit at most – and what goes beyond, one by one, while it has nothing else to do.
bool WorkerEngine::State::may_borrow(const Datum& datum) {
  if (!limits.can_spill || datum.bytes <= limits.untracked_bytes) return true;
  const std::uint64_t most = memory_limit / 4;
  const auto fits_in = [&] { return datum.bytes <= most && borrowed <= most - datum.bytes; };
  if (!fits_in()) give_back_idle(datum.bytes);
  if (fits_in()) return true;
  if (!is_at_rest() || (borrowed > 0 && now - overdrawn < limits.fetch_patience)) return false;
  overdrawn = now;
  return true;
}

/// Gives back what no task here reads, until so much is borrowed no more.
void WorkerEngine::State::give_back_idle(std::uint64_t bytes) {
  std::uint64_t given = 0;
  for (std::uint32_t slot = 0; slot < data.slot_count() && given < bytes; ++slot) {
    Datum& datum = data[slot];
    const bool is_idle = datum.is_used && datum.presence == Presence::here && datum.borrowed > 0 &&
                         datum.users == 0 && datum.producer == no_slot && datum.readers == 0;
    if (!is_idle) continue;
    given += datum.borrowed;
    missing.data.push_back(datum.id);
    missing.peer.push_back(self);
    datum.is_freed = true;
    settle(slot);
  }
}

void WorkerEngine::State::on(const ReadDone& event) {
  last_progress = now;
  returned(event.datum);
}

}  // namespace ashlar::worker
