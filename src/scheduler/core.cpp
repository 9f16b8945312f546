#include "scheduler/core.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace ashlar::scheduler {
namespace {

/// Larger clusters list only the workers that took part in a run.
constexpr std::size_t listed_workers_max = 256;
constexpr Duration progress_interval = Duration::milliseconds(100);

/// How long the worker was there while the run went on.
Duration presence(const Peer& worker, const Run& run) {
  const Instant end = worker.is_alive ? run.last_done : std::min(worker.left, run.last_done);
  return std::max(end - std::max(worker.joined, run.submitted), Duration{});
}

}  // namespace

Core::Core(const Limits& limits, std::uint64_t seed)
    : limits_(limits),
      workers_(limits),
      links_(limits.remote_bandwidth),
      broken_({limits.link_pause, limits.link_pause_max}),
      costs_({limits.assumed_flop_rate, limits.assumed_byte_rate}),
      outbox_(workers_),
      policy_(placement::make_policy(limits.policy, seed)),
      ended_runs_({limits.ended_runs, limits.ended_run_bytes}) {}

void Core::step(std::span<const Event> events, Instant now, Actions& actions) {
  slot_time_.pass(now - now_, {workers_.usable_slots(), workers_.idle_slots(), short_slots()});
  now_ = now;
  workers_.set_time(now);
  ++steps_;
  outbox_.begin(actions);
  for (const Event& event : events) {
    std::visit([this](const auto& fact) { on(fact); }, event);
  }
  apply_failures();
  fail_what_cannot_run();
  workers_.settle();
  level_runs();
  plan_again();
  for (const std::uint32_t slot : std::exchange(new_runs_, {})) {
    Run& run = run_at(slot);
    run.is_new = false;
    if (instantiate(run)) continue;
    release_roots(run);
    plan(run);
    give_to_owners(run);
    await_sizes(run);
  }
  share_out_readers();
  constexpr int reconnects_max = 32;  // each looks at all that its task reads; ticks bring more
  int reconnects = 0;
  do {
    cut_off_.clear();
    place();
  } while (++reconnects <= reconnects_max && reconnect());
  rebalance();
  if (std::exchange(has_ticked_, false)) relieve_memory();
  send_ready();
  send_progress();
  answer_questions();
  for (auto& [session, message] : last_words_) {
    if (is_open(session)) outbox_.to_driver(session, std::move(message));
  }
  last_words_.clear();
  last_told_ = nullptr;
  forget_coming();  // before runs are erased
  prefetch_made();
  outbox_.flush();
  dismiss_leaving();
  erase_unneeded_runs();
  for (const SessionId session : closed_sessions_) sessions_.erase(session);
  closed_sessions_.clear();
}

bool Core::is_open(SessionId session) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && workers_.at(found->second.driver).is_alive;
}

void Core::drop_peer(PeerIndex peer, const std::string& reason) {
  ++counters_.peers_dropped;
  if (workers_.at(peer).is_dropped) return;
  workers_.edit(peer).is_dropped = true;
  if (workers_.at(peer).is_worker) {
    workers_.set_leaving(peer);
    let_go_all(peer);
  }
  outbox_.drop(workers_.at(peer).id, reason);
}

Run* Core::find_run(RunId id) {
  const auto found = run_slots_.find(id);
  return found == run_slots_.end() ? nullptr : runs_[found->second].get();
}

Run& Core::adopt(std::unique_ptr<Run> run) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(runs_.size()));
    runs_.emplace_back();
  }
  run->slot = free_slots_.back();
  free_slots_.pop_back();
  run->sequence = next_sequence_++;
  run->submitted = run->last_done = now_;
  run->membership = workers_.membership();
  run->slot_time = slot_time_;
  run_slots_[run->id] = run->slot;
  unfinished_ += run->tasks.unfinished();
  Session& session = session_of(*run);
  session.highest_run = std::max(session.highest_run, std::int64_t{run->id.number});
  Run& adopted = *run;
  runs_[adopted.slot] = std::move(run);
  return adopted;
}

void Core::transition(Run& run, std::uint32_t task, TaskState to) {
  if (run.tasks.at(task).is_kept) let_go(run, task);
  leave_home(run, task);
  const TaskState from = run.tasks.state(task);
  if (from == TaskState::assigned) forget_attempts(run, task, to);
  run.tasks.transition(task, to);
  if (to == TaskState::assignable) come_home(run, task);
  if (!remakers_.empty() && !is_unfinished(to)) remakers_.erase({run.slot, task});
  if (!hoping_.empty() && !is_unfinished(to)) hoping_.erase({run.slot, task});
  if (!set_aside_.empty() && to != TaskState::waiting && to != TaskState::assignable) {
    set_aside_.erase({run.slot, task});
    take_up_readers(run, task);
  }
  if (is_unfinished(from) && !is_unfinished(to)) --unfinished_;
  if (!is_unfinished(from) && is_unfinished(to)) ++unfinished_;
  if (is_unfinished(from) != is_unfinished(to)) count_owned(run, task, is_unfinished(to));
  if (from == TaskState::assignable || to == TaskState::assignable) update_ready(run);
}

