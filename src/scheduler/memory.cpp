#include <algorithm>
#include <tuple>
#include <utility>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {
namespace {

constexpr const char* remedy =
    "use smaller chunks, more workers or a higher memory limit for each, or keep fewer arrays "
    "on the workers at once";

/// Data in memory at once; sizes that only the kernel knows are left out.
struct Held {
  std::uint64_t bytes = 0;
  std::uint64_t largest = 0;  ///< of one datum

  void add(std::uint64_t more) {
    if (more == graph::TaskGraph::dynamic_bytes) return;
    bytes += std::min(more, ~bytes);
    largest = std::max(largest, more);
  }
};

Held outputs_of(const graph::TaskGraph& graph, std::uint32_t task) {
  Held held;
  for (std::uint32_t d = graph.output_offsets[task]; d < graph.output_offsets[task + 1]; ++d) {
    held.add(graph.output_bytes[d]);
  }
  return held;
}

/// The outputs, and what the task reads of what its own run made; of an input that may be taken
/// over only what is made of it.
Held data_of(const graph::TaskGraph& graph, std::uint32_t task) {
  Held held = outputs_of(graph, task);
  const auto inputs = graph.inputs_of(task);
  const std::uint32_t taken_over =
      graph.reuse_input.empty() ? graph::TaskGraph::no_input : graph.reuse_input[task];
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    const bool is_left_out =
        std::find(inputs.begin(), inputs.begin() + i, inputs[i]) != inputs.begin() + i ||
        i == taken_over || inputs[i] >= graph.output_count();
    if (!is_left_out) held.add(graph.output_bytes[inputs[i]]);
  }
  return held;
}

/// How large the task's data may be, as a text.
std::string remedy_for(const graph::TaskGraph& graph, std::uint32_t task, std::uint64_t limit) {
  const Held held = data_of(graph, task);
  const double share = static_cast<double>(held.largest) / static_cast<double>(held.bytes);
  const auto most = static_cast<std::uint64_t>(share * static_cast<double>(limit));
  return "use smaller chunks, for this task of at most " + std::to_string(most) +
         " bytes each, or workers with a higher memory limit";
}

}  // namespace

void Core::on_worker(PeerIndex worker, const protocol::MemoryShort& message) {
  if (message.bytes.size() != message.tasks.size() || message.received > workers_.at(worker).sent) {
    drop_peer(worker, "contradicts itself about its want of memory");
    return;
  }
  if (message.tasks.empty()) return;  // it goes on after all
  const bool is_listed = std::ranges::find(short_workers_, worker) != short_workers_.end();
  if (!is_listed) short_workers_.push_back(worker);
  auto& shortage = workers_.edit(worker).shortage.emplace(message);
  if (!std::ranges::is_sorted(shortage.tasks)) {
    std::vector<std::pair<DatumId, std::uint64_t>> order;
    for (std::size_t i = 0; i < message.tasks.size(); ++i) {
      order.emplace_back(message.tasks[i], message.bytes[i]);
    }
    std::ranges::sort(order);
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::tie(shortage.tasks[i], shortage.bytes[i]) = order[i];
    }
  }
}

/// Slots in which nothing runs since tasks wait for memory.
std::uint64_t Core::short_slots() {
  std::erase_if(short_workers_, [this](PeerIndex worker) {
    return !workers_.at(worker).is_alive || !workers_.at(worker).shortage;
  });
  std::uint64_t slots = 0;
  for (const PeerIndex worker : short_workers_) {
    if (workers_.at(worker).is_short()) slots += workers_.at(worker).slots;
  }
  return slots;
}

/// Whether an assigned task can certainly not start before another one has ended or data are
/// released: an input is not made yet, or is to be made again on its worker; or the worker has no
/// memory for it and runs nothing.
bool Core::is_held_up(const Run& run, std::uint32_t task) {
  const PeerIndex index = run.tasks.at(task).worker;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    Datum& d = datum(ref);
    if (!d.is_made) return true;
    const auto* replica = replicas_.find(d, index);
    if (maker_of(ref) == index && d.primary != index && !(replica && replica->is_actual)) {
      return true;
    }
  }
  const Peer& worker = workers_.at(index);
  return worker.is_short() &&
         std::ranges::binary_search(worker.shortage->tasks, DatumId{run.id, task});
}

/// Whether no assigned task can start any more, and no message that would help is on its way.
///
/// That this is so when each task is held up: the first task to start against it would do so on a
/// word from the scheduler, which a worker that is short has not been sent, or on the arrival of
/// an input. Somebody made that input and had reported it, or started its task after it said that
/// it could not; then this was not the first. If it was made long ago, and a worker is short as it
/// waits for it, whoever has it on disk has had no room to read it for longer than any transfer
/// takes, and it too only waits. Who is to pass an input on, and has no room for it, has refused by
/// then, and the input comes from who made it.
bool Core::is_stuck_on_memory() {
  bool is_any_short = false;
  for (PeerIndex p = 0; p < workers_.size(); ++p) is_any_short |= workers_.at(p).is_short();
  if (!is_any_short || !outbox_.is_empty()) return false;
  for (const auto& run : runs_) {
    if (!run || run->tasks.count(TaskState::assigned) == 0) continue;
    for (std::uint32_t t = 0; t < run->tasks.size(); ++t) {
      if (run->tasks.state(t) == TaskState::assigned && !is_held_up(*run, t)) return false;
    }
  }
  return true;
}

