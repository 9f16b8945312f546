#include <algorithm>
#include <limits>
#include <utility>

#include "worker/state.hpp"

// What the scheduler is told, and when.

namespace ashlar::worker {
namespace {

/// What is in the report for this run, most often the last one; a new one when there is none.
template <class Report>
std::size_t entry_of(std::vector<Report>& reports, RunId run) {
  std::size_t i = reports.size();
  while (i > 0 && reports[i - 1].run != run) --i;
  if (i > 0) return i - 1;
  reports.emplace_back().run = run;
  return reports.size() - 1;
}

}  // namespace

protocol::TasksDone& WorkerEngine::State::done_report(RunId run, bool is_dynamic) {
  const std::size_t i = entry_of(done, run);
  done_is_dynamic.resize(done.size(), false);
  if (is_dynamic) done_is_dynamic[i] = true;
  note_report();
  return done[i];
}

protocol::DataAcquired& WorkerEngine::State::acquired_report(RunId run) {
  note_report();
  return acquired[entry_of(acquired, run)];
}

void WorkerEngine::State::note_report() {
  if (reports_held++ == 0) held_since = now;
}

Instant WorkerEngine::State::report_due() const {
  if (reports_held == 0) return Instant{std::numeric_limits<std::int64_t>::max()};
  if (!is_report_awaited) {
    return held_since + std::max(limits.report_delay, limits.report_delay_template);
  }
  const bool is_more_left = tasks.size() > reports_held;
  return held_since + (is_more_left ? std::max(limits.report_delay, limits.report_delay_max)
                                    : limits.report_delay);
}

/// Tells which tasks run for long, when one is new among them.
void WorkerEngine::State::report_running() {
  if (!limits.tells_running || now - seen_at < limits.running_look) return;
  seen_at = now;
  std::vector<Running> found;
  for (std::uint32_t slot = 0; started_count() > 0 && slot < tasks.slot_count(); ++slot) {
    if (!tasks.has(slot) || tasks[slot].state != TaskState::started) continue;
    found.push_back({tasks[slot].start, slot, now});
  }
  std::ranges::sort(found, {}, &Running::start);
  if (found.size() > slots) found.resize(slots);
  bool is_new = false;
  protocol::TasksRunning message;
  for (Running& entry : found) {
    const Task& task = tasks[entry.slot];
    const auto before = std::ranges::find(seen_running, entry.start, &Running::start);
    if (before == seen_running.end() || task.is_revoked) continue;
    is_new |= !before->is_told;
    entry.since = before->since;
    entry.is_told = true;
    message.tasks.push_back({task.run, task.task});
    message.attempt.push_back(task.attempt);
    message.running_ns.push_back(static_cast<std::uint64_t>((now - entry.since).ns));
  }
  seen_running = std::move(found);
  if (is_new) report(std::move(message));
}

/// There is something to tell beside a want of memory.
bool WorkerEngine::State::has_reports() const {
  return !done.empty() || !failed.empty() || !acquired.empty() || is_missing_told();
}

/// Whether what there is to report may wait for more: more is to come soon, and nobody waits for
/// it.
bool WorkerEngine::State::may_hold_reports() const {
  if (limits.report_delay.ns == 0 || is_resting || is_leaving || is_thought_short) return false;
  if (!failed.empty() || is_missing_told() || !shortage.tasks.empty()) return false;
  if (tasks.size() == 0 || reports_held >= limits.reports_held_max) return false;
  const std::uint32_t started = started_count();
  // Memory may come back with this report.
  if (started == 0 && task_count[std::size_t(TaskState::ready)] > 0) return false;
  if (is_report_awaited && started_ns > limits.report_delay.ns * started) return false;
  // The scheduler takes the time at which it hears of them for that of their arrival.
  const auto is_remote = [](const auto& report) { return report.remote_bytes > 0; };
  return std::ranges::none_of(acquired, is_remote);
}

/// Sends what there is to report, one message per run and kind, unless it may wait.
void WorkerEngine::State::flush() {
  if (may_hold_reports() && now < report_due()) return;
  const bool is_short = !shortage.tasks.empty();
  if (is_short || has_reports()) is_thought_short = is_short;
  // What was read first: with the last task the run ends, and its figures are told.
  for (auto& message : acquired) report(std::move(message));
  for (std::size_t i = 0; i < done.size(); ++i) {
    if (!done_is_dynamic[i]) done[i].output_bytes = {};
    report(std::move(done[i]));
  }
  for (auto& message : failed) report(std::move(message));
  if (is_missing_told()) report(std::exchange(missing, {}));
  if (is_short) report(std::exchange(shortage, {}));
  done.clear();
  done_is_dynamic.clear();
  failed.clear();
  acquired.clear();
  reports_held = 0;
  is_report_awaited = false;
  is_resting = false;
}

}  // namespace ashlar::worker
