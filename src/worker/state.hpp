#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/fair_turns.hpp"
#include "worker/id_table.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::worker {

/// waiting: for inputs; ready: for memory or a place in the slots' queues; started: handed out.
enum class TaskState : std::uint8_t { none, waiting, ready, started };
inline constexpr std::size_t task_state_count = 4;

/// An assignment; its vectors stay where they arrived, and tasks refer into them.
struct Batch {
  bool is_used = false;
  bool is_whole = false;  ///< of a template: nothing of what follows here waits for the scheduler
  std::uint32_t live_tasks = 0;
  protocol::AssignTasks message;
};

struct Task {
  bool is_used = false;
  TaskState state = TaskState::none;
  bool is_revoked = false;  ///< while it runs: its outputs are to be dropped
  RunId run;
  std::uint32_t task = 0;
  Attempt attempt = 0;
  std::uint32_t batch = 0;
  std::uint32_t position = 0;  ///< in the batch; the offsets below are its prefix sums
  std::uint32_t first_input = 0;
  std::uint32_t first_output = 0;
  std::uint32_t first_param = 0;
  std::uint32_t missing = 0;  ///< inputs not here
  std::uint32_t reused = graph::TaskGraph::no_input;
  std::uint64_t order = 0;     ///< of assignment: breaks ties of rank
  std::uint64_t start = 0;     ///< order in which tasks were started: slots take them like that
  std::uint64_t reserved = 0;  ///< bytes, while started
};

/// absent: nobody was asked for it; queued, fetching: from Datum::holder; here: in the store;
/// on_disk, loading: only its copy is there, and nothing or a block for it in the store.
enum class Presence : std::uint8_t { absent, queued, fetching, here, on_disk, loading };

/// When a datum is needed, soonest first. Tasks that start without help from elsewhere come before
/// all others, so that no data wait in memory for what depends on the memory they take.
struct UseKey {
  enum class Kind : std::uint8_t { at_hand, task, later, unknown };
  Kind kind = Kind::unknown;
  std::uint32_t rank = 0;
  std::uint64_t order = 0;  ///< of the task; of what is known of no task: how long ago it was used
  friend auto operator<=>(const UseKey&, const UseKey&) = default;
};

struct Datum {
  bool is_used = false;
  Presence presence = Presence::absent;
  bool is_own = false;       ///< here, made by a task
  bool is_freed = false;     ///< to be dropped once no task here uses it
  bool is_reported = false;  ///< absent and reported missing: waits for Relocate
  bool is_early = false;     ///< to come before a task that reads it (early.cpp)
  bool is_counted = false;   ///< fetching, and counts in the limits
  bool is_written = false;   ///< the copy on disk is whole
  bool is_copied = false;    ///< fetched into this worker's own memory, from wherever
  DatumId id;
  PeerId holder;
  std::uint32_t producer = no_slot;  ///< task here that is to make it
  std::uint32_t users = 0;           ///< inputs of tasks here, waiting to started
  std::uint32_t running = 0;         ///< of them, of started ones
  std::uint32_t readers = 0;  ///< elsewhere: other processes, and the disk while it is written
  std::uint32_t first_waiter = no_slot;
  std::uint32_t first_request = no_slot;
  protocol::Urgency urgency;  ///< of the first task that waits for it
  std::uint64_t bytes = 0;
  std::uint64_t charged = 0;   ///< of the memory limit
  std::uint64_t borrowed = 0;  ///< read, or about to be, in another process's memory
  std::uint64_t copy = 0;      ///< on disk; 0: none
  std::uint64_t used = 0;      ///< when it was last made or read, as a count
  Instant since;               ///< fetch started, or became absent without a producer
};

/// A task that waits for a datum.
struct Waiter {
  bool is_used = false;
  std::uint32_t task = no_slot;
  std::uint32_t next = no_slot;
};

/// A peer that waits for a datum.
struct Request {
  bool is_used = false;
  PeerId peer;
  std::uint64_t number = 0;
  std::uint32_t datum = no_slot;
  std::uint32_t next = no_slot;
  Instant asked;
  protocol::Urgency urgency;
};

