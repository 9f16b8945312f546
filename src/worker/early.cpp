#include <limits>

#include "worker/state.hpp"

// What tasks will read that are not given to this worker yet. It takes memory that may be needed
// for something sooner: half of it is left alone, and what finds no room is declined, as is all
// where it could not make room by going to disk.

namespace ashlar::worker {
namespace {

/// What tasks wait for comes first.
constexpr std::int32_t least_urgent = std::numeric_limits<std::int32_t>::min();

}  // namespace

void WorkerEngine::State::told(const protocol::Prefetch& message) {
  const std::size_t count = message.datum.size();
  if (message.bytes.size() != count || message.holder.size() != count ||
      message.rank.size() != count) {
    ++counters.odd_messages;
    return;
  }
  if (is_leaving) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (message.holder[i] == self || message.holder[i].is_none()) continue;
    const std::uint32_t slot = obtain({message.run, message.datum[i]});
    Datum& datum = data[slot];
    if (is_held(datum) || is_to_be_had(datum) || datum.producer != no_slot) continue;
    datum.is_early = true;
    const bool is_dynamic = message.bytes[i] == graph::TaskGraph::dynamic_bytes;
    datum.bytes = is_dynamic ? 0 : message.bytes[i];
    datum.urgency = {least_urgent, message.run.number, message.rank[i]};
    queue_fetch(datum, message.holder[i]);
  }
}

bool WorkerEngine::State::has_early_room(std::uint64_t bytes) const {
  return is_disk_usable() && fits(limits.taken_bytes(bytes)) &&
         reserved + limits.taken_bytes(bytes) <= memory_limit / 2;
}

/// It comes with a task that reads it, or not at all.
void WorkerEngine::State::decline(std::uint32_t slot) {
  Datum& datum = data[slot];
  datum.is_early = false;
  refuse_requests(slot, now);
  stop_fetch(datum);
  report_missing(datum, self);
  settle(slot);
}

}  // namespace ashlar::worker
