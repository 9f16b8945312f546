#include <algorithm>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// Workers that can both reach the scheduler, but not each other. Data then come from somebody else
// who has them; else who reads them is moved to where all that it reads can be had; else they are
// made again there (reconnect.cpp).

namespace ashlar::scheduler {
namespace {

constexpr std::size_t reason_bytes_max = 400;

}  // namespace

/// Whether it has the datum, or would be given it in time, though it does not come past the worker.
///
/// Nobody waits in a circle: each is sent to one of which this is so while it is not listed itself,
/// so that nobody on the way from there to the primary waits for it. One that forgot the datum and
/// is told to get it again may still be asked by who was sent to it before.
bool Core::will_have(const Datum& d, const ReplicaPool::Replica& replica, PeerIndex worker) {
  const ReplicaPool::Replica* at = &replica;
  while (!at->is_actual) {
    if (at->coming_bytes == 0 || at->from == worker) return false;
    if (at->from == d.primary) return true;
    at = replicas_.find(d, at->from);
    if (at == nullptr) return false;
  }
  return true;
}

/// Somebody who has the datum, or will, and whom the worker can reach; no_peer: there is none.
PeerIndex Core::reachable_source(DataRef ref, PeerIndex worker, PeerIndex but) {
  const Datum& d = datum(ref);
  if (d.primary == worker || can_reach(worker, d.primary)) return d.primary;
  const PeerIndex maker = maker_of(ref);  // of a datum that is made: it is made there, too
  if (maker == worker) return worker;
  PeerIndex later = no_peer;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    if (replica.is_actual && replica.peer == worker) return worker;
    if (replica.peer == worker || replica.peer == but || !can_reach(worker, replica.peer)) continue;
    if (replica.is_actual) return replica.peer;
    if (later != no_peer) continue;
    if (replica.peer == maker || will_have(d, replica, worker)) later = replica.peer;
  }
  return later;
}

bool Core::can_get_inputs(const Run& run, std::uint32_t task, PeerIndex worker) {
  if (!broken_.any(now_)) return true;
  return std::ranges::all_of(run.graph->inputs_of(task), [&](std::uint32_t name) {
    return reachable_source(run.resolve(name), worker) != no_peer;
  });
}

/// Finds the workers that the task is not to go to: they cannot reach what it reads, are isolated,
/// or not the one that is to make its outputs again.
void Core::find_barred(const Run& run, std::uint32_t task) {
  barred_.clear();
  is_cut_ = false;
  if (!broken_.any(now_)) return;
  if (const PeerIndex remaker = remaker_of(run, task); remaker != no_peer) {
    for (const PeerIndex worker : pool_for(run, task).members) {
      if (worker != remaker || !can_get_inputs(run, task, worker)) barred_.push_back(worker);
    }
    is_cut_ = true;
    return;
  }
  for (const auto& [ends, link] : broken_.all()) {
    const bool is_known = !barred_.empty() && barred_.back() == ends.asker;
    if (is_known || now_ >= link.until || !workers_.is_usable(ends.asker)) continue;
    if (!can_get_inputs(run, task, ends.asker)) barred_.push_back(ends.asker);
  }
  is_cut_ = !barred_.empty();
  for (const PeerIndex worker : broken_.isolated(now_)) {
    if (!is_barred(worker)) barred_.push_back(worker);
  }
}

bool Core::is_barred(PeerIndex worker) const {
  return std::ranges::find(barred_, worker) != barred_.end();
}

/// Whether no worker that could run the task, now or later, may be given it.
bool Core::is_cut_off(const Pool& pool, std::uint64_t output_bytes) const {
  if (barred_.empty() || pool.members.empty()) return false;
  return std::ranges::all_of(pool.members, [&](PeerIndex worker) {
    return is_barred(worker) || !workers_.at(worker).could_hold(output_bytes);
  });
}

void Core::note_links(PeerIndex worker, const protocol::DataMissing& message) {
  for (const PeerId peer : message.reached) broken_.mend({worker, workers_.find(peer)});
  if (!message.reached.empty()) take_up_hoping(true);
  for (std::size_t i = 0; i < message.unreachable.size(); ++i) {
    const PeerIndex peer = workers_.find(message.unreachable[i]);
    if (peer == no_peer) continue;
    broken_.note({worker, peer}, clipped(message.reasons[i], reason_bytes_max), now_);
  }
}

/// The worker waits for a datum that it cannot get where it was told to. It is told of somebody
/// else, not `but`; or has what reads the datum taken back.
void Core::reroute(PeerIndex worker, DataRef ref, PeerIndex but) {
  Datum& d = datum(ref);
  if (!d.is_available() || d.primary == worker || maker_of(ref) == worker) return;
  ReplicaPool::Replica* replica = replicas_.find(d, worker);
  if (replica == nullptr) return;
  replica->is_actual = false;  // taken at its word
  const PeerIndex source = reachable_source(ref, worker, but);
  if (source == no_peer) {
    take_back_readers(worker, ref);
    if (datum(ref).is_available() && replicas_.remove(datum(ref), worker)) {
      outbox_.free(worker, id_of(ref));
    }
    return;
  }
  replicas_.remove(d, worker);
  expect(ref, source, worker);
  outbox_.relocate(worker, id_of(ref), source);
}

/// What reads the datum on the worker, which waits for it there, is placed anew.
void Core::take_back_readers(PeerIndex worker, DataRef ref) {
  std::vector<DataRef> readers;  // here: run and task
  for_consumers(ref, [&](Run& run, std::uint32_t task) {
    const TaskRecord& record = run.tasks.at(task);
    if (record.state != TaskState::assigned) return;
    if (record.worker == worker) readers.push_back({run.slot, task});
    const Placed* twin = find_twin(run, task);
    if (twin != nullptr && twin->worker == worker) end_twin(run, task, true);
  });
  for (const DataRef& reader : readers) {
    Run& run = run_at(reader.run);
    run.tasks.edit(reader.index).takes_over = false;  // it has not begun
    take_back(run, reader.index);
  }
  drain_unavailable();
  for (const DataRef& reader : readers) wait_no_longer(reader);
}

void Core::take_back(Run& run, std::uint32_t task) {
  if (run.tasks.state(task) != TaskState::assigned || give_to_twin(run, task)) return;
  revoke(run, task, Moved::unreachable);
}

/// A task that was taken back, though what it reads is there.
void Core::wait_no_longer(DataRef task) {
  Run& run = run_at(task.run);
  const TaskRecord& record = run.tasks.at(task.index);
  if (record.state == TaskState::waiting && record.blocked == 0) {
    transition(run, task.index, TaskState::assignable);
  }
}

}  // namespace ashlar::scheduler
