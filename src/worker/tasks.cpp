#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "worker/state.hpp"

namespace ashlar::worker {

namespace {

/// Thirteen days: no sum of claims like it overflows.
constexpr std::uint64_t expected_ns_max = std::uint64_t{1} << 50;

constexpr std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  return a > ~std::uint64_t{0} - b ? ~std::uint64_t{0} : a + b;
}

/// Heap order: the lowest rank on top, the older assignment among equals.
constexpr auto starts_later = [](const auto& a, const auto& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.order > b.order;
};

bool is_allowed(TaskState from, TaskState to) {
  switch (from) {
    case TaskState::none:
      return to == TaskState::waiting;
    case TaskState::waiting:
      return to == TaskState::ready || to == TaskState::none;
    case TaskState::ready:  // waiting: an input went to disk
      return to == TaskState::started || to == TaskState::waiting || to == TaskState::none;
    case TaskState::started:
      return to == TaskState::none;
  }
  return false;
}

}  // namespace

void WorkerEngine::State::transition(std::uint32_t slot, TaskState to) {
  Task& task = tasks[slot];
  ASHLAR_CHECK(is_allowed(task.state, to), story(task.run, task.task));
  if (task.state != TaskState::none) --task_count[std::size_t(task.state)];
  if (to != TaskState::none) ++task_count[std::size_t(to)];
  task.state = to;
  if (to == TaskState::ready) {
    ready.push_back({rank_of(task), slot, task.order});
    std::push_heap(ready.begin(), ready.end(), starts_later);
  }
}

/// Takes the task into the tables; no_slot when it is stale.
std::uint32_t WorkerEngine::State::add_task(std::uint32_t batch, const Task& task) {
  const DatumId key{task.run, task.task};
  const std::uint32_t existing = task_table.find(key);
  if (existing != no_slot) {
    if (tasks[existing].batch == batch || tasks[existing].attempt >= task.attempt) {
      ++counters.stale_events;
      return no_slot;
    }
    revoke(existing);
  }
  const std::uint32_t slot = tasks.add();
  tasks[slot] = task;
  tasks[slot].is_used = true;
  tasks[slot].order = next_order++;
  task_table.insert(key, slot);
  ++batches[batch].live_tasks;
  transition(slot, TaskState::waiting);
  for (const std::uint32_t output : outputs_of(tasks[slot])) {
    Datum& datum = data[obtain({task.run, output})];
    stop_fetch(datum);
    datum.producer = slot;
    datum.is_early = false;
    datum.is_freed = false;
    datum.is_reported = false;
  }
  return slot;
}

/// Makes the task wait for an input that is not here, and sees to it that the input comes.
void WorkerEngine::State::need_input(std::uint32_t slot, std::uint32_t input) {
  Task& task = tasks[slot];
  const auto& message = batches[task.batch].message;
  const DatumId id = inputs_of(task)[input];
  std::uint32_t found = data_table.find(id);
  const bool was_dropped = found == no_slot && dropped.has(id);
  if (found == no_slot) found = obtain(id);
  Datum& datum = data[found];
  ++datum.users;
  if (datum.presence == Presence::here) return;

  ++task.missing;
  const protocol::Urgency urgency = urgency_of(task);
  const bool is_first = datum.first_waiter == no_slot;
  const std::uint32_t waiter = waiters.add();
  waiters[waiter].task = slot;
  waiters[waiter].next = std::exchange(datum.first_waiter, waiter);
  if (is_first || urgency < datum.urgency) {
    const bool is_queued = datum.presence == Presence::queued;
    if (is_queued) stop_fetch(datum);
    datum.urgency = urgency;
    if (is_queued) queue_fetch(datum, datum.holder);
  }
  if (datum.producer != no_slot || datum.presence != Presence::absent) return;

  const PeerId holder = message.input_holder[task.first_input + input];
  const std::uint64_t bytes = message.input_bytes[task.first_input + input];
  datum.bytes = bytes == graph::TaskGraph::dynamic_bytes ? 0 : bytes;
  if (holder != self && !holder.is_none()) {
    queue_fetch(datum, holder);
  } else if (was_dropped) {
    report_missing(datum, self);
  } else if (is_first) {
    become_unsure(datum);
  }
}

