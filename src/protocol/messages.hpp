#pragma once

#include <ashlar/error.hpp>

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "graph/task_graph.hpp"

/// What processes say to each other, as plain structs. docs/wire.md says how they become bytes.
namespace ashlar::protocol {

/// Raised when a message changes in a way that old readers cannot ignore.
inline constexpr std::uint32_t version = 1;

/// Wanted outputs up to this size are pushed to the driver of another host; on one host all are.
inline constexpr std::uint64_t push_bytes_max = 64 << 10;

/// Whether a wanted output of a run with SubmitRun::deliver is pushed by the worker that made it
/// (true), or waits there to be fetched. Both sides apply this rule to their host identities.
inline bool is_pushed(const std::string& host, const std::string& other, std::uint64_t bytes) {
  return bytes <= push_bytes_max || (!host.empty() && host == other);
}

// ---- every link: the first frames ------------------------------------------------------------

enum class Role : std::uint8_t { worker, driver, peer };

/// Where a process can be reached, and which host it is on. Processes of equal, non-empty
/// host_identity share memory.
struct Endpoint {
  std::string host_identity;
  std::string local_address;   ///< "unix:@name", for processes of the same host; or empty
  std::string remote_address;  ///< "tcp://host:port"; or empty
  std::string ucx_address;     ///< "ucx://host:port"; or empty
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// The first frame on every link, from the side that connected.
struct Hello {
  std::uint32_t protocol_version = version;
  std::string software_version;
  Role role = Role::worker;
  std::string token;
  std::string name;  ///< for people: "host:pid"
  Endpoint endpoint;
  PeerId peer;                       ///< Role::peer only: who connects
  std::uint32_t slots = 0;           ///< workers: tasks at once
  std::uint64_t memory_limit = 0;    ///< workers: bytes
  std::vector<std::string> kernels;  ///< workers: names; assignments refer to positions here
  std::vector<std::pair<std::string, double>> resources;  ///< workers
  bool encrypts = false;  ///< it has certificates: so must who talks to it between hosts
  /// Whose certificates it accepts, as net::Tls::authorities has it; empty: it does not say.
  std::vector<std::string> authorities;
  bool keeps_templates = true;  ///< workers: it knows RunTemplate and DropTemplates
  bool returns_loans = false;   ///< on peer links: LoansWanted may be sent
  bool reads_checksums = true;  ///< frames sent to it may have checksums
  bool takes_pieces = true;     ///< on peer links: FetchPiece may be sent
  bool opens_lanes = true;      ///< on peer links: LanesWanted may be sent
  std::uint32_t lane_of = 0;  ///< on peer links: LanesWanted::link of the link it belongs to; or 0
  /// Workers: positions in `kernels` of those without side effects, which may run twice.
  std::vector<std::uint32_t> repeatable;
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The workers that a scheduler has.
struct ClusterSize {
  std::uint32_t workers = 0;
  std::uint64_t slots = 0;  ///< of all of them
  friend bool operator==(const ClusterSize&, const ClusterSize&) = default;
};

/// The answer to Hello when the link is accepted.
struct Welcome {
  std::uint32_t protocol_version = version;
  PeerId peer;                  ///< the newcomer's id (peer links: the answering peer's id)
  SessionId session;            ///< drivers only
  ClusterSize cluster;          ///< drivers only; ClusterSize says when it changes
  bool keeps_templates = true;  ///< drivers only: SubmitRun may name a template
  bool explains = true;         ///< drivers only: it answers Explain
  bool heeds_streams = true;    ///< drivers only: StreamHeld may be sent
  bool returns_loans = false;   ///< on peer links: LoansWanted may be sent
  bool reads_checksums = true;  ///< frames sent to it may have checksums
  bool takes_pieces = true;     ///< on peer links: FetchPiece may be sent
  bool heeds_running = true;    ///< workers only: TasksRunning may be sent
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// The answer to Hello when it is not; the link then closes.
struct Refusal {
  std::string reason;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// Shows that the sender is alive and how loaded it is; from workers to the scheduler, and with
/// zero fields in the other direction.
///
/// Percentages of cores: 100 is one core. 0 also stands for what the system does not tell, or the
/// sender does not know how to say.
struct Heartbeat {
  std::uint64_t memory_used = 0;         ///< of the sender's own limit
  std::uint32_t cpu_percent = 0;         ///< of this process
  std::uint32_t slots_percent = 0;       ///< of the time, spent in kernels: 100 is one slot
  std::uint32_t cores = 0;               ///< that the process may use
  std::uint32_t cores_busy_percent = 0;  ///< of these cores, whoever kept them busy
  std::uint32_t host_cores = 0;
  std::uint32_t host_busy_percent = 0;  ///< of all cores of the host
  std::uint32_t run_queue = 0;          ///< threads of the host that run or could
  std::uint32_t cpu_stall_percent = 0;  ///< of lately, some thread of the host waited for a core
  std::uint64_t process_bytes = 0;      ///< resident, with what is used of the arena
  std::uint64_t host_memory_used = 0;
  std::uint64_t host_memory_limit = 0;
  std::uint64_t cgroup_memory_used = 0;  ///< of the control group nearest to its limit
  std::uint64_t cgroup_memory_limit = 0;
  std::uint64_t sample = 0;  ///< grows with each measurement: a number seen before is old news
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// ---- driver -> scheduler ---------------------------------------------------------------------

/// Templates that a session has at once, at most. (Beyond that a graph is run and not kept.)
inline constexpr std::uint32_t templates_max = 64;
/// Their graphs have so many tasks together, at most.
inline constexpr std::uint64_t template_tasks_max = std::uint64_t{1} << 18;
inline constexpr std::uint32_t no_template = ~std::uint32_t{0};

/// Runs a graph. External datum i of the graph is `externals[i]`.
///
/// With a template number the scheduler keeps the graph, and where its tasks ran, under this
/// number (chosen by the driver, never reused). A later run that names the number has no graph:
/// the kept one is meant.
struct SubmitRun {
  std::uint32_t run = 0;
  std::shared_ptr<const graph::TaskGraph> graph;  ///< null: as kept under template_number
  std::vector<DatumId> externals;
  /// Workers push wanted outputs to the driver as they are made, where that costs nothing (same
  /// host) or little (few bytes); see PushInPlace.
  bool deliver = false;
  /// The results are of use only together: the first failure ends the run.
  bool ends_on_failure = false;
  std::uint32_t template_number = no_template;
};

/// Stops a run: tasks not started never are, results are dropped.
struct CancelRun {
  std::uint32_t run = 0;
  friend bool operator==(const CancelRun&, const CancelRun&) = default;
};

/// The driver holds these buffers in its own store, for tasks to read: data 0 … n-1 of `run`.
struct PutData {
  std::uint32_t run = 0;
  std::vector<std::uint64_t> bytes;
  friend bool operator==(const PutData&, const PutData&) = default;
};

/// The driver needs these wanted or put data no more. (Tasks submitted earlier still may.)
struct ReleaseData {
  std::vector<DatumId> data;
  friend bool operator==(const ReleaseData&, const ReleaseData&) = default;
};

/// Asks where data are now, because a fetch from a told place failed.
struct LocateData {
  std::vector<DatumId> data;
  friend bool operator==(const LocateData&, const LocateData&) = default;
};

/// The session's templates of these numbers are needed no more: by a driver, or told to workers.
struct DropTemplates {
  SessionId session;  ///< to workers; from drivers the link's is meant
  std::vector<std::uint32_t> numbers;
  friend bool operator==(const DropTemplates&, const DropTemplates&) = default;
};

/// Whether the program looks at a part of what the run makes, and takes the next one when it is
/// done with it: memory will then come free, however long that takes. Nothing is held at first.
struct StreamHeld {
  std::uint32_t run = 0;
  bool is_held = false;
  friend bool operator==(const StreamHeld&, const StreamHeld&) = default;
};

enum class Subject : std::uint8_t { cluster, run, task };

/// Asks for a text that explains how all runs are, what bounds a run, or where a task is and why.
/// Answered by Explanation, also about what is not known.
struct Explain {
  static constexpr std::uint32_t latest = ~std::uint32_t{0};