struct FetchKey {
  protocol::Urgency urgency;
  DatumId id;
  friend auto operator<=>(const FetchKey&, const FetchKey&) = default;
};

/// A write or read of a copy that is under way.
struct Transfer {
  DatumId datum;
  RunId run;  ///< for which it is
  bool is_load = false;
  std::uint64_t charged = 0;  ///< of a read whose datum is gone
};

/// Memory of a dropped datum that others still read.
struct Lingering {
  std::uint32_t readers = 0;
  std::uint64_t charged = 0;
};

struct Peer {
  bool is_known = false;  ///< its PeerInfo came
  bool is_driver = false;
  std::string host_identity;
  std::uint32_t fetches_counted = 0;
  std::uint32_t waiting_requests = 0;
  std::uint32_t link_failures = 0;  ///< one after the other …
  Instant failing_since;            ///< … of which this was the first …
  Instant failed_at;                ///< … and this the last
  Instant retry_at;                 ///< before, nothing is asked for
  bool is_told_broken = false;
};

struct WorkerEngine::State {
  PeerId self;
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  Limits limits;
  std::string host_identity;

  Counters counters;
  Pool<Batch> batches;
  Pool<Task> tasks;
  Pool<Datum> data;
  Pool<Waiter> waiters;
  Pool<Request> requests;
  IdTable task_table;  ///< current attempts, by (run, task)
  IdTable data_table;
  std::map<PeerId, Peer> peers;
  std::map<std::pair<PeerId, std::uint64_t>, std::uint32_t> request_table;
  std::map<std::pair<SessionId, PeerId>, std::set<FetchKey>> fetch_queues;  ///< none is empty
  FairTurns<SessionId> fetch_turns;  ///< of sessions with queues: for what takes memory here …
  FairTurns<SessionId> loan_turns;   ///< … and for what is read in others'
  std::map<std::pair<SessionId, std::uint32_t>, std::shared_ptr<const protocol::AssignTasks>>
      templates;

  struct Ready {
    std::uint32_t rank = 0;
    std::uint32_t slot = 0;
    std::uint64_t order = 0;
  };
  std::vector<Ready> ready;  ///< heap, lowest rank on top; entries of ended tasks linger
  std::uint32_t task_count[task_state_count] = {};
  std::uint64_t next_order = 0;
  std::uint64_t next_start = 0;
  std::int64_t started_ns = 0;  ///< predicted, of started tasks
  std::uint64_t reserved = 0;   ///< bytes: of data, started tasks and fetches
  struct Revoked {
    Instant since;
    std::uint32_t slot = 0;
    std::uint64_t order = 0;
  };
  std::vector<Revoked> revoked;  ///< started tasks
  struct Running {
    std::uint64_t start = 0;  ///< Task::start
    std::uint32_t slot = 0;
    Instant since;  ///< when it was first seen
    bool is_told = false;
  };
  std::vector<Running> seen_running;  ///< when it was last looked, in order of start
  Instant seen_at;
  std::uint32_t slots_held = 0;  ///< as told
  std::uint32_t here_count = 0;
  std::uint32_t fetches = 0;
  std::uint32_t fetches_counted = 0;
  bool lacks_fetch_room = false;          ///< fetches are queued that no memory is left for
  bool lacks_loan_room = false;           ///< … that would take too much of others' memory
  bool lacks_request_room = false;        ///< others ask for what there is no room to read back
  std::optional<UseKey> lacks_load_room;  ///< the task that waits for room to read its inputs
  std::uint64_t borrowed = 0;             ///< bytes
  Instant overdrawn;                      ///< when more than the limit of that was borrowed
  std::uint64_t uses = 0;                 ///< counted, for Datum::used
  std::uint64_t last_copy = 0;
  std::uint32_t on_disk_count = 0;  ///< data of Presence::on_disk
  std::uint32_t writes = 0;
  std::map<std::uint64_t, Transfer> transfers;  ///< by copy
  std::map<DatumId, Lingering> lingering;
  std::uint32_t readers = 0;  ///< of all data, and lingering ones
  Instant last_progress;      ///< when something last began or ended here
  Instant last_recall;
  std::optional<Instant> spill_failed;
  std::uint32_t load_failures = 0;
  std::string spill_error;                ///< the last one
  std::uint64_t received = 0;             ///< messages of the scheduler, but heartbeats
  std::uint64_t shortage_told_after = 0;  ///< `received` when the last MemoryShort was sent …
  bool is_shortage_told = false;          ///< … and nothing was reported since
  bool is_wait_told = false;              ///< … and it told of fetches that wait, too
  std::deque<std::pair<Instant, DatumId>> patience;  ///< fetches that count, oldest first
  std::deque<std::pair<Instant, DatumId>> unsure;    ///< data nobody is to make, and asked for
  RecentIds dropped{0};                              ///< what will not come again
  bool is_leaving = false;
  bool has_exited = false;
  std::string leave_reason;
  std::uint32_t reports_held = 0;  ///< tasks done and data acquired, not told yet …
  Instant held_since;              ///< … and since when the oldest
  bool is_report_awaited = false;  ///< somebody may wait to be told what is held
  bool is_resting = false;         ///< the shell is about to wait
  bool is_thought_short = false;   ///< MemoryShort was the last that the scheduler was told

