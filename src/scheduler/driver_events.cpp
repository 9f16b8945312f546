#include <algorithm>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {

void Core::on(const SessionOpened& event) {
  if (workers_.was_known(event.driver) || sessions_.contains(event.session)) {
    ++counters_.stale_events;
    return;
  }
  Session& session = sessions_[event.session];
  session.driver = workers_.add(event.driver, event.hello, false);
  workers_.edit(session.driver).session = event.session;
  highest_session_ = std::max(highest_session_, SessionId{event.session.value + 1});
}

void Core::on(const SessionClosed& event) {
  if (!is_open(event.session)) {
    ++counters_.stale_events;
    return;
  }
  const PeerIndex driver = sessions_.at(event.session).driver;
  workers_.remove(driver);
  broken_.forget(driver);
  outbox_.announce_gone(driver, "the driver has left");
  const auto gone =
      std::make_shared<const Cause>(Cause{ErrorKind::cancelled, "the driver has left"});
  const auto first = run_slots_.lower_bound(RunId{event.session, 0});
  for (auto r = first; r != run_slots_.end() && r->first.session == event.session; ++r) {
    Run& run = run_at(r->second);
    fail(run, protocol::RunOutcome::cancelled, gone);
    for (std::uint32_t d = 0; d < run.data.size(); ++d) unpin({run.slot, d});
  }
  forget_templates(event.session);
  closed_sessions_.push_back(event.session);
}

void Core::on(const FromDriver& event) {
  if (!is_open(event.session) || workers_.at(sessions_.at(event.session).driver).is_dropped) {
    ++counters_.stale_events;
    return;
  }
  std::visit([&](const auto& message) { on_driver(event.session, message); }, event.message);
}

bool Core::is_new_run(SessionId session, std::uint32_t number) {
  if (find_run({session, number}) == nullptr) return true;
  drop_peer(sessions_.at(session).driver,
            "run " + std::to_string(number) + " was submitted before");
  return false;
}

std::string Core::check_graph(const protocol::SubmitRun& message, const Template* kept) const {
  if (message.graph) return graph::validate(*message.graph);
  if (kept != nullptr) return {};
  return message.template_number == protocol::no_template
             ? "the run has no graph"
             : "no graph is kept under number " + std::to_string(message.template_number);
}

std::string Core::check_externals(SessionId session, const protocol::SubmitRun& message,
                                  const graph::TaskGraph& graph) {
  if (message.externals.size() != graph.external_count()) {
    return "external data of the graph: expected " + std::to_string(graph.external_count()) +
           ", got " + std::to_string(message.externals.size());
  }
  for (std::size_t i = 0; i < message.externals.size(); ++i) {
    const DatumId id = message.externals[i];
    const std::string name = "external datum " + std::to_string(i) + " (datum " +
                             std::to_string(id.index) + " of run " + std::to_string(id.run.number) +
                             ")";
    DataRef ref;
    if (id.run.session != session) return name + " belongs to another session";
    if (find_datum(id, ref) != Existence::exists) return name + " does not exist, or no more";
    if (!datum(ref).is_wanted) return name + " was not to be kept, or was released";
  }
  return {};
}

void Core::refuse_run(SessionId session, std::uint32_t number, std::string text) {
  Session& opened = sessions_.at(session);
  opened.highest_run = std::max(opened.highest_run, std::int64_t{number});
  last_words_.emplace_back(
      session,
      protocol::RunEnded{
          number, protocol::RunOutcome::failed, ErrorKind::bad_input, std::move(text), {}});
}

void Core::on_driver(SessionId session, const protocol::SubmitRun& message) {
  if (!is_new_run(session, message.run)) return;
  Template* kept = find_template(session, message.template_number);
  if (kept != nullptr && message.graph != nullptr) {
    drop_peer(sessions_.at(session).driver,
              "template " + std::to_string(message.template_number) + " was submitted before");
    return;
  }
  std::string wrong = check_graph(message, kept);
  if (wrong.empty()) {
    // Kept whatever becomes of this run: the driver will not send it again.
    if (kept == nullptr) kept = keep_template(session, message);
    wrong = check_externals(session, message, message.graph ? *message.graph : *kept->graph);
  }
  if (!wrong.empty()) {
    refuse_run(session, message.run, std::move(wrong));
    return;
  }
  Run& run = adopt(new_run({session, message.run}, message.graph, message.externals, kept));
  if (kept != nullptr) run.template_number = message.template_number;
  run.delivers = message.deliver;
  run.ends_on_failure = message.ends_on_failure;
  bind_externals(run, message.externals);
  raise_priorities(run);
  count_blocked(run);
  doom_readers_of_lost(run);
  new_runs_.push_back(run.slot);
  finish_if_done(run);
}

/// Runs that a task of higher priority waits for are as urgent, and those that they wait for.
void Core::raise_priorities(const Run& run) {
  std::vector<std::pair<std::uint32_t, std::int32_t>> raised;
  for (std::uint32_t i = 0; i < run.externals.size(); ++i) {
    const std::uint32_t slot = run.externals[i].run;
    if (run_at(slot).tasks.unfinished() == 0) continue;
    for (const std::uint32_t task : run.consumers.of(run.output_count() + i)) {
      raised.emplace_back(slot, run.priority_of(task));
      if (run.priority.empty()) break;
    }
  }
  while (!raised.empty()) {
    const auto [slot, priority] = raised.back();
    raised.pop_back();
    if (slot == DataRef::no_run) continue;
    Run& earlier = run_at(slot);
    const bool is_as_urgent =
        earlier.raised_priority >= priority || (earlier.priority.empty() && priority <= 0);
    if (is_as_urgent || earlier.tasks.unfinished() == 0) continue;
    earlier.raised_priority = priority;
    update_ready(earlier);
    for (const DataRef ref : earlier.externals) raised.emplace_back(ref.run, priority);
  }
}

