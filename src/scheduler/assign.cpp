#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/owners.hpp"
#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler {

/// One round. Afterwards no worker has room while tasks are kept for it.
void Core::place() {
  forget_coming();
  ++round_;
  workers_.follow_usual_time();
  workers_.take_also_opened(freed_);
  left_to_place_ = limits_.placed_a_step;
  let_go_where_room();
  do {
    place_ready();
  } while (let_go_where_room());
  freed_.clear();
  offer_to_idle();
  for (const std::uint32_t slot : parked_) update_ready(run_at(slot));
  parked_.clear();
}

/// Sessions take turns, each gives its best task, until no worker has room or nothing can be
/// placed. Rooms only shrink during a round, so what found none is not asked again. What is to be
/// kept is kept a part at a time: those it is kept for are at work and give rise to more rounds. So
/// do those that have just been given something, when it is as much as a step may place.
void Core::place_ready() {
  constexpr std::size_t kept_a_time = 4096;
  const std::size_t kept_most = kept_.size() + kept_a_time;
  std::uint16_t task_class = 0;
  for (; workers_.open_count() > 0 && kept_.size() < kept_most && left_to_place_ > 0;
       --left_to_place_) {
    Run* run = next_run(task_class);
    if (run == nullptr) break;
    TaskClass& asked = run->tasks.classes()[task_class];
    if (!place_task(*run, run->tasks.task_of_rank(asked.ready.min()))) {
      asked.blocked_round = round_;
    }
  }
}

/// Returns whether there was something to let go.
bool Core::let_go_where_room() {
  bool any = false;
  for (const PeerIndex worker : freed_) {
    if (!workers_.has_room(worker) || !kept_.has(worker)) continue;
    const KeptTasks::Entry entry = kept_.first(worker);
    Run& run = run_at(entry.run);
    let_go(run, run.tasks.task_of_rank(entry.rank));
    any = true;
  }
  return any;
}

/// What is kept for one worker may by now be better run by one that has nothing to do.
void Core::offer_to_idle() {
  constexpr int offers = 4;  // in one round
  for (int n = 0; n < offers && workers_.idle_count() > 0 && !kept_.empty(); ++n) {
    const KeptTasks::Entry entry = kept_.last(kept_.next_worker());
    Run& run = run_at(entry.run);
    const std::uint32_t task = run.tasks.task_of_rank(entry.rank);
    let_go(run, task);
    place_task(run, task);
  }
}

KeptTasks::Entry Core::entry_of(const Run& run, std::uint32_t task) const {
  return {-std::int64_t{run.priority_of(task)}, run.sequence, run.tasks.rank(task), run.slot};
}

/// An assignable task is counted where it will probably go: whoever has such tasks of its own is
/// not to take others, though it has nothing to do at the moment.
void Core::come_home(Run& run, std::uint32_t task) {
  const PeerIndex home = home_of(run, task);
  if (home == no_peer) return;
  TaskRecord& record = run.tasks.edit(task);
  record.worker = home;
  record.expected_ns = expected_on(home, predicted_ns(run, task));
  record.is_at_home = true;
  workers_.edit(home).home_ns += static_cast<std::int64_t>(record.expected_ns);
}

/// Where the buffer is that the task may take over, or, of a task so short that a single one makes
/// no difference, where most of its inputs are. Longer ones are looked at one by one.
PeerIndex Core::home_of(const Run& run, std::uint32_t task) const {
  const auto inputs = run.graph->inputs_of(task);
  const auto holder_of = [&](std::uint32_t name) { return datum(run.resolve(name)).primary; };
  const std::uint32_t reused =
      run.graph->reuse_input.empty() ? graph::TaskGraph::no_input : run.graph->reuse_input[task];
  if (reused != graph::TaskGraph::no_input) return holder_of(inputs[reused]);
  if (predicted_ns(run, task) >= limits_.locality_slack.ns) return no_peer;
  // Boyer and Moore's vote, and whether its winner has more than half.
  PeerIndex most = no_peer;
  std::size_t lead = 0;
  for (const std::uint32_t name : inputs) {
    const PeerIndex holder = holder_of(name);
    if (lead == 0) most = holder;
    lead += holder == most ? 1 : std::size_t(-1);
  }
  const auto held = static_cast<std::size_t>(std::ranges::count(inputs, most, holder_of));
  if (2 * held <= inputs.size() || most == no_peer) return no_peer;
  const std::uint32_t requirement = run.tasks.classes()[run.tasks.at(task).task_class].requirement;
  return workers_.is_usable(most) && workers_.meets(most, requirement) ? most : no_peer;
}

