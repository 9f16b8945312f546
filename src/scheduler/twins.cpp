#include <algorithm>
#include <optional>

#include "base/check.hpp"
#include "scheduler/core.hpp"

// A straggling task of a kernel without side effects gets a second attempt beside the first: its
// twin. Whichever is done first counts, the other one is taken back.

namespace ashlar::scheduler {
namespace {

/// Of a kernel, before a task of it can be called late.
constexpr std::uint64_t calls_min = 5;
/// Tasks that a worker has: among more it is not known which ones run, unless it said so.
constexpr std::uint32_t given_max = 64;

}  // namespace

/// Begins the tasks once more that should have ended long ago, where somebody has nothing to do.
void Core::speculate() {
  std::optional<std::vector<Thief>> spare;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& peer = workers_.at(p);
    if (!peer.is_worker || !peer.is_alive || peer.assigned == 0) continue;
    for (const Queued& entry : what_runs_on(p)) {
      Run& run = run_at(entry.task.run);
      if (!straggles(run, entry)) continue;
      if (!spare) spare = spare_workers();
      if (spare->empty()) return;
      start_twin(run, entry, *spare);
    }
  }
}

/// First attempts at tasks that the worker runs for long: as it said, or because it has no others.
std::vector<Core::Queued> Core::what_runs_on(PeerIndex worker) {
  const Peer& peer = workers_.at(worker);
  if (!peer.running.empty()) {
    std::erase_if(workers_.edit(worker).running,
                  [&](const Running& entry) { return !still_runs(entry.task, worker); });
  }
  const bool may_be_late = now_ - peer.busy_since >= limits_.twin_wait;
  if (may_be_late && peer.running.size() < peer.slots && peer.assigned <= given_max) {
    std::vector<Queued> queue = queue_of(worker);
    if (queue.size() <= peer.slots) return queue;
  }
  std::vector<Queued> told;
  for (const Running& running : peer.running) {
    if (!is_current(running.task, worker)) continue;
    Queued& entry = told.emplace_back();
    entry.task = {running.task.run, running.task.task};
    entry.task_ns = time_on(run_at(entry.task.run), entry.task.index, worker);
    entry.running_ns = (now_ - running.since).ns;
  }
  return told;
}

bool Core::straggles(const Run& run, const Queued& entry) {
  const std::uint32_t task = entry.task.index;
  if (entry.running_ns < limits_.twin_wait.ns) return false;
  const TaskRecord& record = run.tasks.at(task);
  const std::uint32_t kernel = run.kernel_ids[run.graph->kernel[task]];
  if (!workers_.is_repeatable(record.worker, kernel)) return false;
  if (!is_movable(run, task) || twins_.contains({run.slot, task})) return false;
  if (waits_for_transfers(run, task)) return false;
  const CostModel::Learned learned = costs_.learned(kernel);
  if (learned.calls < calls_min) return false;
  const double usual = static_cast<double>(time_on(run, task, record.worker));
  return static_cast<double>(entry.running_ns) >
         limits_.twin_lateness * (1 + learned.spread) * usual;
}

/// Whether something that the task reads may still be on its way from another host.
bool Core::waits_for_transfers(const Run& run, std::uint32_t task) {
  const PeerIndex worker = run.tasks.at(task).worker;
  return std::ranges::any_of(run.graph->inputs_of(task), [&](std::uint32_t name) {
    const PeerIndex holder = nearest_holder(datum(run.resolve(name)), worker);
    return workers_.at(holder).host != workers_.at(worker).host;
  });
}