void Core::bind_externals(Run& run, const std::vector<DatumId>& externals) {
  run.externals.resize(externals.size());
  for (std::uint32_t i = 0; i < externals.size(); ++i) {
    DataRef& ref = run.externals[i];
    find_datum(externals[i], ref);
    const auto uses = static_cast<std::uint32_t>(run.consumers.of(run.output_count() + i).size());
    Run& owner = run_at(ref.run);
    owner.watchers.insert({ref.index, run.slot, i});
    owner.outside_uses += uses;
    datum(ref).uses += uses;
  }
}

void Core::count_blocked(Run& run) {
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) {
    std::uint32_t blocked = 0;
    for (const std::uint32_t name : run.graph->inputs_of(t)) {
      blocked += name < run.output_count() || !datum(run.resolve(name)).is_available();
    }
    run.tasks.edit(t).blocked = blocked;
  }
}

void Core::release_roots(Run& run) {
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) {
    const TaskRecord& record = run.tasks.at(t);
    if (record.state == TaskState::waiting && record.blocked == 0) {
      transition(run, t, TaskState::assignable);
    }
  }
}

void Core::on_driver(SessionId session, const protocol::DropTemplates& message) {
  auto& templates = sessions_.at(session).templates;
  for (const std::uint32_t number : message.numbers) {
    const auto found = templates.find(number);
    if (found == templates.end()) {
      ++counters_.stale_events;
      continue;
    }
    forget_placement(session, number, found->second);
    sessions_.at(session).template_tasks -= found->second.graph->task_count();
    templates.erase(found);
  }
}

void Core::on_driver(SessionId session, const protocol::StreamHeld& message) {
  if (Run* run = find_run({session, message.run})) run->is_held = message.is_held;
}

void Core::on_driver(SessionId session, const protocol::CancelRun& message) {
  Run* run = find_run({session, message.run});
  if (run == nullptr || !run->graph) {
    const bool was_used = message.run <= sessions_.at(session).highest_run;
    if (was_used) {
      ++counters_.stale_events;
    } else {
      drop_peer(sessions_.at(session).driver,
                "cancels run " + std::to_string(message.run) + ", which never was");
    }
    return;
  }
  if (run->is_ended) {  // the end and the cancellation crossed: its outputs stay
    ++counters_.stale_events;
    return;
  }
  fail(*run, protocol::RunOutcome::cancelled,
       std::make_shared<const Cause>(Cause{ErrorKind::cancelled, run->label() + " was cancelled"}));
}

void Core::on_driver(SessionId session, const protocol::PutData& message) {
  if (!is_new_run(session, message.run)) return;
  auto put = std::make_unique<Run>();
  put->id = {session, message.run};
  put->is_ended = true;
  Run& run = adopt(std::move(put));
  run.data.resize(message.bytes.size());
  run.pinned = static_cast<std::uint32_t>(message.bytes.size());
  for (std::size_t i = 0; i < message.bytes.size(); ++i) {
    Datum& d = run.data[i];
    d.bytes = message.bytes[i];
    d.primary = sessions_.at(session).driver;
    d.is_made = d.is_wanted = true;
  }
  if (run.pinned == 0) erasable_.push_back(run.slot);
}

/// Finds a datum that a driver names; drops the driver when it never had one.
Core::Existence Core::find_own_datum(SessionId session, DatumId id, const char* verb,
                                     DataRef& ref) {
  const Existence existence =
      id.run.session == session ? find_datum(id, ref) : Existence::impossible;
  if (existence == Existence::impossible) {
    drop_peer(sessions_.at(session).driver,
              std::string(verb) + " a datum that never was: " + std::to_string(id.index) +
                  " of run " + std::to_string(id.run.number));
  }
  return existence;
}

void Core::on_driver(SessionId session, const protocol::ReleaseData& message) {
  for (const DatumId id : message.data) {
    DataRef ref;
    const Existence existence = find_own_datum(session, id, "releases", ref);
    if (existence == Existence::impossible) return;
    if (existence == Existence::exists && datum(ref).is_wanted) {
      unpin(ref);
    } else {
      ++counters_.stale_events;
    }
  }
}

void Core::on_driver(SessionId session, const protocol::LocateData& message) {
  protocol::DataLost gone{{}, "the datum cannot be had: it was released"};
  for (const DatumId id : message.data) {
    DataRef ref;
    const Existence existence = find_own_datum(session, id, "asks for", ref);
    if (existence == Existence::impossible) return;
    if (existence == Existence::stale || !datum(ref).is_wanted) {
      gone.data.push_back(id);
    } else if (datum(ref).is_lost) {
      tell_lost(ref, run_at(ref.run).why_lost(ref.index));
    } else if (datum(ref).is_made) {
      ready_data_.push_back(ref);
    }  // else it is being made: DataReady follows
  }
  if (!gone.data.empty()) last_words_.emplace_back(session, std::move(gone));
}

}  // namespace ashlar::scheduler
