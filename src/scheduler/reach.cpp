#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// Workers that can both reach the scheduler, but not each other. Data then come from somebody else
// who has them; else who reads them is moved to where all that it reads can be had; else they are
// made again there.

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
PeerIndex Core::reachable_source(const Datum& d, PeerIndex worker, PeerIndex but) {
  if (d.primary == worker || can_reach(worker, d.primary)) return d.primary;
  PeerIndex later = no_peer;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    if (replica.is_actual && replica.peer == worker) return worker;
    if (replica.peer == worker || replica.peer == but || !can_reach(worker, replica.peer)) continue;
    if (replica.is_actual) return replica.peer;
    if (later == no_peer && will_have(d, replica, worker)) later = replica.peer;
  }
  return later;
}

bool Core::can_get_inputs(const Run& run, std::uint32_t task, PeerIndex worker) {
  if (!broken_.any(now_)) return true;
  return std::ranges::all_of(run.graph->inputs_of(task), [&](std::uint32_t name) {
    return reachable_source(datum(run.resolve(name)), worker) != no_peer;
  });
}

/// Finds the workers that the task is not to go to: they cannot reach what it reads, or are
/// isolated.
void Core::find_barred(const Run& run, std::uint32_t task) {
  barred_.clear();
  is_cut_ = false;
  if (!broken_.any(now_)) return;
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
  if (!d.is_available() || d.primary == worker) return;
  ReplicaPool::Replica* replica = replicas_.find(d, worker);
  if (replica == nullptr) return;
  replica->is_actual = false;  // taken at its word
  const PeerIndex source = reachable_source(d, worker, but);
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

/// Sees to tasks that were found to be cut off: that no worker reaches all that they read. Returns
/// whether there is something to place now.
bool Core::reconnect() {
  if (cut_off_.empty()) return false;
  outbox_.flush();  // what was given just now may be taken back
  bool any = false;
  for (const DataRef& task : std::exchange(cut_off_, {})) {
    Run& run = run_at(task.run);
    if (run.tasks.state(task.index) == TaskState::assignable) any |= reconnect(run, task.index);
  }
  if (!any) return false;
  apply_failures();
  workers_.settle();
  return true;
}

/// What the task lacks on the worker that lacks least is made again, not on those that have it now,
/// which are isolated from that worker. A worker that lacks nothing is isolated no more.
bool Core::reconnect(Run& run, std::uint32_t task) {
  const TaskClass& task_class = run.tasks.classes()[run.tasks.at(task).task_class];
  const Pool& pool = workers_.pool(workers_.pool_of(task_class.requirement));
  std::optional<std::pair<bool, std::uint64_t>> least;
  PeerIndex best = no_peer;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    if (datum(ref).is_made && maker_of(ref) != no_peer) return false;  // then it is elsewhere, too
  }
  for (const PeerIndex worker : pool.members) {
    std::uint64_t bytes = 0;
    bool is_possible = true;
    for (const DataRef& ref : lacking(run, task, worker)) {
      bytes += 1 + placement::known_bytes(datum(ref));
      is_possible &= can_be_made_for(worker, ref) && can_be_made_again(ref);
    }
    const std::pair cost{broken_.is_isolated(worker, now_), bytes};
    if (!is_possible || (least && cost >= *least)) continue;
    least = cost;
    best = worker;
  }
  const std::vector<DataRef> lacks =
      best == no_peer ? std::vector<DataRef>() : lacking(run, task, best);
  const bool is_given_up = !lacks.empty() && ++reconnected_[{run.slot, task}] > limits_.reconnects;
  if (best == no_peer && retry_links(run, task, pool)) return true;
  if (best == no_peer || is_given_up) {
    failures_.push_back({run.slot, task, protocol::RunOutcome::failed,
                         std::make_shared<const Cause>(
                             Cause{ErrorKind::disconnected, why_cut_off(run, task, pool)})});
    return true;
  }
  broken_.readmit(best);
  make_again_for(best, lacks);
  return true;
}

/// Of links that the task needs, those that were found to be broken before it was submitted are
/// tried again. Returns whether there are any.
bool Core::retry_links(const Run& run, std::uint32_t task, const Pool& pool) {
  bool any = false;
  for (const PeerIndex worker : pool.members) {
    for (const DataRef& ref : lacking(run, task, worker)) {
      const BrokenLinks::Ends ends{worker, datum(ref).primary};
      const BrokenLinks::Link* link = broken_.find(ends, now_);
      if (link == nullptr || link->noted >= run.submitted) continue;
      broken_.retry(ends, now_);
      any = true;
    }
  }
  return any;
}