void Core::leave_home(Run& run, std::uint32_t task) {
  TaskRecord& record = run.tasks.edit(task);
  if (!record.is_at_home) return;
  record.is_at_home = false;
  workers_.edit(record.worker).home_ns -= static_cast<std::int64_t>(record.expected_ns);
}

void Core::keep(Run& run, std::uint32_t task, PeerIndex worker, std::int64_t task_ns) {
  leave_home(run, task);
  TaskRecord& record = run.tasks.edit(task);
  record.worker = worker;
  record.expected_ns = expected_on(worker, task_ns);
  workers_.edit(worker).kept_ns += static_cast<std::int64_t>(record.expected_ns);
  kept_.add(worker, entry_of(run, task));
  run.tasks.set_kept(task, true);
  update_ready(run);
}

void Core::let_go(Run& run, std::uint32_t task) {
  const TaskRecord& record = run.tasks.at(task);
  workers_.edit(record.worker).kept_ns -= static_cast<std::int64_t>(record.expected_ns);
  kept_.remove(record.worker, entry_of(run, task));
  run.tasks.set_kept(task, false);
  come_home(run, task);
  update_ready(run);
}

void Core::let_go_all(PeerIndex worker) {
  while (kept_.has(worker)) {
    const KeptTasks::Entry entry = kept_.first(worker);
    Run& run = run_at(entry.run);
    let_go(run, run.tasks.task_of_rank(entry.rank));
  }
}

Run* Core::next_run(std::uint16_t& task_class) {
  auto turn = sessions_.lower_bound(next_session_);
  for (std::size_t asked = 0; asked < sessions_.size(); ++asked, ++turn) {
    if (turn == sessions_.end()) turn = sessions_.begin();
    auto& ready = turn->second.ready;
    while (!ready.empty()) {
      Run& run = run_at(ready.begin()->run);
      if (pick_class(run, task_class)) {
        next_session_ = SessionId{turn->first.value + 1};
        return &run;
      }
      ready.erase(ready.begin());
      run.is_in_ready_set = false;
      parked_.push_back(run.slot);
    }
  }
  return nullptr;
}

/// The class of the run's first assignable task, among those not found without room this round.
bool Core::pick_class(Run& run, std::uint16_t& task_class) const {
  std::uint32_t best = RankSet::none;
  const auto& classes = run.tasks.classes();
  for (std::uint16_t c = 0; c < classes.size(); ++c) {
    if (classes[c].blocked_round == round_) continue;
    const std::uint32_t rank = classes[c].ready.min();
    if (rank >= best) continue;
    best = rank;
    task_class = c;
  }
  return best != RankSet::none;
}

