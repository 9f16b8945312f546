#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "scheduler/core.hpp"
#include "scheduler/placement/order.hpp"

// Repeated graphs: a run of a template's graph is placed as an earlier one, at once, with one
// message for each worker.

namespace ashlar::scheduler {
namespace {

/// Takes the copies of a run that one template's `fresh` is made from.
std::unique_ptr<Run> copy_of(const Run& fresh, RunId id) {
  auto run = std::make_unique<Run>(fresh);
  run->id = id;
  return run;
}

/// Who ran each task.
std::vector<PeerIndex> where_of(const Run& run) {
  std::vector<PeerIndex> where(run.tasks.size());
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) where[t] = run.tasks.at(t).worker;
  return where;
}

void set_where(Template& kept, std::vector<PeerIndex> where) {
  kept.where = std::move(where);
  std::vector<PeerIndex> used = kept.where;
  std::ranges::sort(used);
  const auto repeated = std::ranges::unique(used);
  used.erase(repeated.begin(), repeated.end());
  kept.parts.clear();
  for (const PeerIndex worker : used) kept.parts.push_back({worker, 0, 0, {}});
}

bool has_moved(const Run& run, const Template& kept) {
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) {
    if (run.tasks.at(t).worker != kept.where[t]) return true;
  }
  return false;
}

}  // namespace

std::size_t Template::bytes() const {
  std::size_t total = (where.capacity() + order.capacity() + hot.capacity()) * sizeof(PeerIndex) +
                      parts.capacity() * sizeof(Part) + placed.bytes() +
                      copies.capacity() * sizeof(copies[0]);
  for (const Part& part : parts) total += part.externals.capacity() * sizeof(std::uint32_t);
  return total + (fresh ? fresh->bytes() : 0);
}

Template* Core::find_template(SessionId session, std::uint32_t number) {
  if (number == protocol::no_template) return nullptr;
  auto& templates = sessions_.at(session).templates;
  const auto found = templates.find(number);
  return found == templates.end() ? nullptr : &found->second;
}

/// A new template, if the message asks for one and there is room.
Template* Core::keep_template(SessionId id, const protocol::SubmitRun& message) {
  if (message.template_number == protocol::no_template) return nullptr;
  Session& session = sessions_.at(id);
  const std::uint64_t tasks = message.graph->task_count();
  if (session.templates.size() >= protocol::templates_max ||
      session.template_tasks + tasks > protocol::template_tasks_max) {
    return nullptr;
  }
  session.template_tasks += tasks;
  Template& kept = session.templates[message.template_number];
  kept.graph = message.graph;
  return &kept;
}

/// Where the datum is, or will be made; no_host: not known yet.
std::uint32_t Core::host_of(const DatumId& id) {
  DataRef ref;
  const bool is_there = find_datum(id, ref) == Existence::exists && datum(ref).is_available();
  return is_there ? workers_.at(datum(ref).primary).host : no_host;
}

std::unique_ptr<Run> Core::new_run(RunId id, std::shared_ptr<const graph::TaskGraph> graph,
                                   const std::vector<DatumId>& externals, Template* kept) {
  const auto order = [&](const Run& made) {
    if (kept != nullptr && !kept->order.empty()) {
      return TaskOrder{placement::inverse(kept->order), {}};
    }
    placement::Submission submitted = submission(made);
    submitted.external_host = [&](std::uint32_t i) { return host_of(externals[i]); };
    return policy_->order(view(), submitted);
  };
  if (kept == nullptr) return make_run(id, std::move(graph), workers_, order);
  if (kept->where.empty()) return make_run(id, kept->graph, workers_, order);
  if (!kept->fresh) kept->fresh = make_run(id, kept->graph, workers_, order);
  return copy_of(*kept->fresh, id);
}