  // Within a step.
  Actions* actions = nullptr;
  Instant now;
  std::vector<protocol::TasksDone> done;
  std::vector<bool> done_is_dynamic;
  std::vector<protocol::TaskFailed> failed;
  std::vector<protocol::DataAcquired> acquired;
  protocol::DataMissing missing;
  protocol::MemoryShort shortage;
  std::vector<std::uint32_t> scratch;
  std::vector<DatumId> drops;  ///< performed unless the datum came again in the same step

  void step(std::span<const Event> events, Instant at, Actions& out);

  // worker_engine.cpp: events.
  void on(const FromScheduler& event);
  void on(const TaskEnded& event);
  void on(const FetchDone& event);
  void on(const FetchFailed& event);
  void on(const FetchAsked& event);
  void on(const FetchUnasked& event);
  void on(const Tick& event);
  void on(const Resting& event);
  void on(const ReadDone& event);
  void on(const SpillDone& event);
  void on(const SpillFailed& event);
  void on(const LoadDone& event);
  void on(const LoadFailed& event);
  void on(const LoansWanted& event);
  void told(const protocol::PeerInfo& message);
  void told(const protocol::PeerGone& message);
  void told(const protocol::AssignTasks& message);
  void accept(protocol::AssignTasks assigned, bool is_whole);
  void told(const protocol::RevokeTasks& message);
  void told(const protocol::FreeData& message);
  void told(const protocol::Relocate& message);
  void told(const protocol::Shutdown& message);
  void told(const protocol::Heartbeat& message);
  void told(const protocol::RunTemplate& message);
  void told(const protocol::DropTemplates& message);
  void told(const protocol::Prefetch& message);
  void report_held();
  void flush_drops();

  // reports.cpp: what the scheduler is told, and when.
  protocol::TasksDone& done_report(RunId run, bool is_dynamic);
  protocol::DataAcquired& acquired_report(RunId run);
  void note_report();
  Instant report_due() const;
  bool has_reports() const;
  bool is_missing_told() const { return !missing.data.empty() || !missing.reached.empty(); }
  bool may_hold_reports() const;
  void report_running();
  void flush();

  // templates.cpp
  void keep_template(const protocol::AssignTasks& message);