std::int64_t WorkerEngine::State::predicted_ns(const Task& task) const {
  const std::uint64_t expected = batches[task.batch].message.expected_ns[task.position];
  if (expected == 0) return limits.started_time.ns;
  return static_cast<std::int64_t>(std::min(expected, expected_ns_max));
}

bool WorkerEngine::State::has_room(const Task& task) const {
  const std::uint64_t started = started_count();
  if (started < std::uint64_t{slots} * limits.started_per_slot) return true;
  return started < std::uint64_t{slots} * limits.started_per_slot_max &&
         started_ns + predicted_ns(task) <= limits.started_time.ns * slots;
}

std::uint64_t WorkerEngine::State::output_total(const Task& task) const {
  std::uint64_t total = 0;
  for (const std::uint64_t bytes : output_bytes_of(task)) {
    if (bytes == graph::TaskGraph::dynamic_bytes) continue;
    total = saturating_add(total, limits.taken_bytes(bytes));
  }
  return total;
}

/// Position of the input whose buffer output 0 may take over now, or no_input.
std::uint32_t WorkerEngine::State::reusable_input(const Task& task) const {
  const std::uint32_t position = batches[task.batch].message.reuse_input[task.position];
  const auto inputs = inputs_of(task);
  const auto bytes = output_bytes_of(task);
  if (position >= inputs.size() || bytes.empty()) return graph::TaskGraph::no_input;
  const Datum& datum = data[data_table.find(inputs[position])];
  const bool is_free_to_take = datum.is_own && datum.users == 1 && datum.producer == no_slot &&
                               datum.first_request == no_slot && datum.readers == 0 &&
                               datum.bytes == bytes[0];
  return is_free_to_take ? position : graph::TaskGraph::no_input;
}

/// Bytes that must be free for the task to start.
std::uint64_t WorkerEngine::State::bytes_needed(const Task& task) const {
  const std::uint64_t total = output_total(task);
  if (reusable_input(task) == graph::TaskGraph::no_input) return total;
  return total - limits.taken_bytes(output_bytes_of(task)[0]);
}

/// Memory of this worker that the task's inputs take while it runs.
std::uint64_t WorkerEngine::State::bytes_read(const Task& task) const {
  std::vector<std::uint32_t> slots_read;
  for (const DatumId& id : inputs_of(task)) slots_read.push_back(data_table.find(id));
  std::sort(slots_read.begin(), slots_read.end());
  slots_read.erase(std::unique(slots_read.begin(), slots_read.end()), slots_read.end());
  std::uint64_t total = 0;
  for (const std::uint32_t slot : slots_read) {
    const bool is_on_disk = data[slot].presence == Presence::on_disk;
    const std::uint64_t taken =
        is_on_disk ? limits.taken_bytes(data[slot].bytes) : data[slot].charged;
    total = saturating_add(total, taken);
  }
  return total;
}

/// Whether the task exceeds the limit even when nothing but its inputs is held.
bool WorkerEngine::State::can_never_fit(const Task& task) const {
  return saturating_add(bytes_read(task), bytes_needed(task)) > memory_limit;
}

bool WorkerEngine::State::is_current(const Ready& entry) const {
  return tasks.has(entry.slot) && tasks[entry.slot].state == TaskState::ready &&
         tasks[entry.slot].order == entry.order;
}

void WorkerEngine::State::pop_ready() {
  std::pop_heap(ready.begin(), ready.end(), starts_later);
  ready.pop_back();
}

void WorkerEngine::State::compact_ready() {
  if (ready.size() <= 2 * std::size_t{task_count[std::size_t(TaskState::ready)]} + 64) return;
  std::erase_if(ready, [this](const Ready& entry) { return !is_current(entry); });
  std::make_heap(ready.begin(), ready.end(), starts_later);
}

/// The task waits again: it gets a new entry in the heap when it has become ready once more.
void WorkerEngine::State::unready(std::uint32_t slot) {
  transition(slot, TaskState::waiting);
  std::erase_if(ready, [slot](const Ready& entry) { return entry.slot == slot; });
  std::make_heap(ready.begin(), ready.end(), starts_later);
}

