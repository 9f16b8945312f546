#include <algorithm>
#include <utility>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {

/// The holder has no copy any more (or will make none): another one takes its place, or the datum
/// becomes unavailable.
void Core::remove_holder(DataRef ref, PeerIndex holder) {
  Datum& d = datum(ref);
  if (d.primary != holder) {
    replicas_.remove(d, holder);
    return;
  }
  PeerIndex next = no_peer;
  for (std::uint32_t n = d.replicas; d.is_made && n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (replicas_.at(n).is_actual) next = replicas_.at(n).peer;
  }
  if (next == no_peer && maker_of(ref) != no_peer) {
    next = maker_of(ref);  // it is being made again
    d.is_made = false;
  }
  if (next == no_peer) {
    unavailable_.push_back(ref);
    drain_unavailable();
    return;
  }
  d.primary = next;
  replicas_.remove(d, next);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (!replicas_.at(n).is_actual) outbox_.relocate(replicas_.at(n).peer, id_of(ref), next);
  }
  if (d.is_wanted && d.is_made) ready_data_.push_back(ref);
}

/// A task that is done turned its worker's copy of an input into its output.
void Core::forget_taken(DataRef ref, PeerIndex worker) {
  Datum& d = datum(ref);
  if (d.primary != worker) return;
  if (d.uses > 1 || d.is_wanted) {
    remove_holder(ref, worker);
  } else {
    d.primary = no_peer;
    free_copies(ref);
  }
}

void Core::drain_unavailable() {
  if (is_draining_) return;
  is_draining_ = true;
  while (!unavailable_.empty()) {
    const DataRef ref = unavailable_.back();
    unavailable_.pop_back();
    if (!datum(ref).is_available()) continue;
    const bool was_made = datum(ref).is_made;
    free_copies(ref);
    lost_.push_back(ref);
    block_consumers(ref, was_made);
  }
  is_draining_ = false;
}

void Core::block_consumers(DataRef ref, bool was_made) {
  for_consumers(ref, [this, was_made](Run& run, std::uint32_t task) {
    if (!is_unfinished(run.tasks.state(task))) return;
    if (run.tasks.state(task) == TaskState::assigned) {
      if (!was_made) run.tasks.edit(task).takes_over = false;  // it has not begun
      revoke(run, task, Moved::input_lost);
    } else if (run.tasks.state(task) == TaskState::assignable) {
      transition(run, task, TaskState::waiting);
    }
    ++run.tasks.edit(task).blocked;
  });
}

/// Takes an assigned task back from its worker: it waits again. What it was to make will not be.
void Core::revoke(Run& run, std::uint32_t task, Moved why) {
  run.decisions[task].moved = why;
  const TaskRecord& record = run.tasks.at(task);
  const PeerIndex worker = record.worker;
  outbox_.revoke(worker, run.id, task, record.attempt);
  free_worker(run, task);
  transition(run, task, TaskState::waiting);
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    if (!run.data[d].is_made && run.data[d].primary == worker) {
      unavailable_.push_back({run.slot, d});
    }
  }
  lose_taken(run, task);
  if (broken_.any(now_)) note_coming(run, task, worker);
}

/// What was to come to the worker for the task may come no more.
void Core::note_coming(const Run& run, std::uint32_t task, PeerIndex worker) {
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    if (ref.run == DataRef::no_run) continue;
    const ReplicaPool::Replica* replica = replicas_.find(datum(ref), worker);
    if (replica != nullptr && !replica->is_actual) coming_.insert({ref, worker});
  }
}

/// Before others are sent there for it, which would be in vain, and where links are broken, may be
/// so again and again.
void Core::forget_coming() {
  for (const auto& [ref, worker] : std::exchange(coming_, {})) {
    const ReplicaPool::Replica* replica = replicas_.find(datum(ref), worker);
    if (replica == nullptr || replica->is_actual || is_read_on(ref, worker)) continue;
    replicas_.remove(datum(ref), worker);
    outbox_.free(worker, id_of(ref));
  }
}

/// The input that the task, as it was assigned last, may take over; no_run: none.
DataRef Core::taken_by(const Run& run, std::uint32_t task) const {
  if (!run.tasks.at(task).takes_over) return {};
  return run.resolve(run.graph->inputs_of(task)[run.graph->reuse_input[task]]);
}