  // tasks.cpp: from assignment to end.
  std::uint32_t add_task(std::uint32_t batch, const Task& task);
  void need_input(std::uint32_t slot, std::uint32_t input);
  void transition(std::uint32_t slot, TaskState to);
  void admit();
  bool has_room(const Task& task) const;
  bool fits(std::uint64_t bytes) const {
    return bytes <= memory_limit && reserved <= memory_limit - bytes;
  }
  std::uint64_t output_total(const Task& task) const;
  std::uint64_t bytes_needed(const Task& task) const;
  bool is_current(const Ready& entry) const;
  void pop_ready();
  void compact_ready();
  void unready(std::uint32_t slot);
  std::uint32_t reusable_input(const Task& task) const;
  bool can_never_fit(const Task& task) const;
  std::uint64_t bytes_read(const Task& task) const;
  std::uint32_t best_fitting_ready() const;
  bool must_wait_its_turn(std::uint32_t slot) const;
  void start(std::uint32_t slot);
  void report_shortage();
  bool may_go_on() const;
  bool lacks_input_room(const Task& task, bool waits_long) const;
  bool waits_long() const;
  std::uint64_t bytes_lacking(const Task& task) const;
  void fail_for_memory(std::uint32_t slot, std::uint64_t needed);
  void make_outputs(const TaskEnded& event, const Task& task);
  void push_output(const Task& task, const DatumId& id, std::uint64_t bytes);
  void report_done(const TaskEnded& event, const Task& task);
  void revoke(std::uint32_t slot);
  void unmake_outputs(const Task& task, std::uint32_t slot);
  void release_inputs(std::uint32_t slot);
  void retire(std::uint32_t slot);
  std::int64_t predicted_ns(const Task& task) const;
  std::uint32_t started_count() const { return task_count[std::size_t(TaskState::started)]; }

  // data.cpp: where data are.
  std::uint32_t obtain(const DatumId& id);
  void come(std::uint32_t slot, std::uint64_t bytes, bool is_own, std::uint64_t charge);
  void drop(std::uint32_t slot);
  void settle(std::uint32_t slot);
  void erase(std::uint32_t slot);
  void charge(Datum& datum, std::uint64_t bytes);
  void wake(std::uint32_t slot);
  void leave_store(Datum& datum);
  void remove_waiter(Datum& datum, std::uint32_t task);
  void become_unsure(Datum& datum);
  void report_missing(Datum& datum, PeerId peer);
  void look_after_unsure();

  // spill.cpp: what goes to disk.
  UseKey key_of(std::uint32_t task) const;
  bool is_at_hand(const Task& task) const;
  std::vector<UseKey> next_uses() const;
  std::vector<std::pair<UseKey, std::uint32_t>> movable(const UseKey& by,
                                                        std::uint32_t for_task) const;
  bool make_room(std::uint64_t bytes, const UseKey& by, std::uint32_t for_task);
  bool is_disk_usable() const;
  bool can_write() const;
  std::uint64_t bytes_being_written() const;
  void start_write(Datum& datum, RunId run);
  void evict(std::uint32_t slot);
  void wait_for(std::uint32_t slot);
  void write_ahead();
  void forget_copy(Datum& datum);

  // early.cpp: what comes before the tasks that read it.
  bool has_early_room(std::uint64_t bytes) const;
  void decline(std::uint32_t slot);

  // loads.cpp: what comes back from disk.
  void pump_loads();
  void load_for_requests();
  bool load_inputs(std::uint32_t task, const UseKey& key, std::uint64_t spared);
  void start_load(Datum& datum, RunId run);
  std::uint64_t bytes_read_elsewhere() const;
  void end_load(std::uint64_t copy, const std::string* error);
  void lose(std::uint32_t slot);
  void account(RunId run, std::uint64_t spilled, std::uint64_t loaded);

  // lending.cpp: what others read here, and what is read in others' memory.
  void lend(Datum& datum);
  void returned(const DatumId& id);
  void linger(Datum& datum);
  void borrow(Datum& datum, std::uint64_t bytes);
  bool may_borrow(const Datum& datum);
  void give_back_idle(std::uint64_t bytes);

  // room.cpp: who waits for whose memory.
  bool is_at_rest() const;
  bool has_waited() const;
  bool take_from_fetches(std::uint64_t bytes, const UseKey& by);
  bool may_take_from_fetches(const Request& request) const;
  bool may_lend_more(const Request& request) const;
  void recall_loans();
  void refuse_in_vain();
  void refuse_to_pass_on();
  bool fits_as_copies(const Task& task) const;
  void copy_instead(std::uint32_t slot);