/// The lowest-ranked ready task that fits into memory, or no_slot.
std::uint32_t WorkerEngine::State::best_fitting_ready() const {
  const Ready* best = nullptr;
  for (const Ready& entry : ready) {
    if (!is_current(entry) || !fits(bytes_needed(tasks[entry.slot]))) continue;
    if (best == nullptr || starts_later(*best, entry)) best = &entry;
  }
  return best == nullptr ? no_slot : best->slot;
}

/// Whether an earlier task waits for room to read its inputs back, which will come.
bool WorkerEngine::State::must_wait_its_turn(std::uint32_t slot) const {
  if (!lacks_load_room || lacks_load_room->kind != UseKey::Kind::at_hand) return false;
  if (is_at_rest()) return false;
  return *lacks_load_room < key_of(slot);
}

/// Starts ready tasks, lowest rank first, as far as slots and memory allow.
void WorkerEngine::State::admit() {
  compact_ready();
  for (;;) {
    while (!ready.empty() && !is_current(ready.front())) pop_ready();
    if (ready.empty()) return;
    const std::uint32_t slot = ready.front().slot;
    const Task& task = tasks[slot];
    if (!has_room(task) || must_wait_its_turn(slot)) return;
    const std::uint64_t needed = bytes_needed(task);
    if (!fits(needed) && can_never_fit(task)) {
      fail_for_memory(slot, needed);
      continue;
    }
    if (fits(needed) || make_room(needed, key_of(slot), slot)) {
      pop_ready();
      start(slot);
      continue;
    }
    // Memory comes back when tasks end, or data are on disk. When nothing of that is to come, a
    // later task that fits may free some.
    if (!is_at_rest()) return;
    if (has_waited() && take_from_fetches(needed, key_of(slot))) continue;
    const std::uint32_t other = best_fitting_ready();
    if (other == no_slot) return;
    start(other);
  }
}

void WorkerEngine::State::start(std::uint32_t slot) {
  Task& task = tasks[slot];
  task.reused = reusable_input(task);
  if (task.reused != graph::TaskGraph::no_input) {
    const std::uint32_t taken = data_table.find(inputs_of(task)[task.reused]);
    leave_store(data[taken]);
    data[taken].users = 0;
    erase(taken);
  }
  const auto inputs = inputs_of(task);
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    if (i != task.reused) ++data[data_table.find(inputs[i])].running;
  }
  task.reserved = output_total(task);
  reserved += task.reserved;
  started_ns += predicted_ns(task);
  ++counters.tasks_started;
  task.start = next_start++;
  last_progress = now;
  transition(slot, TaskState::started);
  act(StartTask{slot, task.reused});
}

void WorkerEngine::State::fail_for_memory(std::uint32_t slot, std::uint64_t needed) {
  const Task& task = tasks[slot];
  failed.push_back({task.run, task.task, task.attempt, ErrorKind::overloaded,
                    "out of memory: " + std::to_string(needed) + " bytes needed, " +
                        std::to_string(reserved) + " in use, limit " +
                        std::to_string(memory_limit) +
                        "; its data fit into no worker like this: use smaller chunks or a higher "
                        "memory limit"});
  revoke(slot);
}

/// Whether the task waits for an input that needs memory here first.
bool WorkerEngine::State::lacks_input_room(const Task& task, bool waits_long) const {
  const auto inputs = inputs_of(task);
  return std::ranges::any_of(inputs, [&](const DatumId& id) {
    const Datum& datum = data[data_table.find(id)];
    if (datum.presence == Presence::on_disk) return true;
    if (datum.presence == Presence::fetching) return waits_long;
    if (datum.presence != Presence::queued) return false;
    return lacks_fetch_room && takes_memory(datum, datum.holder);
  });
}

/// Whether nothing came for so long that those asked must lack room to send it.
bool WorkerEngine::State::waits_long() const {
  if (fetches == 0 || now - last_progress < limits.fetch_wait) return false;
  std::uint64_t asked = 0;
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (datum.is_used && datum.presence == Presence::fetching) asked += datum.bytes;
  }
  const auto seconds = static_cast<double>(asked / limits.fetch_bytes_per_second);
  return now - last_progress >= limits.fetch_wait + Duration::seconds(seconds);
}

