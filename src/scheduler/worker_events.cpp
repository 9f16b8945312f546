#include <algorithm>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {
namespace {
/// Thirteen days: no sum of claims like it overflows soon.
constexpr std::uint64_t elapsed_ns_max = std::uint64_t{1} << 50;
}  // namespace

void Core::on(const WorkerJoined& event) {
  if (workers_.was_known(event.worker)) {
    ++counters_.stale_events;
    return;
  }
  workers_.edit(workers_.add(event.worker, event.hello, true)).joined = now_;
  take_up_hoping(true);
}

void Core::on(const WorkerLost& event) {
  last_loss_ = event.reason;
  const PeerIndex worker = workers_.find(event.worker);
  if (worker == no_peer || !workers_.at(worker).is_worker) {
    ++counters_.stale_events;
    return;
  }
  workers_.remove(worker);
  workers_.edit(worker).left = now_;
  let_go_all(worker);
  if (workers_.usable_count() == 0) unattended_since_ = now_;
  broken_.forget(worker);
  outbox_.announce_gone(worker, event.reason);
  end_twins(worker);
  void_tasks(worker, event);
  for (const auto& run : runs_) {
    if (!run) continue;
    for (std::uint32_t d = 0; d < run->data.size(); ++d) remove_holder({run->slot, d}, worker);
  }
}

void Core::on(const FromWorker& event) {
  const PeerIndex worker = workers_.find(event.worker);
  if (worker == no_peer || !workers_.at(worker).is_worker || workers_.at(worker).is_dropped) {
    ++counters_.stale_events;
    return;
  }
  // Leaving and heartbeats are said beside the engine; anything else means that it went on.
  const bool is_aside = std::holds_alternative<protocol::Heartbeat>(event.message) ||
                        std::holds_alternative<protocol::Leaving>(event.message);
  if (!is_aside && workers_.at(worker).shortage) {
    workers_.edit(worker).shortage.reset();
    is_stuck_ = false;  // something went on since
  }
  std::visit([&](const auto& message) { on_worker(worker, message); }, event.message);
}

Core::Existence Core::find_task_run(PeerIndex worker, RunId id, Run*& run) {
  run = find_run(id);
  if (run != nullptr) return Existence::exists;
  DataRef unused;
  const Existence existence = find_datum({id, 0}, unused);
  if (existence == Existence::impossible) {
    drop_peer(worker, "speaks of run " + std::to_string(id.number) + " of session " +
                          std::to_string(id.session.value) + ", which never was");
  } else {
    ++counters_.stale_events;
  }
  return existence;
}

std::string Core::check_done(const Run& run, const protocol::TasksDone& message) const {
  if (!run.graph) return "reports tasks of put data";
  if (message.attempt.size() != message.task.size() ||
      message.elapsed_ns.size() != message.task.size()) {
    return "reports tasks with vectors of different lengths";
  }
  std::size_t outputs = 0;
  for (std::size_t i = 0; i < message.task.size(); ++i) {
    const std::uint32_t t = message.task[i];
    if (t >= run.tasks.size() || message.attempt[i] > latest_attempt(run, t)) {
      return "reports task " + std::to_string(t) + ", attempt " +
             std::to_string(message.attempt[i]) + " of " + run.label() + ", which never was";
    }
    outputs += run.graph->output_offsets[t + 1] - run.graph->output_offsets[t];
  }
  if (message.output_bytes.empty() || message.output_bytes.size() == outputs) return {};
  return "reports sizes of " + std::to_string(message.output_bytes.size()) + " outputs: expected " +
         std::to_string(outputs);
}