/// Whether the placement can be used for this run, now.
bool Core::is_suited(const Template& kept, const Run& run) {
  if (broken_.any(now_)) return false;
  if (run.delivers != kept.delivers || run.pinned != run.graph->wanted.size() ||
      run.tasks.count(TaskState::waiting) != run.tasks.size()) {
    return false;
  }
  const auto is_there = [this](const DataRef& ref) {
    return ref.run != DataRef::no_run && datum(ref).is_available();
  };
  if (!std::ranges::all_of(run.externals, is_there)) return false;
  return std::ranges::all_of(kept.parts, [this](const Template::Part& part) {
    return workers_.is_usable(part.worker) && workers_.has_free_slot(part.worker) &&
           workers_.load_ns(part.worker) < limits_.template_time.ns;
  });
}

/// Those whose hosts are busier with others than some worker's is.
std::vector<PeerIndex> Core::hot_workers() const {
  std::vector<PeerIndex> hot;
  if (workers_.hot_count() == 0 || workers_.hot_count() >= workers_.usable_count()) return hot;
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    if (workers_.is_usable(p) && workers_.at(p).load.is_hot()) hot.push_back(p);
  }
  return hot;
}

/// Gives all tasks of a run to the workers that ran them before. Returns false when it has no
/// template, or cannot be placed so.
bool Core::instantiate(Run& run) {
  Template* kept = find_template(run.id.session, run.template_number);
  if (kept == nullptr || kept->where.empty() || run.is_ended) return false;
  if (kept->membership != workers_.membership() || kept->hot != hot_workers()) {
    forget_placement(run.id.session, run.template_number, *kept);
    return false;
  }
  if (!is_suited(*kept, run)) return false;
  run.is_instantiated = true;
  const Duration since = now_ - run.submitted;
  for (Decision& decision : run.decisions) decision.note({.reason = Reason::repeated}, since);
  ++counters_.template_runs;
  if (kept->is_with_workers) {
    place_as_kept(run, *kept);
  } else {
    place_as_before(run, *kept);
    keep_placed(run, *kept);
  }
  return true;
}

/// Assigns the tasks one by one. Their workers are told in full, and to keep what they are told.
void Core::place_as_before(Run& run, Template& kept) {
  release_roots(run);
  for (std::uint32_t rank = run.best_ready_rank(); rank != RankSet::none;
       rank = run.best_ready_rank()) {
    const std::uint32_t task = run.tasks.task_of_rank(rank);
    assign(run, task, {.worker = kept.where[task]}, predicted_ns(run, task), false);
  }
  for (Template::Part& part : kept.parts) {
    protocol::AssignTasks& message = outbox_.assignment(part.worker, run.id);
    message.template_number = run.template_number;
    part.tasks = static_cast<std::uint32_t>(message.task.size());
    part.expected_ns = 0;
    part.externals.clear();
    for (const std::uint32_t task : message.task) {
      part.expected_ns += static_cast<std::int64_t>(run.tasks.at(task).expected_ns);
      for (const std::uint32_t name : run.graph->inputs_of(task)) {
        if (name >= run.output_count()) part.externals.push_back(name - run.output_count());
      }
    }
  }
}

/// Notes what place_as_before() made of the run.
void Core::keep_placed(Run& run, Template& kept) {
  ASHLAR_CHECK(run.tasks.count(TaskState::assigned) == run.tasks.size(), run.label());
  kept.is_with_workers = true;
  kept.placed = run.tasks;
  kept.copies.clear();
  for (std::uint32_t d = 0; d < run.data.size(); ++d) {
    for (std::uint32_t n = run.data[d].replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
      const ReplicaPool::Replica& replica = replicas_.at(n);
      const PeerIndex from = replica.from == no_peer ? run.data[d].primary : replica.from;
      kept.copies.push_back({d, replica.peer, from});
    }
  }
}

