#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "scheduler/bounds.hpp"
#include "scheduler/broken_links.hpp"
#include "scheduler/cost_model.hpp"
#include "scheduler/ended_runs.hpp"
#include "scheduler/kept_tasks.hpp"
#include "scheduler/link_model.hpp"
#include "scheduler/outbox.hpp"
#include "scheduler/placement/policy.hpp"
#include "scheduler/placement/replan.hpp"
#include "scheduler/run.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "scheduler/slot_account.hpp"
#include "scheduler/template.hpp"

namespace ashlar::scheduler {

/// The scheduler's state and what may happen to it. The member functions are spread over files
/// by occasion: core.cpp what everything rests on, driver_events.cpp, worker_events.cpp,
/// lineage.cpp losses, failures.cpp what ends without a result, assign.cpp placement, sources.cpp
/// whom data come from, prefetch.cpp what comes before it is asked for, reach.cpp and reconnect.cpp
/// workers that cannot reach each other, memory.cpp want of memory, inspect.cpp checks, load.cpp
/// what hosts are busy with, rebalance.cpp and twins.cpp what is done when times turn out other
/// than predicted, templates.cpp repeated graphs; explain_task.cpp, explain_run.cpp, run_bounds.cpp
/// and learned.cpp what people want to know.
class Core {
 public:
  Core(const Limits& limits, std::uint64_t seed);

  void step(std::span<const Event> events, Instant now, Actions& actions);

  const Counters& counters() const { return counters_; }
  std::uint64_t unfinished_tasks() const { return unfinished_; }
  std::size_t worker_count() const { return workers_.worker_count(); }
  std::size_t state_bytes() const;
  std::string story(RunId run, std::uint32_t task) const;
  std::string explain(const protocol::Explain& question, SessionId asker) const;
  std::string learned() const;
  std::string dump() const;
  std::uint64_t digest() const;
  void check_invariants() const;

 private:
  /// A run in a session's order: higher priority first, then the older one.
  struct ReadyKey {
    std::int64_t minus_priority;
    std::uint64_t sequence;
    std::uint32_t run;
    friend auto operator<=>(const ReadyKey&, const ReadyKey&) = default;
  };
  struct Session {
    PeerIndex driver = no_peer;
    std::set<ReadyKey> ready;       ///< runs with assignable tasks
    std::int64_t highest_run = -1;  ///< a number above was never used
    std::int64_t task_ns = 0;       ///< what its tasks took …
    std::int64_t twin_ns = 0;       ///< … and what twins were predicted to take beside
    std::map<std::uint32_t, Template> templates;
    std::uint64_t template_tasks = 0;  ///< of all templates
  };
  /// Of a whole run, or of one task.
  struct Failure {
    static constexpr std::uint32_t whole_run = ~std::uint32_t{0};
    std::uint32_t run;
    std::uint32_t task;
    protocol::RunOutcome outcome;
    CausePtr cause;
  };
  struct Placed {
    PeerIndex worker = no_peer;
    Attempt attempt = 0;
    std::uint64_t expected_ns = 0;
  };
  /// Of a moved task, until its attempt ends.
  struct Steal {
    PeerIndex victim = no_peer;
    Instant promised;             ///< when it would have ended there, as predicted …
    std::uint64_t starts_at = 0;  ///< … and not before the victim has done so many tasks
    bool was_running = false;     ///< the victim did it nevertheless
  };
  /// A task on a worker whose inputs exist; when it starts, as predicted, and what it takes there.
  struct Queued {
    DataRef task;  ///< run and task
    std::size_t order = 0;
    std::int64_t start_ns = 0, task_ns = 0;
    std::uint64_t starts_at = 0;   ///< done tasks of the worker by then
    bool is_running = false;       ///< perhaps
    std::int64_t running_ns = 0;   ///< for so long at least, if so
    bool is_told_running = false;  ///< by the worker
    bool is_news = false;          ///< the worker has not been told yet
  };
  /// A worker that could start a task now, and the time, per slot, of what was moved to it.
  struct Thief {
    PeerIndex worker = no_peer;
    std::int64_t taken_ns = 0;
  };
  enum class Existence { exists, stale, impossible };