/// Inputs of the task that the worker cannot get.
std::vector<DataRef> Core::lacking(const Run& run, std::uint32_t task, PeerIndex worker) {
  std::vector<DataRef> found;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    if (reachable_source(datum(ref), worker) == no_peer) found.push_back(ref);
  }
  return found;
}

/// Whether some worker that could make the datum can be reached by this one.
bool Core::can_be_made_for(PeerIndex worker, DataRef ref) const {
  const Run& run = run_at(ref.run);
  if (!run.graph) return false;
  const TaskRecord& maker = run.tasks.at(run.producer[ref.index]);
  const std::uint32_t requirement = run.tasks.classes()[maker.task_class].requirement;
  return std::ranges::any_of(
      workers_.pool(workers_.pool_of(requirement)).members,
      [&](PeerIndex member) { return member == worker || can_reach(worker, member); });
}

/// Whether all that is needed to make the datum is there or can be made in turn.
bool Core::can_be_made_again(DataRef ref) const {
  std::vector<DataRef> open{ref};
  std::set<DataRef> seen;
  while (!open.empty()) {
    const DataRef at = open.back();
    open.pop_back();
    if (!seen.insert(at).second) continue;
    const Run& run = run_at(at.run);
    if (!run.graph) return false;
    const std::uint32_t maker = run.producer[at.index];
    const TaskState state = run.tasks.state(maker);
    if (state == TaskState::assigned) {  // it is taken back, with what it may have taken over
      const DataRef taken = taken_by(run, maker);
      if (taken.run != DataRef::no_run) open.push_back(taken);
    }
    if (is_unfinished(state)) continue;
    if (state != TaskState::done) return false;
    for (const std::uint32_t name : run.graph->inputs_of(maker)) {
      const DataRef input = run.resolve(name);
      if (input.run == DataRef::no_run) return false;
      const Datum& d = run_at(input.run).data[input.index];
      if (d.is_lost) return false;
      if (!d.is_available()) open.push_back(input);
    }
  }
  return true;
}

void Core::make_again_for(PeerIndex worker, const std::vector<DataRef>& data) {
  std::vector<DataRef> makers;
  for (const DataRef& ref : data) {
    const Datum& d = datum(ref);
    if (!d.is_available()) continue;  // with one before
    const auto isolate = [&](PeerIndex holder) {
      if (workers_.at(holder).is_worker && !can_reach(worker, holder)) {
        broken_.isolate({worker, holder});
      }
    };
    isolate(d.primary);
    for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
      if (replicas_.at(n).is_actual) isolate(replicas_.at(n).peer);
    }
    if (d.is_made) {
      unavailable_.push_back(ref);
    } else {
      Run& run = run_at(ref.run);
      makers.push_back({ref.run, run.producer[ref.index]});
      take_back(run, run.producer[ref.index]);
    }
    drain_unavailable();
  }
  for (const DataRef& maker : makers) wait_no_longer(maker);
}

/// "worker a (10.0.0.1:4) cannot fetch from worker b (10.0.0.2:5): Connection refused"
std::string Core::broken_text(const BrokenLinks::Ends& ends, const std::string& reason) const {
  const auto of = [this](PeerIndex peer) {
    const auto& [identity, local, remote, ucx] = workers_.at(peer).endpoint;
    return (workers_.at(peer).is_worker ? "worker " : "the program ") + peer_name(peer) + " (" +
           (remote.empty() ? local : remote) + ")";
  };
  return of(ends.asker) + " cannot fetch from " + of(ends.asked) + ": " + reason;
}

/// The first broken link that keeps one of the workers from getting what the task reads.
std::string Core::broken_input_text(const Run& run, std::uint32_t task, const Pool& pool) const {
  for (const auto& [ends, link] : broken_.all()) {
    if (now_ >= link.until || !std::ranges::binary_search(pool.members, ends.asker)) continue;
    for (const std::uint32_t name : run.graph->inputs_of(task)) {
      const DataRef ref = run.resolve(name);
      const bool is_asked =
          ref.run != DataRef::no_run && run_at(ref.run).data[ref.index].primary == ends.asked;
      if (is_asked) return broken_text(ends, link.reason);
    }
  }
  return {};
}

std::string Core::why_cut_off(const Run& run, std::uint32_t task, const Pool& pool) const {
  return run.label(task) +
         ": no worker that could run it reaches all that it reads, which cannot be made again"
         " elsewhere: " +
         broken_input_text(run, task, pool) +
         "; check that no firewall is between their hosts, that each worker's address for others"
         " (`ashlar worker --listen`) can be reached from there, and that their certificates are of"
         " one authority";
}

}  // namespace ashlar::scheduler
