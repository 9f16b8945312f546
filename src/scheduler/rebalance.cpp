#include <algorithm>
#include <functional>

#include "scheduler/core.hpp"

// Waiting tasks go from the worker that would end last to the one that ends first, when times turn
// out other than predicted.

namespace ashlar::scheduler {
namespace {

/// In one look: what is looked at, and done, is bounded.
constexpr std::size_t victims_max = 8, thieves_max = 64;
constexpr int steals_max = 64, refusals_max = 4;
/// A look at a task of a queue costs about a tenth of a microsecond. Looks take this share of the
/// scheduler's time at most.
constexpr std::int64_t pause_per_task_ns = 5000;
constexpr std::size_t given_slack = 64;
/// Who has more tasks is not looked at for whether it waits for what they read.
constexpr std::uint32_t starving_max = 64;

}  // namespace

/// Keeps the list of what the worker was given, which is weeded out as it grows.
void Core::note_given(Run& run, std::uint32_t task, PeerIndex worker) {
  Peer& peer = workers_.edit(worker);
  if (peer.assigned == 1) peer.busy_since = now_;
  if (peer.given.size() > 2 * std::size_t{peer.assigned} + given_slack) {
    std::erase_if(peer.given, [&](const Given& entry) { return !is_current(entry, worker); });
  }
  peer.given.push_back({run.sequence, run.slot, task, run.tasks.at(task).attempt, steps_});
}

bool Core::is_current(const Given& given, PeerIndex worker) const {
  const Run* run = runs_[given.run].get();
  if (run == nullptr || run->sequence != given.sequence) return false;
  const TaskRecord& record = run->tasks.at(given.task);
  return record.state == TaskState::assigned && record.worker == worker &&
         record.attempt == given.attempt;
}

/// Runs after placement: whoever is idle now found nothing that is to be placed.
void Core::rebalance() {
  if (unfinished_ == 0) return;
  if (has_ticked_) speculate();
  // Who waits for inputs is looked for at ticks.
  if (workers_.spare_count() == 0 && !has_ticked_) return;
  if (workers_.backlog_count() == 0 || left_to_place_ == 0) return;
  if (now_ < next_steal_ || !steal()) return;
  workers_.settle();
  place();
}

bool Core::steal() {
  std::vector<Thief> thieves = spare_workers();
  bool any = false;
  std::size_t looked_at = workers_.size() / 16;
  for (const PeerIndex victim : latest_workers()) {
    if (thieves.empty()) break;
    looked_at += workers_.at(victim).given.size();
    any |= steal_from(victim, thieves);
  }
  next_steal_ = now_ + std::max(limits_.steal_interval,
                                Duration{pause_per_task_ns * static_cast<std::int64_t>(looked_at)});
  return any;
}

/// Workers that could start a task now.
std::vector<Core::Thief> Core::spare_workers() {
  std::vector<Thief> spare;
  for (PeerIndex p = 0; p < workers_.size() && spare.size() < thieves_max; ++p) {
    if (workers_.is_spare(p) || (has_ticked_ && is_starving(p))) spare.push_back({p});
  }
  return spare;
}

/// Whether the worker has tasks enough, but waits for what they read.
bool Core::is_starving(PeerIndex worker) {
  const Peer& peer = workers_.at(worker);
  if (peer.assigned == 0 || peer.assigned > starving_max) return false;
  if (now_ - peer.busy_since < limits_.twin_wait) return false;
  if (!workers_.is_usable(worker) || !workers_.has_free_slot(worker)) return false;
  return queue_of(worker).size() < peer.slots;
}

/// Workers with tasks that wait, those first that have work for longest, or have been silent for.
std::vector<PeerIndex> Core::latest_workers() const {
  std::vector<std::pair<std::int64_t, PeerIndex>> found;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    if (!workers_.has_backlog(p)) continue;
    const Peer& peer = workers_.at(p);
    const std::int64_t busy = std::max(workers_.load_ns(p), (now_ - peer.busy_since).ns);
    found.emplace_back(-busy - peer.heat_ns, p);
  }
  std::ranges::sort(found);
  std::vector<PeerIndex> latest;
  for (std::size_t i = 0; i < std::min(found.size(), victims_max); ++i) {
    latest.push_back(found[i].second);
  }
  return latest;
}