/// Assigns the task, or keeps it for a worker that is full. Returns whether it did either.
bool Core::place_task(Run& run, std::uint32_t task) {
  const TaskClass& wanted = run.tasks.classes()[run.tasks.at(task).task_class];
  const graph::TaskGraph& g = *run.graph;
  inputs_.clear();
  made_ns_.clear();
  for (const std::uint32_t name : g.inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    inputs_.push_back(&datum(ref));
    made_ns_.push_back(unmade_ns(ref));
  }
  const std::uint32_t reused =
      g.reuse_input.empty() ? graph::TaskGraph::no_input : g.reuse_input[task];
  const Datum* taken_over = reused == graph::TaskGraph::no_input ? nullptr : inputs_[reused];
  std::uint64_t output_bytes = 0;
  for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
    if (g.output_bytes[d] != graph::TaskGraph::dynamic_bytes) output_bytes += g.output_bytes[d];
  }
  const std::int64_t task_ns = predicted_ns(run, task);
  predict_by_class(run, task);
  const Pool& pool = workers_.pool(workers_.pool_of(wanted.requirement));
  find_barred(run, task);
  const bool is_root = inputs_.empty();
  const PeerIndex sibling = is_root && run.sibling_left > 0 ? run.sibling : no_peer;
  const Choice choice = choose(
      remaker_of(run, task),
      {entry_of(run, task), inputs_, made_ns_, taken_over, output_bytes, task_ns, pool,
       workers_.requirement(wanted.requirement), sibling, is_root ? recent_root_worker_ : no_peer,
       planned_for(run, task), reachable_owner(run, task, pool), run.owned_left,
       are_owners_firm(run), class_ns_, barred_, is_cut_,
       run.tasks.at(task).is_at_home ? run.tasks.at(task).worker : no_peer});
  const PeerIndex worker = choice.worker;
  if (worker == no_peer) {
    if (is_cut_off(pool, output_bytes)) cut_off_.push_back({run.slot, task});
    return false;
  }
  run.decisions[task].note(choice, now_ - run.submitted);
  const std::int64_t there_ns =
      class_ns_.empty() ? task_ns : class_ns_[workers_.at(worker).worker_class];
  if (!workers_.has_room(worker, limits_.holder_windows)) {
    keep(run, task, worker, there_ns);
    return true;
  }
  if (is_root) take_root(run, pool, worker);
  workers_.note_task(task_ns);
  assign(run, task, choice, there_ns, is_beside_window(run, task, worker, there_ns));
  return true;
}

/// Who came later owns nothing of the run, but is to have some.
bool Core::are_owners_firm(const Run& run) const {
  return run.are_owners_firm && run.membership == workers_.membership();
}

/// The host that is to run the task, unless none of its workers may.
std::uint32_t Core::reachable_owner(const Run& run, std::uint32_t task, const Pool& pool) const {
  const std::uint32_t owner = run.owner_of(task);
  if (barred_.empty() || owner == no_host) return owner;
  const auto own = workers_.members_on(pool, owner);
  const bool is_any = std::ranges::any_of(own, [&](PeerIndex peer) { return !is_barred(peer); });
  return is_any ? owner : no_host;
}

/// Whether the task is to be assigned beside the worker's window, which it would keep from others:
/// since what it reads is made elsewhere, later than its turn comes, or since its host owns it and
/// links are so slow that its inputs should come early. Short tasks are not looked at.
bool Core::is_beside_window(const Run& run, std::uint32_t task, PeerIndex worker,
                            std::int64_t task_ns) const {
  if (is_short(task_ns)) return false;
  const std::uint32_t host = workers_.at(worker).host;
  std::int64_t made_ns = 0;
  double moved_bytes = 0;
  for (const std::uint32_t name : run.graph->inputs_of(task)) {
    const DataRef ref = run.resolve(name);
    const Datum& input = datum(ref);
    if (input.primary != worker) made_ns = std::max(made_ns, unmade_ns(ref));
    if (workers_.at(input.primary).host == host) continue;
    moved_bytes += static_cast<double>(placement::known_bytes(input));
  }
  if (made_ns > workers_.load_ns(worker)) return true;
  const double moving_ns = 1e9 * moved_bytes / links_.receiving(worker);  // for all slots in turn
  return run.owner_of(task) == host &&
         moving_ns * workers_.at(worker).slots > static_cast<double>(task_ns);
}

/// A worker's window holds many such tasks: when they run is told by its queue, not by their
/// inputs.
bool Core::is_short(std::int64_t task_ns) const { return 2 * task_ns < limits_.window_time.ns; }

/// In how long a task that was assigned just now is expected to be done: of one that reads nothing,
/// which may begin at once, when its worker's queue is through.
std::int64_t Core::promised_ns(const Choice& choice, const TaskRecord& record) const {
  const bool is_queued = is_short(static_cast<std::int64_t>(record.expected_ns));
  return is_queued || choice.due_ns == 0 ? workers_.load_ns(record.worker) : choice.due_ns;
}