void Core::update_ready(Run& run) {
  const bool has_ready = run.tasks.ready_count() > 0;
  if (has_ready && run.is_in_ready_set && !run.has_priorities()) return;
  if (!has_ready && !run.is_in_ready_set) return;
  const std::int32_t priority =
      has_ready ? std::max(run.priority_of(run.tasks.task_of_rank(run.best_ready_rank())),
                           run.raised_priority)
                : 0;
  if (has_ready && run.is_in_ready_set && priority == run.ready_priority) return;
  Session& session = session_of(run);
  if (run.is_in_ready_set) {
    session.ready.erase({-std::int64_t{run.ready_priority}, run.sequence, run.slot});
  }
  run.is_in_ready_set = has_ready;
  run.ready_priority = priority;
  if (has_ready) session.ready.insert({-std::int64_t{priority}, run.sequence, run.slot});
}

Core::Existence Core::find_datum(DatumId id, DataRef& ref) {
  if (const Run* run = find_run(id.run)) {
    if (id.index >= run->data.size()) return Existence::impossible;
    ref = {run->slot, id.index};
    return Existence::exists;
  }
  const auto session = sessions_.find(id.run.session);
  if (session == sessions_.end()) {
    return id.run.session < highest_session_ ? Existence::stale : Existence::impossible;
  }
  return id.run.number <= session->second.highest_run ? Existence::stale : Existence::impossible;
}

PeerIndex Core::maker_of(DataRef ref) const {
  const Run& run = run_at(ref.run);
  if (!run.graph) return no_peer;
  const TaskRecord& producer = run.tasks.at(run.producer[ref.index]);
  return producer.state == TaskState::assigned ? producer.worker : no_peer;
}

/// Has every copy dropped. If the datum is being made again, it is to be had from its maker.
void Core::free_copies(DataRef ref) {
  Datum& d = datum(ref);
  const DatumId id = id_of(ref);
  const PeerIndex maker = maker_of(ref);
  if (d.primary != no_peer) outbox_.free(d.primary, id);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (replicas_.at(n).peer != maker) outbox_.free(replicas_.at(n).peer, id);
  }
  replicas_.clear(d);
  d.primary = maker;
  d.is_made = false;
}

void Core::free_if_unneeded(DataRef ref) {
  const Datum& d = datum(ref);
  if (d.is_made && !d.is_needed()) free_copies(ref);
}

void Core::unpin(DataRef ref) {
  Datum& d = datum(ref);
  if (!d.is_wanted) return;
  d.is_wanted = false;
  if (d.is_lost) run_at(ref.run).given_up.erase(ref.index);
  if (--run_at(ref.run).pinned == 0) erasable_.push_back(ref.run);
  free_if_unneeded(ref);
}

/// The driver needs no results of the run. It still may ask why there are none.
void Core::unpin_made(Run& run) {
  for (std::uint32_t d = 0; d < run.data.size(); ++d) {
    if (!run.data[d].is_lost) unpin({run.slot, d});
  }
}

void Core::release_use(Run& user, std::uint32_t name) {
  const DataRef ref = user.resolve(name);
  --datum(ref).uses;
  if (ref.run != user.slot && --run_at(ref.run).outside_uses == 0) erasable_.push_back(ref.run);
  free_if_unneeded(ref);
}

void Core::take_use(Run& user, DataRef ref) {
  ++datum(ref).uses;
  if (ref.run != user.slot) ++run_at(ref.run).outside_uses;
}

void Core::make_available(DataRef ref, PeerIndex primary) {
  Datum& d = datum(ref);
  ASHLAR_CHECK(d.primary == no_peer, "a datum gets its first holder");
  d.primary = primary;
  for_consumers(ref, [this](Run& run, std::uint32_t task) { unblock(run, task); });
}

/// An input that the task waited for is available.
void Core::unblock(Run& run, std::uint32_t task) {
  if (run.tasks.state(task) != TaskState::waiting) return;
  if (--run.tasks.edit(task).blocked > 0 || run.is_new) return;
  transition(run, task, TaskState::assignable);
}

void Core::finish_if_done(Run& run) {
  if (run.tasks.unfinished() > 0) return;
  if (run.is_ended) {
    erasable_.push_back(run.slot);
  } else if (run.causes.empty()) {
    remember_placement(run);
    send_ended(run, protocol::RunOutcome::done, ErrorKind::task_failed, {});
  } else {
    const Cause& first = *run.causes.front();
    send_ended(run, protocol::RunOutcome::failed, first.kind, first.text);
  }
}

