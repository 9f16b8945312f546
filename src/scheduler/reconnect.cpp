#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "scheduler/core.hpp"

// Tasks for which no worker reaches all that they read: what they lack is made again, beside what
// there is, where it can be reached.

namespace ashlar::scheduler {

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

/// Of the workers that could have all that the task reads, what the one that lacks least lacks is
/// made again, beside what there is, where that one can get it. Those that have it now are isolated
/// from that worker. A worker that lacks nothing is isolated no more. Returns whether there is
/// something to place now.
bool Core::reconnect(Run& run, std::uint32_t task) {
  if (is_being_remade(run, task)) {
    set_aside(run, task);
    return true;
  }
  const Pool& pool = pool_for(run, task);
  const Havers havers = who_could_have(run, task);
  std::optional<std::pair<bool, std::uint64_t>> least;
  PeerIndex best = no_peer;
  for (const PeerIndex worker : pool.members) {
    if (!could_have_inputs(run, task, worker, havers)) continue;
    std::uint64_t bytes = 0;
    for (const DataRef& ref : lacking(run, task, worker)) {
      bytes += 1 + placement::known_bytes(datum(ref));
    }
    const std::pair cost{broken_.is_isolated(worker, now_), bytes};
    if (least && cost >= *least) continue;
    least = cost;
    best = worker;
  }
  const std::vector<DataRef> lacks =
      best == no_peer ? std::vector<DataRef>() : lacking(run, task, best);
  const bool is_given_up = !lacks.empty() && ++reconnected_[{run.slot, task}] > limits_.reconnects;
  if (best == no_peer && (retry_links(run, task, pool) || wait_for_links(run, task))) return true;
  if (best == no_peer || is_given_up) {
    failures_.push_back({run.slot, task, protocol::RunOutcome::failed,
                         std::make_shared<const Cause>(
                             Cause{ErrorKind::disconnected, why_cut_off(run, task, pool)})});
    return true;
  }
  broken_.readmit(best);
  remakers_.erase({run.slot, task});
  make_again_for(best, lacks, havers);
  return true;
}

/// Whether something that the task reads is about to be made elsewhere, too.
bool Core::is_being_remade(const Run& run, std::uint32_t task) const {
  return std::ranges::any_of(run.graph->inputs_of(task), [&](std::uint32_t name) {
    const DataRef ref = run.resolve(name);
    const Run& maker_run = run_at(ref.run);
    if (!maker_run.graph) return false;
    const std::uint32_t maker = maker_run.producer[ref.index];
    const bool is_beside = datum(ref).is_made || remakers_.contains({ref.run, maker});
    return is_beside && is_unfinished(maker_run.tasks.state(maker));
  });
}

/// The task, which is assignable, waits until what it reads is about to be made once more: it would
/// be in the way of others meanwhile.
void Core::set_aside(Run& run, std::uint32_t task) {
  transition(run, task, TaskState::waiting);
  ++run.tasks.edit(task).blocked;
  set_aside_.insert({run.slot, task});
}

/// The task was assigned, or ended: whoever was set aside until it makes something need not be.
void Core::take_up_readers(const Run& run, std::uint32_t task) {
  const auto& first = run.graph->output_offsets;
  for (std::uint32_t d = first[task]; d < first[task + 1]; ++d) {
    for_consumers({run.slot, d}, [this](Run& reader, std::uint32_t of) {
      if (set_aside_.erase({reader.slot, of}) > 0) unblock(reader, of);
    });
  }
}

const Pool& Core::pool_for(const Run& run, std::uint32_t task) const {
  const TaskClass& task_class = run.tasks.classes()[run.tasks.at(task).task_class];
  return workers_.pool(workers_.pool_of(task_class.requirement));
}

/// Who alone is to run the task, which makes something again where it can be reached; or no_peer.
PeerIndex Core::remaker_of(const Run& run, std::uint32_t task) const {
  if (remakers_.empty()) return no_peer;
  const auto found = remakers_.find({run.slot, task});
  if (found == remakers_.end()) return no_peer;
  const PeerIndex worker = found->second;
  return workers_.is_usable(worker) && workers_.has_free_slot(worker) ? worker : no_peer;
}

/// Who alone is to run the task does, if there is one that can; else the policy chooses.
Choice Core::choose(PeerIndex remaker, const placement::Question& question) {
  if (remaker == no_peer || !placement::is_possible(view(), question, remaker)) {
    return policy_->choose(view(), question);
  }
  return {.worker = remaker, .reason = Reason::in_reach};
}

/// Of links that the task needs, those that were found to be broken before it was submitted, or
/// before it waited for them, are tried again. Returns whether there are any.
bool Core::retry_links(const Run& run, std::uint32_t task, const Pool& pool) {
  const auto since = hoping_.find({run.slot, task});
  const bool has_waited = since != hoping_.end() && now_ - since->second >= limits_.link_wait;
  bool any = false;
  for (const PeerIndex worker : pool.members) {
    for (const DataRef& ref : lacking(run, task, worker)) {
      const BrokenLinks::Ends ends{worker, datum(ref).primary};
      const BrokenLinks::Link* link = broken_.find(ends, now_);
      if (link == nullptr) continue;
      const bool is_old =
          link->noted < run.submitted || (has_waited && link->noted <= since->second);
      if (!is_old) continue;
      broken_.retry(ends, now_);
      any = true;
    }
  }
  return any;
}

/// There is no other way for the task: it waits for links, unless it has just done so. Returns
/// whether it does.
bool Core::wait_for_links(Run& run, std::uint32_t task) {
  Instant& since = hoping_.try_emplace({run.slot, task}, now_).first->second;
  if (now_ - since >= limits_.link_pause) since = now_;  // it went on meanwhile
  if (now_ - since >= limits_.link_wait) return false;
  set_aside(run, task);
  return true;
}

/// Tasks that wait for links are looked at again: all, as there may be a way now, or those that
/// have waited long enough.
void Core::take_up_hoping(bool are_all) {
  for (const auto& [task, since] : hoping_) {
    if (!are_all && now_ - since < limits_.link_wait) continue;
    if (set_aside_.erase(task) > 0) unblock(run_at(task.run), task.index);
  }
}

/// Inputs of the task that the worker cannot get.
std::vector<DataRef> Core::lacking(const Run& run, std::uint32_t task, PeerIndex worker) {
  std::vector<DataRef> found;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    if (reachable_source(ref, worker) == no_peer) found.push_back(ref);
  }
  return found;
}

