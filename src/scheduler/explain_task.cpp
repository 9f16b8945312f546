#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// What a task waits for, or where it went and why.

namespace ashlar::scheduler {
namespace {

constexpr std::size_t name_bytes_max = 64;
constexpr std::size_t label_bytes_max = 200;
constexpr std::size_t error_bytes_max = 400;
constexpr std::size_t inputs_max = 8;

std::string time_of(std::int64_t ns) { return time_text(static_cast<double>(ns)); }
std::string seconds_of(float s) { return time_text(1e9 * static_cast<double>(s)); }

}  // namespace

std::string Core::story(RunId id, std::uint32_t task) const {
  if (const Run* run = find_kept_run(id)) return story(*run, task);
  if (ended_runs_.find(id) == nullptr) return unknown_run(id);
  return "run " + std::to_string(id.number) +
         " has ended and was too large to keep its tasks: "
         "only the run as a whole can be explained";
}

std::string Core::story(const Run& run, std::uint32_t task) const {
  if (!run.graph) return run.label() + " is data that the driver put: nothing runs in it";
  if (task >= run.tasks.size()) {
    return run.label() + " has no task " + std::to_string(task) + ", but " +
           count_text(run.tasks.size(), "task") + ", counted from 0";
  }
  std::ostringstream out;
  out << label_of(run, task) << ": " << state_text(run, task);
  const std::string why = decision_text(run, task);
  if (!why.empty()) out << "\n  why there: " << why;
  if (run.decisions[task].moved != Moved::no) {
    out << "\n  it had been placed before: " << text_of(run.decisions[task].moved);
  }
  if (const Placed* twin = find_twin(run, task)) {
    out << "\n  it straggles: begun once more on worker " << peer_name(twin->worker);
  }
  tell_what_holds_up(out, run, task);
  tell_inputs(out, run, task);
  return out.str();
}

std::string Core::peer_name(PeerIndex peer) const {
  return peer < workers_.size() ? clipped(workers_.at(peer).name, name_bytes_max) : "nobody";
}

std::string Core::label_of(const Run& run, std::uint32_t task) const {
  return clipped(run.label(task), label_bytes_max);
}

/// "kernel "add", main.cpp:7 main"
std::string Core::kind_of(const Run& run, std::uint32_t task) const {
  const std::string label = run.label(task);
  return clipped(label.substr(label.find("kernel ")), label_bytes_max);
}

std::string Core::state_text(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  switch (record.state) {
    case TaskState::waiting:
      return "waits for " + std::to_string(record.blocked) + " of its " +
             count_text(run.graph->inputs_of(task).size(), "input") +
             (!set_aside_.contains({run.slot, task}) ? ""
              : hoping_.contains({run.slot, task})   ? ", which no worker reaches that could run it"
                                                     : ", made again where it can be had");
    case TaskState::assignable:
      return "ready, but not placed: " + why_not_placed(run, task);
    case TaskState::assigned:
      return assigned_text(run, task);
    case TaskState::done:
      return "done on worker " + peer_name(record.worker) + " in " +
             time_of(static_cast<std::int64_t>(elapsed_of(run, task, nullptr))) +
             (record.attempt > 1 ? ", attempt " + std::to_string(record.attempt) : "") +
             "; placed " + seconds_of(run.decisions[task].placed_s) + " after the submission";
    case TaskState::failed:
    case TaskState::cancelled:
      break;
  }
  const bool is_told = record.blocked < run.causes.size();
  return std::string(name_of(record.state)) + ": " +
         (is_told ? clipped(run.causes[record.blocked]->text, error_bytes_max) : "");
}

/// What the worker said of what it runs.
std::string Core::running_text(const Run& run, std::uint32_t task) const {
  const PeerIndex worker = run.tasks.at(task).worker;
  const Running* other = nullptr;
  std::uint32_t count = 0;
  for (const Running& running : workers_.at(worker).running) {
    if (!still_runs(running.task, worker)) continue;
    ++count;
    if (running.task.run == run.slot && running.task.task == task) {
      return ", running for " + time_of((now_ - running.since).ns) + " or longer";
    }
    if (other == nullptr || running.since < other->since) other = &running;
  }
  if (other == nullptr || count < workers_.at(worker).slots) return {};
  const auto is_made = [&](std::uint32_t name) { return datum(run.resolve(name)).is_made; };
  if (!std::ranges::all_of(run.graph->inputs_of(task), is_made)) return {};
  const Run& before = *runs_[other->task.run];
  return ", waiting there for a slot: " + label_of(before, other->task.task) + " of " +
         before.label() + " runs for " + time_of((now_ - other->since).ns) + " or longer";
}

std::string Core::assigned_text(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  const Peer& worker = workers_.at(record.worker);
  const std::int64_t since =
      (now_ - run.submitted).ns - static_cast<std::int64_t>(1e9F * run.decisions[task].placed_s);
  std::string text = "on worker " + peer_name(record.worker) + " for " +
                     time_of(std::max<std::int64_t>(since, 0)) + running_text(run, task) +
                     ", expected to take " +
                     time_of(static_cast<std::int64_t>(record.expected_ns)) + "; the worker has " +
                     load_text(record.worker);
  if (record.attempt > 1) text += "; attempt " + std::to_string(record.attempt);
  if (!worker.is_short()) return text;
  const auto& tasks = worker.shortage->tasks;
  const auto at = std::ranges::lower_bound(tasks, DatumId{run.id, task});
  if (at == tasks.end() || *at != DatumId{run.id, task}) return text;
  const auto position = static_cast<std::size_t>(at - tasks.begin());
  return text + "; it waits for memory: needs " +
         bytes_text(static_cast<double>(worker.shortage->bytes[position])) + " where " +
         bytes_text(static_cast<double>(worker.shortage->memory_used)) + " of " +
         bytes_text(static_cast<double>(worker.memory_limit)) + " are in use";
}

/// "12 tasks, 5.1 ms of work on 2 slots"
std::string Core::load_text(PeerIndex worker) const {
  const Peer& peer = workers_.at(worker);
  return count_text(peer.assigned, "task") + ", " + time_of(peer.queued_ns) + " of work on " +
         count_text(peer.slots, "slot");
}

std::string Core::why_not_placed(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  if (record.is_kept) {
    return "kept for worker " + peer_name(record.worker) +
           ", which is the best for it and full: " + load_text(record.worker);
  }
  if (workers_.usable_count() == 0) {
    return "there is no worker; a run waits " + time_of(limits_.no_worker_wait.ns) + " for one";
  }
  const TaskClass& task_class = run.tasks.classes()[record.task_class];
  const Pool& pool = workers_.pool(workers_.pool_of(task_class.requirement));
  if (pool.members.empty()) {
    return std::string("no worker has its kernel and the resources that it needs")
        .append(limits_.growth_wait.ns == 0
                    ? ""
                    : "; a run waits " + time_of(limits_.growth_wait.ns) + " for one to come");
  }
  if (pool.open.empty()) return why_no_room(run, task, pool);
  if (const std::string broken = broken_input_text(run, task, pool); !broken.empty()) {
    return "no worker with room reaches all that it reads: " + broken;
  }
  const Requirement& needs = workers_.requirement(task_class.requirement);
  const bool is_able = std::ranges::any_of(pool.members, [&](PeerIndex worker) {
    return pool.open.contains(worker) && workers_.has_resources(worker, needs);
  });
  if (!is_able) return "other tasks have the resources that it needs: " + needs_text(needs);
  return "others come before it: its rank is " + std::to_string(run.tasks.rank(task)) +
         ", its priority " + std::to_string(run.priority_of(task));
}

std::string Core::needs_text(const Requirement& needs) const {
  std::string text;
  for (const auto& [name, id] : workers_.resources()) {
    for (const auto& [resource, millionths] : needs.resources) {
      if (resource != id) continue;
      std::ostringstream amount;
      amount << static_cast<double>(millionths) * 1e-6;
      text += (text.empty() ? "" : ", ") + clipped(name, name_bytes_max) + " " + amount.str();
    }
  }
  return text;
}

/// None of the workers that could run it takes more tasks for now.
std::string Core::why_no_room(const Run& run, std::uint32_t task, const Pool& pool) const {
  std::size_t held = 0, without_memory = 0;
  for (const PeerIndex worker : pool.members) {
    held += !workers_.has_free_slot(worker);
    without_memory += workers_.at(worker).is_short();
  }
  const std::string all = pool.members.size() == 1 ? "the only worker that could run it"
                                                   : "all " + std::to_string(pool.members.size()) +
                                                         " workers that could run it";
  if (held == pool.members.size()) {
    return all + ": tasks that were taken back still run in all slots";
  }
  std::string text = "full of tasks: " + all;
  if (without_memory > 0) {
    text += "; on " + std::to_string(without_memory) + " of them tasks wait for memory";
  }
  const std::uint32_t kernel = run.kernel_ids[run.graph->kernel[task]];
  const bool is_unknown =
      !costs_.has_seen(kernel) && run.flops_of(task) == 0 && run.moved_bytes_of(task) == 0;
  if (is_unknown) {
    text += "; nobody knows yet how long its kernel takes: until one call has come back few go out";
  }
  return text + "; its rank is " + std::to_string(run.tasks.rank(task)) + " of " +
         std::to_string(run.tasks.size());
}

/// Why the worker, and what another one would have meant; empty for a task that was not placed.
std::string Core::decision_text(const Run& run, std::uint32_t task) const {
  const Decision& decision = run.decisions[task];
  const TaskRecord& record = run.tasks.at(task);
  const bool is_placed =
      record.is_kept || record.state == TaskState::assigned || record.state == TaskState::done;
  if (!is_placed || decision.reason == Reason::none) return {};
  std::string text(text_of(decision.reason));
  if (decision.finish_s > 0) text += "; estimated then: done in " + seconds_of(decision.finish_s);
  if (decision.other == Decision::no_other) {
    return decision.finish_s > 0 ? text + ", no other worker came into question" : text;
  }
  text += ", on worker " + peer_name(decision.other) + " in " + seconds_of(decision.other_s);
  if (decision.other_s < decision.finish_s) {
    text += ", which is not so much sooner that it would be worth moving what it reads";
  }
  return text;
}

void Core::tell_inputs(std::ostream& out, const Run& run, std::uint32_t task) const {
  if (!is_live(run)) return;
  std::size_t told = 0;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    if (told++ == inputs_max) {
      out << "\n  and " << count_text(run.graph->inputs_of(task).size() - inputs_max, "input")
          << " more";
      return;
    }
    const DataRef ref = run.resolve(name);
    out << "\n  input " << name << ": ";
    if (ref.run == DataRef::no_run) {
      out << "not needed any more";
      continue;
    }
    const Run& owner = run_at(ref.run);
    const Datum& datum = owner.data[ref.index];
    if (datum.bytes != graph::TaskGraph::dynamic_bytes) {
      out << bytes_text(static_cast<double>(datum.bytes)) << ", ";
    }
    out << (datum.is_lost          ? "lost"
            : datum.is_made        ? "made, on "
            : datum.is_available() ? "to be made on "
            : datum.is_needed()    ? "not there"
                                   : "not needed any more");
    if (datum.is_available()) out << peer_name(datum.primary);
    if (!owner.graph) continue;
    out << ", by task " << owner.producer[ref.index];
    if (&owner != &run) out << " of " << owner.label();
  }
}