/// The tasks of a worker whose inputs exist, in the order in which they start.
std::vector<Core::Queued> Core::queue_of(PeerIndex worker) {
  std::vector<Queued> queue;
  const std::vector<Given>& given = workers_.at(worker).given;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!is_current(given[i], worker)) continue;
    const Run* run = runs_[given[i].run].get();
    const std::uint32_t task = given[i].task;
    const bool is_ready = std::ranges::all_of(run->graph->inputs_of(task), [&](std::uint32_t name) {
      return datum(run->resolve(name)).is_made;
    });
    if (!is_ready) continue;
    queue.push_back({{run->slot, task}, i, 0, time_on(*run, task, worker)});
    queue.back().is_news = given[i].step == steps_;
  }
  // The lowest rank starts first. But what came first may have been alone then.
  std::ranges::sort(queue, {}, &Queued::order);
  const std::size_t other_slots = note_running(worker, queue);
  guess_running(worker, queue, other_slots);
  std::ranges::sort(queue, {}, [this](const Queued& entry) {
    return std::pair{run_at(entry.task.run).tasks.rank(entry.task.index), entry.order};
  });
  guess_running(worker, queue, other_slots);
  predict_starts(worker, queue);
  return queue;
}

/// Whether what the worker once said it runs has not been done since, or taken back.
bool Core::still_runs(const Given& given, PeerIndex worker) const {
  if (is_current(given, worker)) return true;
  const Run* run = runs_[given.run].get();
  return run != nullptr && run->sequence == given.sequence &&
         is_twin(*run, given.task, worker, given.attempt);
}

/// Marks what the worker said it runs. Returns the number of its other slots.
std::size_t Core::note_running(PeerIndex worker, std::vector<Queued>& queue) const {
  const Peer& peer = workers_.at(worker);
  std::size_t taken = peer.slots_held;
  for (const Running& running : peer.running) {
    if (!still_runs(running.task, worker)) continue;
    ++taken;
    const DataRef task{running.task.run, running.task.task};
    const auto entry = std::ranges::find(queue, task, &Queued::task);
    if (entry == queue.end()) continue;  // it is a twin
    entry->is_running = entry->is_told_running = true;
    entry->running_ns = (now_ - running.since).ns;
  }
  return peer.slots - std::min<std::size_t>(taken, peer.slots);
}

/// Marks the first ones as perhaps running on these slots, of which the worker said nothing.
void Core::guess_running(PeerIndex worker, std::vector<Queued>& queue, std::size_t slots) const {
  for (auto entry = queue.begin(); entry != queue.end() && slots > 0; ++entry) {
    if (entry->is_told_running) continue;
    entry->is_running = true;
    entry->running_ns = (now_ - workers_.at(worker).busy_since).ns;
    --slots;
  }
}

/// What runs has run since the worker was last heard of, or longer. What should have ended, and
/// been told of, by now is taken to need as long again as it is late. Starts may have been in the
/// past.
void Core::predict_starts(PeerIndex worker, std::vector<Queued>& queue) const {
  const Peer& peer = workers_.at(worker);
  // A heap, the soonest on top.
  const std::size_t most = queue.size() + peer.running.size();
  std::vector<std::int64_t> free_at(std::min<std::size_t>(peer.slots, most), 0);
  const auto next = [&](std::int64_t busy_ns) {
    std::ranges::pop_heap(free_at, std::greater{});
    const std::int64_t start = free_at.back();
    free_at.back() += busy_ns;
    std::ranges::push_heap(free_at, std::greater{});
    return start;
  };
  std::uint64_t before = 0;
  for (const Running& running : peer.running) {
    if (is_current(running.task, worker) || !still_runs(running.task, worker)) continue;
    next((now_ - running.since).ns);  // a twin
    ++before;
  }
  for (const Queued& entry : queue) {
    if (!entry.is_running) continue;
    const bool is_told_late = run_at(entry.task.run).is_instantiated;
    const std::int64_t held = is_told_late ? protocol::template_report_delay.ns : 0;
    const std::int64_t late = entry.running_ns - std::max(entry.task_ns, held);
    next(late > 0 ? late : entry.task_ns - entry.running_ns);
    ++before;
  }
  for (Queued& entry : queue) {
    if (entry.is_running) continue;
    entry.start_ns = next(entry.task_ns);
    ++before;
    entry.starts_at = peer.done + before - std::min<std::uint64_t>(before, peer.slots);
  }
}