/// Begins a twin if that is worth it, and within the session's budget.
void Core::start_twin(Run& run, const Queued& late, std::vector<Thief>& spare) {
  const std::uint32_t task = late.task.index;
  const TaskRecord& record = run.tasks.at(task);
  Session& session = session_of(run);
  const double budget = limits_.twin_share * static_cast<double>(session.task_ns);
  if (static_cast<double>(session.twin_ns) > budget) return;
  std::vector<Thief> able = spare;
  std::erase_if(able, [&](const Thief& thief) {
    return !workers_.is_repeatable(thief.worker, run.kernel_ids[run.graph->kernel[task]]);
  });
  std::int64_t finish = 0;
  const auto first = first_to_finish(run, task, able, finish);
  if (first == able.end()) return;
  const PeerIndex worker = first->worker;
  const std::int64_t takes = time_on(run, task, worker);
  if (late.running_ns - late.task_ns - finish < least_gain_ns(run, task, worker)) return;
  if (static_cast<double>(session.twin_ns + takes) > budget) return;

  std::erase_if(spare, [&](const Thief& thief) { return thief.worker == worker; });
  const Placed twin{worker, record.attempt + 1, static_cast<std::uint64_t>(takes)};
  twins_[late.task] = twin;
  const std::uint32_t requirement = run.tasks.classes()[record.task_class].requirement;
  workers_.take(worker, workers_.requirement(requirement), twin.expected_ns);
  if (workers_.at(worker).assigned == 1) workers_.edit(worker).busy_since = now_;
  protocol::AssignTasks& message = outbox_.assignment(worker, run.id);
  message.reuse_input.push_back(graph::TaskGraph::no_input);
  describe(run, task, twin, message);
  ++counters_.twins;
  ++run.rebalance.twins;
  run.rebalance.twin_ns += takes;
  session.twin_ns += takes;
}

/// The task's twin, if it has one that has not ended.
const Core::Placed* Core::find_twin(const Run& run, std::uint32_t task) const {
  if (twins_.empty()) return nullptr;
  const auto found = twins_.find({run.slot, task});
  return found == twins_.end() || found->second.worker == no_peer ? nullptr : &found->second;
}

/// The highest number that an attempt at the task ever had.
Attempt Core::latest_attempt(const Run& run, std::uint32_t task) const {
  if (!twins_.empty()) {
    const auto found = twins_.find({run.slot, task});
    if (found != twins_.end()) return found->second.attempt;
  }
  return run.tasks.at(task).attempt;
}

bool Core::is_twin(const Run& run, std::uint32_t task, PeerIndex worker, Attempt attempt) const {
  const Placed* twin = find_twin(run, task);
  return twin != nullptr && twin->worker == worker && twin->attempt == attempt;
}

/// The twin, if there is one, takes the place of the task's first attempt, which is taken back.
bool Core::give_to_twin(Run& run, std::uint32_t task) {
  if (find_twin(run, task) == nullptr) return false;
  const auto found = twins_.find({run.slot, task});
  const Placed twin = found->second;
  twins_.erase(found);
  steals_.erase({run.slot, task});
  TaskRecord& record = run.tasks.edit(task);
  outbox_.revoke(record.worker, run.id, task, record.attempt);
  free_worker(run, task);
  hand_over(run, task, record.worker, twin.worker);
  record.worker = twin.worker;
  record.attempt = twin.attempt;
  record.expected_ns = twin.expected_ns;
  record.is_beside = false;
  note_given(run, task, twin.worker);
  return true;
}

/// The twin is done first.
void Core::let_twin_win(Run& run, std::uint32_t task) {
  give_to_twin(run, task);
  ++counters_.twins_won;
  ++run.rebalance.twins_won;
}

/// Takes the twin back, if it has not ended. `is_first_there`: the first attempt goes on, or is
/// done.
void Core::end_twin(Run& run, std::uint32_t task, bool is_first_there) {
  Placed& twin = twins_.at({run.slot, task});
  if (twin.worker == no_peer) return;
  const PeerIndex worker = twin.worker;
  outbox_.revoke(worker, run.id, task, twin.attempt);
  const std::uint32_t requirement = run.tasks.classes()[run.tasks.at(task).task_class].requirement;
  workers_.give_back(worker, workers_.requirement(requirement), twin.expected_ns);
  freed_.push_back(worker);
  twin.worker = no_peer;
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    const Datum& made = run.data[d];
    if (replicas_.find(made, worker) == nullptr) {
      outbox_.free(worker, {run.id, d});
    } else if (is_first_there) {
      outbox_.relocate(worker, {run.id, d}, made.primary);
    }
  }
}

/// Ends what the worker does as a twin.
void Core::end_twins(PeerIndex worker) {
  for (const auto& [key, twin] : twins_) {
    if (twin.worker == worker) end_twin(run_at(key.run), key.index, true);
  }
}

/// Returns whether there were any.
bool Core::end_all_twins() {
  bool any = false;
  for (const auto& [key, twin] : twins_) {
    any |= twin.worker != no_peer;
    end_twin(run_at(key.run), key.index, true);
  }
  return any;
}

}  // namespace ashlar::scheduler