  // core.cpp
  Run* find_run(RunId id);
  Run& run_at(std::uint32_t slot) { return *runs_[slot]; }
  const Run& run_at(std::uint32_t slot) const { return *runs_[slot]; }
  Datum& datum(DataRef ref) { return runs_[ref.run]->data[ref.index]; }
  const Datum& datum(DataRef ref) const { return runs_[ref.run]->data[ref.index]; }
  DatumId id_of(DataRef ref) const { return {runs_[ref.run]->id, ref.index}; }
  Session& session_of(const Run& run) { return sessions_.at(run.id.session); }
  Run& adopt(std::unique_ptr<Run> run);
  void transition(Run& run, std::uint32_t task, TaskState to);
  void update_ready(Run& run);
  Existence find_datum(DatumId id, DataRef& ref);
  PeerIndex maker_of(DataRef ref) const;
  void free_copies(DataRef ref);
  void free_if_unneeded(DataRef ref);
  void unpin(DataRef ref);
  void unpin_made(Run& run);
  void release_use(Run& user, std::uint32_t name);
  void take_use(Run& user, DataRef ref);
  template <class Visit>
  void for_consumers(DataRef ref, Visit visit);
  void make_available(DataRef ref, PeerIndex primary);
  void unblock(Run& run, std::uint32_t task);
  void finish_if_done(Run& run);
  void send_ended(Run& run, protocol::RunOutcome outcome, ErrorKind kind, std::string error);
  void send_ready();
  void send_progress();
  void erase_unneeded_runs();
  void erase(Run& run);
  void drop_peer(PeerIndex peer, const std::string& reason);
  bool is_open(SessionId session) const;

  // driver_events.cpp
  void on(const SessionOpened& event);
  void on(const SessionClosed& event);
  void on(const FromDriver& event);
  void on_driver(SessionId session, const protocol::SubmitRun& message);
  void on_driver(SessionId session, const protocol::CancelRun& message);
  void on_driver(SessionId session, const protocol::StreamHeld& message);
  void on_driver(SessionId session, const protocol::PutData& message);
  void on_driver(SessionId session, const protocol::ReleaseData& message);
  void on_driver(SessionId session, const protocol::LocateData& message);
  void on_driver(SessionId session, const protocol::Explain& message) {
    questions_.emplace_back(session, message);
  }
  void on_driver(SessionId, const protocol::Heartbeat&) {}
  void on_driver(SessionId session, const protocol::DropTemplates& message);
  bool is_new_run(SessionId session, std::uint32_t number);
  std::string check_graph(const protocol::SubmitRun& message, const Template* kept) const;
  std::string check_externals(SessionId session, const protocol::SubmitRun& message,
                              const graph::TaskGraph& graph);
  void raise_priorities(const Run& run);
  void bind_externals(Run& run, const std::vector<DatumId>& externals);
  void count_blocked(Run& run);
  void release_roots(Run& run);
  void refuse_run(SessionId session, std::uint32_t number, std::string text);

  // worker_events.cpp
  void on(const WorkerJoined& event);
  void on(const WorkerLost& event);
  void on(const FromWorker& event);
  void on(const Tick&);
  void on_worker(PeerIndex worker, const protocol::TasksDone& message);
  void on_worker(PeerIndex worker, const protocol::TaskFailed& message);
  void on_worker(PeerIndex worker, const protocol::DataAcquired& message);
  void on_worker(PeerIndex worker, const protocol::DataMissing& message);
  void on_worker(PeerIndex worker, const protocol::Leaving& message);
  void on_worker(PeerIndex worker, const protocol::SlotsHeld& message);
  void on_worker(PeerIndex worker, const protocol::TasksRunning& message);
  void take_back(PeerIndex worker);
  void on_worker(PeerIndex worker, const protocol::MemoryShort& message);
  std::string check_done(const Run& run, const protocol::TasksDone& message) const;
  Existence find_task_run(PeerIndex worker, RunId id, Run*& run);
  Existence find_own_datum(SessionId session, DatumId id, const char* verb, DataRef& ref);
  void task_done(Run& run, std::uint32_t task, std::uint64_t elapsed_ns,
                 std::span<const std::uint64_t> output_bytes);
  std::int64_t calm_time(PeerIndex worker, std::uint64_t elapsed_ns) const;
  std::uint32_t class_of(PeerIndex worker) const;
  std::int64_t average_time(const Run& run, std::uint32_t task, std::int64_t calm_ns) const;
  void free_worker(Run& run, std::uint32_t task);
  void datum_missing(PeerIndex worker, DataRef ref, PeerIndex asked);