/// For how long an available datum will not be made yet; by a short task, not beyond what its
/// worker has to do.
std::int64_t Core::unmade_ns(DataRef ref) const {
  const Run& run = run_at(ref.run);
  const Datum& d = run.data[ref.index];
  if (d.is_made) return 0;
  const TaskRecord& maker = run.tasks.at(run.producer[ref.index]);
  const std::int64_t due_ns = (maker.due - now_).ns;
  const bool is_queued = is_short(static_cast<std::int64_t>(maker.expected_ns));
  const std::int64_t most_ns = is_queued ? workers_.load_ns(d.primary) : due_ns;
  return std::max(std::min(due_ns, most_ns), std::int64_t{0});
}

placement::View Core::view() const { return {workers_, replicas_, links_, kept_, limits_}; }

placement::Submission Core::submission(const Run& run) const {
  return {*run.graph, run.producer, run.consumers,
          [this, &run](std::uint32_t task) { return predicted_ns(run, task); }};
}

/// Requires that the pools are those of the present membership.
placement::Submission Core::submission_to_place(const Run& run) {
  placement::Submission submitted = submission(run);
  submitted.pool = [this, &run](std::uint32_t task) -> const Pool& { return pool_for(run, task); };
  return submitted;
}

void Core::plan(Run& run) {
  placement::Submission submitted = submission_to_place(run);
  submitted.placed = [&](std::uint32_t task) { return place_of(run, task); };
  placement::Schedule schedule = policy_->plan(view(), submitted);
  run.planned = std::move(schedule.workers);
  run.planned_workers = workers_.usable_count();
  run.planned_membership = workers_.membership();
  run.was_planned |= !run.planned.empty();
  plan_rest_ = std::max(plan_rest_, now_ + schedule.pause);
}

/// Nothing, if it is to be placed; of a task that will never be done no worker.
std::optional<placement::Placed> Core::place_of(const Run& run, std::uint32_t task) const {
  const TaskRecord& record = run.tasks.at(task);
  switch (run.tasks.state(task)) {
    case TaskState::waiting:
    case TaskState::assignable:
      return std::nullopt;
    case TaskState::assigned:
      return placement::Placed{record.worker, std::max((record.due - now_).ns, std::int64_t{0})};
    case TaskState::done:
      for (std::uint32_t d = run.graph->output_offsets[task];
           d < run.graph->output_offsets[task + 1]; ++d) {
        if (run.data[d].is_available()) return placement::Placed{run.data[d].primary, 0};
      }
      return placement::Placed{};
    case TaskState::failed:
    case TaskState::cancelled:
      return placement::Placed{};
  }
  return std::nullopt;
}

/// Plans what is left of the runs that had a plan, if workers came or went: of one at a time, with
/// pauses, since nothing else is done meanwhile.
void Core::plan_again() {
  const bool is_news = std::exchange(plan_membership_, workers_.membership()) != plan_membership_;
  if (!(is_news || is_plan_old_) || now_ < plan_rest_) {
    is_plan_old_ |= is_news;
    return;
  }
  is_plan_old_ = false;
  if (!policy_->plans_again()) return;
  for (const auto& run : runs_) {
    if (!run || run->is_ended || !run->was_planned) continue;
    if (run->planned_membership == workers_.membership()) continue;
    is_plan_old_ = now_ < plan_rest_;
    if (is_plan_old_) return;
    plan(*run);
  }
}

PeerIndex Core::planned_for(const Run& run, std::uint32_t task) const {
  const bool is_plan = !run.planned.empty() && workers_.usable_count() <= run.planned_workers;
  return is_plan ? run.planned[task] : no_peer;
}

void Core::give_to_owners(Run& run) {
  if (run.graph->products.empty() || !policy_->minds_owners()) return;
  const EqualHosts on = placement::hosts_for_products(view(), submission(run));
  run.owners = owners_of(*run.graph, run.consumers, on);
  level(run, on.hosts);
}

