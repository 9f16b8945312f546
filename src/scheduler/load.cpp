#include <algorithm>
#include <functional>
#include <iomanip>
#include <sstream>

#include "scheduler/core.hpp"

// What hosts are busy with, what was learnt of times, and who has to be relieved.

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
      revoke(run_at(entry.run), entry.index);
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

namespace {

std::string time_text(double ns) {
  const bool is_us = ns < 1e6, is_ms = ns < 1e9;
  std::ostringstream text;
  text << std::setprecision(3) << ns / (is_us ? 1e3 : is_ms ? 1e6 : 1e9)
       << (is_us ? " us" : is_ms ? " ms" : " s");
  return text.str();
}

void add_row(std::ostream& out, const std::string& kernel, const std::string& workers,
             const CostModel::Learned& learned) {
  if (learned.calls == 0) return;
  out << std::left << std::setw(24) << kernel << ' ' << std::setw(12) << workers << std::right
      << std::setw(10) << learned.calls << std::setw(11) << time_text(learned.predicted_ns)
      << std::setw(8) << std::setprecision(0) << 100 * learned.spread << " %" << std::setw(12)
      << std::setprecision(2) << learned.confidence << '\n';
}

void add_row(std::ostream& out, const Peer& peer, const std::string& class_name) {
  out << std::left << std::setw(24) << peer.name << ' ' << std::setw(12) << class_name
      << std::right << std::setprecision(2) << std::setw(10) << peer.slowness << std::setw(11)
      << peer.speed.calm() << std::setw(10) << peer.load.others() << std::setw(9)
      << peer.load.stretch() << std::setw(6) << std::setprecision(0)
      << 100 * peer.load.memory_share() << " %" << (peer.load.is_hot() ? "  hot" : "") << '\n';
}

}  // namespace

std::string Core::learned() const {
  std::ostringstream out;
  out << std::fixed << std::left << std::setw(24) << "kernel" << ' ' << std::setw(12) << "workers"
      << "     calls  predicted    spread  confidence\n";
  const auto& classes = workers_.classes();
  for (const auto& [name, kernel] : workers_.kernels()) {
    add_row(out, name, "all", costs_.learned(kernel));
    for (std::uint32_t c = 0; c < classes.size(); ++c) {
      add_row(out, name, classes[c], costs_.learned(kernel, c));
    }
  }
  out << std::left << std::setw(24) << "worker" << ' ' << std::setw(12) << "class"
      << "  slowness  when calm    others  stretch  memory\n";
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& peer = workers_.at(p);
    if (peer.is_worker && peer.is_alive) add_row(out, peer, classes[peer.worker_class]);
  }
  return out.str();
}

}  // namespace ashlar::scheduler