void Core::on_worker(PeerIndex worker, const protocol::TasksDone& message) {
  Run* run = nullptr;
  if (find_task_run(worker, message.run, run) != Existence::exists) return;
  if (auto wrong = check_done(*run, message); !wrong.empty()) {
    drop_peer(worker, wrong);
    return;
  }
  Share& share = run->share_of(worker);
  std::int64_t measured = 0, average = 0;
  std::size_t output = 0;
  for (std::size_t i = 0; i < message.task.size(); ++i) {
    const std::uint32_t t = message.task[i];
    const std::size_t outputs = run->graph->output_offsets[t + 1] - run->graph->output_offsets[t];
    std::span<const std::uint64_t> bytes;
    if (!message.output_bytes.empty()) bytes = {message.output_bytes.data() + output, outputs};
    output += outputs;
    const TaskRecord& record = run->tasks.at(t);
    if (is_twin(*run, t, worker, message.attempt[i])) let_twin_win(*run, t);
    if (record.state != TaskState::assigned || record.worker != worker ||
        record.attempt != message.attempt[i]) {
      ++counters_.stale_events;
      note_stale(worker, *run, t, message.attempt[i]);
      continue;
    }
    const std::uint64_t elapsed = std::min(message.elapsed_ns[i], elapsed_ns_max);
    measured += static_cast<std::int64_t>(elapsed);
    average += average_time(*run, t, calm_time(worker, elapsed));
    ++share.tasks;
    task_done(*run, t, elapsed, bytes);
  }
  share.busy_ns += measured;
  run->task_ns += measured;
  session_of(*run).task_ns += measured;
  slot_time_.busy_ns += measured;
  if (average > 0) {
    workers_.observe_speed(worker, static_cast<double>(measured) / static_cast<double>(average),
                           now_);
  }
  note_sizes(*run);
  finish_if_done(*run);
}

/// What the task would have taken, had its host had nothing else to do.
std::int64_t Core::calm_time(PeerIndex worker, std::uint64_t elapsed_ns) const {
  return static_cast<std::int64_t>(static_cast<double>(elapsed_ns) /
                                   workers_.at(worker).load.stretch());
}

/// The class of the worker, while there are several.
std::uint32_t Core::class_of(PeerIndex worker) const {
  return workers_.classes().size() > 1 ? workers_.at(worker).worker_class : CostModel::any_class;
}

/// What the average worker of its kind takes for the task; the measured time when the kernel is
/// new.
std::int64_t Core::average_time(const Run& run, std::uint32_t task, std::int64_t calm_ns) const {
  const std::uint32_t kernel = run.kernel_ids[run.graph->kernel[task]];
  if (!costs_.has_seen(kernel)) return calm_ns;
  return costs_.predict(kernel, run.flops_of(task), run.moved_bytes_of(task),
                        class_of(run.tasks.at(task).worker));
}

void Core::free_worker(Run& run, std::uint32_t task) {
  const TaskRecord& record = run.tasks.at(task);
  const std::uint32_t requirement = run.tasks.classes()[record.task_class].requirement;
  workers_.give_back(record.worker, workers_.requirement(requirement), record.expected_ns,
                     record.is_beside);
  freed_.push_back(record.worker);
}

void Core::task_done(Run& run, std::uint32_t task, std::uint64_t elapsed_ns,
                     std::span<const std::uint64_t> output_bytes) {
  const graph::TaskGraph& g = *run.graph;
  TaskRecord& record = run.tasks.edit(task);
  workers_.edit(record.worker).busy_since = now_;
  ++workers_.edit(record.worker).done;
  free_worker(run, task);
  judge_steal(run, task);
  transition(run, task, TaskState::done);
  ++counters_.tasks_done;
  ++run.done_count;
  run.last_done = now_;
  costs_.observe(run.kernel_ids[g.kernel[task]], run.flops_of(task), run.moved_bytes_of(task),
                 calm_time(record.worker, elapsed_ns), class_of(record.worker));

  const std::uint32_t first = g.output_offsets[task];
  for (std::uint32_t d = first; d < g.output_offsets[task + 1]; ++d) {
    Datum& made = run.data[d];
    if (!output_bytes.empty()) made.bytes = output_bytes[d - first];
    if (made.primary != record.worker) {
      if (auto* replica = replicas_.find(made, record.worker)) replicas_.arrive(*replica);
    }
    made.is_made = true;
    begin_transfers({run.slot, d});
    if (made.is_wanted) ready_data_.push_back({run.slot, d});
    free_if_unneeded({run.slot, d});
  }

  std::uint64_t path = 0;
  std::uint32_t position = 0;
  for (const std::uint32_t name : g.inputs_of(task)) {
    if (name < g.output_count()) path = std::max(path, run.tasks.at(run.producer[name]).path_ns);
    if (record.takes_over && position++ == g.reuse_input[task]) {
      forget_taken(run.resolve(name), record.worker);
    }
    release_use(run, name);
  }
  if (run.prefetches) made_now_.push_back({run.slot, task});
  record.path_ns = path + elapsed_ns;
  if (record.path_ns >= run.path_ns) {
    run.path_ns = record.path_ns;
    run.path_end = task;
  }
}