  // fetches.cpp: what is asked of peers, and what peers ask.
  bool is_off_host(PeerId peer) const;
  bool takes_memory(const Datum& datum, PeerId holder) const {
    return datum.is_copied || is_off_host(holder);
  }
  void queue_fetch(Datum& datum, PeerId holder);
  void unqueue_fetch(Datum& datum);
  void stop_fetch(Datum& datum);
  void uncount(Datum& datum);
  void pump_fetches();
  void pump_loans();
  void pump_copies();
  bool may_copy_from(PeerId id) const;
  const FetchKey* next_fetch(SessionId session, bool takes) const;
  std::uint32_t next_fetch(const FairTurns<SessionId>& turns, bool takes) const;
  std::pair<UseKey, std::uint32_t> first_use(const Datum& datum) const;
  std::uint32_t next_fetch_by_use() const;
  bool has_fetch_room(const Datum& datum);
  void start_fetch(Datum& datum);
  void add_request(std::uint32_t slot, const FetchAsked& event);
  void refuse_requests(std::uint32_t slot, Instant asked_until);
  void answer(const AnswerFetch& answer, Datum& datum);
  void answer_requests(std::uint32_t slot);
  void forget_request(std::uint32_t request);
  void remove_request(std::uint32_t request);

  // links.cpp: to peers, which may fail.
  void link_failed(Datum& datum, PeerId peer, const std::string& why);
  void link_works(PeerId peer);
  void report_broken(Peer& peer, PeerId id, const std::string& why);

  // explain.cpp
  std::string story(RunId run, std::uint32_t task) const;
  std::string dump() const;
  void check_tasks() const;
  void check_data() const;
  void check_disk() const;
  void check_peers() const;

  std::span<const DatumId> inputs_of(const Task& task) const {
    const auto& message = batches[task.batch].message;
    return {message.inputs.data() + task.first_input, message.input_count[task.position]};
  }
  std::span<const std::uint32_t> outputs_of(const Task& task) const {
    const auto& message = batches[task.batch].message;
    return {message.outputs.data() + task.first_output, message.output_count[task.position]};
  }
  std::span<const std::uint64_t> output_bytes_of(const Task& task) const {
    const auto& message = batches[task.batch].message;
    return {message.output_bytes.data() + task.first_output, message.output_count[task.position]};
  }
  std::uint32_t rank_of(const Task& task) const {
    return batches[task.batch].message.rank[task.position];
  }
  protocol::Urgency urgency_of(const Task& task) const {
    const auto& message = batches[task.batch].message;
    const bool is_usual = message.priority.empty();
    return {is_usual ? 0 : message.priority[task.position], task.run.number, rank_of(task)};
  }
  template <class A>
  void act(A&& action) {
    actions->emplace_back(std::forward<A>(action));
  }
  /// Built in place: gcc 12 takes the moved variant for uninitialised memory.
  template <class M>
  void report(M message) {
    Action& action = actions->emplace_back(std::in_place_type<ToScheduler>);
    std::get<ToScheduler>(action).message.emplace<M>(std::move(message));
  }
};

/// In the store or on disk.
inline bool is_held(const Datum& datum) {
  return datum.presence == Presence::here || datum.presence == Presence::on_disk ||
         datum.presence == Presence::loading;
}

/// To be got if it is not here: tasks wait for it, or the scheduler wants it to come early.
inline bool is_to_be_had(const Datum& datum) { return datum.users > 0 || datum.is_early; }

/// Asked for elsewhere, or about to be.
inline bool is_coming(const Datum& datum) {
  return datum.presence == Presence::queued || datum.presence == Presence::fetching;
}

/// Whether the vectors of an assignment agree in length.
bool is_consistent(const protocol::AssignTasks& message);

}  // namespace ashlar::worker