/// Takes the last tasks, as long as somebody else would end them clearly sooner.
bool Core::steal_from(PeerIndex victim, std::vector<Thief>& thieves) {
  const std::vector<Queued> queue = queue_of(victim);
  const std::int64_t heat = workers_.at(victim).heat_ns;
  int steals = 0, refusals = 0;
  for (auto entry = queue.rbegin(); entry != queue.rend() && !thieves.empty(); ++entry) {
    Run& run = run_at(entry->task.run);
    const std::uint32_t task = entry->task.index;
    if (entry->is_running || entry->start_ns < 0 || entry->is_news) continue;
    if (!is_movable(run, task)) continue;
    const std::int64_t end = entry->start_ns + entry->task_ns;
    std::int64_t sooner = 0;
    const auto thief = first_to_finish(run, task, thieves, sooner);
    const std::int64_t gain = std::min(end + heat - sooner, lateness_ns(run, task, end + heat));
    if (thief == thieves.end() || gain < least_gain_ns(run, task, thief->worker)) {
      if (++refusals == refusals_max) break;
      continue;
    }
    const Peer& taker = workers_.at(thief->worker);
    const bool is_relief = workers_.at(victim).load.is_hot() && !taker.load.is_hot();
    counters_.tasks_relieved += is_relief;
    move(run, task, {thief->worker, Reason::first_to_finish, victim, sooner, end, sooner});
    run.decisions[task].moved = is_relief ? Moved::hot_host : Moved::stolen;
    steals_[entry->task] = {victim, now_ + Duration{end}, entry->starts_at};
    thief->taken_ns += time_on(run, task, thief->worker) / taker.slots;
    if (thief->taken_ns >= limits_.window_time.ns) thieves.erase(thief);
    if (++steals == steals_max) break;
  }
  return steals > 0;
}

/// How much later than was expected when it was placed the task would end, if it ended in so long.
/// What goes as planned was compared with the others then.
std::int64_t Core::lateness_ns(const Run& run, std::uint32_t task, std::int64_t end_ns) const {
  const Decision& decision = run.decisions[task];
  if (decision.finish_s <= 0) return end_ns;  // nobody asked
  const double planned = 1e9 * static_cast<double>(decision.placed_s + decision.finish_s);
  return (now_ - run.submitted).ns + end_ns - static_cast<std::int64_t>(planned);
}

/// Whether nothing but the task itself has to be done again elsewhere.
bool Core::is_movable(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  if (record.takes_over || record.attempt >= limits_.attempts_moved) return false;
  if (find_twin(run, task) != nullptr || remaker_of(run, task) != no_peer) return false;
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    if (run.data[d].is_made || run.data[d].primary != record.worker) return false;
  }
  return true;
}

bool Core::could_run(const Run& run, std::uint32_t task, PeerIndex worker) {
  const std::uint32_t requirement = run.tasks.classes()[run.tasks.at(task).task_class].requirement;
  const Pool& pool = workers_.pool(workers_.pool_of(requirement));
  if (worker >= pool.is_member.size() || !pool.is_member[worker]) return false;
  if (!workers_.has_resources(worker, workers_.requirement(requirement))) return false;
  std::uint64_t bytes = 0;
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    bytes += placement::known_bytes(run.data[d]);
  }
  if (broken_.is_isolated(worker, now_) || !can_get_inputs(run, task, worker)) return false;
  return workers_.at(worker).could_hold(bytes);
}

/// What the task takes there, as is known by now.
std::int64_t Core::time_on(const Run& run, std::uint32_t task, PeerIndex worker) const {
  return static_cast<std::int64_t>(expected_on(worker, predicted_ns(run, task, class_of(worker))));
}

/// What it takes to bring the task's inputs to the worker, after what comes over the same links.
std::int64_t Core::bringing_ns(const Run& run, std::uint32_t task, PeerIndex worker) {
  const auto transfer = [](std::uint64_t bytes, double rate) {
    return static_cast<std::int64_t>(std::min(1e9 * static_cast<double>(bytes) / rate, 1e15));
  };
  const std::uint32_t host = workers_.at(worker).host;
  std::int64_t near = 0, far = 0, before = 0;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const Datum& d = datum(run.resolve(name));
    const PeerIndex holder = nearest_holder(d, worker);
    if (holder == worker) continue;
    const std::uint64_t bytes = placement::known_bytes(d);
    if (workers_.at(holder).host == host) {
      near += limits_.local_fetch_work.ns + transfer(bytes, limits_.local_bandwidth);
      continue;
    }
    far += limits_.fetch_work.ns + transfer(bytes, links_.receiving(worker));
    before = std::max(before, transfer(replicas_.outgoing(holder), links_.sending(holder)));
  }
  if (far == 0) return near > 0 ? near + limits_.local_latency.ns : 0;
  before = std::max(before, transfer(replicas_.incoming(worker), links_.receiving(worker)));
  return before + near + far + limits_.remote_latency.ns;
}

std::int64_t Core::finish_on(const Run& run, std::uint32_t task, const Thief& thief) {
  return limits_.wake_up.ns + workers_.at(thief.worker).heat_ns +
         std::max(thief.taken_ns, bringing_ns(run, task, thief.worker)) +
         time_on(run, task, thief.worker);
}