  // load.cpp
  void on(const ForgetLearned&);
  void on_worker(PeerIndex worker, const protocol::Heartbeat& message);

  // rebalance.cpp
  void note_given(Run& run, std::uint32_t task, PeerIndex worker);
  bool is_current(const Given& given, PeerIndex worker) const;
  void rebalance();
  bool steal();
  std::vector<Thief> spare_workers();
  bool is_starving(PeerIndex worker);
  std::vector<PeerIndex> latest_workers() const;
  std::vector<Queued> queue_of(PeerIndex worker);
  bool still_runs(const Given& given, PeerIndex worker) const;
  std::size_t note_running(PeerIndex worker, std::vector<Queued>& queue) const;
  void guess_running(PeerIndex worker, std::vector<Queued>& queue, std::size_t slots) const;
  void predict_starts(PeerIndex worker, std::vector<Queued>& queue) const;
  bool steal_from(PeerIndex victim, std::vector<Thief>& thieves);
  std::int64_t lateness_ns(const Run& run, std::uint32_t task, std::int64_t end_ns) const;
  bool is_movable(const Run& run, std::uint32_t task) const;
  bool could_run(const Run& run, std::uint32_t task, PeerIndex worker);
  std::int64_t time_on(const Run& run, std::uint32_t task, PeerIndex worker) const;
  std::int64_t bringing_ns(const Run& run, std::uint32_t task, PeerIndex worker);
  std::int64_t finish_on(const Run& run, std::uint32_t task, const Thief& thief);
  std::int64_t least_gain_ns(const Run& run, std::uint32_t task, PeerIndex worker);
  std::vector<Thief>::iterator first_to_finish(const Run& run, std::uint32_t task,
                                               std::vector<Thief>& thieves,
                                               std::int64_t& finish_ns);
  void move(Run& run, std::uint32_t task, const Choice& choice);
  void hand_over(Run& run, std::uint32_t task, PeerIndex from, PeerIndex to);
  bool is_read_on(DataRef ref, PeerIndex worker, DataRef but = {});
  void judge_steal(Run& run, std::uint32_t task);
  void note_stale(PeerIndex worker, const Run& run, std::uint32_t task, Attempt attempt);
  void forget_attempts(Run& run, std::uint32_t task, TaskState to);

  // twins.cpp
  void speculate();
  bool straggles(const Run& run, const Queued& entry);
  bool waits_for_transfers(const Run& run, std::uint32_t task);
  std::vector<Queued> what_runs_on(PeerIndex worker);
  void start_twin(Run& run, const Queued& late, std::vector<Thief>& spare);
  const Placed* find_twin(const Run& run, std::uint32_t task) const;
  Attempt latest_attempt(const Run& run, std::uint32_t task) const;
  bool is_twin(const Run& run, std::uint32_t task, PeerIndex worker, Attempt attempt) const;
  bool give_to_twin(Run& run, std::uint32_t task);
  void let_twin_win(Run& run, std::uint32_t task);
  void end_twin(Run& run, std::uint32_t task, bool is_first_there);
  void end_twins(PeerIndex worker);
  bool end_all_twins();

  // lineage.cpp
  void remove_holder(DataRef ref, PeerIndex holder);
  void forget_taken(DataRef ref, PeerIndex worker);
  void drain_unavailable();
  void block_consumers(DataRef ref, bool was_made);
  void revoke(Run& run, std::uint32_t task, Moved why);
  void note_coming(const Run& run, std::uint32_t task, PeerIndex worker);
  void forget_coming();
  void void_tasks(PeerIndex worker, const WorkerLost& event);
  void count_killed(PeerIndex worker, std::vector<DataRef> assigned, const WorkerLost& event);
  void keep_suspects(PeerIndex worker, std::vector<DataRef>& assigned, const WorkerLost& event);
  void recover();
  bool run_again(Run& run, std::uint32_t task);
  void give_up(DataRef ref, const std::string& reason);
  DataRef taken_by(const Run& run, std::uint32_t task) const;
  void lose_taken(Run& run, std::uint32_t task);
  void fail_impossible(Run& run);
  void fail_unplaceable(Run& run);
  void fail_unattended();
  void fail_what_cannot_run();

