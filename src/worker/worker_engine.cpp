#include "worker/worker_engine.hpp"

#include <utility>

#include "base/check.hpp"
#include "worker/state.hpp"

namespace ashlar::worker {

WorkerEngine::WorkerEngine(PeerId self, std::uint32_t slots, std::uint64_t memory_limit,
                           Limits limits, std::string host_identity)
    : state_(std::make_unique<State>()) {
  ASHLAR_CHECK(slots > 0);
  state_->self = self;
  state_->slots = slots;
  state_->memory_limit = memory_limit;
  state_->limits = limits;
  state_->dropped = RecentIds(limits.dropped_remembered);
  state_->host_identity = std::move(host_identity);
}

WorkerEngine::~WorkerEngine() = default;
WorkerEngine::WorkerEngine(WorkerEngine&&) noexcept = default;
WorkerEngine& WorkerEngine::operator=(WorkerEngine&&) noexcept = default;

void WorkerEngine::step(std::span<const Event> events, Instant now, Actions& actions) {
  state_->step(events, now, actions);
}

TaskView WorkerEngine::task(std::uint32_t handle) const {
  ASHLAR_CHECK(state_->tasks.has(handle), "no task has handle " + std::to_string(handle));
  const Task& task = state_->tasks[handle];
  const auto& message = state_->batches[task.batch].message;
  return {task.run,
          task.task,
          task.attempt,
          message.kernel[task.position],
          message.expected_ns[task.position],
          state_->inputs_of(task),
          state_->outputs_of(task),
          state_->output_bytes_of(task),
          {message.params.data() + task.first_param, message.param_bytes[task.position]}};
}

const Counters& WorkerEngine::counters() const { return state_->counters; }

Instant WorkerEngine::report_due() const { return state_->report_due(); }

std::uint64_t WorkerEngine::memory_reserved() const { return state_->reserved; }

bool WorkerEngine::is_empty() const {
  return state_->tasks.size() == 0 && state_->data.size() == 0 && state_->requests.size() == 0 &&
         state_->templates.empty();
}

void WorkerEngine::State::step(std::span<const Event> events, Instant at, Actions& out) {
  actions = &out;
  now = at;
  for (const Event& event : events) {
    std::visit([this](const auto& e) { on(e); }, event);
  }
  while (!patience.empty() && now - patience.front().first > limits.fetch_patience) {
    const auto [started, id] = patience.front();
    patience.pop_front();
    const std::uint32_t slot = data_table.find(id);
    if (slot != no_slot && data[slot].is_counted && data[slot].since == started) {
      uncount(data[slot]);
    }
  }
  look_after_unsure();
  flush_drops();
  if (!is_leaving) {
    // What fails for want of memory may leave room for others.
    for (std::size_t failures = failed.size() + 1; failures != failed.size();) {
      failures = failed.size();
      pump_loads();
      admit();
      pump_fetches();
    }
    refuse_in_vain();
    refuse_to_pass_on();
    recall_loans();
    write_ahead();
    flush_drops();
  }
  report_held();
  report_shortage();
  flush();
  if (is_leaving && !has_exited && started_count() == 0) {
    has_exited = true;
    act(Exit{leave_reason});
  }
  actions = nullptr;
}

/// A step sees events of one moment: what it dropped may have come again with a later event, and
/// the store has the later copy already.
void WorkerEngine::State::flush_drops() {
  for (const DatumId& id : drops) {
    const std::uint32_t slot = data_table.find(id);
    if (slot == no_slot || data[slot].presence != Presence::here) act(DropDatum{id});
  }
  drops.clear();
}

void WorkerEngine::State::on(const FromScheduler& event) {
  if (!std::holds_alternative<protocol::Heartbeat>(event.message)) ++received;
  std::visit([this](const auto& message) { told(message); }, event.message);
}

void WorkerEngine::State::on(const TaskEnded& event) {
  if (!tasks.has(event.handle) || tasks[event.handle].state != TaskState::started) {
    ++counters.stale_events;
    return;
  }
  last_progress = now;
  const std::uint32_t slot = event.handle;
  started_ns -= predicted_ns(tasks[slot]);
  reserved -= std::exchange(tasks[slot].reserved, 0);
  const Task task = tasks[slot];
  if (event.is_ok) {
    make_outputs(event, task);
    if (!task.is_revoked) {
      report_done(event, task);
      // The scheduler takes the input for gone, also when its buffer could not be taken over.
      const auto inputs = inputs_of(task);
      const std::uint32_t dying = batches[task.batch].message.reuse_input[task.position];
      if (dying < inputs.size() && dying != task.reused) {
        data[data_table.find(inputs[dying])].is_freed = true;
      }
    }
  } else if (!task.is_revoked) {
    failed.push_back({task.run, task.task, task.attempt, event.error_kind, event.error});
    unmake_outputs(task, slot);
  }
  release_inputs(slot);
  retire(slot);
}

void WorkerEngine::State::on(const FetchDone& event) {
  const std::uint32_t slot = data_table.find(event.datum);
  if (slot == no_slot || is_held(data[slot]) || !is_to_be_had(data[slot])) {
    ++counters.stale_events;
    // It came although the fetch was abandoned just before: it is in the store, for nobody.
    if (slot == no_slot || data[slot].presence != Presence::here) drops.push_back(event.datum);
    return;
  }
  Datum& datum = data[slot];
  const bool is_abandoned = datum.presence != Presence::fetching;
  if (is_abandoned && !event.is_in_place && !fits(limits.taken_bytes(event.bytes))) {
    ++counters.stale_events;
    drops.push_back(event.datum);
    return;
  }
  const std::uint32_t waiter = datum.first_waiter;
  const RunId run = waiter == no_slot ? datum.id.run : tasks[waiters[waiter].task].run;
  const bool is_for_template =
      waiter != no_slot && batches[tasks[waiters[waiter].task].batch].is_whole;
  if (datum.presence == Presence::fetching) {
    --fetches;
    uncount(datum);
    link_works(datum.holder);
  } else if (datum.presence == Presence::queued) {
    stop_fetch(datum);
  }
  datum.is_freed = false;
  auto& report = acquired_report(run);
  if (!is_for_template) is_report_awaited = true;
  report.data.push_back(event.datum);
  (event.is_in_place || event.is_local ? report.local_bytes : report.remote_bytes) += event.bytes;
  last_progress = now;
  const PeerId lender = datum.holder;
  borrow(datum, event.is_in_place ? event.bytes : 0);
  come(slot, event.bytes, false, event.is_in_place ? 0 : event.bytes);
  if (datum.borrowed > 0) datum.holder = lender;
}

void WorkerEngine::State::on(const FetchFailed& event) {
  const std::uint32_t slot = data_table.find(event.datum);
  if (slot == no_slot || data[slot].presence != Presence::fetching ||
      data[slot].holder != event.peer) {
    ++counters.stale_events;
    return;
  }
  Datum& datum = data[slot];
  --fetches;
  uncount(datum);
  charge(datum, 0);
  borrow(datum, 0);
  datum.presence = Presence::absent;
  if (event.broken.empty()) {
    link_works(event.peer);
    report_missing(datum, event.peer);
  } else {
    link_failed(datum, event.peer, event.broken);
  }
}

void WorkerEngine::State::on(const FetchAsked& event) {
  const std::uint32_t slot = data_table.find(event.datum);
  if (slot != no_slot && data[slot].presence == Presence::here) {
    answer({event.peer, event.request, event.datum, event.urgency}, data[slot]);
    return;
  }
  const bool will_never_come =
      slot == no_slot
          ? dropped.has(event.datum)
          : data[slot].is_freed && data[slot].producer == no_slot && !is_held(data[slot]);
  const auto peer = peers.find(event.peer);
  const bool is_full =
      peer != peers.end() && peer->second.waiting_requests >= limits.waiting_requests_per_peer;
  const bool is_repeated = request_table.contains({event.peer, event.request});
  if (will_never_come || is_full || is_repeated || (is_leaving && slot == no_slot)) {
    if (is_repeated) ++counters.stale_events;
    act(RefuseFetch{event.peer, event.request});
    return;
  }
  add_request(obtain(event.datum), event);
}

void WorkerEngine::State::on(const FetchUnasked& event) {
  if (event.request != FetchUnasked::all) {
    const auto found = request_table.find({event.peer, event.request});
    if (found != request_table.end()) forget_request(found->second);
    return;
  }
  for (;;) {
    const auto found = request_table.lower_bound({event.peer, 0});
    if (found == request_table.end() || found->first.first != event.peer) return;
    forget_request(found->second);
  }
}

void WorkerEngine::State::on(const Tick&) { report_running(); }

void WorkerEngine::State::on(const Resting&) { is_resting = true; }

void WorkerEngine::State::told(const protocol::PeerInfo& message) {
  Peer& peer = peers[message.peer];
  peer.is_known = true;
  peer.host_identity = message.endpoint.host_identity;
  act(KnowPeer{message});
}

void WorkerEngine::State::told(const protocol::PeerGone& message) {
  act(ForgetPeer{message.peer});
  on(FetchUnasked{message.peer, FetchUnasked::all});
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    Datum& datum = data[slot];
    if (!datum.is_used || datum.holder != message.peer) continue;
    if (datum.presence != Presence::fetching && datum.presence != Presence::queued) continue;
    stop_fetch(datum);
    report_missing(datum, message.peer);
  }
  peers.erase(message.peer);
}