void Core::on_worker(PeerIndex worker, const protocol::TaskFailed& message) {
  Run* run = nullptr;
  if (find_task_run(worker, message.run, run) != Existence::exists) return;
  if (message.task >= run->tasks.size() || message.attempt > latest_attempt(*run, message.task)) {
    drop_peer(worker, "reports the failure of task " + std::to_string(message.task) + " of " +
                          run->label() + ", which never was");
    return;
  }
  if (is_twin(*run, message.task, worker, message.attempt)) {
    end_twin(*run, message.task, true);
    return;
  }
  const TaskRecord& record = run->tasks.at(message.task);
  if (record.state != TaskState::assigned || record.worker != worker ||
      record.attempt != message.attempt) {
    ++counters_.stale_events;
    return;
  }
  if (give_to_twin(*run, message.task)) return;
  ++counters_.tasks_failed;
  fail_task(*run, message.task,
            std::make_shared<const Cause>(
                Cause{message.kind, run->label(message.task) + ", on worker " +
                                        workers_.at(worker).name + ": " + message.what}));
}

void Core::on_worker(PeerIndex worker, const protocol::DataAcquired& message) {
  Run* run = nullptr;
  const Existence existence = find_task_run(worker, message.run, run);
  if (existence == Existence::impossible) return;
  if (run != nullptr) {
    run->local_bytes += message.local_bytes;
    run->remote_bytes += message.remote_bytes;
    run->spilled_bytes += message.spilled_bytes;
    run->loaded_bytes += message.loaded_bytes;
    if (message.remote_bytes > 0) run->traffic_of(worker).received += message.remote_bytes;
  }
  if (message.remote_bytes > 0) workers_.edit(worker).busy_since = now_;  // it may have waited
  for (const DatumId id : message.data) {
    DataRef ref;
    switch (find_datum(id, ref)) {
      case Existence::exists:
        break;
      case Existence::stale:
        ++counters_.stale_events;
        continue;
      case Existence::impossible:
        drop_peer(worker, "acquired a datum that never was");
        return;
    }
    if (auto* replica = replicas_.find(datum(ref), worker)) {
      if (replica->coming_bytes > 0) {
        if (run != nullptr) run->traffic_of(replica->from).sent += replica->coming_bytes;
        if (replica->has_begun) {
          links_.end(replica->from, worker, {replica->coming_bytes, replica->began}, now_);
        }
      }
      replicas_.arrive(*replica);
    } else {
      ++counters_.stale_events;
    }
  }
}

void Core::on_worker(PeerIndex worker, const protocol::DataMissing& message) {
  if (message.peer.size() != message.data.size() ||
      message.reasons.size() != message.unreachable.size()) {
    drop_peer(worker, "reports missing data with vectors of different lengths");
    return;
  }
  note_links(worker, message);
  for (std::size_t i = 0; i < message.data.size(); ++i) {
    DataRef ref;
    switch (find_datum(message.data[i], ref)) {
      case Existence::exists:
        break;
      case Existence::stale:
        ++counters_.stale_events;
        continue;
      case Existence::impossible:
        drop_peer(worker, "misses a datum that never was");
        return;
    }
    // One that is taken to have it itself has none: what it said it had was freed, and the datum
    // made again, meanwhile.
    const bool is_false_holder = datum(ref).primary == worker && maker_of(ref) != worker;
    const PeerIndex asked = is_false_holder ? worker : workers_.find(message.peer[i]);
    if (can_reach(worker, asked)) {
      datum_missing(worker, ref, asked);
    } else {
      reroute(worker, ref, asked);  // which says nothing about the datum
    }
  }
}

void Core::datum_missing(PeerIndex worker, DataRef ref, PeerIndex asked) {
  Datum& d = datum(ref);
  if (!d.is_available()) return;  // its consumers were revoked, or ended
  if (d.is_made && asked != no_peer) {
    // Taken at its word, and told as one who has yet to get the datum: it may need it itself.
    auto* replica = replicas_.find(d, asked);
    if (d.primary == asked) {
      remove_holder(ref, asked);
      if (d.is_available() && d.primary != asked) {
        replicas_.add(d, asked);
        outbox_.relocate(asked, id_of(ref), d.primary);
      }
    } else if (replica != nullptr && replica->is_actual) {
      replica->is_actual = false;
      outbox_.relocate(asked, id_of(ref), d.primary);
    } else if (replica != nullptr && workers_.at(asked).is_worker && maker_of(ref) != asked &&
               !is_read_on(ref, asked)) {
      // What was to read it there was taken back, and the fetch given up: it never comes.
      replicas_.remove(d, asked);
      outbox_.free(asked, id_of(ref));
    }
  }
  // Only who still is to have it is told where; a worker that makes it needs no telling.
  if (d.is_available() && d.primary != worker && replicas_.find(d, worker) != nullptr) {
    if (!can_reach(worker, d.primary)) return reroute(worker, ref, asked);
    outbox_.relocate(worker, id_of(ref), d.primary);
  }
}

