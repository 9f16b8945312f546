#include "driver/driver_engine.hpp"

#include <utility>

#include "base/check.hpp"
#include "driver/state.hpp"

namespace ashlar::driver {

DriverEngine::DriverEngine(SessionId session, Limits limits, std::string host_identity)
    : state_(std::make_unique<State>()) {
  state_->session = session;
  state_->limits = limits;
  state_->host_identity = std::move(host_identity);
}

DriverEngine::~DriverEngine() = default;
DriverEngine::DriverEngine(DriverEngine&&) noexcept = default;
DriverEngine& DriverEngine::operator=(DriverEngine&&) noexcept = default;

void DriverEngine::step(std::span<const Event> events, Instant now, Actions& actions) {
  state_->actions = &actions;
  state_->now = now;
  for (const Event& event : events) {
    std::visit([this](const auto& e) { state_->on(e); }, event);
  }
  state_->end_step();
  state_->actions = nullptr;
}

std::size_t DriverEngine::open_runs() const { return state_->runs.size(); }

void DriverEngine::State::end_step() {
  pump_streams();
  for (const DatumId& id : std::exchange(drops, {})) {
    const auto entry = data.find(id);
    if (entry == data.end() || entry->second.place != Place::here) act(DropDatum{id});
  }
  pump();
  say_what_is_held();
  if (!to_locate.empty()) send(protocol::LocateData{std::exchange(to_locate, {})});
  if (!to_release.empty()) send(protocol::ReleaseData{std::exchange(to_release, {})});
}

void DriverEngine::State::on(const SubmitAsked& event) {
  const auto& submitted = event.run;
  ASHLAR_CHECK(submitted.graph != nullptr && !runs.contains(submitted.run));
  Run& run = runs[submitted.run];
  run.bring_home = event.bring_home;
  run.tasks = submitted.graph->task_count();
  for (const std::uint32_t index : submitted.graph->wanted) {
    const auto entry =
        data.emplace_hint(data.end(), DatumId{{session, submitted.run}, index}, Datum{});
    const auto& bytes = submitted.graph->output_bytes;
    if (index < bytes.size() && bytes[index] != graph::TaskGraph::dynamic_bytes) {
      entry->second.bytes = bytes[index];
    }
    entry->second.is_owed = event.bring_home;
    run.owed += event.bring_home ? 1 : 0;
  }
  if (lost != nullptr) {
    told(protocol::RunEnded{
        submitted.run, protocol::RunOutcome::failed, lost->kind, lost->text, {}});
    return;
  }
  run.externals = submitted.externals;
  protocol::SubmitRun message = submitted;
  message.deliver = event.bring_home;
  if (!limits.keeps_templates) message.template_number = protocol::no_template;
  if (message.template_number != protocol::no_template &&
      !templates.insert(message.template_number).second) {
    message.graph = nullptr;
  }
  send(std::move(message));
  open_stream(submitted.run, event.stream);
}

/// What is known of the loss of one of these.
std::shared_ptr<const Failure> DriverEngine::State::failure_of(
    const std::vector<DatumId>& externals) const {
  for (const DatumId& id : externals) {
    const auto entry = data.find(id);
    if (entry == data.end() || entry->second.failure == nullptr) continue;
    if (!entry->second.failure->is_ours_alone) return entry->second.failure;
  }
  return nullptr;
}

void DriverEngine::State::on(const DropTemplateAsked& event) {
  if (templates.erase(event.number) > 0 && lost == nullptr) {
    send(protocol::DropTemplates{session, {event.number}});
  }
}

void DriverEngine::State::on(const CancelAsked& event) {
  if (runs.contains(event.run) && lost == nullptr) send(protocol::CancelRun{event.run});
}

void DriverEngine::State::on(const PutAsked& event) {
  for (std::uint32_t i = 0; i < event.put.bytes.size(); ++i) {
    Datum& datum = data[{{session, event.put.run}, i}];
    datum.place = Place::here;
    datum.is_put = true;
    datum.bytes = event.put.bytes[i];
  }
  if (lost == nullptr) send(event.put);
}

void DriverEngine::State::on(const BringAsked& event) {
  for (const DatumId& id : event.data) {
    const auto entry = data.find(id);
    if (entry == data.end()) {
      act(DatumFailed{id, ErrorKind::bad_input, "the datum is not known, or was released"});
      continue;
    }
    Datum& datum = entry->second;
    if (datum.is_owed) continue;
    if (datum.place == Place::here) {
      datum.is_kept = true;
      act(Deliver{id});
    } else if (datum.place == Place::lost) {
      act(DatumFailed{id, datum.failure->kind, datum.failure->text});
    } else if (lost != nullptr) {
      act(DatumFailed{id, lost->kind, lost->text});
    } else {
      datum.is_owed = true;
      const auto run = runs.find(id.run.number);
      if (run != runs.end()) ++run->second.owed;
      if (datum.place == Place::away) bring(entry);
      // The run has ended and nothing was heard of it: the scheduler says what became of it.
      if (datum.place == Place::unmade && run == runs.end()) locate(entry);
    }
  }
}

void DriverEngine::State::on(const ReleaseAsked& event) {
  for (const DatumId& id : event.data) release(id);
}

void DriverEngine::State::on(const FromScheduler& event) {
  std::visit([this](const auto& message) { told(message); }, event.message);
}

void DriverEngine::State::on(const Arrived& event) {
  const auto entry = data.find(event.datum);
  if (entry != data.end() && entry->second.place == Place::here) return;
  if (entry == data.end() || !entry->second.is_needed()) {
    drops.push_back(event.datum);
    return;
  }
  if (entry->second.place == Place::fetching) {
    // A push may have overtaken the fetch: an answer that comes now is dropped as a repetition.
    --fetches;
  } else {
    stop_bringing(entry);
  }
  entry->second.bytes = event.bytes;
  count(entry, event.is_local);
  deliver(entry);
}

void DriverEngine::State::on(const FetchFailed& event) {
  const auto entry = data.find(event.datum);
  if (entry == data.end() || entry->second.place != Place::fetching ||
      entry->second.holder != event.peer) {
    return;
  }
  --fetches;
  entry->second.place = Place::away;
  if (++entry->second.fetches_failed < limits.fetch_attempts) {
    if (entry->second.fetches_failed == 1) return locate(entry);
    entry->second.place = Place::locating;
    entry->second.since = now;
    refused.emplace_back(now, event.datum);
    return;
  }
  fail(entry, std::make_shared<Failure>(
                  Failure{ErrorKind::disconnected,
                          "fetching it failed " + std::to_string(entry->second.fetches_failed) +
                              " times, last from peer " + std::to_string(event.peer.value) +
                              ": check the network between its host and this one",
                          true}));
}

void DriverEngine::State::on(const SchedulerLost& event) {
  if (lost != nullptr) return;
  lost = std::make_shared<Failure>(
      Failure{ErrorKind::disconnected, "the link to the scheduler is lost: " + event.reason});
  to_locate.clear();
  refused.clear();
  to_release.clear();
  while (!streams.empty()) close_stream(*streams.begin(), lost);
  for (auto entry = data.begin(); entry != data.end();) {
    if (entry->second.is_owed) fail(entry, lost);
    const auto current = entry++;
    if (!current->second.is_released) continue;
    drops.push_back(current->first);
    data.erase(current);
  }
  while (!runs.empty()) {
    const std::uint32_t run = runs.begin()->first;
    if (!runs.begin()->second.has_ended) {
      told(protocol::RunEnded{run, protocol::RunOutcome::failed, lost->kind, lost->text, {}});
    } else {
      finish_if_complete(run);
    }
  }
}

void DriverEngine::State::on(const Tick&) {
  while (!expected.empty() && now - expected.front().first >= limits.push_wait) {
    const auto [since, id] = expected.front();
    expected.pop_front();
    const auto entry = data.find(id);
    if (entry == data.end() || entry->second.place != Place::expected) continue;
    if (entry->second.since == since) bring(entry);
  }
  while (!refused.empty() && now - refused.front().first >= limits.fetch_retry) {
    const auto [since, id] = refused.front();
    refused.pop_front();
    const auto entry = data.find(id);
    if (entry == data.end() || entry->second.place != Place::locating) continue;
    if (entry->second.since == since) locate(entry);
  }
}

void DriverEngine::State::on(const ExplainAsked& event) {
  if (lost == nullptr) send(event.question);
}

void DriverEngine::State::told(const protocol::PeerInfo& message) {
  hosts[message.peer] = message.endpoint.host_identity;
  act(KnowPeer{message});
}

void DriverEngine::State::told(const protocol::PeerGone& message) {
  hosts.erase(message.peer);
  act(ForgetPeer{message.peer});
  for (auto entry = data.begin(); entry != data.end(); ++entry) {
    Datum& datum = entry->second;
    if (datum.holder != message.peer) continue;
    if (datum.place == Place::locating || datum.place == Place::lost) continue;
    datum.holder = PeerId::none();
    if (datum.place == Place::away || datum.place == Place::here) continue;
    stop_bringing(entry);
    locate(entry);
  }
}

void DriverEngine::State::told(const protocol::DataReady& message) {
  if (message.index.size() != message.bytes.size() ||
      message.index.size() != message.holder.size()) {
    return;
  }
  const auto run = runs.find(message.run);
  for (std::size_t i = 0; i < message.index.size(); ++i) {
    const auto entry = data.find({{session, message.run}, message.index[i]});
    if (entry == data.end()) continue;
    Datum& datum = entry->second;
    if (datum.is_put || datum.place == Place::lost) continue;
    datum.holder = message.holder[i];
    if (datum.place == Place::here) continue;
    const bool is_new = datum.place == Place::unmade;
    stop_bringing(entry);
    datum.bytes = message.bytes[i];
    if (is_new) say_it_exists(entry);
    if (!datum.is_needed()) {
      if (is_new) act(Exists{entry->first});
      continue;
    }
    const bool is_delivered = run != runs.end() && run->second.bring_home;
    if (is_new && is_delivered && is_push_due(datum)) {
      datum.place = Place::expected;
      datum.since = now;
      expected.emplace_back(now, entry->first);
    } else {
      bring(entry);
    }
  }
}

void DriverEngine::State::told(const protocol::RunEnded& message) {
  const auto found = runs.find(message.run);
  if (found == runs.end() || found->second.has_ended) return;
  found->second.has_ended = true;
  protocol::RunEnded& end = found->second.end = message;
  if (end.outcome != protocol::RunOutcome::done) {
    const bool is_cancelled = end.outcome == protocol::RunOutcome::cancelled;
    // It may have been refused for data of a run that was refused, or that the scheduler has
    // forgotten.
    const auto cause = end.error_kind == ErrorKind::bad_input && end.stats.tasks == 0
                           ? failure_of(found->second.externals)
                           : nullptr;
    if (cause != nullptr) {
      end.error_kind = cause->kind;
      end.error = cause->text;
    }
    const std::string text =
        !end.error.empty() ? end.error : (is_cancelled ? "cancelled" : "the run failed");
    const auto failure = std::make_shared<Failure>(
        Failure{is_cancelled ? ErrorKind::cancelled : end.error_kind, text});
    fail_outstanding(message.run, failure, !is_cancelled);
    close_stream(message.run, failure);
  } else {
    // Of what nobody has spoken, the scheduler says what became of it.
    const auto [first, last] = data_of(message.run);
    for (auto entry = first; entry != last; ++entry) say_it_exists(entry);
  }
  finish_if_complete(message.run);
}

void DriverEngine::State::told(const protocol::RunProgress& message) {
  const auto run = runs.find(message.run);
  if (run != runs.end()) act(Progress{message.run, message.tasks_done, run->second.tasks});
}

void DriverEngine::State::told(const protocol::PutDataUnused& message) {
  for (const DatumId& id : message.data) {
    const auto entry = data.find(id);
    if (entry == data.end() || !entry->second.is_put) continue;
    data.erase(entry);
    drops.push_back(id);
  }
}

void DriverEngine::State::told(const protocol::DataLost& message) {
  const auto failure = std::make_shared<Failure>(Failure{message.kind, message.reason});
  for (const DatumId& id : message.data) {
    const auto entry = data.find(id);
    if (entry == data.end() || entry->second.place == Place::here) continue;
    if (entry->second.place != Place::lost) fail(entry, failure);
  }
}

void DriverEngine::State::told(const protocol::Heartbeat&) {}

void DriverEngine::State::told(const protocol::ClusterSize& message) { act(KnowCluster{message}); }

void DriverEngine::State::told(const protocol::Explanation& message) {
  act(Explained{message.request, message.text});
}

void DriverEngine::State::finish_if_complete(std::uint32_t run) {
  const auto found = runs.find(run);
  if (found == runs.end() || !found->second.has_ended || found->second.owed > 0) return;
  const Stream& stream = found->second.stream;
  if (stream.is_open) return;
  protocol::RunEnded end = std::move(found->second.end);
  const auto& failure = stream.failure != nullptr ? stream.failure : found->second.failure;
  if (failure != nullptr && end.outcome != protocol::RunOutcome::failed) {
    end.outcome = protocol::RunOutcome::failed;
    end.error_kind = failure->kind;
    end.error = failure->text;
  }
  end.stats.local_bytes += found->second.local_bytes;
  end.stats.remote_bytes += found->second.remote_bytes;
  runs.erase(found);
  act(RunFinished{run, end.outcome, end.error_kind, end.error, end.stats});
}

}  // namespace ashlar::driver
