#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "protocol/messages.hpp"

namespace ashlar::scheduler {

// ---- events: facts ---------------------------------------------------------------------------

/// A worker's Hello was accepted under this id.
struct WorkerJoined {
  PeerId worker;
  protocol::Hello hello;
};

/// A worker's link closed, or it fell silent.
struct WorkerLost {
  PeerId worker;
  std::string reason;  ///< its death certificate, for people
  /// Run and task of those that it was in, when that is known.
  std::optional<std::vector<DatumId>> running = {};
};

/// A driver's Hello was accepted under these ids.
struct SessionOpened {
  SessionId session;
  PeerId driver;
  protocol::Hello hello;
};

struct SessionClosed {
  SessionId session;
};

struct FromWorker {
  PeerId worker;
  protocol::WorkerToScheduler message;
};

struct FromDriver {
  SessionId session;
  protocol::DriverToScheduler message;
};

/// What was learnt of kernels' times, of workers' speeds and of links is to be forgotten.
struct ForgetLearned {};

/// Time has passed; sent at least ten times a second while anything runs.
struct Tick {};

using Event = std::variant<WorkerJoined, WorkerLost, SessionOpened, SessionClosed, FromWorker,
                           FromDriver, Tick, ForgetLearned>;

// ---- actions: ordered commands ---------------------------------------------------------------

struct ToWorker {
  PeerId worker;
  protocol::SchedulerToWorker message;
};

struct ToDriver {
  SessionId session;
  protocol::SchedulerToDriver message;
};

/// The peer said the impossible: close its link. WorkerLost or SessionClosed follows as an event.
struct DropPeer {
  PeerId peer;  ///< a worker or a session's driver
  std::string reason;
};

using Action = std::variant<ToWorker, ToDriver, DropPeer>;
using Actions = std::vector<Action>;

// ---- the engine ------------------------------------------------------------------------------

/// How a task's worker is chosen; placement/ has one file for each idea.
enum class PolicyKind : std::uint8_t { least_loaded, locality, heft, lshs, round_robin, random };
inline constexpr PolicyKind policy_kinds[] = {PolicyKind::least_loaded, PolicyKind::locality,
                                              PolicyKind::heft,         PolicyKind::lshs,
                                              PolicyKind::round_robin,  PolicyKind::random};
std::string_view name_of(PolicyKind policy);
/// The policy of that name. Errors: BadInput, with the names there are.
PolicyKind policy_of(std::string_view name);

/// Bounds on what the engine keeps and does, each with its reason.
struct Limits {
  /// Tasks assigned ahead to one worker: enough to hide a round trip of the shortest tasks; longer
  /// ones are bounded by their time.
  std::uint32_t window_tasks = 4096;
  /// Predicted work per slot assigned ahead to one worker, beyond two tasks per slot: many round
  /// trips long, but short beside a run, so that a worker that is slowed down gets less.
  Duration window_time = Duration::milliseconds(5);
  /// Tasks placed in one step, which comes with each report and tick: what thousands of workers may
  /// be given at once is sent part by part, and the first of them start meanwhile.
  std::uint32_t placed_a_step = 1 << 18;
  /// Workers that hold a task's inputs may be given more windows ahead than others, since moving
  /// data costs, too.
  std::uint32_t holder_windows = 2;
  /// How often a task may take its worker down before it is given up.
  std::uint32_t attempts_killed = 3;
  /// Bytes per second: assumed between hosts until measured, and on one host.
  double remote_bandwidth = 1.0e9;
  double local_bandwidth = 2.0e11;
  /// Assumed for copying an input into fresh memory, where the task cannot take its buffer over.
  double copy_bandwidth = 2.0e9;
  /// Assumed for fetching what a task lacks, beside its bytes: waiting for it, once per task …
  Duration remote_latency = Duration::microseconds(100);
  Duration local_latency = Duration::microseconds(1);
  /// … and the work of each fetch from another host, or process.
  Duration fetch_work = Duration::microseconds(3);
  Duration local_fetch_work = Duration::microseconds(1);
  /// Smaller data come from the primary only, not from who has a copy on a third host or will have:
  /// they are there before a copy elsewhere would be.
  std::uint64_t passed_on_bytes_min = 1 << 16;
  /// A task leaves the worker that has its inputs only for one that could start it sooner by more
  /// than this and a quarter of its time, or by as much as it would wait there: lesser differences
  /// come and go, moved data do not come back. Of shorter tasks neighbours are kept together.
  Duration locality_slack = Duration::microseconds(500);
  /// For how long a worker with short tasks may keep to itself what it has done. While the windows
  /// of a host are filled, at most so much is presumed done of each queue: they are compared as
  /// they are, not as they were when told.
  Duration report_delay = Duration::milliseconds(1);
  /// What it costs to wake a worker that sleeps.
  Duration wake_up = Duration::microseconds(30);
  /// What a task costs its worker beside its time in the kernel.
  Duration task_overhead = Duration::microseconds(1);
  /// Assumed for a kernel that has neither been seen nor estimated: few of its tasks are assigned
  /// ahead until the first has been measured.
  Duration unknown_task_time = Duration::milliseconds(5);
  /// Assumed for a kernel that has not been seen, flop/s and bytes/s.
  double assumed_flop_rate = 2.0e10;
  double assumed_byte_rate = 5.0e9;
  /// A task with the session's driver as its only worker-less wait: how long a run may wait for
  /// a first worker before it fails.
  Duration no_worker_wait = Duration::seconds(30);
  /// How long a run may wait for a worker that has what its tasks need, while others are there and
  /// none comes or leaves. The cluster does not grow by itself: not at all.
  Duration growth_wait = {};
  /// How long nothing at all may be able to go on for want of memory before a run fails: the
  /// program may be about to release something.
  Duration memory_wait = Duration::seconds(1);
  /// A worker whose cores are all wanted by other programs too is chosen like one with so much
  /// more work, and in proportion: of idle workers the coolest is taken. Small beside a window.
  Duration host_load_cost = Duration::milliseconds(1);
  /// A worker is on a hot host when other programs want this share of its cores, or when this share
  /// of the memory of its host or control group is used, until both are below the lower ones: below
  /// a full core nothing has to wait; at the last twentieth of its memory a host begins to swap, or
  /// to kill.
  double host_load_hot = 0.85, host_load_cool = 0.6;
  double host_memory_hot = 0.95, host_memory_cool = 0.9;
  /// Then it is chosen like one with so much more work: almost a window, so that cooler workers are
  /// filled first, but not what one task of unknown time counts: such a task does not wait for it.
  Duration hot_cost = Duration::milliseconds(4);
  /// How long what a host said of its load holds: ten heartbeats.
  Duration load_age = Duration::seconds(1);
  /// A waiting task is moved to an idle worker where it would end sooner by more than this and a
  /// quarter of its time: less is within what predictions can tell, and the word that it is not to
  /// be started must arrive before it is.
  Duration steal_gain = Duration::milliseconds(1);
  /// Between two looks for tasks to move, at least; looking through long queues makes it longer.
  Duration steal_interval = Duration::milliseconds(1);
  /// How often a task may be placed in all, to be moved once more or begun a second time.
  std::uint32_t attempts_moved = 3;
  /// A task that runs for so long, and so many times longer than predicted and than calls usually
  /// differ, straggles …
  Duration twin_wait = Duration::milliseconds(50);
  double twin_lateness = 3;
  /// … and is begun a second time where that is done sooner, as long as second attempts are
  /// predicted to take no more than this share of the time that the session's tasks took so far.
  double twin_share = 0.05;
  /// A run that keeps its workers busy for longer is not placed as the one before: placing costs
  /// it next to nothing, and balance is worth more. Nor is one while its workers have as much to
  /// do.
  Duration template_time = Duration::milliseconds(100);
  /// A run whose busiest worker has so much more to do, over the mean, than it had when the
  /// placement was new …
  double template_imbalance = 0.2;
  /// … and by at least so much, since shorter times are noise; so often in a row: then the graph is
  /// placed anew. Each time it takes twice as many, up to the last number.
  Duration template_imbalance_min = Duration::microseconds(200);
  std::uint32_t template_runs_bad = 3, template_runs_bad_max = 192;
  /// How long a worker is believed that it cannot reach another one before it is tried again: long
  /// beside what a try costs, five seconds where packets vanish. Each time twice as long, at most
  /// the latter: somebody may have mended the network.
  Duration link_pause = Duration::seconds(30), link_pause_max = Duration::seconds(600);
  /// For how long a task that has no other way waits for broken links, which are then tried once
  /// more: for most of those that soon are mended, and not for long where somebody has to see to
  /// it.
  Duration link_wait = Duration::seconds(5);
  /// How often what a task reads is made again where it can be reached, before the task fails.
  std::uint32_t reconnects = 4;
  PolicyKind policy = PolicyKind::least_loaded;
  /// Runs that ended and are forgotten otherwise are kept to be explained: so many, of so many
  /// bytes together. Of a larger one only the explanation as a whole is kept.
  std::size_t ended_runs = 16;
  std::size_t ended_run_bytes = 8 << 20;
  /// Of an explanation: more nobody reads.
  std::size_t explanation_bytes = 32 << 10;
};

struct Counters {
  std::uint64_t tasks_assigned = 0;
  std::uint64_t tasks_done = 0;
  std::uint64_t tasks_failed = 0;
  std::uint64_t tasks_recomputed = 0;
  std::uint64_t tasks_stolen = 0;    ///< moved, when they waited, to idle workers …
  std::uint64_t tasks_relieved = 0;  ///< … from hot hosts to cooler ones
  std::uint64_t steals_useful = 0;   ///< the task ended sooner than it would have
  std::uint64_t steals_useless = 0;  ///< it did not, or ran already
  std::uint64_t twins = 0;           ///< second attempts at straggling tasks …
  std::uint64_t twins_won = 0;       ///< … that were done first
  std::uint64_t template_runs = 0;   ///< placed as an earlier run of the same graph
  std::uint64_t stale_events = 0;
  std::uint64_t peers_dropped = 0;
};

/// Decides where and when tasks run, and what a loss undoes. A pure state machine: it reads no
/// clock, does no I/O, and the same events give the same actions.
///
/// Threads: one at a time.
class SchedulerEngine {
 public:
  explicit SchedulerEngine(Limits limits = {}, std::uint64_t seed = 1);
  ~SchedulerEngine();
  SchedulerEngine(SchedulerEngine&&) noexcept;
  SchedulerEngine& operator=(SchedulerEngine&&) noexcept;