/// What all workers lack together, and the first waiting task of the youngest run: its failure
/// undoes the least.
Core::Shortage Core::total_shortage() {
  Shortage total;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& worker = workers_.at(p);
    if (!worker.is_short()) continue;
    ++total.workers;
    total.used += worker.shortage->memory_used;
    total.limit += worker.memory_limit;
    total.tasks += worker.shortage->tasks.size();
    for (std::size_t i = 0; i < worker.shortage->tasks.size(); ++i) {
      const DatumId id = worker.shortage->tasks[i];
      const Run* run = find_run(id.run);
      if (run == nullptr || id.index >= run->tasks.size() ||
          run->tasks.state(id.index) != TaskState::assigned) {
        continue;
      }
      const auto key = [this](std::uint32_t slot, std::uint32_t task) {
        return std::pair{~run_at(slot).sequence, run_at(slot).tasks.rank(task)};
      };
      if (total.run == DataRef::no_run || key(run->slot, id.index) < key(total.run, total.task)) {
        total.run = run->slot;
        total.task = id.index;
        total.bytes = worker.shortage->bytes[i];
        total.spill_error = worker.shortage->spill_error;
      }
    }
  }
  return total;
}

/// Whether all that is to be done is for programs that look at some of it, and will take more then.
bool Core::is_held_by_programs() const {
  return std::ranges::all_of(
      runs_, [](const auto& run) { return !run || run->is_held || run->tasks.unfinished() == 0; });
}

/// Fails a run when nothing in the cluster can go on for want of memory, and has not for a while.
void Core::relieve_memory() {
  if (!is_stuck_on_memory() || is_held_by_programs()) {
    is_stuck_ = false;
    return;
  }
  if (!is_stuck_) stuck_since_ = now_;
  is_stuck_ = true;
  if (now_ - stuck_since_ < limits_.memory_wait) return;
  is_stuck_ = false;
  if (end_all_twins()) {  // they may go on, or hold what the others lack
    workers_.settle();
    place();
    return;
  }
  const Shortage total = total_shortage();
  if (total.run == DataRef::no_run) return;
  const Run& run = run_at(total.run);
  const Peer& worker = workers_.at(run.tasks.at(total.task).worker);
  fail_later(run, protocol::RunOutcome::failed, ErrorKind::overloaded,
             run.label(total.task) + ": out of memory: needs " + std::to_string(total.bytes) +
                 " bytes on worker " + worker.name + ", where " +
                 std::to_string(worker.shortage->memory_used) + " of " +
                 std::to_string(worker.memory_limit) +
                 " are in use, and nothing runs that could free any; in all " +
                 std::to_string(total.tasks) + " tasks wait for memory on " +
                 std::to_string(total.workers) + " workers, which hold " +
                 std::to_string(total.used) + " of " + std::to_string(total.limit) +
                 " bytes: " + remedy +
                 (total.spill_error.empty() ? "" : "; spilling failed: " + total.spill_error));
  apply_failures();
  workers_.settle();
  place();
}

/// Fails a run with a task whose outputs exceed the limit of every worker that could run it; where
/// there is only one, whose inputs and outputs do.
void Core::fail_too_large(Run& run) {
  if (run.tasks.count(TaskState::waiting) + run.tasks.count(TaskState::assignable) == 0) return;
  struct Room {
    std::uint64_t limit = 0;  ///< the highest; zero: no worker at all, which is another story
    std::uint32_t workers = 0;
  };
  std::vector<Room> rooms;  // by class
  for (const TaskClass& task_class : run.tasks.classes()) {
    Room& room = rooms.emplace_back();
    for (const PeerIndex p : workers_.pool(workers_.pool_of(task_class.requirement)).members) {
      const std::uint64_t limit = workers_.at(p).memory_limit;
      room.limit = std::max(room.limit, limit == 0 ? ~std::uint64_t{0} : limit);
      ++room.workers;
    }
  }
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) {
    if (run.tasks.state(t) > TaskState::assignable) continue;
    const Room& room = rooms[run.tasks.at(t).task_class];
    if (room.limit == 0) continue;
    std::string why;
    if (const Held held = outputs_of(*run.graph, t); held.bytes > room.limit) {
      why = "its outputs take " + std::to_string(held.bytes) +
            " bytes, more than any worker may hold (the highest limit is ";
    } else if (room.workers == 1) {
      const Held all = data_of(*run.graph, t);
      if (all.bytes <= room.limit) continue;
      why = "it reads and makes " + std::to_string(all.bytes) +
            " bytes, more than the only worker may hold (its limit is ";
    }
    if (why.empty()) continue;
    fail_later(run, protocol::RunOutcome::failed, ErrorKind::overloaded,
               run.label(t) + ": " + why + std::to_string(room.limit) +
                   "): " + remedy_for(*run.graph, t, room.limit));
    return;
  }
}

}  // namespace ashlar::scheduler
