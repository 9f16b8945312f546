#include <algorithm>
#include <set>
#include <sstream>

#include "base/check.hpp"
#include "worker/state.hpp"

namespace ashlar::worker {

namespace {

std::string name_of(const RunId& run) {
  return std::to_string(run.session.value) + "." + std::to_string(run.number);
}

std::string name_of(const DatumId& id) { return name_of(id.run) + "." + std::to_string(id.index); }

const char* name_of(TaskState state) {
  switch (state) {
    case TaskState::none:
      return "none";
    case TaskState::waiting:
      return "waiting";
    case TaskState::ready:
      return "ready";
    case TaskState::started:
      return "started";
  }
  return "?";
}

const char* name_of(Presence presence) {
  switch (presence) {
    case Presence::absent:
      return "absent";
    case Presence::queued:
      return "to be fetched";
    case Presence::fetching:
      return "being fetched";
    case Presence::here:
      return "here";
    case Presence::on_disk:
      return "on disk";
    case Presence::loading:
      return "being read from disk";
  }
  return "?";
}

std::string describe(const Datum& datum) {
  std::string text = "datum " + name_of(datum.id) + " (" + std::to_string(datum.bytes) +
                     " bytes) " + name_of(datum.presence);
  if (datum.presence == Presence::queued || datum.presence == Presence::fetching) {
    text += " from peer " + std::to_string(datum.holder.value);
  }
  if (datum.producer != no_slot) text += ", to be made here";
  if (datum.is_early) text += ", ahead of what reads it";
  if (datum.is_reported) text += ", reported missing";
  if (datum.is_freed) text += ", freed";
  if (datum.copy != 0 && !datum.is_written) text += ", being written to disk";
  if (datum.copy != 0 && datum.is_written && datum.presence == Presence::here) {
    text += ", also on disk";
  }
  if (datum.readers > 0) text += ", read elsewhere " + std::to_string(datum.readers) + " times";
  return text;
}

}  // namespace

std::string WorkerEngine::State::story(RunId run, std::uint32_t task) const {
  const std::string name = "task " + std::to_string(task) + " of run " + name_of(run);
  const std::uint32_t slot = task_table.find({run, task});
  if (slot == no_slot) return name + ": not assigned here\n";
  const Task& found = tasks[slot];
  std::string text = name + ", attempt " + std::to_string(found.attempt) + ", rank " +
                     std::to_string(rank_of(found)) + ": " + name_of(found.state);
  switch (found.state) {
    case TaskState::none:
      break;
    case TaskState::waiting:
      text += " for " + std::to_string(found.missing) + " of " +
              std::to_string(inputs_of(found).size()) + " inputs\n";
      for (const DatumId& id : inputs_of(found)) {
        const Datum& datum = data[data_table.find(id)];
        if (datum.presence != Presence::here) text += "  " + describe(datum) + "\n";
      }
      return text;
    case TaskState::ready:
      text += "; needs " + std::to_string(bytes_needed(found)) + " bytes, " +
              std::to_string(reserved) + " of " + std::to_string(memory_limit) + " in use, " +
              std::to_string(started_count()) + " tasks started on " + std::to_string(slots) +
              " slots";
      break;
    case TaskState::started:
      text += ", " + std::to_string(found.reserved) + " bytes reserved";
      break;
  }
  return text + "\n";
}

std::string WorkerEngine::State::dump() const {
  std::ostringstream out;
  out << "worker " << self.value << ": " << slots << " slots, " << reserved << " of "
      << memory_limit << " bytes in use, " << fetches << " fetches under way, " << here_count
      << " data here, " << on_disk_count << " on disk, " << transfers.size()
      << " on their way between, " << borrowed << " bytes read in others' memory"
      << (is_leaving ? ", leaving" : "") << '\n';
  std::vector<std::pair<DatumId, std::uint32_t>> order;
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    if (tasks[slot].is_used) order.push_back({{tasks[slot].run, tasks[slot].task}, slot});
  }
  std::sort(order.begin(), order.end());
  for (const auto& [id, slot] : order) {
    if (tasks[slot].is_revoked) {
      out << "task " << id.index << " of run " << name_of(id.run) << ", attempt "
          << tasks[slot].attempt << ": runs, revoked\n";
    } else {
      out << story(id.run, id.index);
    }
  }
  order.clear();
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    if (data[slot].is_used) order.push_back({data[slot].id, slot});
  }
  std::sort(order.begin(), order.end());
  for (const auto& [id, slot] : order) {
    out << describe(data[slot]) << ", " << data[slot].users << " uses\n";
  }
  for (const auto& [key, slot] : request_table) {
    out << "peer " << key.first.value << " waits for datum "
        << name_of(data[requests[slot].datum].id) << " (request " << key.second << ")\n";
  }
  return out.str();
}