/// The same in few strokes, and one short message for each worker.
void Core::place_as_kept(Run& run, const Template& kept) {
  run.tasks = kept.placed;
  counters_.tasks_assigned += run.tasks.size();
  for (std::uint32_t d = 0; d < run.data.size(); ++d) {
    run.data[d].primary = kept.where[run.producer[d]];
  }
  for (const Template::Copy& copy : kept.copies) {
    expect({run.slot, copy.index}, copy.from, copy.peer);
  }
  for (const Template::Part& part : kept.parts) {
    if (workers_.at(part.worker).assigned == 0) workers_.edit(part.worker).busy_since = now_;
    workers_.take_all(part.worker, part.tasks, part.expected_ns);
    outbox_.run_template(part.worker, describe_externals(run, part));
  }
  for (std::uint32_t t = 0; t < run.tasks.size(); ++t) note_given(run, t, kept.where[t]);
  wake_watchers(run);
}

protocol::RunTemplate Core::describe_externals(Run& run, const Template::Part& part) {
  protocol::RunTemplate message{run.id, run.template_number, {}, {}, {}};
  for (const std::uint32_t external : part.externals) {
    const DataRef ref = run.externals[external];
    const Datum& d = datum(ref);
    const PeerIndex holder = holder_for(ref, part.worker);
    if (d.primary != part.worker && replicas_.find(d, part.worker) == nullptr) {
      expect(ref, holder, part.worker);
    }
    outbox_.introduce(part.worker, holder);
    message.inputs.push_back(id_of(ref));
    message.input_bytes.push_back(d.bytes);
    message.input_holder.push_back(workers_.at(holder).id);
  }
  return message;
}

/// Tasks of other runs that read what this one is to make wait for it no more.
void Core::wake_watchers(Run& run) {
  for (const Watcher& watcher : run.watchers) {
    Run& reader = run_at(watcher.run);
    for (const std::uint32_t task : reader.consumers.of(reader.output_count() + watcher.external)) {
      unblock(reader, task);
    }
  }
}

/// Whether runs of the graph may be placed as this one was.
bool Core::is_repeatable(const Run& run, const std::vector<PeerIndex>& where) const {
  if (run.tasks.size() == 0) return false;
  for (const TaskClass& task_class : run.tasks.classes()) {
    // Amounts of resources hold for tasks that run at once: they need the scheduler's word.
    if (!workers_.requirement(task_class.requirement).resources.empty()) return false;
  }
  return can_repeat(run, where) && std::ranges::all_of(run.shares, [&](const Share& share) {
           return share.busy_ns <= limits_.template_time.ns * workers_.at(share.worker).slots;
         });
}

/// Whether its tasks may be given to these workers all at once. They begin as their inputs come:
/// with all outputs in half of its memory a worker can never run short for that.
bool Core::can_repeat(const Run& run, const std::vector<PeerIndex>& where) const {
  std::vector<std::uint64_t> made(workers_.size(), 0);
  for (std::uint32_t d = 0; d < run.data.size(); ++d) {
    made[where[run.producer[d]]] += run.data[d].bytes;
  }
  return std::ranges::all_of(where, [&](PeerIndex worker) {
    const Peer& peer = workers_.at(worker);
    const bool fits = peer.memory_limit == 0 || made[worker] <= peer.memory_limit / 2;
    return peer.keeps_templates && workers_.is_usable(worker) && fits;
  });
}

/// A run has ended well: later runs of its graph are to be placed like it.
void Core::remember_placement(Run& run) {
  Template* kept = find_template(run.id.session, run.template_number);
  if (kept == nullptr || run.membership != workers_.membership()) return;
  if (run.is_instantiated == kept->where.empty()) return;  // it tells nothing new
  if (run.is_instantiated && !has_moved(run, *kept)) {
    watch_balance(run, *kept);
    return;
  }
  forget_placement(run.id.session, run.template_number, *kept);
  const std::vector<PeerIndex> where = where_of(run);
  if (!is_repeatable(run, where)) return;
  kept->membership = run.membership;
  kept->delivers = run.delivers;
  placement::Plan plan = next_plan(run, where);
  kept->order = std::move(plan.order);
  const bool is_new = plan.where != where;
  set_where(*kept, std::move(plan.where));
  kept->hot = hot_workers();
  // The first one may have known no times: it is compared with perfect balance.
  if (kept->patience == 0) return;
  kept->imbalance = is_new ? Template::unknown : imbalance_of(run, kept->excess_ns);
}