void WorkerEngine::State::told(const protocol::AssignTasks& message) {
  accept(message, message.template_number != protocol::no_template);
}

void WorkerEngine::State::accept(protocol::AssignTasks assigned, bool is_whole) {
  if (!is_consistent(assigned)) {
    ++counters.odd_messages;
    return;
  }
  if (is_leaving || assigned.task.empty()) return;
  keep_template(assigned);
  const std::uint32_t batch = batches.add();
  batches[batch].message = std::move(assigned);
  batches[batch].is_whole = is_whole;
  const protocol::AssignTasks& message = batches[batch].message;
  if (!message.driver.is_none()) peers[message.driver].is_driver = true;
  scratch.clear();
  Task task;
  task.run = message.run;
  task.batch = batch;
  for (std::uint32_t i = 0; i < message.task.size(); ++i) {
    task.task = message.task[i];
    task.attempt = message.attempt[i];
    task.position = i;
    const std::uint32_t slot = add_task(batch, task);
    if (slot != no_slot) scratch.push_back(slot);
    task.first_input += message.input_count[i];
    task.first_output += message.output_count[i];
    task.first_param += message.param_bytes[i];
  }
  // Inputs come second, so that what is made within the batch is not taken for missing.
  for (const std::uint32_t slot : scratch) {
    const std::uint32_t count = message.input_count[tasks[slot].position];
    for (std::uint32_t i = 0; i < count; ++i) need_input(slot, i);
    if (tasks[slot].missing == 0) transition(slot, TaskState::ready);
  }
  if (batches[batch].live_tasks == 0) batches.remove(batch);
}