/// Hosts came or went.
void Core::level_runs() {
  if (std::exchange(level_membership_, workers_.membership()) == workers_.membership()) return;
  std::optional<EqualHosts> on;
  for (const auto& run : runs_) {
    if (!run || !run->graph || run->graph->products.empty()) continue;
    if (run->owners.empty() || run->is_ended) continue;
    if (!on) on = equal_hosts(workers_);
    level(*run, on->hosts);
  }
}

void Core::level(Run& run, const std::vector<std::uint32_t>& hosts) {
  const auto is_to_do = [&run](std::uint32_t task) { return is_unfinished(run.tasks.state(task)); };
  const auto heir_of = [&run](std::uint32_t task) { return run.heir_of(task); };
  level_owners(run.owners, {*run.graph, is_to_do, heir_of}, hosts);
  run.owned_left.clear();
  for (std::uint32_t t = 0; t < run.owners.size(); ++t) {
    if (is_to_do(t)) count_owned(run, t, true);
  }
}

void Core::count_owned(Run& run, std::uint32_t task, bool is_to_do) {
  const std::uint32_t host = run.owner_of(task);
  if (host == no_host) return;
  if (host >= run.owned_left.size()) run.owned_left.resize(host + 1, 0);
  run.owned_left[host] += is_to_do ? 1 : ~std::uint32_t{0};
}

std::int64_t Core::predicted_ns(const Run& run, std::uint32_t task,
                                std::uint32_t worker_class) const {
  const std::uint32_t kernel = run.kernel_ids[run.graph->kernel[task]];
  const double flops = run.flops_of(task), bytes = run.moved_bytes_of(task);
  if (!costs_.has_seen(kernel) && flops == 0 && bytes == 0) return limits_.unknown_task_time.ns;
  return costs_.predict(kernel, flops, bytes, worker_class) + limits_.task_overhead.ns;
}

void Core::predict_by_class(const Run& run, std::uint32_t task) {
  class_ns_.clear();
  const auto classes = static_cast<std::uint32_t>(workers_.classes().size());
  for (std::uint32_t c = 0; c < classes && classes > 1; ++c) {
    class_ns_.push_back(predicted_ns(run, task, c));
  }
}

std::uint64_t Core::expected_on(PeerIndex worker, std::int64_t task_ns) const {
  return static_cast<std::uint64_t>(static_cast<double>(task_ns) * workers_.at(worker).slowness);
}

/// Keeps count of the block of neighbours that a worker takes: its share of the run's roots.
void Core::take_root(Run& run, const Pool& pool, PeerIndex worker) {
  if (worker != run.sibling || run.sibling_left == 0) {
    const Peer& peer = workers_.at(worker);
    const double share = static_cast<double>(run.roots) * peer.slots /
                         (static_cast<double>(pool.slots) * peer.slowness);
    run.sibling = worker;
    run.roots_due += share;
    const double most = std::min(std::ceil(share), 1.0 * run.roots);
    run.sibling_left = static_cast<std::uint32_t>(
        std::clamp(std::round(run.roots_due - run.roots_given), 1.0, std::max(most, 1.0)));
  }
  --run.sibling_left;
  ++run.roots_given;
  recent_root_worker_ = worker;
}