  std::uint64_t request = 0;  ///< chosen by the driver, for the answer
  Subject subject = Subject::run;
  SessionId session = {};      ///< of a cluster: only this one; else none means the driver's own
  std::uint32_t run = latest;  ///< run and task: latest is one that goes on, else the last one
  std::uint32_t task = 0;      ///< task
  friend bool operator==(const Explain&, const Explain&) = default;
};

using DriverToScheduler = std::variant<SubmitRun, CancelRun, PutData, ReleaseData, LocateData,
                                       Heartbeat, DropTemplates, Explain, StreamHeld>;

// ---- scheduler -> driver ---------------------------------------------------------------------

/// Where a process is; sent before anything refers to it.
struct PeerInfo {
  PeerId peer;
  std::string name;
  Endpoint endpoint;
  friend bool operator==(const PeerInfo&, const PeerInfo&) = default;
};

/// A process is gone: data it held alone are lost.
struct PeerGone {
  PeerId peer;
  std::string reason;
  friend bool operator==(const PeerGone&, const PeerGone&) = default;
};

/// Wanted outputs that now exist, in no particular order.
struct DataReady {
  std::uint32_t run = 0;
  std::vector<std::uint32_t> index;
  std::vector<std::uint64_t> bytes;
  std::vector<PeerId> holder;
  friend bool operator==(const DataReady&, const DataReady&) = default;
};

/// What one worker did for one run.
struct WorkerShare {
  PeerId worker;
  std::string name;
  std::uint32_t slots = 0;
  std::uint64_t tasks = 0;
  std::int64_t busy_ns = 0;     ///< summed over its slots
  std::int64_t present_ns = 0;  ///< of the makespan, it was there; 0: all of it
  friend bool operator==(const WorkerShare&, const WorkerShare&) = default;
};

/// Tasks of a run that were moved, or run a second time, because things went otherwise than
/// predicted.
struct RebalanceStats {
  std::uint64_t stolen = 0;   ///< times that a waiting task was moved to an idle worker
  std::uint64_t useful = 0;   ///< of them, tasks that ended sooner than they would have
  std::uint64_t useless = 0;  ///< and that did not; the others were disturbed by something else
  std::uint64_t twins = 0;    ///< tasks of which a second attempt was begun beside the first
  std::uint64_t twins_won = 0;
  std::int64_t twin_ns = 0;  ///< predicted time of the second attempts
  friend bool operator==(const RebalanceStats&, const RebalanceStats&) = default;
};

/// The measured figures of one run, as the scheduler saw it.
struct RunStats {
  std::uint64_t tasks = 0;
  std::int64_t task_ns = 0;           ///< T1: sum of measured task times
  std::int64_t critical_path_ns = 0;  ///< from measured task times
  std::int64_t makespan_ns = 0;       ///< submission to last completion, scheduler's clock
  std::uint64_t local_bytes = 0;      ///< read by workers from other processes of their host
  std::uint64_t remote_bytes = 0;     ///< and from other hosts
  std::vector<WorkerShare> workers;
  std::uint64_t template_tasks = 0;  ///< placed as in an earlier run of the same graph
  std::string bound_by;  ///< for people, the greatest first: "critical path 97 %"; or empty
  std::uint64_t spilled_bytes = 0;  ///< written to disk by workers, to make room in memory
  std::uint64_t loaded_bytes = 0;   ///< and read back
  RebalanceStats rebalance;
  friend bool operator==(const RunStats&, const RunStats&) = default;
};

enum class RunOutcome : std::uint8_t { done, failed, cancelled };

/// A run has ended; nothing follows about it but its data's whereabouts.
/// When it failed, the first failed task says why, and outputs that were made stay until released;
/// of what failed before, DataLost has told.
struct RunEnded {
  std::uint32_t run = 0;
  RunOutcome outcome = RunOutcome::done;
  ErrorKind error_kind = ErrorKind::task_failed;
  std::string error;  ///< names kernel, task, worker and source line
  RunStats stats;
  friend bool operator==(const RunEnded&, const RunEnded&) = default;
};

/// How far a run is; at most ten times a second.
struct RunProgress {
  std::uint32_t run = 0;
  std::uint64_t tasks_done = 0;
  friend bool operator==(const RunProgress&, const RunProgress&) = default;
};

/// The scheduler needs these put data of the driver no more.
struct PutDataUnused {
  std::vector<DatumId> data;
  friend bool operator==(const PutDataUnused&, const PutDataUnused&) = default;
};

/// Data that were wanted or located and cannot be had: what was to make them failed, or read what
/// failed; or their only copy is lost and they cannot be made again.
struct DataLost {
  std::vector<DatumId> data;
  std::string reason;  ///< what was wrong in the first place
  ErrorKind kind = ErrorKind::disconnected;
  friend bool operator==(const DataLost&, const DataLost&) = default;
};

/// The answer to Explain.
struct Explanation {
  std::uint64_t request = 0;
  std::string text;
  friend bool operator==(const Explanation&, const Explanation&) = default;
};

using SchedulerToDriver =
    std::variant<PeerInfo, PeerGone, DataReady, RunEnded, RunProgress, PutDataUnused, DataLost,
                 Heartbeat, ClusterSize, Explanation>;

// ---- scheduler -> worker ---------------------------------------------------------------------

/// How soon a task is to run, beside others of its session: less is sooner. This is the order in
/// which the scheduler gives them out.
struct Urgency {
  /// Of who asks for something without saying how soon: no task has this rank.
  static constexpr std::uint32_t no_rank = ~std::uint32_t{0};