void WorkerEngine::State::check_tasks() const {
  std::uint32_t count[task_state_count] = {};
  std::uint32_t current = 0;
  std::int64_t predicted = 0;
  std::set<std::uint32_t> in_heap;
  for (const Ready& entry : ready) {
    if (is_current(entry)) ASHLAR_CHECK(in_heap.insert(entry.slot).second, dump());
  }
  std::vector<std::uint32_t> live(batches.slot_count());
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (!task.is_used) continue;
    const auto about = [&] { return story(task.run, task.task); };
    ASHLAR_CHECK(task.state != TaskState::none, about());
    ++count[std::size_t(task.state)];
    ++live[task.batch];
    ASHLAR_CHECK(batches.has(task.batch), about());
    ASHLAR_CHECK(!task.is_revoked || task.state == TaskState::started, about());
    ASHLAR_CHECK((task_table.find({task.run, task.task}) == slot) == !task.is_revoked, about());
    current += task.is_revoked ? 0 : 1;
    std::uint32_t absent = 0;
    const auto inputs = inputs_of(task);
    for (std::uint32_t i = 0; i < inputs.size(); ++i) {
      if (i == task.reused) continue;
      const std::uint32_t found = data_table.find(inputs[i]);
      ASHLAR_CHECK(found != no_slot, about());
      if (data[found].presence != Presence::here) ++absent;
    }
    ASHLAR_CHECK(absent == task.missing, about());
    ASHLAR_CHECK((task.missing > 0) == (task.state == TaskState::waiting), about());
    ASHLAR_CHECK((task.state == TaskState::ready) == in_heap.contains(slot), about());
    if (task.state == TaskState::started) predicted += predicted_ns(task);
    ASHLAR_CHECK(task.state == TaskState::started || task.reserved == 0, about());
  }
  for (std::size_t i = 0; i < task_state_count; ++i) ASHLAR_CHECK(count[i] == task_count[i]);
  ASHLAR_CHECK(current == task_table.size());
  ASHLAR_CHECK(predicted == started_ns);
  ASHLAR_CHECK(started_count() <= std::uint64_t{slots} * std::max(limits.started_per_slot,
                                                                  limits.started_per_slot_max));
  for (std::uint32_t slot = 0; slot < batches.slot_count(); ++slot) {
    ASHLAR_CHECK(batches[slot].live_tasks == live[slot]);
    ASHLAR_CHECK(batches[slot].is_used == (live[slot] > 0));
  }
}

void WorkerEngine::State::check_data() const {
  std::uint64_t charged = 0;
  std::uint32_t here = 0;
  std::size_t waiting = 0;
  std::size_t asked = 0;
  std::vector<std::uint32_t> users(data.slot_count());
  std::vector<std::uint32_t> running(data.slot_count());
  for (std::uint32_t slot = 0; slot < tasks.slot_count(); ++slot) {
    const Task& task = tasks[slot];
    if (!task.is_used) continue;
    charged += task.reserved;
    const auto inputs = inputs_of(task);
    for (std::uint32_t i = 0; i < inputs.size(); ++i) {
      if (i == task.reused) continue;
      ++users[data_table.find(inputs[i])];
      if (task.state == TaskState::started) ++running[data_table.find(inputs[i])];
    }
  }
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (!datum.is_used) continue;
    const auto about = [&] { return describe(datum); };
    charged += datum.charged;
    const bool is_here = datum.presence == Presence::here;
    here += is_here ? 1 : 0;
    ASHLAR_CHECK(data_table.find(datum.id) == slot, about());
    ASHLAR_CHECK(datum.users == users[slot] && datum.running == running[slot], about());
    ASHLAR_CHECK(is_held(datum) || is_to_be_had(datum) || datum.producer != no_slot ||
                     datum.first_request != no_slot,
                 about());
    ASHLAR_CHECK(!datum.is_early || !(is_held(datum) || datum.producer != no_slot), about());
    ASHLAR_CHECK(!(is_held(datum) && datum.is_freed && datum.users == 0), about());
    std::uint32_t length = 0;
    for (std::uint32_t w = datum.first_waiter; w != no_slot; w = waiters[w].next) ++length;
    ASHLAR_CHECK(length == (is_here ? 0 : datum.users), about());
    waiting += length;
    for (std::uint32_t r = datum.first_request; r != no_slot; r = requests[r].next) {
      ASHLAR_CHECK(requests[r].datum == slot && !is_here, about());
      ++asked;
    }
    if (datum.producer != no_slot) {
      ASHLAR_CHECK(tasks.has(datum.producer) && !tasks[datum.producer].is_revoked, about());
    }
    const bool is_to_come =
        datum.presence == Presence::queued || datum.presence == Presence::fetching;
    ASHLAR_CHECK(!is_to_come || (is_to_be_had(datum) && datum.producer == no_slot), about());
  }
  for (const auto& [id, left] : lingering) charged += left.charged;
  for (const auto& [copy, transfer] : transfers) charged += transfer.charged;
  ASHLAR_CHECK(charged == reserved, dump());
  ASHLAR_CHECK(here == here_count && data_table.size() == data.size());
  ASHLAR_CHECK(waiting == waiters.size());
  ASHLAR_CHECK(asked == requests.size() && asked == request_table.size());
}

