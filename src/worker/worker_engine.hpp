#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "protocol/messages.hpp"

namespace ashlar::worker {

// ---- events: facts ---------------------------------------------------------------------------

struct FromScheduler {
  protocol::SchedulerToWorker message;
};

/// A task that was started has left its slot.
struct TaskEnded {
  std::uint32_t handle = 0;  ///< of StartTask
  std::uint64_t elapsed_ns = 0;
  bool is_ok = true;
  ErrorKind error_kind = ErrorKind::task_failed;
  std::string error = {};
  /// Bytes of each output; empty: as announced.
  std::vector<std::uint64_t> output_bytes = {};
};

/// A datum asked for with StartFetch is now in the store.
struct FetchDone {
  DatumId datum;
  std::uint64_t bytes = 0;
  bool is_in_place = false;  ///< read in another process's arena; takes no memory here
  bool is_local = false;     ///< from a process of the same host
};

/// A datum asked for with StartFetch cannot be had from that peer.
struct FetchFailed {
  DatumId datum;
  PeerId peer;
  std::string broken = {};  ///< why there is no link to the peer; empty: it has no such datum
};

/// Another process asks for a datum of ours, made or to be made.
struct FetchAsked {
  PeerId peer;
  std::uint64_t request = 0;
  DatumId datum;
  protocol::Urgency urgency = {};
};

/// It asks no more (cancelled, or its link closed: `request` none means all of its requests).
struct FetchUnasked {
  static constexpr std::uint64_t all = ~std::uint64_t{0};
  PeerId peer;
  std::uint64_t request = all;
};

/// Time has passed; sent at least ten times a second while anything is under way, and at
/// report_due().
struct Tick {};

/// The process is about to wait for something to happen: what is held back is to be told.
struct Resting {};

/// What AnswerFetch or PushDatum gave is no longer read: sent, or its lease returned. Follows each
/// of them once, for data of more than Limits::untracked_bytes.
struct ReadDone {
  DatumId datum;
};

/// The copy that SpillDatum asked for is whole.
struct SpillDone {
  std::uint64_t copy = 0;
};

/// It could not be written, and takes no disk space.
struct SpillFailed {
  std::uint64_t copy = 0;
  std::string error;  ///< names the disk and the remedy
};

/// The datum that LoadDatum asked for is in the store, unless its copy was dropped meanwhile.
struct LoadDone {
  std::uint64_t copy = 0;
};

/// The copy cannot be read, or is not what was written.
struct LoadFailed {
  std::uint64_t copy = 0;
  std::string error;
};

/// A peer of this host has no room for what others wait for, while this worker reads its memory.
struct LoansWanted {
  PeerId peer;
};

using Event =
    std::variant<FromScheduler, TaskEnded, FetchDone, FetchFailed, FetchAsked, FetchUnasked, Tick,
                 Resting, ReadDone, SpillDone, SpillFailed, LoadDone, LoadFailed, LoansWanted>;

// ---- actions: ordered commands ---------------------------------------------------------------

struct ToScheduler {
  protocol::WorkerToScheduler message;
};

/// Queue this task on a slot. All inputs are in the store; its memory is reserved. task(handle)
/// describes it until its TaskEnded has been stepped.
struct StartTask {
  std::uint32_t handle = 0;
  /// The input whose buffer output 0 takes over (it leaves the store), or TaskGraph::no_input.
  std::uint32_t reuse_input = 0;
};

/// Get a datum from a peer: FetchDone or FetchFailed follows.
struct StartFetch {
  DatumId datum;
  PeerId peer;
  std::uint64_t bytes = 0;
  bool is_copied = false;  ///< it is not to be read in place, also on the same host
  protocol::Urgency urgency = {};
};

/// The datum is no longer needed; no answer is expected, one that comes is dropped.
struct AbandonFetch {
  DatumId datum;
};

/// Give the asker the datum, which is in the store.
struct AnswerFetch {
  PeerId peer;
  std::uint64_t request = 0;
  DatumId datum;
  protocol::Urgency urgency = {};  ///< as it was asked for
};

/// Tell the asker that the datum is not to be had here.
struct RefuseFetch {
  PeerId peer;
  std::uint64_t request = 0;
};

/// Push a fresh output to the driver that wants it.
struct PushDatum {
  PeerId driver;
  DatumId datum;
};

/// The started task was taken back: if it has not begun, it is not to run, and TaskEnded (not ok)
/// follows. One that runs goes on.
struct WithdrawTask {
  std::uint32_t handle = 0;
};

/// Remove a datum from the store (its memory once readers have returned their leases).
struct DropDatum {
  DatumId datum;
};

/// Write the datum, which is in the store and stays there, to disk under a number that was never
/// used before: SpillDone or SpillFailed follows, in any case.
struct SpillDatum {
  DatumId datum;
  std::uint64_t copy = 0;
};

/// Read a copy back into the store: LoadDone or LoadFailed follows, in any case.
struct LoadDatum {
  DatumId datum;
  std::uint64_t copy = 0;
  std::uint64_t bytes = 0;
};

/// The copy is not needed any more, if it could be written; what is being read of it is not to come
/// into the store.
struct DropCopy {
  std::uint64_t copy = 0;
};

/// Tell those who read here in place that this worker has LoansWanted.
struct RecallLoans {};

/// The peer's PeerInfo: where to find it.
struct KnowPeer {
  protocol::PeerInfo info;
};

/// The peer is gone: close links to it.
struct ForgetPeer {
  PeerId peer;
};

/// End the process: nothing runs any more.
struct Exit {
  std::string reason;
};

using Action = std::variant<ToScheduler, StartTask, StartFetch, AbandonFetch, AnswerFetch,
                            RefuseFetch, PushDatum, DropDatum, KnowPeer, ForgetPeer, Exit,
                            WithdrawTask, SpillDatum, LoadDatum, DropCopy, RecallLoans>;
using Actions = std::vector<Action>;

// ---- the engine ------------------------------------------------------------------------------

struct Limits {
  /// What a buffer of so many bytes takes of the memory limit: stores round up.
  std::uint64_t (*taken_bytes)(std::uint64_t bytes) = [](std::uint64_t bytes) { return bytes; };
  /// Started tasks per slot: one runs, the others hide the wait for the next decision.
  std::uint32_t started_per_slot = 2;
  /// Very short tasks are started in larger lots: predicted time per slot that may be started.
  Duration started_time = Duration::microseconds(500);
  std::uint32_t started_per_slot_max = 256;
  /// Fetches from other hosts under way at once, over all peers, and from one peer.
  std::uint32_t fetches = 64;
  std::uint32_t fetches_per_peer = 16;
  /// A link that fails is made again at once, since it may have been cut by chance; then after so
  /// long, each time twice as long, up to the latter.
  Duration link_retry = Duration::milliseconds(50), link_retry_max = Duration::seconds(5);
  /// One that fails for so long is told of: peers that die, or start anew, do so within this time.
  Duration link_patience = Duration::seconds(1);
  /// Requests for data that are not there yet, from one peer.
  std::uint32_t waiting_requests_per_peer = 65536;
  /// A fetch under way for longer waits for its datum to be made: it no longer counts above, so
  /// that such fetches cannot keep out the ones they depend on.
  Duration fetch_patience = Duration::milliseconds(20);
  /// A request for a datum nobody is to make here may have overtaken its assignment: how long
  /// it is kept. As long, an input that is to be made here waits for its producer's assignment.
  Duration unknown_wait = Duration::seconds(2);
  /// A revoked task that still runs holds its slot after so long: the scheduler is told.
  Duration revoked_wait = Duration::milliseconds(50);
  /// How often it is looked which tasks run, at least: of one that runs at two looks the scheduler
  /// is told.
  Duration running_look = Duration::milliseconds(50);
  bool tells_running = true;  ///< the scheduler heeds it
  /// How long what is done may wait to be told together with more, while tasks that take no longer
  /// go on: a message costs this process and the scheduler more than such a task, and may wake the
  /// scheduler on a core that some worker uses. Up to the second value while more tasks are left
  /// here than there is to tell: nobody runs out of work for it. And how much of it.
  Duration report_delay = {}, report_delay_max = {};
  /// … and while tasks of a template are left, which wait for nobody's word.
  Duration report_delay_template = {};
  std::uint32_t reports_held_max = 1024;
  /// Dropped data remembered, about, so that requests for them are refused at once; looked up for
  /// each new datum, so no more than stay in a core's cache.
  std::uint32_t dropped_remembered = 8192;
  /// Whether data may go to disk when memory is short.
  bool can_spill = false;
  /// Smaller data stay in memory: they cost the disk more than they take.
  std::uint64_t spill_bytes_min = 4097;
  /// Data being written at once. More only wait for the disk.
  std::uint32_t spill_writes = 8;
  /// So much of the memory is to be free, or free at once: holding what is on disk, too.
  std::uint32_t room_ahead_percent = 25;
  /// How long no data are written after the disk was full or failed.
  Duration spill_pause = Duration::seconds(5);
  /// A disk that has lost data so often is not written to any more.
  std::uint32_t load_failures = 3;
  /// Tasks per slot, started ones not counted, whose inputs are read back ahead.
  std::uint32_t prefetch_per_slot = 2;
  /// Reads of data up to this size are not followed: they get a copy at once.
  std::uint64_t untracked_bytes = 4096;
  /// A worker that runs nothing and lacks room for so long gives up fetches that wait to be
  /// answered, for its own tasks and what others ask for, and asks for what others read here.
  Duration room_patience = Duration::milliseconds(200);
  /// A worker that waits for inputs for so long, and a second for each of these bytes, takes it
  /// that those who have them lack room to send them.
  Duration fetch_wait = Duration::seconds(30);
  std::uint64_t fetch_bytes_per_second = 10'000'000;
  /// While others read here and something went on within this time, memory may still come back.
  Duration read_wait = Duration::seconds(5);
};

/// What the shell needs to run a started task. Spans live until its TaskEnded has been stepped.
struct TaskView {
  RunId run;
  std::uint32_t task = 0;
  Attempt attempt = 0;
  std::uint32_t kernel = 0;
  std::uint64_t expected_ns = 0;
  std::span<const DatumId> inputs;
  std::span<const std::uint32_t> outputs;       ///< datum indices in `run`
  std::span<const std::uint64_t> output_bytes;  ///< TaskGraph::dynamic_bytes: kernel decides
  std::span<const std::byte> params;
};

struct Counters {
  std::uint64_t tasks_started = 0;
  std::uint64_t tasks_done = 0;
  std::uint64_t fetches = 0;
  std::uint64_t stale_events = 0;
  /// Assignments whose vectors contradict each other, and runs of templates that are not kept.
  std::uint64_t odd_messages = 0;
  std::uint64_t spilled_bytes = 0;
  std::uint64_t loaded_bytes = 0;
};

/// What one worker fetches, runs, keeps and frees. A pure state machine.
///
/// A datum is *here* when it is in the store (made, or fetched). A task is admitted when all its
/// inputs are here and its outputs fit under the memory limit; the lowest rank goes first. Inputs
/// that another process holds or will make are fetched in the order of their tasks' urgency,
/// equally many bytes for each session.
///
/// With Limits::can_spill data go to disk to make room: first what nobody is known to read, then
/// what is needed last; never what a started task or another process reads. They are read back
/// before their tasks' turn.
/// Threads: one at a time.
class WorkerEngine {
 public:
  /// `host_identity` is that of the worker's own Endpoint: fetches from peers of the same host
  /// take no memory, and outputs are pushed to drivers of the same host whatever their size.
  WorkerEngine(PeerId self, std::uint32_t slots, std::uint64_t memory_limit, Limits limits = {},
               std::string host_identity = {});
  ~WorkerEngine();
  WorkerEngine(WorkerEngine&&) noexcept;
  WorkerEngine& operator=(WorkerEngine&&) noexcept;

  void step(std::span<const Event> events, Instant now, Actions& actions);

  /// When a Tick is to come, for what is held back to be told; the end of time if nothing is.
  Instant report_due() const;

  TaskView task(std::uint32_t handle) const;
  const Counters& counters() const;
  std::uint64_t memory_reserved() const;
  /// Nothing queued, running, fetched or held, and no template kept.
  bool is_empty() const;

  std::string story(RunId run, std::uint32_t task) const;
  std::string dump() const;
  std::uint64_t digest() const;
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::worker