/// An input that a task may have taken over, which was assigned and is no more, may be gone.
void Core::lose_taken(Run& run, std::uint32_t task) {
  const DataRef taken = taken_by(run, task);
  const PeerIndex worker = run.tasks.at(task).worker;
  if (taken.run == DataRef::no_run || datum(taken).primary != worker) return;
  outbox_.free(worker, id_of(taken));
  remove_holder(taken, worker);
}

void Core::void_tasks(PeerIndex worker, const WorkerLost& event) {
  std::vector<DataRef> assigned;  // here: run and task
  for (const auto& run : runs_) {
    if (!run || run->tasks.count(TaskState::assigned) == 0) continue;
    for (std::uint32_t t = 0; t < run->tasks.size(); ++t) {
      const TaskRecord& record = run->tasks.at(t);
      if (record.state != TaskState::assigned || record.worker != worker) continue;
      assigned.push_back({run->slot, t});
    }
  }
  count_killed(worker, assigned, event);
  for (const DataRef& entry : assigned) {
    Run& run = run_at(entry.run);
    if (give_to_twin(run, entry.index)) continue;
    free_worker(run, entry.index);
    run.decisions[entry.index].moved = Moved::worker_lost;
    transition(run, entry.index, TaskState::assignable);
  }
}

/// Leaves those of the assigned tasks that the worker was in; when that is not known, those that
/// it may have been in: by rank the first, one for each slot, whose inputs exist.
void Core::keep_suspects(PeerIndex worker, std::vector<DataRef>& assigned,
                         const WorkerLost& event) {
  if (event.running) {
    std::erase_if(assigned, [&](const DataRef& entry) {
      return std::ranges::find(*event.running, id_of(entry)) == event.running->end();
    });
    return;
  }
  std::erase_if(assigned, [this](const DataRef& entry) {
    const Run& run = run_at(entry.run);
    return !std::ranges::all_of(run.graph->inputs_of(entry.index), [&](std::uint32_t name) {
      return datum(run.resolve(name)).is_made;
    });
  });
  std::ranges::sort(assigned, {}, [this](const DataRef& entry) {
    const Run& run = run_at(entry.run);
    return std::pair{run.tasks.rank(entry.index), run.sequence};
  });
  if (assigned.size() > workers_.at(worker).slots) assigned.resize(workers_.at(worker).slots);
}

/// Counts the death against the tasks that the worker was in.
void Core::count_killed(PeerIndex worker, std::vector<DataRef> assigned, const WorkerLost& event) {
  keep_suspects(worker, assigned, event);
  for (const DataRef& entry : assigned) {
    Run& run = run_at(entry.run);
    TaskRecord& record = run.tasks.edit(entry.index);
    last_loss_ += (event.running ? ", in " : ", perhaps in ") + run.label(entry.index);
    if (++record.killed < limits_.attempts_killed) continue;
    ++counters_.tasks_failed;
    fail_task_later(run, entry.index,
                    run.label(entry.index) + ": took down " + std::to_string(record.killed) +
                        " workers and is given up; the last was " + workers_.at(worker).name +
                        ": " + event.reason);
  }
}

/// Runs again what made lost data that are still needed; with what cannot be made again end those
/// who need it.
void Core::recover() {
  while (!lost_.empty()) {
    const DataRef ref = lost_.back();
    lost_.pop_back();
    const Datum& d = datum(ref);
    if (d.is_available() || d.is_lost || !d.is_needed()) continue;
    Run& run = run_at(ref.run);
    if (!run.graph) {
      give_up(ref, "the driver's buffer is gone");
      continue;
    }
    const std::uint32_t task = run.producer[ref.index];
    const TaskState state = run.tasks.state(task);
    if (is_unfinished(state)) continue;
    if (state != TaskState::done) {
      give_up(ref, run.label(task) + " failed when it ran again");
    } else if (!run_again(run, task)) {
      give_up(ref, "what " + run.label(task) + " reads is gone");
    }
  }
}

/// Sets a task that is done back, and asks for its inputs. Returns false when one is gone.
bool Core::run_again(Run& run, std::uint32_t task) {
  const auto inputs = run.graph->inputs_of(task);
  for (const std::uint32_t name : inputs) {
    const DataRef ref = run.resolve(name);
    if (ref.run == DataRef::no_run || datum(ref).is_lost) return false;
  }
  ++counters_.tasks_recomputed;
  run.decisions[task].moved = Moved::output_lost;
  std::uint32_t blocked = 0;
  for (const std::uint32_t name : inputs) {
    const DataRef ref = run.resolve(name);
    take_use(run, ref);
    if (datum(ref).is_available()) continue;
    ++blocked;
    lost_.push_back(ref);
  }
  run.tasks.edit(task).blocked = blocked;
  transition(run, task, blocked == 0 ? TaskState::assignable : TaskState::waiting);
  return true;
}