  std::int32_t priority = 0;     ///< the user's, higher first
  std::uint32_t run = 0;         ///< its number: the older first
  std::uint32_t rank = no_rank;  ///< in the run, lower first

  bool is_none() const { return rank == no_rank; }
  friend bool operator==(const Urgency&, const Urgency&) = default;
  friend std::strong_ordering operator<=>(const Urgency& a, const Urgency& b) {
    if (a.priority != b.priority) return b.priority <=> a.priority;
    if (a.run != b.run) return a.run <=> b.run;
    return a.rank <=> b.rank;
  }
};

/// Tasks of one run for one worker, as flat vectors. The worker starts each as soon as its inputs
/// exist; it asks `input_holder` for inputs it does not have, whether made already or not.
struct AssignTasks {
  RunId run;
  // One entry per task.
  std::vector<std::uint32_t> task;
  std::vector<Attempt> attempt;
  std::vector<std::uint32_t> kernel;       ///< position in the worker's Hello::kernels
  std::vector<std::uint32_t> rank;         ///< lower starts first
  std::vector<std::uint64_t> expected_ns;  ///< predicted task time; 0: unknown
  /// As in TaskGraph; only when the input dies here. When the task is done the worker's copy is
  /// gone, whether its buffer could be taken over or not.
  std::vector<std::uint32_t> reuse_input;
  std::vector<std::uint32_t> input_count;
  std::vector<std::uint32_t> output_count;
  std::vector<std::uint32_t> param_bytes;
  std::vector<std::uint8_t> deliver;  ///< 1: push the outputs to `driver`
  PeerId driver;                      ///< the session's driver
  // Concatenated over the tasks.
  std::vector<DatumId> inputs;
  std::vector<std::uint64_t> input_bytes;
  std::vector<PeerId> input_holder;         ///< who has it or will make it
  std::vector<std::uint32_t> outputs;       ///< datum indices in `run`
  std::vector<std::uint64_t> output_bytes;  ///< TaskGraph::dynamic_bytes: the kernel decides
  std::vector<std::byte> params;
  /// The worker keeps these tasks under this number of the run's session, in place of what it may
  /// have kept there, for RunTemplate.
  std::uint32_t template_number = no_template;
  std::vector<std::int32_t> priority = {};  ///< Urgency::priority of each task; empty: 0
  friend bool operator==(const AssignTasks&, const AssignTasks&) = default;
};

/// Tasks as in the AssignTasks that the worker keeps under this number, for another run: the same
/// tasks with the same attempts, their data those of the new run.
struct RunTemplate {
  RunId run;
  std::uint32_t template_number = no_template;
  // One entry for each input entry there that is not of the run itself, in order.
  std::vector<DatumId> inputs;
  std::vector<std::uint64_t> input_bytes;
  std::vector<PeerId> input_holder;
  friend bool operator==(const RunTemplate&, const RunTemplate&) = default;
};

/// Drops assignments: a task not started never is; one that runs is finished and its outputs are
/// dropped. An entry whose attempt is not the worker's current one is ignored.
struct RevokeTasks {
  RunId run;
  std::vector<std::uint32_t> task;
  std::vector<Attempt> attempt;
  friend bool operator==(const RevokeTasks&, const RevokeTasks&) = default;
};

/// Copies of these data are to be dropped (and fetches of them abandoned).
struct FreeData {
  std::vector<DatumId> data;
  friend bool operator==(const FreeData&, const FreeData&) = default;
};

/// These data are to be had (or will be made) elsewhere than the worker was told.
struct Relocate {
  std::vector<DatumId> data;
  std::vector<PeerId> holder;
  friend bool operator==(const Relocate&, const Relocate&) = default;
};

/// Outputs of a run that tasks are to read on the worker's host which it has not been given yet:
/// they had better come now, since links will be the limit. The worker may decline.
struct Prefetch {
  RunId run;
  std::vector<std::uint32_t> datum;
  std::vector<std::uint64_t> bytes;
  std::vector<PeerId> holder;
  std::vector<std::uint32_t> rank;  ///< of the first task that is to read it
  friend bool operator==(const Prefetch&, const Prefetch&) = default;
};

/// The worker ends when its running tasks have.
struct Shutdown {
  std::string reason;
  friend bool operator==(const Shutdown&, const Shutdown&) = default;
};

using SchedulerToWorker =
    std::variant<PeerInfo, PeerGone, AssignTasks, RevokeTasks, FreeData, Relocate, Shutdown,
                 Heartbeat, RunTemplate, DropTemplates, Prefetch>;

// ---- worker -> scheduler ---------------------------------------------------------------------

/// How long a worker may keep to itself which tasks of a template it has done, while others of the
/// run are left there; the scheduler presumes that they go on as predicted.
inline constexpr Duration template_report_delay = Duration::milliseconds(10);

/// Tasks of one run that ended well, in the order they ended.
struct TasksDone {
  RunId run;
  std::vector<std::uint32_t> task;
  std::vector<Attempt> attempt;
  std::vector<std::uint64_t> elapsed_ns;  ///< time in the kernel
  /// Only when some task's outputs were dynamic: bytes of all outputs of all tasks, else empty.
  std::vector<std::uint64_t> output_bytes;
  friend bool operator==(const TasksDone&, const TasksDone&) = default;
};

struct TaskFailed {
  RunId run;
  std::uint32_t task = 0;
  Attempt attempt = 0;
  ErrorKind kind = ErrorKind::task_failed;
  std::string what;  ///< what the kernel said
  friend bool operator==(const TaskFailed&, const TaskFailed&) = default;
};

/// The worker now has copies of these data, fetched for tasks of `run`.
struct DataAcquired {
  RunId run;
  std::vector<DatumId> data;
  std::uint64_t local_bytes = 0;    ///< of them, from processes of the same host
  std::uint64_t remote_bytes = 0;   ///< of them, from other hosts
  std::uint64_t spilled_bytes = 0;  ///< written to disk since the last such message
  std::uint64_t loaded_bytes = 0;   ///< read back from it
  friend bool operator==(const DataAcquired&, const DataAcquired&) = default;
};

/// Fetches failed: the peer has no such datum or, if it is told to be unreachable, may have it, but
/// no link to it can be made or kept.
struct DataMissing {
  std::vector<DatumId> data;
  std::vector<PeerId> peer;  ///< who was asked
  /// Peers to which links have failed again and again, and why.
  std::vector<PeerId> unreachable = {};
  std::vector<std::string> reasons = {};
  std::vector<PeerId> reached = {};  ///< such peers that can be reached after all
  friend bool operator==(const DataMissing&, const DataMissing&) = default;
};

/// The worker is about to leave in good order: assign nothing more.
struct Leaving {
  std::string reason;
  friend bool operator==(const Leaving&, const Leaving&) = default;
};

/// Slots on which tasks still run that were taken back a while ago: a kernel is never interrupted.
/// Sent when their number changes.
struct SlotsHeld {
  std::uint32_t slots = 0;
  friend bool operator==(const SlotsHeld&, const SlotsHeld&) = default;
};

/// Tasks that have run for a while, each on a slot of its own. Sent when one is new among them.
struct TasksRunning {
  std::vector<DatumId> tasks;  ///< run and task
  std::vector<Attempt> attempt;
  std::vector<std::uint64_t> running_ns;  ///< for so long, or up to a look longer
  friend bool operator==(const TasksRunning&, const TasksRunning&) = default;
};

/// Nothing runs on the worker, and these tasks wait for room under its memory limit: for outputs,
/// or for an input that is to be fetched. Holds until the worker reports something else, or is
/// told something. Without tasks: it goes on after all.
struct MemoryShort {
  std::uint64_t received = 0;  ///< the scheduler's messages seen, but heartbeats
  std::uint64_t memory_used = 0;
  std::vector<DatumId> tasks;        ///< run and task
  std::vector<std::uint64_t> bytes;  ///< that each needs
  std::string spill_error;           ///< why the disk does not help, if it should
  friend bool operator==(const MemoryShort&, const MemoryShort&) = default;
};

using WorkerToScheduler = std::variant<TasksDone, TaskFailed, DataAcquired, DataMissing, Leaving,
                                       Heartbeat, MemoryShort, SlotsHeld, TasksRunning>;

}  // namespace ashlar::protocol