  /// Applies events that happened at `now`; `actions` is then what is to be done. What it was
  /// before is dropped, and its memory used again. Placement runs once, after all events of the
  /// batch.
  void step(std::span<const Event> events, Instant now, Actions& actions);

  const Counters& counters() const;
  /// Tasks known and not yet ended, of all runs.
  std::uint64_t unfinished_tasks() const;
  std::size_t worker_count() const;
  /// Bytes of state, for the budget per task.
  std::size_t state_bytes() const;

  /// Why a task is where it is, for people: what it waits for or where it went and why, what the
  /// next best worker would have meant, what of its inputs is there, and what holds it up.
  std::string story(RunId run, std::uint32_t task) const;
  /// The answer to a driver's question. Of runs that are not known it says so. At most
  /// Limits::explanation_bytes.
  std::string explain(const protocol::Explain& question, SessionId asker) const;
  /// What was learnt of kernels and workers, as a table for people: kernel, class of workers,
  /// calls, predicted time and how sure that is; worker, slowness, what else its host does; what
  /// links between hosts carry.
  std::string learned() const;
  /// The whole state, for people.
  std::string dump() const;
  /// A number that differs when the state does.
  std::uint64_t digest() const;
  /// Recomputes every derived value; aborts with a story when one is wrong. Linear in the state.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::scheduler