/// Bytes that must become free here for the task to start.
std::uint64_t WorkerEngine::State::bytes_lacking(const Task& task) const {
  std::uint64_t total = bytes_needed(task);
  for (const DatumId& id : inputs_of(task)) {
    const Datum& datum = data[data_table.find(id)];
    const bool is_to_come =
        datum.presence == Presence::on_disk ||
        (datum.presence == Presence::queued && takes_memory(datum, datum.holder));
    if (is_to_come) total = saturating_add(total, limits.taken_bytes(datum.bytes));
  }
  return total;
}

/// Whether something may free memory here without a word from the scheduler.
bool WorkerEngine::State::may_go_on() const {
  const bool may_readers_end = readers > 0 && now - last_progress < limits.read_wait;
  return started_count() > 0 || fetches_counted > 0 || !transfers.empty() || may_readers_end;
}

/// Tells the scheduler, once, which tasks wait for memory here while nothing happens that could
/// free some; and if something does after all. Whatever else could change that comes from the
/// scheduler, or is reported to it.
void WorkerEngine::State::report_shortage() {
  if (has_reports() || received != shortage_told_after) is_shortage_told = false;
  if (is_leaving) return;
  if (may_go_on()) {
    if (std::exchange(is_shortage_told, false)) {
      report(protocol::MemoryShort{received, reserved, {}, {}, {}});
    }
    return;
  }
  const bool is_waiting = waits_long();
  if (is_shortage_told && (is_wait_told || !is_waiting)) return;
  const bool lacks_room = lacks_fetch_room || lacks_load_room.has_value() || is_waiting;
  if (task_count[std::size_t(TaskState::ready)] == 0 && !lacks_room) return;
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (!task.is_used ||
        (task.state == TaskState::waiting && !lacks_input_room(task, is_waiting))) {
      continue;
    }
    shortage.tasks.push_back({task.run, task.task});
    shortage.bytes.push_back(bytes_lacking(task));
  }
  if (shortage.tasks.empty()) return;
  is_shortage_told = true;
  is_wait_told = is_waiting;
  shortage_told_after = received;
  shortage.received = received;
  shortage.memory_used = reserved;
  shortage.spill_error = spill_error;
}

/// Publishes the outputs of a task that ended well, or drops them when it was revoked.
void WorkerEngine::State::make_outputs(const TaskEnded& event, const Task& task) {
  const auto outputs = outputs_of(task);
  const auto announced = output_bytes_of(task);
  const bool are_told = event.output_bytes.size() == outputs.size();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const DatumId id{task.run, outputs[i]};
    if (task.is_revoked) {
      const std::uint32_t found = data_table.find(id);
      if (found == no_slot || data[found].presence != Presence::here) drops.push_back(id);
      continue;
    }
    const bool is_dynamic = announced[i] == graph::TaskGraph::dynamic_bytes;
    const std::uint64_t bytes = are_told ? event.output_bytes[i] : (is_dynamic ? 0 : announced[i]);
    const std::uint32_t slot = obtain(id);
    if (data[slot].producer == event.handle) data[slot].producer = no_slot;
    if (is_held(data[slot])) leave_store(data[slot]);
    stop_fetch(data[slot]);
    come(slot, bytes, true, bytes);
    push_output(task, id, bytes);
    settle(slot);
  }
}

void WorkerEngine::State::push_output(const Task& task, const DatumId& id, std::uint64_t bytes) {
  const auto& message = batches[task.batch].message;
  if (message.deliver[task.position] == 0) return;
  const auto driver = peers.find(message.driver);
  if (driver == peers.end() || !driver->second.is_known) return;
  if (protocol::is_pushed(host_identity, driver->second.host_identity, bytes)) {
    act(PushDatum{message.driver, id});
    if (bytes > limits.untracked_bytes) lend(data[data_table.find(id)]);
  }
}