void Core::assign(Run& run, std::uint32_t task, const Choice& choice, std::int64_t task_ns,
                  bool is_beside) {
  const PeerIndex worker = choice.worker;
  leave_home(run, task);
  TaskRecord& record = run.tasks.edit(task);
  ++record.attempt;
  record.worker = worker;
  record.expected_ns = expected_on(worker, task_ns);
  const std::uint32_t requirement = run.tasks.classes()[record.task_class].requirement;
  record.is_beside = is_beside;
  workers_.take(worker, workers_.requirement(requirement), record.expected_ns, is_beside);
  record.due = now_ + Duration{promised_ns(choice, record)};
  const std::uint32_t reuse = reuse_for(run, task, worker);
  record.takes_over = reuse != graph::TaskGraph::no_input;
  transition(run, task, TaskState::assigned);
  ++counters_.tasks_assigned;
  note_given(run, task, worker);

  protocol::AssignTasks& message = outbox_.assignment(worker, run.id);
  message.reuse_input.push_back(reuse);
  describe(run, task, {worker, record.attempt, record.expected_ns}, message);

  for (std::uint32_t d = run.graph->output_offsets[task]; d < run.graph->output_offsets[task + 1];
       ++d) {
    Datum& made = run.data[d];
    if (made.primary == no_peer) {
      make_available({run.slot, d}, worker);
    } else if (made.primary != worker && replicas_.find(made, worker) == nullptr) {
      replicas_.add(made, worker);  // made again beside another output that was lost
    }
  }
}

void Core::describe(Run& run, std::uint32_t task, const Placed& placed,
                    protocol::AssignTasks& message) {
  const graph::TaskGraph& g = *run.graph;
  const PeerIndex worker = placed.worker;
  message.task.push_back(task);
  message.attempt.push_back(placed.attempt);
  message.kernel.push_back(workers_.position_of(worker, run.kernel_ids[g.kernel[task]]));
  message.rank.push_back(run.tasks.rank(task));
  // What a template says must hold for other runs, which are not raised.
  const std::int32_t own = run.priority_of(task);
  const std::int32_t priority = run.is_instantiated ? own : std::max(own, run.raised_priority);
  if (priority != 0 || !message.priority.empty()) {
    message.priority.resize(message.task.size() - 1);
    message.priority.push_back(priority);
  }
  message.expected_ns.push_back(placed.expected_ns);

  const auto inputs = g.inputs_of(task);
  message.input_count.push_back(static_cast<std::uint32_t>(inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const DataRef ref = run.resolve(inputs[i]);
    const Datum& d = datum(ref);
    const PeerIndex holder = holder_for(ref, worker);
    if (d.primary != worker) expect_for({run.slot, task}, ref, holder, worker);
    outbox_.introduce(worker, holder);
    message.inputs.push_back(id_of(ref));
    message.input_bytes.push_back(d.bytes);
    message.input_holder.push_back(workers_.at(holder).id);
  }

  const std::uint32_t first = g.output_offsets[task], last = g.output_offsets[task + 1];
  message.output_count.push_back(last - first);
  bool is_wanted = false;
  for (std::uint32_t d = first; d < last; ++d) {
    message.outputs.push_back(d);
    message.output_bytes.push_back(g.output_bytes[d]);
    is_wanted |= run.data[d].is_wanted;
  }
  const auto params = g.params_of(task);
  message.param_bytes.push_back(static_cast<std::uint32_t>(params.size()));
  message.params.insert(message.params.end(), params.begin(), params.end());
  const bool is_delivered = run.delivers && is_wanted;
  message.deliver.push_back(is_delivered ? 1 : 0);
  if (is_delivered) {
    const PeerIndex driver = session_of(run).driver;
    outbox_.introduce(worker, driver);
    message.driver = workers_.at(driver).id;
  }
}

/// The input whose buffer the task may take over: it dies with the task, and its only copy is, or
/// will be, on the task's worker.
std::uint32_t Core::reuse_for(Run& run, std::uint32_t task, PeerIndex worker) {
  if (run.graph->reuse_input.empty()) return graph::TaskGraph::no_input;
  const std::uint32_t position = run.graph->reuse_input[task];
  if (position == graph::TaskGraph::no_input) return position;
  // What a template says must hold for the external data of every run.
  if (run.is_instantiated && run.graph->inputs_of(task)[position] >= run.output_count()) {
    return graph::TaskGraph::no_input;
  }
  const Datum& d = datum(run.resolve(run.graph->inputs_of(task)[position]));
  const bool dies_here =
      d.uses == 1 && !d.is_wanted && d.primary == worker && d.replicas == ReplicaPool::end;
  return dies_here ? position : graph::TaskGraph::no_input;
}

}  // namespace ashlar::scheduler