void WorkerEngine::State::check_disk() const {
  std::uint32_t on_disk = 0;
  std::uint32_t read = 0;
  std::uint64_t lent_to_us = 0;
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (!datum.is_used) continue;
    const auto about = [&] { return describe(datum); };
    const auto transfer = transfers.find(datum.copy);
    const bool is_under_way = transfer != transfers.end();
    read += datum.readers;
    lent_to_us += datum.borrowed;
    on_disk += datum.presence == Presence::on_disk ? 1 : 0;
    ASHLAR_CHECK(datum.copy == 0 || is_held(datum), about());
    ASHLAR_CHECK(!datum.is_written || datum.copy != 0, about());
    ASHLAR_CHECK(datum.readers == 0 || datum.presence == Presence::here, about());
    ASHLAR_CHECK(datum.borrowed == 0 || datum.presence == Presence::here ||
                     datum.presence == Presence::fetching,
                 about());
    ASHLAR_CHECK(datum.borrowed == 0 || datum.charged == 0, about());
    switch (datum.presence) {
      case Presence::on_disk:
        ASHLAR_CHECK(datum.is_written && datum.charged == 0 && !is_under_way, about());
        break;
      case Presence::loading:
        ASHLAR_CHECK(datum.is_written && is_under_way && transfer->second.is_load, about());
        break;
      case Presence::here:
        ASHLAR_CHECK(datum.copy == 0 || datum.is_written == !is_under_way, about());
        break;
      case Presence::absent:
      case Presence::queued:
      case Presence::fetching:
        break;
    }
  }
  for (const auto& [id, left] : lingering) {
    read += left.readers;
    ASHLAR_CHECK(left.readers > 0);
  }
  std::uint32_t written = 0;
  for (const auto& [copy, transfer] : transfers) {
    written += transfer.is_load ? 0 : 1;
    ASHLAR_CHECK(transfer.is_load || transfer.charged == 0);
  }
  ASHLAR_CHECK(on_disk == on_disk_count && read == readers && lent_to_us == borrowed, dump());
  ASHLAR_CHECK(written == writes && writes <= limits.spill_writes);
}

void WorkerEngine::State::check_peers() const {
  std::uint32_t counted = 0;
  std::uint32_t under_way = 0;
  std::size_t queued = 0;
  for (const auto& [id, peer] : peers) {
    ASHLAR_CHECK(peer.fetches_counted <= limits.fetches_per_peer);
    counted += peer.fetches_counted;
    std::uint32_t waiting = 0;
    for (auto r = request_table.lower_bound({id, 0});
         r != request_table.end() && r->first.first == id; ++r) {
      ++waiting;
    }
    ASHLAR_CHECK(waiting == peer.waiting_requests);
  }
  std::set<SessionId> sessions;
  for (const auto& [key, queue] : fetch_queues) {
    ASHLAR_CHECK(!queue.empty());
    sessions.insert(key.first);
    queued += queue.size();
  }
  for (const auto* turns : {&fetch_turns, &loan_turns}) {
    ASHLAR_CHECK(turns->order().size() == sessions.size());
    for (const auto& entry : turns->order()) ASHLAR_CHECK(sessions.contains(entry.key));
  }
  for (std::uint32_t slot = 0; slot < data.slot_count(); ++slot) {
    const Datum& datum = data[slot];
    if (!datum.is_used) continue;
    if (datum.presence == Presence::fetching) ++under_way;
    ASHLAR_CHECK(!datum.is_counted || datum.presence == Presence::fetching, describe(datum));
    if (datum.presence != Presence::queued) continue;
    --queued;
    ASHLAR_CHECK(
        fetch_queues.at({datum.id.run.session, datum.holder}).contains({datum.urgency, datum.id}));
  }
  ASHLAR_CHECK(queued == 0);
  ASHLAR_CHECK(counted == fetches_counted && counted <= limits.fetches);
  ASHLAR_CHECK(under_way == fetches);
}

std::string WorkerEngine::story(RunId run, std::uint32_t task) const {
  return state_->story(run, task);
}

std::string WorkerEngine::dump() const { return state_->dump(); }

std::uint64_t WorkerEngine::digest() const {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const char c : state_->dump()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  return hash;
}

void WorkerEngine::check_invariants() const {
  state_->check_tasks();
  state_->check_data();
  state_->check_disk();
  state_->check_peers();
}

}  // namespace ashlar::worker