/// What the busiest worker did for the run over what each would have done, had all done the same.
double Core::imbalance_of(const Run& run, std::int64_t& excess_ns) const {
  double most = 0, total = 0;
  for (const Share& share : run.shares) {
    total += static_cast<double>(share.busy_ns);
    most = std::max(most, static_cast<double>(share.busy_ns) / workers_.at(share.worker).slots);
  }
  const double mean =
      total / static_cast<double>(std::max<std::uint64_t>(workers_.usable_slots(), 1));
  excess_ns = static_cast<std::int64_t>(most - mean);
  return mean > 0 ? most / mean : 1;
}

/// How it is to run the next time, by what is known now that it has run on these workers. No order:
/// the policy's.
placement::Plan Core::next_plan(const Run& run, const std::vector<PeerIndex>& where) {
  const bool is_ordered_otherwise = !run.priority.empty() || !run.owners.empty();
  // Where tasks were moved from a placement of this kind, that was for what is not known here.
  if (run.is_instantiated || is_ordered_otherwise || !policy_->may_be_improved() ||
      !hot_workers().empty()) {
    return {where, {}};
  }
  const std::vector<std::uint32_t>& order = run.tasks.order();
  placement::Submission submitted = submission_to_place(run);
  for (const Datum& made : run.data) submitted.made_bytes.push_back(made.bytes);
  placement::Plan plan = placement::replan(view(), submitted, {where, order});
  if (!can_repeat(run, plan.where)) return {where, {}};
  if (plan.order == order) plan.order.clear();
  return plan;
}

/// A placement that measured times no longer agree with is given up.
void Core::watch_balance(const Run& run, Template& kept) {
  std::int64_t excess_ns = 0;
  const double imbalance = imbalance_of(run, excess_ns);
  if (kept.imbalance == Template::unknown) {
    kept.imbalance = imbalance;
    kept.excess_ns = excess_ns;
  }
  const bool is_bad = imbalance > kept.imbalance * (1 + limits_.template_imbalance) &&
                      excess_ns > kept.excess_ns + limits_.template_imbalance_min.ns;
  kept.runs_bad = is_bad ? kept.runs_bad + 1 : 0;
  if (kept.patience == 0) kept.patience = limits_.template_runs_bad;
  if (kept.runs_bad < kept.patience) return;
  kept.patience = std::min(2 * kept.patience, limits_.template_runs_bad_max);
  forget_placement(run.id.session, run.template_number, kept);
}

void Core::forget_placement(SessionId session, std::uint32_t number, Template& kept) {
  for (const Template::Part& part : kept.parts) {
    if (kept.is_with_workers) outbox_.drop_template(part.worker, session, number);
  }
  const std::uint32_t patience = kept.patience;
  auto graph = std::move(kept.graph);
  kept = {};
  kept.graph = std::move(graph);
  kept.patience = patience;
}

void Core::forget_templates(SessionId session) {
  for (auto& [number, kept] : sessions_.at(session).templates) {
    forget_placement(session, number, kept);
  }
  sessions_.at(session).templates.clear();
  sessions_.at(session).template_tasks = 0;
}

void Core::check_templates() const {
  for (const auto& [id, session] : sessions_) {
    std::uint64_t tasks = 0;
    for (const auto& [number, kept] : session.templates) {
      const std::uint32_t count = kept.graph->task_count();
      const auto who = [number = number] { return "template " + std::to_string(number); };
      tasks += count;
      ASHLAR_CHECK(kept.where.empty() || kept.where.size() == count, who());
      ASHLAR_CHECK(kept.where.empty() == kept.parts.empty(), who());
      if (!kept.is_with_workers) continue;
      ASHLAR_CHECK(kept.placed.count(TaskState::assigned) == count, who());
      std::uint32_t placed = 0;
      for (const Template::Part& part : kept.parts) placed += part.tasks;
      ASHLAR_CHECK(placed == count, who());
    }
    ASHLAR_CHECK(tasks == session.template_tasks, "tasks of templates");
  }
}

}  // namespace ashlar::scheduler