void Core::send_ended(Run& run, protocol::RunOutcome outcome, ErrorKind kind, std::string error) {
  run.slot_time = slot_time_of(run);
  run.is_ended = true;
  run.ended_well = outcome == protocol::RunOutcome::done;
  run.ended = now_;
  erasable_.push_back(run.slot);
  if (!is_open(run.id.session)) return;
  protocol::RunEnded message{run.id.number, outcome, kind, std::move(error), {}};
  protocol::RunStats& stats = message.stats;
  stats.tasks = run.done_count;
  stats.task_ns = run.task_ns;
  stats.critical_path_ns = static_cast<std::int64_t>(run.path_ns);
  stats.makespan_ns = (run.last_done - run.submitted).ns;
  stats.local_bytes = run.local_bytes;
  stats.remote_bytes = run.remote_bytes;
  stats.template_tasks = run.is_instantiated ? run.tasks.size() : 0;
  if (run.tasks.size() > 1) stats.bound_by = bounds_of(run, false).line();
  stats.spilled_bytes = run.spilled_bytes;
  stats.loaded_bytes = run.loaded_bytes;
  stats.rebalance = run.rebalance;
  for (const Share& share : run.shares) {
    const Peer& worker = workers_.at(share.worker);
    outbox_.introduce(session_of(run).driver, share.worker);
    stats.workers.push_back({worker.id, worker.name, worker.slots, share.tasks, share.busy_ns,
                             std::max(presence(worker, run).ns, std::int64_t{1})});
  }
  // Workers that had nothing to do count in the utilisation, too.
  const bool lists_idle = run.tasks.size() > 1 && workers_.worker_count() <= listed_workers_max;
  for (PeerIndex p = 0; lists_idle && p < workers_.size(); ++p) {
    const Peer& worker = workers_.at(p);
    const bool has_share = std::ranges::binary_search(run.shares, p, {}, &Share::worker);
    const std::int64_t present_ns = presence(worker, run).ns;
    if (!worker.is_worker || !worker.is_alive || has_share || present_ns == 0) continue;
    stats.workers.push_back({worker.id, worker.name, worker.slots, 0, 0, present_ns});
  }
  last_words_.emplace_back(run.id.session, std::move(message));
}

void Core::send_ready() {
  std::ranges::sort(ready_data_);
  const auto repeated = std::ranges::unique(ready_data_);
  ready_data_.erase(repeated.begin(), repeated.end());
  for (std::size_t i = 0; i < ready_data_.size();) {
    const Run& run = run_at(ready_data_[i].run);
    protocol::DataReady message{run.id.number, {}, {}, {}};
    for (; i < ready_data_.size() && ready_data_[i].run == run.slot; ++i) {
      const Datum& d = datum(ready_data_[i]);
      if (!d.is_made || !is_open(run.id.session)) continue;
      outbox_.introduce(session_of(run).driver, d.primary);
      message.index.push_back(ready_data_[i].index);
      message.bytes.push_back(d.bytes);
      message.holder.push_back(workers_.at(d.primary).id);
    }
    if (!message.index.empty()) outbox_.to_driver(run.id.session, std::move(message));
  }
  ready_data_.clear();
}

void Core::send_progress() {
  if (now_ - last_progress_ < progress_interval) return;
  last_progress_ = now_;
  for (const auto& run : runs_) {
    if (!run || run->is_ended) continue;
    // Not done_count: what is run again after a loss would count twice.
    const std::uint32_t done = run->tasks.count(TaskState::done);
    if (done == run->reported_done) continue;
    run->reported_done = done;
    outbox_.to_driver(run->id.session, protocol::RunProgress{run->id.number, done});
  }
}

void Core::erase_unneeded_runs() {
  for (const std::uint32_t slot : erasable_) {
    Run* run = runs_[slot].get();
    if (run == nullptr || run->is_needed()) continue;
    if (run->tasks.unfinished() == 0) erase(*run);
  }
  erasable_.clear();
}

void Core::erase(Run& run) {
  for (const Watcher& watcher : run.watchers) {
    run_at(watcher.run).externals[watcher.external] = {};
  }
  for (std::uint32_t i = 0; i < run.externals.size(); ++i) {
    const DataRef ref = run.externals[i];
    if (ref.run != DataRef::no_run) run_at(ref.run).watchers.erase({ref.index, run.slot, i});
  }
  const std::uint32_t slot = run.slot;
  reconnected_.erase(reconnected_.lower_bound({slot, 0}), reconnected_.lower_bound({slot + 1, 0}));
  run_slots_.erase(run.id);
  keep_ended(std::move(runs_[slot]));
  free_slots_.push_back(slot);
}

}  // namespace ashlar::scheduler