void WorkerEngine::State::told(const protocol::RevokeTasks& message) {
  if (message.task.size() != message.attempt.size()) {
    ++counters.odd_messages;
    return;
  }
  for (std::size_t i = 0; i < message.task.size(); ++i) {
    const std::uint32_t slot = task_table.find({message.run, message.task[i]});
    if (slot == no_slot || tasks[slot].attempt != message.attempt[i]) {
      ++counters.stale_events;
      continue;
    }
    revoke(slot);
  }
}

void WorkerEngine::State::told(const protocol::FreeData& message) {
  for (const DatumId& id : message.data) {
    const std::uint32_t slot = data_table.find(id);
    if (slot == no_slot) {
      dropped.note(id);
      continue;
    }
    Datum& datum = data[slot];
    datum.is_freed = true;
    datum.is_early = false;
    if (is_held(datum)) {
      settle(slot);
      continue;
    }
    refuse_requests(slot, now);
    if (datum.presence != Presence::absent) {
      stop_fetch(datum);
      datum.is_reported = datum.users > 0;
    }
    settle(slot);
  }
}

void WorkerEngine::State::told(const protocol::Relocate& message) {
  if (message.data.size() != message.holder.size()) {
    ++counters.odd_messages;
    return;
  }
  for (std::size_t i = 0; i < message.data.size(); ++i) {
    const std::uint32_t slot = data_table.find(message.data[i]);
    const PeerId holder = message.holder[i];
    if (slot == no_slot) continue;
    Datum& datum = data[slot];
    if (is_held(datum) || !is_to_be_had(datum) || datum.producer != no_slot) continue;
    if (datum.presence != Presence::absent) {
      if (datum.holder == holder) continue;
      stop_fetch(datum);
    }
    datum.is_reported = false;
    datum.is_freed = false;
    if (holder == self || holder.is_none()) {
      become_unsure(datum);
    } else {
      queue_fetch(datum, holder);
    }
  }
}

void WorkerEngine::State::told(const protocol::Shutdown& message) {
  if (is_leaving) return;
  is_leaving = true;
  leave_reason = message.reason;
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const TaskState state = tasks[slot].state;
    if (state == TaskState::waiting || state == TaskState::ready) revoke(slot);
  }
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    if (!data[slot].is_used || data[slot].producer != no_slot) continue;
    if (data[slot].presence == Presence::here) continue;
    data[slot].is_early = false;
    refuse_requests(slot, now);  // nothing is read back any more
    settle(slot);
  }
}

void WorkerEngine::State::told(const protocol::Heartbeat&) {}

bool is_consistent(const protocol::AssignTasks& m) {
  const std::size_t n = m.task.size();
  for (const std::size_t length : {m.attempt.size(), m.kernel.size(), m.rank.size(),
                                   m.expected_ns.size(), m.reuse_input.size(), m.input_count.size(),
                                   m.output_count.size(), m.param_bytes.size(), m.deliver.size()}) {
    if (length != n) return false;
  }
  if (!m.priority.empty() && m.priority.size() != n) return false;
  std::uint64_t inputs = 0;
  std::uint64_t outputs = 0;
  std::uint64_t params = 0;
  for (std::size_t i = 0; i < n; ++i) {
    inputs += m.input_count[i];
    outputs += m.output_count[i];
    params += m.param_bytes[i];
  }
  return inputs == m.inputs.size() && inputs == m.input_bytes.size() &&
         inputs == m.input_holder.size() && outputs == m.outputs.size() &&
         outputs == m.output_bytes.size() && params == m.params.size();
}

}  // namespace ashlar::worker