  // failures.cpp
  void fail_later(const Run& run, protocol::RunOutcome outcome, ErrorKind kind, std::string text);
  void fail_task_later(const Run& run, std::uint32_t task, std::string text);
  void apply_failures();
  bool give_up_unneeded();
  void fail_task(Run& run, std::uint32_t task, const CausePtr& cause);
  void fail(Run& run, protocol::RunOutcome outcome, const CausePtr& cause);
  void abandon_doomed(const CausePtr& cause);
  void abandon(Run& run, std::uint32_t task, TaskState to, const CausePtr& cause);
  void note_failure(Run& run, const CausePtr& cause);
  void lose(DataRef ref, const CausePtr& cause);
  void doom_consumers(DataRef ref);
  void doom_readers_of_lost(Run& run);
  void tell_lost(DataRef ref, const CausePtr& cause);

  // assign.cpp
  void place();
  Run* next_run(std::uint16_t& task_class);
  bool pick_class(Run& run, std::uint16_t& task_class) const;
  void place_ready();
  bool let_go_where_room();
  void offer_to_idle();
  bool place_task(Run& run, std::uint32_t task);
  bool are_owners_firm(const Run& run) const;
  std::uint32_t reachable_owner(const Run& run, std::uint32_t task, const Pool& pool) const;
  KeptTasks::Entry entry_of(const Run& run, std::uint32_t task) const;
  void keep(Run& run, std::uint32_t task, PeerIndex worker, std::int64_t task_ns);
  void come_home(Run& run, std::uint32_t task);
  PeerIndex home_of(const Run& run, std::uint32_t task) const;
  void leave_home(Run& run, std::uint32_t task);
  void let_go(Run& run, std::uint32_t task);
  void let_go_all(PeerIndex worker);
  void dismiss_leaving();
  std::int64_t unmade_ns(DataRef ref) const;
  placement::View view() const;
  placement::Submission submission(const Run& run) const;
  placement::Submission submission_to_place(const Run& run);
  void plan(Run& run);
  std::optional<placement::Placed> place_of(const Run& run, std::uint32_t task) const;
  void plan_again();
  PeerIndex planned_for(const Run& run, std::uint32_t task) const;
  void give_to_owners(Run& run);
  void level_runs();
  void level(Run& run, const std::vector<std::uint32_t>& hosts);
  void count_owned(Run& run, std::uint32_t task, bool is_to_do);
  std::int64_t predicted_ns(const Run& run, std::uint32_t task,
                            std::uint32_t worker_class = CostModel::any_class) const;
  void predict_by_class(const Run& run, std::uint32_t task);
  std::uint64_t expected_on(PeerIndex worker, std::int64_t task_ns) const;
  void take_root(Run& run, const Pool& pool, PeerIndex worker);
  bool is_short(std::int64_t task_ns) const;
  std::int64_t promised_ns(const Choice& choice, const TaskRecord& record) const;
  bool is_beside_window(const Run& run, std::uint32_t task, PeerIndex worker,
                        std::int64_t task_ns) const;
  void assign(Run& run, std::uint32_t task, const Choice& choice, std::int64_t task_ns,
              bool is_beside);
  void describe(Run& run, std::uint32_t task, const Placed& placed, protocol::AssignTasks& message);
  std::uint32_t reuse_for(Run& run, std::uint32_t task, PeerIndex worker);

  // sources.cpp
  PeerIndex nearest_holder(const Datum& datum, PeerIndex worker) const;
  PeerIndex holder_for(DataRef ref, PeerIndex worker);
  PeerIndex best_holder(DataRef ref, PeerIndex worker);
  PeerIndex soonest_source(DataRef ref, PeerIndex worker);
  Instant due_from(DataRef ref, PeerIndex source, PeerIndex worker);
  Instant due_after(Instant from, const Datum& datum, PeerIndex source, PeerIndex worker) const;
  void begin_transfer(ReplicaPool::Replica& replica);
  void begin_transfers(DataRef ref);
  void expect_for(DataRef reader, DataRef ref, PeerIndex holder, PeerIndex worker);
  void expect(DataRef ref, PeerIndex holder, PeerIndex worker);

