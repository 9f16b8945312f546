#include "scheduler/core.hpp"

// What owners are to read comes to them as soon as it is made, while tasks are still placed as late
// as can be: links that are the limit are to have no rest.

namespace ashlar::scheduler {

/// The task was done: who owns readers of its outputs is told to get them, unless one of the host
/// has them or will.
void Core::prefetch_outputs(const Run& run, std::uint32_t task) {
  // While some workers cannot reach others, readers may have to go where their inputs can be had.
  if (!run.prefetches || run.is_ended || broken_.any(now_)) return;
  const graph::TaskGraph& g = *run.graph;
  for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
    first_readers_.clear();
    for (const std::uint32_t reader : run.consumers.of(d)) {
      const TaskState state = run.tasks.state(reader);
      const std::uint32_t host = run.owner_of(reader);
      const bool is_to_place = state == TaskState::waiting || state == TaskState::assignable;
      if (!is_to_place || host == no_host) continue;
      const auto [first, is_new] = first_readers_.try_emplace(host, reader);
      if (run.tasks.rank(reader) < run.tasks.rank(first->second)) first->second = reader;
    }
    for (const auto& [host, reader] : first_readers_) prefetch({run.slot, d}, host, reader);
  }
}

void Core::prefetch(DataRef ref, std::uint32_t host, std::uint32_t reader) {
  const Run& run = run_at(ref.run);
  Datum& d = datum(ref);
  const auto is_there = [&](PeerIndex peer) { return workers_.at(peer).host == host; };
  if (!d.is_available() || is_there(d.primary)) return;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (is_there(replicas_.at(n).peer)) return;
  }
  const TaskClass& wanted = run.tasks.classes()[run.tasks.at(reader).task_class];
  const Pool& pool = workers_.pool(workers_.pool_of(wanted.requirement));
  const auto members = workers_.members_on(pool, host);
  if (members.empty()) return;
  const PeerIndex worker = members[reader % members.size()];
  const PeerIndex holder = holder_for(ref, worker);
  if (!workers_.is_usable(worker) || !can_reach(worker, holder)) return;
  expect(ref, holder, worker);
  outbox_.prefetch(worker, id_of(ref), d.bytes, holder, run.tasks.rank(reader));
}

}  // namespace ashlar::scheduler
