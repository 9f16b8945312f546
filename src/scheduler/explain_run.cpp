#include <algorithm>
#include <sstream>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// Answers about runs, present and past.

namespace ashlar::scheduler {
namespace {

constexpr std::size_t error_bytes_max = 400;
/// Of a cluster that has more, the newest are told.
constexpr std::size_t listed_runs_max = 50;
/// Runs without end that are looked at for the newest one of a session.
constexpr int looked_at_max = 4096;

/// None: nothing failed until the run had ended.
const Cause* why_failed(const Run& run) {
  if (run.ended_well) return nullptr;
  if (run.end_cause) return run.end_cause.get();
  return run.causes.empty() ? nullptr : run.causes.front().get();
}

}  // namespace

std::string Core::explain(const protocol::Explain& question, SessionId asker) const {
  using protocol::Subject;
  const SessionId session = question.session.is_none() ? asker : question.session;
  std::string text;
  if (question.subject == Subject::cluster) {
    text = overview(question.session, asker);
  } else {
    RunId id{session, question.run};
    if (question.run == protocol::Explain::latest) id = last_run_of(session);
    if (id.number == protocol::Explain::latest) {
      text = "session " + std::to_string(session.value) +
             " has no run that is known: none was submitted, or it ended before the last " +
             std::to_string(limits_.ended_runs) + " that did";
    } else {
      text = question.subject == Subject::task ? story(id, question.task) : explain_run(id);
    }
  }
  return clipped(std::move(text), limits_.explanation_bytes);
}

void Core::answer_questions() {
  for (const auto& [session, question] : std::exchange(questions_, {})) {
    last_words_.emplace_back(session,
                             protocol::Explanation{question.request, explain(question, session)});
    last_told_ = nullptr;
  }
}

/// Also one that has ended, if it is kept whole.
const Run* Core::find_kept_run(RunId id) const {
  const auto live = run_slots_.find(id);
  if (live != run_slots_.end()) return runs_[live->second].get();
  const EndedRuns::Entry* ended = ended_runs_.find(id);
  return ended == nullptr ? nullptr : ended->run.get();
}

/// One that goes on, else the one that was submitted last; its number is Explain::latest: none.
RunId Core::last_run_of(SessionId session) const {
  RunId last{session, protocol::Explain::latest};
  std::uint64_t sequence = 0;
  auto at = run_slots_.upper_bound(RunId{session, ~std::uint32_t{0}});
  for (int n = 0; n < looked_at_max && at != run_slots_.begin(); ++n) {
    --at;
    if (at->first.session != session) break;
    const Run& run = run_at(at->second);
    if (!run.graph) continue;
    if (!run.is_ended) return run.id;
    if (last.number != protocol::Explain::latest && run.sequence < sequence) continue;
    last = run.id;
    sequence = run.sequence;
  }
  const EndedRuns::Entry* ended = ended_runs_.last_of(session);
  const bool is_newer =
      ended != nullptr && (last.number == protocol::Explain::latest || ended->sequence > sequence);
  return is_newer ? ended->id : last;
}

/// Keeps what explanations need of a run that is forgotten.
void Core::keep_ended(std::unique_ptr<Run> run) {
  if (!run->graph) return;
  run->consumers = {};
  run->kernel_ids = {};
  run->data = {};
  run->externals = {};
  run->planned = {};
  run->owners = {};
  run->owned_left = {};
  EndedRuns::Entry entry{run->id, run->sequence, nullptr, run->bytes(), {}};
  if (ended_runs_.takes_whole(entry.bytes)) {
    entry.run = std::move(run);
  } else {
    entry.text = clipped(explain_run(*run), limits_.explanation_bytes);
    entry.bytes = entry.text.size();
  }
  ended_runs_.add(std::move(entry));
}

std::string Core::headline(const Run& run) const {
  const TaskTable& tasks = run.tasks;
  std::ostringstream out;
  out << run.label() << " of session " << run.id.session.value << ": ";
  if (!run.is_ended) {
    out << "goes on";
  } else if (const Cause* cause = why_failed(run)) {
    out << (cause->kind == ErrorKind::cancelled ? "cancelled" : "failed");
  } else {
    out << "done";
  }
  const std::uint32_t done = run.ended_well ? tasks.size() : tasks.count(TaskState::done);
  out << ", " << done << " of " << count_text(tasks.size(), "task") << " done";
  constexpr std::pair<TaskState, const char*> others[] = {{TaskState::assigned, "on workers"},
                                                          {TaskState::assignable, "ready"},
                                                          {TaskState::waiting, "waiting"},
                                                          {TaskState::failed, "failed"},
                                                          {TaskState::cancelled, "cancelled"}};
  for (const auto& [state, name] : others) {
    if (!run.ended_well && tasks.count(state) > 0) out << ", " << tasks.count(state) << " " << name;
  }
  if (run.ended_well && tasks.unfinished() > 0) {
    out << ", " << tasks.unfinished() << " being made again";
  }
  out << (run.is_ended ? ", after " : ", for ")
      << time_text(static_cast<double>(length_of(run).ns));
  return out.str();
}

std::string Core::explain_run(RunId id) const {
  if (const Run* run = find_kept_run(id)) return explain_run(*run);
  if (const EndedRuns::Entry* ended = ended_runs_.find(id)) return ended->text;
  return unknown_run(id);
}

std::string Core::unknown_run(RunId id) const {
  return "run " + std::to_string(id.number) + " of session " + std::to_string(id.session.value) +
         " is not known: it never was, or ended before the last " +
         std::to_string(limits_.ended_runs) + " that did";
}

std::string Core::explain_run(const Run& run) const {
  if (!run.graph) return run.label() + " is data that the driver put: nothing runs in it";
  const Bounds bounds = bounds_of(run, true);
  std::ostringstream out;
  out << headline(run) << "\nbound by: " << bounds.line()
      << "\nshares of that time:" << bounds.table();
  if (const Cause* cause = why_failed(run)) {
    out << "\nit failed first with: " << clipped(cause->text, error_bytes_max);
  }
  if (run.is_ended) return out.str();
  // What is ready or waits first says most about why the run is not further.
  for (const TaskState state : {TaskState::waiting, TaskState::assignable}) {
    if (run.tasks.count(state) == 0) continue;
    for (std::uint32_t rank = 0; rank < run.tasks.size(); ++rank) {
      const std::uint32_t task = run.tasks.task_of_rank(rank);
      if (run.tasks.state(task) != state) continue;
      out << "\nthe first that " << (state == TaskState::waiting ? "waits" : "is ready") << ": "
          << story(run, task);
      break;
    }
  }
  return out.str();
}

/// How all sessions' runs are, or those of one: what goes on in full, of what has ended the end.
std::string Core::overview(SessionId only, SessionId asker) const {
  std::ostringstream out;
  out << count_text(workers_.worker_count(), "worker") << " with "
      << count_text(workers_.usable_slots(), "slot") << ", " << count_text(unfinished_, "task")
      << " to do";
  std::size_t told = 0;
  for (const auto& [ends, link] : broken_.all()) {
    if (now_ >= link.until) continue;
    if (told++ == listed_runs_max) break;
    out << "\n"
        << broken_text(ends, link.reason) << "; tried again after "
        << time_text(static_cast<double>((link.until - now_).ns));
  }
  told = 0;
  for (const auto& [id, session] : sessions_) {
    if (id == asker || !is_open(id) || (!only.is_none() && id != only)) continue;
    if (told++ == listed_runs_max) break;
    out << "\nsession " << id.value << ": driver " << peer_name(session.driver);
  }
  std::vector<const Run*> runs;
  std::string large;
  for (const auto& run : runs_) {
    if (run && run->graph && (only.is_none() || run->id.session == only)) runs.push_back(run.get());
  }
  for (const EndedRuns::Entry& ended : ended_runs_.entries()) {
    if (!only.is_none() && ended.id.session != only) continue;
    if (ended.run) {
      runs.push_back(ended.run.get());
    } else {
      large += '\n';
      large += ended.text.substr(0, ended.text.find('\n'));
    }
  }
  std::ranges::sort(runs, [](const Run* a, const Run* b) {
    return std::pair{a->is_ended, ~a->sequence} < std::pair{b->is_ended, ~b->sequence};
  });
  const std::size_t listed = std::min(runs.size(), listed_runs_max);
  for (std::size_t i = 0; i < listed; ++i) {
    out << "\n" << headline(*runs[i]) << "; bound by: " << bounds_of(*runs[i], false).line();
  }
  out << large;
  if (runs.empty() && large.empty()) out << "\nno run is known";
  if (runs.size() > listed) out << "\nand " << runs.size() - listed << " runs more";
  return out.str();
}

}  // namespace ashlar::scheduler