  // prefetch.cpp
  void await_sizes(Run& run);
  void note_sizes(Run& run);
  void share_out_readers();
  void prefetch_made();
  void prefetch_outputs(const Run& run, std::uint32_t task);
  void prefetch(DataRef ref, std::uint32_t host, std::uint32_t reader);

  // reach.cpp
  bool can_reach(PeerIndex worker, PeerIndex holder) const {
    return !broken_.any(now_) || broken_.find({worker, holder}, now_) == nullptr;
  }
  bool will_have(const Datum& datum, const ReplicaPool::Replica& replica, PeerIndex worker);
  PeerIndex reachable_source(DataRef ref, PeerIndex worker, PeerIndex but = no_peer);
  bool can_get_inputs(const Run& run, std::uint32_t task, PeerIndex worker);
  void find_barred(const Run& run, std::uint32_t task);
  bool is_barred(PeerIndex worker) const;
  bool is_cut_off(const Pool& pool, std::uint64_t output_bytes) const;
  void note_links(PeerIndex worker, const protocol::DataMissing& message);
  void reroute(PeerIndex worker, DataRef ref, PeerIndex but);
  void take_back_readers(PeerIndex worker, DataRef ref);
  void take_back(Run& run, std::uint32_t task);
  void wait_no_longer(DataRef task);

  // reconnect.cpp
  /// By datum: which workers could have it.
  using Havers = std::map<DataRef, std::vector<bool>>;
  bool reconnect();
  bool reconnect(Run& run, std::uint32_t task);
  bool is_being_remade(const Run& run, std::uint32_t task) const;
  void set_aside(Run& run, std::uint32_t task);
  void take_up_readers(const Run& run, std::uint32_t task);
  const Pool& pool_for(const Run& run, std::uint32_t task) const;
  PeerIndex remaker_of(const Run& run, std::uint32_t task) const;
  Choice choose(PeerIndex remaker, const placement::Question& question);
  bool retry_links(const Run& run, std::uint32_t task, const Pool& pool);
  bool wait_for_links(Run& run, std::uint32_t task);
  void take_up_hoping(bool are_all);
  std::vector<DataRef> lacking(const Run& run, std::uint32_t task, PeerIndex worker);
  std::optional<std::uint32_t> maker_again(DataRef ref) const;
  Havers who_could_have(const Run& reader, std::uint32_t task);
  std::vector<bool> who_reaches(DataRef ref, bool is_taken);
  void add_havers(DataRef ref, Havers& havers);
  bool could_have_inputs(const Run& run, std::uint32_t task, PeerIndex worker,
                         const Havers& havers) const;
  void make_again_for(PeerIndex reader, const std::vector<DataRef>& data, const Havers& havers);
  PeerIndex remaker_for(DataRef ref, PeerIndex worker, const Havers& havers) const;
  void isolate_holders(DataRef ref, PeerIndex worker);
  std::string broken_text(const BrokenLinks::Ends& ends, const std::string& reason) const;
  std::string broken_input_text(const Run& run, std::uint32_t task, const Pool& pool) const;
  std::string why_cut_off(const Run& run, std::uint32_t task, const Pool& pool) const;