/// Which task makes the datum, if it can run, now or again; else none.
std::optional<std::uint32_t> Core::maker_again(DataRef ref) const {
  const Run& run = run_at(ref.run);
  if (!run.graph) return {};
  const std::uint32_t maker = run.producer[ref.index];
  const TaskState state = run.tasks.state(maker);
  if (state == TaskState::failed || state == TaskState::cancelled) return {};
  for (const std::uint32_t name : run.graph->inputs_of(maker)) {
    const DataRef input = run.resolve(name);
    if (input.run == DataRef::no_run || datum(input).is_lost) return {};
  }
  return maker;
}

/// Of the data that the task reads, and of what those are made of as far as some workers do not
/// reach them: who can get them, or could if they were made again where that is possible.
Core::Havers Core::who_could_have(const Run& reader, std::uint32_t task) {
  Havers havers;
  std::vector<DataRef> open;
  std::set<DataRef> taken;  // goes with the task that is taken back
  std::vector<std::tuple<std::uint64_t, std::uint32_t, DataRef>> order;  // makers before readers
  const auto add_inputs = [&](const Run& run, std::uint32_t of) {
    for (const std::uint32_t name : run.graph->inputs_of(of)) open.push_back(run.resolve(name));
  };
  add_inputs(reader, task);
  while (!open.empty()) {
    const DataRef ref = open.back();
    open.pop_back();
    const auto [entry, is_new] = havers.try_emplace(ref);
    if (!is_new) continue;
    entry->second = who_reaches(ref, taken.contains(ref));
    const auto maker = maker_again(ref);
    if (!maker || std::ranges::all_of(entry->second, std::identity{})) continue;
    const Run& run = run_at(ref.run);
    order.emplace_back(run.sequence, run.tasks.rank(*maker), ref);
    if (run.tasks.state(*maker) == TaskState::assigned) taken.insert(taken_by(run, *maker));
    add_inputs(run, *maker);
  }
  std::ranges::sort(order);
  for (const auto& [sequence, rank, ref] : order) add_havers(ref, havers);
  return havers;
}