/// The datum can never be had again.
void Core::give_up(DataRef ref, const std::string& reason) {
  Run& run = run_at(ref.run);
  const auto cause = std::make_shared<const Cause>(
      Cause{ErrorKind::disconnected,
            "datum " + std::to_string(ref.index) + " of " + run.label() +
                " was lost with its worker and cannot be made again: " + reason});
  if (datum(ref).is_wanted) {
    run.given_up[ref.index] = cause;
    if (!run.is_ended) note_failure(run, cause);
  }
  lose(ref, cause);
  abandon_doomed(cause);
}

void Core::fail_impossible(Run& run) {
  fail_unplaceable(run);
  fail_too_large(run);
}

/// Fails the run if tasks of it wait for a worker of a kind that does not exist.
void Core::fail_unplaceable(Run& run) {
  if (workers_.usable_count() == 0 || run.tasks.unfinished() == 0) return;
  for (std::uint16_t c = 0; c < run.tasks.classes().size(); ++c) {
    const TaskClass& task_class = run.tasks.classes()[c];
    if (task_class.unfinished == 0) continue;
    if (!workers_.pool(workers_.pool_of(task_class.requirement)).members.empty()) continue;
    std::uint32_t t = 0;
    while (t < run.tasks.size() &&
           (run.tasks.at(t).task_class != c || run.tasks.state(t) > TaskState::assignable)) {
      ++t;
    }
    if (t == run.tasks.size()) continue;  // the rest of the class is on workers that are leaving
    if (now_ - std::max(run.submitted, workers_changed_) < limits_.growth_wait) {
      waits_for_growth_ = true;
      return;
    }
    bool has_kernel = false;
    std::string names;
    for (PeerIndex p = 0; p < workers_.size(); ++p) {
      const Peer& peer = workers_.at(p);
      if (!peer.is_worker || !peer.is_alive || peer.is_leaving) continue;
      has_kernel |=
          workers_.position_of(p, run.kernel_ids[run.graph->kernel[t]]) != Peer::none_position;
      if (names.size() < 200) names += (names.empty() ? "" : ", ") + peer.name;
    }
    fail_later(run, protocol::RunOutcome::failed, ErrorKind::unsupported,
               run.label(t) +
                   (has_kernel ? ": " + workers_.what_is_missing(task_class.requirement) +
                                     "; start a worker that has it, such as with `ashlar worker"
                                     " --resource NAME=AMOUNT`; workers: "
                               : ": no worker has this kernel; start one that has it, such as"
                                 " `ashlar worker --load LIBRARY.so`; workers: ") +
                   names);
    return;
  }
}

void Core::fail_unattended() {
  if (workers_.usable_count() > 0 || unfinished_ == 0) return;
  for (const auto& run : runs_) {
    if (!run || run->tasks.unfinished() == 0 || run->tasks.count(TaskState::assigned) > 0) continue;
    const Instant since = std::max(run->submitted, unattended_since_);
    if (now_ - since < limits_.no_worker_wait) continue;
    const std::string last = last_loss_.empty() ? "" : "; the last one: " + last_loss_;
    fail_later(*run, protocol::RunOutcome::failed, ErrorKind::disconnected,
               run->label() + ": no worker is there, and none joined within " +
                   std::to_string(limits_.no_worker_wait.ns / 1'000'000) + " ms" + last +
                   "; on a cluster, start some with: ashlar worker --scheduler ADDRESS");
  }
}

void Core::fail_what_cannot_run() {
  bool is_idle = has_ticked_ && unfinished_ > 0;
  for (PeerIndex p = 0; is_idle && p < workers_.size(); ++p) is_idle = workers_.at(p).assigned == 0;
  const bool has_changed = workers_.refresh_pools();
  if (has_changed) workers_changed_ = now_;
  const bool is_due = has_ticked_ && std::exchange(waits_for_growth_, false);
  // When nobody has anything to do, something made again may be what nobody can do.
  if (has_changed || is_idle || is_due) {
    for (const auto& run : runs_) {
      if (run) fail_impossible(*run);
    }
  } else {
    for (const std::uint32_t slot : new_runs_) fail_impossible(run_at(slot));
  }
  fail_unattended();
  apply_failures();
}

}  // namespace ashlar::scheduler