  // templates.cpp
  Template* find_template(SessionId session, std::uint32_t number);
  Template* keep_template(SessionId session, const protocol::SubmitRun& message);
  std::uint32_t host_of(const DatumId& id);
  std::unique_ptr<Run> new_run(RunId id, std::shared_ptr<const graph::TaskGraph> graph,
                               const std::vector<DatumId>& externals, Template* kept);
  bool instantiate(Run& run);
  bool is_suited(const Template& kept, const Run& run);
  std::vector<PeerIndex> hot_workers() const;
  void place_as_before(Run& run, Template& kept);
  void keep_placed(Run& run, Template& kept);
  void place_as_kept(Run& run, const Template& kept);
  protocol::RunTemplate describe_externals(Run& run, const Template::Part& part);
  void wake_watchers(Run& run);
  void remember_placement(Run& run);
  bool is_repeatable(const Run& run, const std::vector<PeerIndex>& where) const;
  bool can_repeat(const Run& run, const std::vector<PeerIndex>& where) const;
  placement::Plan next_plan(const Run& run, const std::vector<PeerIndex>& where);
  void watch_balance(const Run& run, Template& kept);
  double imbalance_of(const Run& run, std::int64_t& excess_ns) const;
  void forget_placement(SessionId session, std::uint32_t number, Template& kept);
  void forget_templates(SessionId session);
  void check_templates() const;
  // explain_task.cpp
  struct TaskRef {
    const Run* run = nullptr;
    std::uint32_t task = 0;
  };
  std::string story(const Run& run, std::uint32_t task) const;
  bool is_live(const Run& run) const { return run_slots_.contains(run.id); }
  std::string peer_name(PeerIndex peer) const;
  std::string label_of(const Run& run, std::uint32_t task) const;
  std::string state_text(const Run& run, std::uint32_t task) const;
  std::string running_text(const Run& run, std::uint32_t task) const;
  std::string assigned_text(const Run& run, std::uint32_t task) const;
  std::string why_not_placed(const Run& run, std::uint32_t task) const;
  std::string why_no_room(const Run& run, std::uint32_t task, const Pool& pool) const;
  std::string decision_text(const Run& run, std::uint32_t task) const;
  void tell_inputs(std::ostream& out, const Run& run, std::uint32_t task) const;
  void tell_what_holds_up(std::ostream& out, const Run& run, std::uint32_t task) const;
  std::optional<TaskRef> what_holds_up(const Run& run, std::uint32_t task) const;
  std::string kind_of(const Run& run, std::uint32_t task) const;
  std::string load_text(PeerIndex worker) const;
  std::string needs_text(const Requirement& needs) const;

  // explain_run.cpp
  const Run* find_kept_run(RunId id) const;
  RunId last_run_of(SessionId session) const;
  std::string explain_run(RunId id) const;
  std::string explain_run(const Run& run) const;
  std::string overview(SessionId only, SessionId asker) const;
  std::string headline(const Run& run) const;
  std::string unknown_run(RunId id) const;
  void answer_questions();
  void keep_ended(std::unique_ptr<Run> run);

  // run_bounds.cpp
  Bounds bounds_of(const Run& run, bool is_detailed) const;
  Duration length_of(const Run& run) const;
  SlotAccount slot_time_of(const Run& run) const;
  void add_busiest(const Run& run, Bounds& bounds) const;
  void add_links(const Run& run, Bounds& bounds) const;
  std::uint64_t elapsed_of(const Run& run, std::uint32_t task,
                           std::optional<std::uint32_t>* before) const;
  std::string path_text(const Run& run) const;

  // learned.cpp
  void tell_links(std::ostream& out) const;

  // memory.cpp
  std::uint64_t short_slots();
  struct Shortage {
    std::uint32_t run = DataRef::no_run;
    std::uint32_t task = 0;
    std::uint64_t bytes = 0;
    std::uint64_t tasks = 0;  ///< that wait for memory, in all
    std::uint64_t used = 0;   ///< by all workers that are short
    std::uint64_t limit = 0;  ///< of them
    std::uint32_t workers = 0;
    std::string spill_error;  ///< of the worker that the task is on
  };
  bool is_held_up(const Run& run, std::uint32_t task);
  bool is_stuck_on_memory();
  bool is_held_by_programs() const;
  Shortage total_shortage();
  void relieve_memory();
  void fail_too_large(Run& run);

  // inspect.cpp
  void check_run(const Run& run) const;
  void check_task(const Run& run, std::uint32_t task) const;
  void check_ended(const Run& run, std::uint32_t task) const;
  void check_uses() const;

  Limits limits_;
  Counters counters_;
  Instant now_;
  WorkerTable workers_;
  ReplicaPool replicas_;
  LinkModel links_;
  BrokenLinks broken_;
  CostModel costs_;
  Outbox outbox_;
  std::unique_ptr<placement::Policy> policy_;
  SlotAccount slot_time_;                 ///< since ever
  std::vector<PeerIndex> short_workers_;  ///< that said that tasks of theirs wait for memory
  EndedRuns ended_runs_;

  std::map<SessionId, Session> sessions_;
  SessionId highest_session_{0};
  std::map<RunId, std::uint32_t> run_slots_;
  std::vector<std::unique_ptr<Run>> runs_;  ///< by slot
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t unfinished_ = 0;