/// By worker; of others it does not matter.
std::vector<bool> Core::who_reaches(DataRef ref, bool is_taken) {
  std::vector<bool> found(workers_.size(), true);
  const bool is_there = datum(ref).is_available() && !is_taken;
  for (PeerIndex worker = 0; worker < found.size(); ++worker) {
    if (!workers_.is_usable(worker)) continue;
    found[worker] = is_there && reachable_source(ref, worker) != no_peer;
  }
  return found;
}

/// Adds who could have the datum if it were made again. Requires that it is known who could have
/// what it is made of.
void Core::add_havers(DataRef ref, Havers& havers) {
  const Run& run = run_at(ref.run);
  const std::uint32_t maker = run.producer[ref.index];
  std::vector<bool>& found = havers.at(ref);
  for (const PeerIndex where : pool_for(run, maker).members) {
    if (!could_have_inputs(run, maker, where, havers)) continue;
    for (PeerIndex worker = 0; worker < found.size(); ++worker) {
      found[worker] = found[worker] || worker == where || can_reach(worker, where);
    }
  }
}

bool Core::could_have_inputs(const Run& run, std::uint32_t task, PeerIndex worker,
                             const Havers& havers) const {
  return std::ranges::all_of(run.graph->inputs_of(task), [&](std::uint32_t name) {
    const auto found = havers.find(run.resolve(name));
    return found != havers.end() && found->second[worker];
  });
}

/// Has data made again where the worker can get them, and whatever that takes.
void Core::make_again_for(PeerIndex reader, const std::vector<DataRef>& data,
                          const Havers& havers) {
  std::vector<std::pair<PeerIndex, DataRef>> open;
  for (const DataRef& ref : data) open.emplace_back(reader, ref);
  while (!open.empty()) {
    const auto [worker, ref] = open.back();
    open.pop_back();
    if (datum(ref).is_available() && reachable_source(ref, worker) != no_peer) continue;
    isolate_holders(ref, worker);
    const PeerIndex where = remaker_for(ref, worker, havers);
    if (where == no_peer) continue;  // what was taken back for another one will be made anyway
    Run& run = run_at(ref.run);
    const std::uint32_t maker = run.producer[ref.index];
    if (remakers_.contains({run.slot, maker})) continue;
    if (run.tasks.state(maker) == TaskState::assigned) take_back(run, maker);
    drain_unavailable();
    wait_no_longer({run.slot, maker});
    if (run.tasks.state(maker) == TaskState::assigned) continue;  // by its twin
    if (run.tasks.state(maker) == TaskState::done && !run_again(run, maker)) continue;
    run.decisions[maker].moved = Moved::unreachable;
    remakers_[{run.slot, maker}] = where;
    for (const std::uint32_t name : run.graph->inputs_of(maker)) {
      open.emplace_back(where, run.resolve(name));
    }
  }
}

/// Who is to make the datum again for the worker: best it does that itself.
PeerIndex Core::remaker_for(DataRef ref, PeerIndex worker, const Havers& havers) const {
  const auto maker = maker_again(ref);
  if (!maker) return no_peer;
  const Run& run = run_at(ref.run);
  PeerIndex found = no_peer;
  for (const PeerIndex member : pool_for(run, *maker).members) {
    if (member != worker && (found != no_peer || !can_reach(worker, member))) continue;
    if (could_have_inputs(run, *maker, member, havers)) found = member;
  }
  return found;
}

void Core::isolate_holders(DataRef ref, PeerIndex worker) {
  const auto isolate = [&](PeerIndex holder) {
    if (workers_.at(holder).is_worker && !can_reach(worker, holder)) {
      broken_.isolate({worker, holder});
    }
  };
  const Datum& d = datum(ref);
  if (d.is_available()) isolate(d.primary);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (replicas_.at(n).is_actual) isolate(replicas_.at(n).peer);
  }
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