/// The task that makes the input which is furthest from being there.
std::optional<Core::TaskRef> Core::what_holds_up(const Run& run, std::uint32_t task) const {
  std::optional<TaskRef> found;
  const auto distance = [](const TaskRef& ref) {
    return std::pair{-static_cast<int>(ref.run->tasks.state(ref.task)),
                     ref.run->tasks.rank(ref.task)};
  };
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    if (ref.run == DataRef::no_run) continue;
    const Run& owner = run_at(ref.run);
    if (!owner.graph || owner.data[ref.index].is_made || owner.data[ref.index].is_lost) continue;
    const TaskRef maker{&owner, owner.producer[ref.index]};
    if (!is_unfinished(owner.tasks.state(maker.task))) continue;
    if (!found || distance(maker) > distance(*found)) found = maker;
  }
  return found;
}

/// Down the chain of what is not made, to a task that waits for no other one.
void Core::tell_what_holds_up(std::ostream& out, const Run& run, std::uint32_t task) const {
  constexpr std::size_t told_max = 3, followed_max = 100'000;
  if (!is_live(run) || !is_unfinished(run.tasks.state(task))) return;
  std::optional<TaskRef> next = what_holds_up(run, task);
  std::size_t followed = 0;
  while (next && followed < followed_max) {
    const TaskRef at = *next;
    next = what_holds_up(*at.run, at.task);
    ++followed;
    const bool is_last = !next || followed == followed_max;
    if (!is_last && followed > told_max) continue;
    out << "\n  " << (followed == 1 ? "held up by " : "which is held up by ");
    if (followed > told_max + 1) {
      out << count_text(followed - told_max - 1, "task") << " one after the other, at their end ";
    }
    out << label_of(*at.run, at.task) << (at.run == &run ? "" : " of " + at.run->label()) << ": "
        << state_text(*at.run, at.task);
  }
}

}  // namespace ashlar::scheduler