void Core::on_worker(PeerIndex worker, const protocol::Leaving&) {
  if (workers_.at(worker).is_leaving) return;
  workers_.set_leaving(worker);
  let_go_all(worker);
  leaving_.push_back(worker);
  if (workers_.usable_count() == 0) unattended_since_ = now_;
}

/// Lets workers go that asked to leave and have no task left. What only they hold is made again.
void Core::dismiss_leaving() {
  std::erase_if(leaving_, [this](PeerIndex worker) {
    const Peer& peer = workers_.at(worker);
    if (!peer.is_alive) return true;
    if (peer.assigned > 0) return false;
    outbox_.shut_down(worker, "it asked to leave");
    return true;
  });
}

void Core::on_worker(PeerIndex worker, const protocol::SlotsHeld& message) {
  workers_.set_held(worker, message.slots);
  if (workers_.has_free_slot(worker)) {
    freed_.push_back(worker);
    return;
  }
  let_go_all(worker);
  take_back(worker);
}

void Core::on_worker(PeerIndex worker, const protocol::TasksRunning& message) {
  const std::size_t count = message.tasks.size();
  if (count > workers_.at(worker).slots) {
    drop_peer(worker, "says that it runs " + std::to_string(count) + " tasks at once on " +
                          std::to_string(workers_.at(worker).slots) + " slots");
    return;
  }
  if (count != message.attempt.size() || count != message.running_ns.size()) {
    drop_peer(worker,
              "says of " + std::to_string(count) + " tasks that they run, but not since when");
    return;
  }
  std::vector<Running> running;
  for (std::size_t i = 0; i < count; ++i) {
    const DatumId& id = message.tasks[i];
    Run* run = nullptr;
    const Existence existence = find_task_run(worker, id.run, run);
    if (existence == Existence::impossible) return;
    if (existence == Existence::stale) continue;
    if (id.index >= run->tasks.size() || message.attempt[i] > latest_attempt(*run, id.index)) {
      drop_peer(worker, "says that it runs task " + std::to_string(id.index) + ", attempt " +
                            std::to_string(message.attempt[i]) + " of " + run->label() +
                            ", which never was");
      return;
    }
    const auto most = static_cast<std::uint64_t>((now_ - run->submitted).ns);
    const auto running_ns = static_cast<std::int64_t>(std::min(message.running_ns[i], most));
    const Running entry{{run->sequence, run->slot, id.index, message.attempt[i], steps_},
                        Instant{now_.ns - running_ns}};
    if (still_runs(entry.task, worker)) running.push_back(entry);
  }
  const auto key = [](const Running& entry) { return DataRef{entry.task.run, entry.task.task}; };
  std::ranges::sort(running, {}, key);
  const auto twice = std::ranges::unique(running, {}, key);
  running.erase(twice.begin(), twice.end());
  workers_.edit(worker).running = std::move(running);
}

/// Has everything that was assigned to the worker done elsewhere.
void Core::take_back(PeerIndex worker) {
  end_twins(worker);
  if (workers_.at(worker).assigned == 0) return;
  for (const auto& run : runs_) {
    if (!run || run->tasks.count(TaskState::assigned) == 0) continue;
    for (std::uint32_t t = 0; t < run->tasks.size(); ++t) {
      const TaskRecord& record = run->tasks.at(t);
      if (record.state != TaskState::assigned || record.worker != worker) continue;
      if (!give_to_twin(*run, t)) revoke(*run, t, Moved::slots_held);
    }
  }
  drain_unavailable();
  for (const auto& run : runs_) {
    if (!run || run->tasks.count(TaskState::waiting) == 0) continue;
    for (std::uint32_t t = 0; t < run->tasks.size(); ++t) {
      const TaskRecord& record = run->tasks.at(t);
      if (record.state == TaskState::waiting && record.blocked == 0) {
        transition(*run, t, TaskState::assignable);
      }
    }
  }
}

}  // namespace ashlar::scheduler