void WorkerEngine::State::report_done(const TaskEnded& event, const Task& task) {
  const auto announced = output_bytes_of(task);
  const bool are_told = event.output_bytes.size() == announced.size();
  bool is_dynamic = false;
  for (std::size_t k = 0; k < announced.size(); ++k) {
    is_dynamic |= announced[k] == graph::TaskGraph::dynamic_bytes ||
                  (are_told && event.output_bytes[k] != announced[k]);
  }
  protocol::TasksDone& report = done_report(task.run, is_dynamic);
  report.task.push_back(task.task);
  report.attempt.push_back(task.attempt);
  report.elapsed_ns.push_back(event.elapsed_ns);
  for (std::size_t k = 0; k < announced.size(); ++k) {
    const std::uint64_t planned =
        announced[k] == graph::TaskGraph::dynamic_bytes ? 0 : announced[k];
    report.output_bytes.push_back(are_told ? event.output_bytes[k] : planned);
  }
  const Batch& batch = batches[task.batch];
  if (!batch.is_whole || batch.message.deliver[task.position] != 0) is_report_awaited = true;
  ++counters.tasks_done;
}

/// Takes an assignment back: at once, or when the running kernel has ended.
void WorkerEngine::State::revoke(std::uint32_t slot) {
  Task& task = tasks[slot];
  if (task.state == TaskState::started) {
    task_table.erase({task.run, task.task});
    task.is_revoked = true;
    revoked.push_back({now, slot, task.order});
    unmake_outputs(task, slot);
    act(WithdrawTask{slot});
    return;
  }
  unmake_outputs(task, slot);
  release_inputs(slot);
  retire(slot);
}

/// Tells how many slots are held by revoked tasks, when that has changed.
void WorkerEngine::State::report_held() {
  if (revoked.empty() && slots_held == 0) return;
  std::erase_if(revoked, [this](const Revoked& entry) {
    return !tasks.has(entry.slot) || tasks[entry.slot].order != entry.order;
  });
  const auto held = std::ranges::count_if(
      revoked, [this](const Revoked& entry) { return now - entry.since >= limits.revoked_wait; });
  // Of more tasks than slots some only wait in the slots' queues.
  const std::uint32_t held_now = std::min(static_cast<std::uint32_t>(held), slots);
  if (held_now != slots_held) report(protocol::SlotsHeld{held_now});
  slots_held = held_now;
}

/// The outputs will not be made by this task.
void WorkerEngine::State::unmake_outputs(const Task& task, std::uint32_t slot) {
  const auto outputs = outputs_of(task);
  const auto announced = output_bytes_of(task);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const DatumId id{task.run, outputs[i]};
    const std::uint32_t found = data_table.find(id);
    if (found == no_slot || data[found].producer != slot) continue;
    data[found].producer = no_slot;
    if (!is_held(data[found])) {
      // If somebody else makes it for a task that is here, it takes as much when it comes.
      const bool is_dynamic = announced[i] == graph::TaskGraph::dynamic_bytes;
      data[found].bytes = is_dynamic ? 0 : announced[i];
      refuse_requests(found, now);
      if (data[found].users > 0) become_unsure(data[found]);
    }
    settle(found);
    if (data_table.find(id) == no_slot) dropped.note(id);
  }
}

void WorkerEngine::State::release_inputs(std::uint32_t slot) {
  const auto inputs = inputs_of(tasks[slot]);
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    if (i == tasks[slot].reused) continue;
    const std::uint32_t found = data_table.find(inputs[i]);
    Datum& datum = data[found];
    --datum.users;
    if (tasks[slot].state == TaskState::started) --datum.running;
    datum.used = ++uses;
    if (datum.presence != Presence::here) remove_waiter(datum, slot);
    settle(found);
  }
}

void WorkerEngine::State::retire(std::uint32_t slot) {
  const Task& task = tasks[slot];
  if (!task.is_revoked) task_table.erase({task.run, task.task});
  const std::uint32_t batch = task.batch;
  transition(slot, TaskState::none);
  tasks.remove(slot);
  if (--batches[batch].live_tasks > 0) return;
  batches.remove(batch);
  is_report_awaited = true;
}

}  // namespace ashlar::worker
