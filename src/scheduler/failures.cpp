#include <utility>

#include "scheduler/core.hpp"

// What ends without a result: a task that failed with all that descends from it, or a whole run.

namespace ashlar::scheduler {

void Core::fail_later(const Run& run, protocol::RunOutcome outcome, ErrorKind kind,
                      std::string text) {
  failures_.push_back({run.slot, Failure::whole_run, outcome,
                       std::make_shared<const Cause>(Cause{kind, std::move(text)})});
}

void Core::fail_task_later(const Run& run, std::uint32_t task, std::string text) {
  failures_.push_back(
      {run.slot, task, protocol::RunOutcome::failed,
       std::make_shared<const Cause>(Cause{ErrorKind::task_failed, std::move(text)})});
}

void Core::apply_failures() {
  recover();
  do {
    for (std::size_t next = 0; next < failures_.size(); ++next) {
      const Failure failure = failures_[next];
      Run& run = run_at(failure.run);
      if (failure.task == Failure::whole_run) {
        fail(run, failure.outcome, failure.cause);
      } else {
        fail_task(run, failure.task, failure.cause);
      }
      recover();
    }
    failures_.clear();
  } while (give_up_unneeded());
  for (const std::uint32_t slot : std::exchange(hurt_, {})) finish_if_done(run_at(slot));
}

/// What was being made again of runs that have ended, and that nobody needs any more, is not made.
/// Returns whether there was any.
bool Core::give_up_unneeded() {
  for (const std::uint32_t slot : erasable_) {
    const Run* run = runs_[slot].get();
    if (run == nullptr || run->is_needed() || run->tasks.unfinished() == 0) continue;
    fail_later(*run, protocol::RunOutcome::cancelled, ErrorKind::cancelled,
               run->label() + ": its results are needed no more");
  }
  return !failures_.empty();
}

/// Ends a task for good, and all that descends from it; whatever else there is goes on.
void Core::fail_task(Run& run, std::uint32_t task, const CausePtr& cause) {
  if (!is_unfinished(run.tasks.state(task))) return;
  abandon(run, task, TaskState::failed, cause);
  abandon_doomed(cause);
}

/// Ends a run before its time; of one that has ended, what was being made again is given up.
void Core::fail(Run& run, protocol::RunOutcome outcome, const CausePtr& cause) {
  if (!run.is_ended) run.end_cause = cause;
  for (std::uint32_t t = 0; t < run.tasks.size() && run.tasks.unfinished() > 0; ++t) {
    if (!is_unfinished(run.tasks.state(t))) continue;
    abandon(run, t, TaskState::cancelled, cause);
    abandon_doomed(cause);
  }
  if (outcome == protocol::RunOutcome::cancelled) unpin_made(run);
  if (!run.is_ended) send_ended(run, outcome, cause->kind, cause->text);
  erasable_.push_back(run.slot);
}

/// Ends without a result the tasks that read what is lost, and what descends from them: in time
/// that is linear in what they read and make.
void Core::abandon_doomed(const CausePtr& cause) {
  while (!doomed_.empty()) {
    const DataRef entry = doomed_.back();
    doomed_.pop_back();
    Run& run = run_at(entry.run);
    if (is_unfinished(run.tasks.state(entry.index))) {
      abandon(run, entry.index, TaskState::cancelled, cause);
    }
  }
}

/// Ends an unfinished task without a result: lets go of its inputs, and nobody makes its outputs.
/// Whoever reads these is doomed.
void Core::abandon(Run& run, std::uint32_t task, TaskState to, const CausePtr& cause) {
  note_failure(run, cause);
  const TaskRecord& record = run.tasks.at(task);
  const bool was_assigned = record.state == TaskState::assigned;
  if (was_assigned) {
    // One that failed has told so itself.
    if (to == TaskState::cancelled) outbox_.revoke(record.worker, run.id, task, record.attempt);
    free_worker(run, task);
  }
  transition(run, task, to);
  run.tasks.edit(task).blocked = run.number_of(cause);
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    if (!run.data[d].is_made) lose({run.slot, d}, cause);
  }
  for (const std::uint32_t name : run.graph->inputs_of(task)) release_use(run, name);
  if (was_assigned) lose_taken(run, task);
}

void Core::note_failure(Run& run, const CausePtr& cause) {
  const bool is_first = run.causes.empty();
  run.number_of(cause);
  if (hurt_.empty() || hurt_.back() != run.slot) hurt_.push_back(run.slot);
  if (is_first && run.ends_on_failure && !run.is_ended && !run.end_cause) {
    failures_.push_back({run.slot, Failure::whole_run, protocol::RunOutcome::failed, cause});
  }
}

/// Nobody will ever have the datum.
void Core::lose(DataRef ref, const CausePtr& cause) {
  free_copies(ref);
  Datum& d = datum(ref);
  d.is_lost = true;
  if (d.is_wanted) tell_lost(ref, cause);
  doom_consumers(ref);
}

void Core::doom_consumers(DataRef ref) {
  for_consumers(ref, [this](const Run& run, std::uint32_t task) {
    if (is_unfinished(run.tasks.state(task))) doomed_.push_back({run.slot, task});
  });
}

/// Of a run that was submitted just now, ends what reads data that are lost already.
void Core::doom_readers_of_lost(Run& run) {
  for (std::uint32_t i = 0; i < run.externals.size(); ++i) {
    const DataRef ref = run.externals[i];
    if (!datum(ref).is_lost) continue;
    for (const std::uint32_t task : run.consumers.of(run.output_count() + i)) {
      doomed_.push_back({run.slot, task});
    }
    abandon_doomed(run_at(ref.run).why_lost(ref.index));
  }
}

/// Of a run that ends as a whole, its end tells the driver of all that is not there.
void Core::tell_lost(DataRef ref, const CausePtr& cause) {
  const Run& run = run_at(ref.run);
  if (run.end_cause && !run.is_ended) return;
  const bool is_next =
      last_told_ == cause && !last_words_.empty() && last_words_.back().first == run.id.session;
  auto* message = is_next ? std::get_if<protocol::DataLost>(&last_words_.back().second) : nullptr;
  if (message == nullptr) {
    auto& words =
        last_words_.emplace_back(run.id.session, protocol::DataLost{{}, cause->text, cause->kind});
    message = &std::get<protocol::DataLost>(words.second);
    last_told_ = cause;
  }
  message->data.push_back(id_of(ref));
}

}  // namespace ashlar::scheduler