  SessionId next_session_{0};        ///< whose turn it is
  std::uint64_t round_ = 0;          ///< placement rounds so far
  std::uint32_t left_to_place_ = 0;  ///< tasks, in this step
  std::uint32_t steps_ = 0;
  KeptTasks kept_;
  Instant last_progress_;
  std::map<DataRef, Steal> steals_;  ///< by run and task, while that is assigned
  std::map<DataRef, Placed> twins_;  ///< the same; without a worker: ended before the task
  Instant next_steal_;
  std::map<DataRef, std::uint32_t> reconnected_;  ///< how often a task (by run) was cut off
  std::map<DataRef, PeerIndex> remakers_;         ///< by run and task: see remaker_of()
  std::map<DataRef, Instant> hoping_;             ///< since when a task (by run) waits for links
  std::set<DataRef> set_aside_;                   ///< run and task of those that wait for either
  std::vector<PeerIndex> leaving_;                ///< asked to leave, still have tasks
  PeerIndex recent_root_worker_ = no_peer;        ///< who got a task without inputs last
  std::string last_loss_;                         ///< why the last worker went
  Instant unattended_since_;                      ///< when the last worker left
  Instant workers_changed_;                       ///< when one came or left
  bool waits_for_growth_ = false;                 ///< a run that no worker there can do
  bool has_ticked_ = false;                       ///< in this step
  bool is_stuck_ = false;                         ///< on memory, when last looked at …
  Instant stuck_since_;                           ///< … and since when

  // Worklists, empty between steps.
  std::vector<std::uint32_t> erasable_;
  std::vector<DataRef> ready_data_;
  std::vector<DataRef> unavailable_;
  bool is_draining_ = false;
  std::vector<DataRef> lost_;
  std::vector<Failure> failures_;
  std::vector<DataRef> doomed_;      ///< run and task of those that read what is lost
  std::vector<std::uint32_t> hurt_;  ///< runs whose tasks ended without a result
  std::vector<std::pair<SessionId, protocol::SchedulerToDriver>> last_words_;
  std::vector<std::pair<SessionId, protocol::Explain>> questions_;
  CausePtr last_told_;  ///< by the last of them, if that is a DataLost
  std::vector<SessionId> closed_sessions_;
  std::vector<std::uint32_t> new_runs_;
  std::vector<std::uint32_t> sized_runs_;  ///< of which it is known now how much their tasks make
  std::uint64_t level_membership_ = 0;     ///< of the workers, for which owners are meant
  std::uint64_t plan_membership_ = 0;      ///< likewise, for which runs were planned …
  bool is_plan_old_ = false;               ///< … but for some, which are to be planned …
  Instant plan_rest_;                      ///< … not before
  std::vector<std::uint32_t> parked_;
  std::vector<PeerIndex> freed_;        ///< workers that have fewer tasks than before
  std::vector<std::int64_t> made_ns_;   ///< scratch of place_task …
  std::vector<const Datum*> inputs_;    ///< scratch of place_task …
  std::vector<std::int64_t> class_ns_;  ///< … predicted, by class of workers
  std::vector<PeerIndex> barred_;       ///< … that the task is not to go to
  bool is_cut_ = false;                 ///< … some of them since they lack what it reads
  std::vector<DataRef> cut_off_;        ///< run and task: for which none was left
  std::set<std::pair<DataRef, PeerIndex>> coming_;  ///< what may come to the worker no more
  std::vector<DataRef> made_now_;  ///< run and task: whose outputs may be wanted elsewhere
  std::map<std::uint32_t, std::uint32_t> first_readers_;  ///< scratch of prefetch_outputs: by host
};

template <class Visit>
void Core::for_consumers(DataRef ref, Visit visit) {
  Run& run = run_at(ref.run);
  if (run.graph) {
    for (const std::uint32_t task : run.consumers.of(ref.index)) visit(run, task);
  }
  if (run.watchers.empty()) return;
  for (auto w = run.watchers.lower_bound({ref.index, 0, 0});
       w != run.watchers.end() && w->datum == ref.index; ++w) {
    Run& reader = run_at(w->run);
    for (const std::uint32_t task : reader.consumers.of(reader.output_count() + w->external)) {
      visit(reader, task);
    }
  }
}

}  // namespace ashlar::scheduler