std::vector<Core::Thief>::iterator Core::first_to_finish(const Run& run, std::uint32_t task,
                                                         std::vector<Thief>& thieves,
                                                         std::int64_t& finish_ns) {
  auto first = thieves.end();
  for (auto thief = thieves.begin(); thief != thieves.end(); ++thief) {
    if (thief->worker == run.tasks.at(task).worker) continue;
    if (!could_run(run, task, thief->worker)) continue;
    const std::int64_t finish = finish_on(run, task, *thief);
    if (first != thieves.end() && finish >= finish_ns) continue;
    first = thief;
    finish_ns = finish;
  }
  return first;
}

/// Moving costs not only the task: its inputs take links from others, and do not come back. What a
/// host owns has to go back there, and the host has what its neighbours read.
std::int64_t Core::least_gain_ns(const Run& run, std::uint32_t task, PeerIndex worker) {
  const std::int64_t takes = time_on(run, task, worker);
  const std::int64_t brings = bringing_ns(run, task, worker);
  const std::uint32_t owner = run.owner_of(task);
  const bool goes_back =
      owner != no_host && workers_.at(worker).host != owner && !run.graph->inputs_of(task).empty();
  return limits_.steal_gain.ns + takes / 4 + 2 * brings + (goes_back ? 4 * (takes + brings) : 0);
}

void Core::move(Run& run, std::uint32_t task, const Choice& choice) {
  const TaskRecord& record = run.tasks.at(task);
  const PeerIndex to = choice.worker;
  const PeerIndex from = record.worker;
  outbox_.revoke(from, run.id, task, record.attempt);
  free_worker(run, task);
  hand_over(run, task, from, to);
  transition(run, task, TaskState::waiting);
  transition(run, task, TaskState::assignable);
  run.decisions[task].note(choice, now_ - run.submitted);
  const std::int64_t task_ns = predicted_ns(run, task, class_of(to));
  assign(run, task, choice, task_ns, is_beside_window(run, task, to, task_ns));
  ++counters_.tasks_stolen;
  ++run.rebalance.stolen;
}

/// The outputs of the task, not made yet, will be made by another worker. Whoever waits for them
/// is told; the tasks that wait stay where they are.
void Core::hand_over(Run& run, std::uint32_t task, PeerIndex from, PeerIndex to) {
  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    const DataRef ref{run.slot, d};
    Datum& made = run.data[d];
    if (made.is_made || made.primary != from) continue;
    made.primary = to;
    replicas_.remove(made, to);
    for (std::uint32_t n = made.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
      outbox_.relocate(replicas_.at(n).peer, id_of(ref), to);
    }
    if (is_read_on(ref, from)) {
      expect(ref, to, from);
      outbox_.relocate(from, id_of(ref), to);
    } else {
      outbox_.free(from, id_of(ref));
    }
  }
}

/// Whether a task (by run), not `but`, that is assigned to the worker reads the datum.
bool Core::is_read_on(DataRef ref, PeerIndex worker, DataRef but) {
  bool is_read = false;
  for_consumers(ref, [&](const Run& run, std::uint32_t task) {
    if (DataRef{run.slot, task} == but) return;
    const TaskRecord& record = run.tasks.at(task);
    const Placed* twin = find_twin(run, task);
    is_read |= record.state == TaskState::assigned && record.worker == worker;
    is_read |= twin != nullptr && twin->worker == worker;
  });
  return is_read;
}

/// The moved task is done: would it have been as soon, where it was?
void Core::judge_steal(Run& run, std::uint32_t task) {
  if (steals_.empty()) return;
  const auto found = steals_.find({run.slot, task});
  if (found == steals_.end()) return;
  const Steal& steal = found->second;
  const Peer& victim = workers_.at(steal.victim);
  const bool could_have_begun = victim.is_alive && victim.done >= steal.starts_at;
  const bool is_useful = !steal.was_running && (!could_have_begun || now_ < steal.promised);
  ++(is_useful ? counters_.steals_useful : counters_.steals_useless);
  ++(is_useful ? run.rebalance.useful : run.rebalance.useless);
}

/// A worker did a task that had been taken from it.
void Core::note_stale(PeerIndex worker, const Run& run, std::uint32_t task, Attempt attempt) {
  const auto found = steals_.find({run.slot, task});
  if (found == steals_.end() || found->second.victim != worker) return;
  if (attempt + 1 == run.tasks.at(task).attempt) found->second.was_running = true;
}

/// The task's attempt ends, one way or another.
void Core::forget_attempts(Run& run, std::uint32_t task, TaskState to) {
  if (!steals_.empty()) steals_.erase({run.slot, task});
  if (twins_.empty()) return;
  const auto twin = twins_.find({run.slot, task});
  if (twin == twins_.end()) return;
  run.tasks.edit(task).attempt = twin->second.attempt;  // nobody is given this number again
  end_twin(run, task, to == TaskState::done);
  twins_.erase(twin);
}

}  // namespace ashlar::scheduler
