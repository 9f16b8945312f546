#include <algorithm>
#include <functional>

#include "scheduler/core.hpp"

// What hosts are busy with, and who has to be relieved.

namespace ashlar::scheduler {

void Core::on(const Tick&) {
  has_ticked_ = true;
  workers_.forget_old_loads(now_);
  relieve_hot();
}

void Core::on(const ForgetLearned&) {
  costs_.forget();
  workers_.forget_speeds();
  links_.forget();
}

void Core::on_worker(PeerIndex worker, const protocol::Heartbeat& message) {
  workers_.hear(worker, message, unfinished_ > 0, now_);
}

/// Gives idle workers tasks that wait on hot hosts. Few at a time, and each task seldom: what it
/// did there shows later.
void Core::relieve_hot() {
  if (workers_.hot_count() == 0 || unfinished_ == 0) return;
  std::uint64_t slots = workers_.idle_cool_slots();
  std::vector<DataRef> taken;  // here: run and task
  for (PeerIndex p = 0; p < workers_.size() && slots > taken.size(); ++p) {
    const Peer& peer = workers_.at(p);
    if (!peer.load.is_hot() || peer.assigned <= peer.slots) continue;
    if (now_ - peer.relieved < limits_.relief_interval) continue;
    for (const DataRef& entry : movable_tasks(p)) {
      if (taken.size() == slots) break;
      workers_.edit(p).relieved = now_;
      revoke(run_at(entry.run), entry.index, Moved::hot_host);
      taken.push_back(entry);
      ++counters_.tasks_relieved;
    }
  }
  drain_unavailable();
  for (const DataRef& entry : taken) {
    Run& run = run_at(entry.run);
    const TaskRecord& record = run.tasks.at(entry.index);
    if (record.state == TaskState::waiting && record.blocked == 0) {
      transition(run, entry.index, TaskState::assignable);
    }
  }
}

/// Tasks of the worker that wait behind others, the last first. Those by rank first, one for each
/// slot, are taken to be running.
std::vector<DataRef> Core::movable_tasks(PeerIndex worker) const {
  std::vector<DataRef> found;
  std::uint32_t left = workers_.at(worker).assigned;
  for (const auto& run : runs_) {
    if (!run || run->tasks.count(TaskState::assigned) == 0) continue;
    for (std::uint32_t t = 0; t < run->tasks.size() && left > 0; ++t) {
      const TaskRecord& record = run->tasks.at(t);
      if (record.state != TaskState::assigned || record.worker != worker) continue;
      --left;
      found.push_back({run->slot, t});
    }
  }
  std::ranges::sort(found, std::greater{}, [this](const DataRef& entry) {
    return std::pair{run_at(entry.run).tasks.rank(entry.index), entry.run};
  });
  found.resize(found.size() - std::min<std::size_t>(found.size(), workers_.at(worker).slots));
  std::erase_if(found, [this](const DataRef& entry) {
    return !is_movable(run_at(entry.run), entry.index);
  });
  return found;
}

/// Whether nothing but the task itself has to be done again elsewhere.
bool Core::is_movable(const Run& run, std::uint32_t task) const {
  constexpr Attempt attempts_max = 3;
  const TaskRecord& record = run.tasks.at(task);
  if (record.takes_over || record.attempt > attempts_max || !run.watchers.empty()) return false;
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    for (const std::uint32_t user : run.consumers.of(d)) {
      if (run.tasks.state(user) == TaskState::assigned) return false;
    }
  }
  return true;
}

}  // namespace ashlar::scheduler
