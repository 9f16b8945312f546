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

namespace ashlar::driver {

// ---- events: facts ---------------------------------------------------------------------------

/// Data that the program looks at one after the other, in bounded memory: the run's own outputs, or
/// data that exist already. A datum may stand at several positions.
struct StreamOrder {
  std::vector<DatumId> data;
  /// Entries are pulled while this is not exceeded by those that are here or on their way; two of
  /// them may be in any case, so that one comes while the other one is read.
  std::uint64_t bytes_max = 0;
  /// Entries are pulled in order; else the first that exists.
  bool is_in_order = true;
};

/// The program asks for a run. `bring_home`: its wanted outputs are to be brought into this
/// process as they are made (compute, futures), else they stay on the workers (persist).
/// The engine sets SubmitRun::deliver accordingly. Run numbers are not reused. With a template
/// number there is a graph, too: the engine sends it once. Each graph has a number of its own.
struct SubmitAsked {
  protocol::SubmitRun run;
  bool bring_home = true;
  StreamOrder stream = {};
};

/// The program is done with an entry of the run's stream that was delivered: its copy here may go.
struct StreamMoved {
  std::uint32_t run = 0;
  std::uint32_t position = 0;
};

/// The program wants nothing more of the run's stream.
struct StreamEnded {
  std::uint32_t run = 0;
};

/// No run will name this template any more.
struct DropTemplateAsked {
  std::uint32_t number = 0;
};

struct CancelAsked {
  std::uint32_t run = 0;
};

/// The program put buffers into the local store as data 0 … n-1 of `put.run`.
struct PutAsked {
  protocol::PutData put;
};

/// The program wants these data (outputs of ended or running runs) brought into this process.
struct BringAsked {
  std::vector<DatumId> data;
};

/// The program is done with these data: its own or the workers' copies may go.
struct ReleaseAsked {
  std::vector<DatumId> data;
};

/// The program wants something explained.
struct ExplainAsked {
  protocol::Explain question;
};

struct FromScheduler {
  protocol::SchedulerToDriver message;
};

/// A datum came, pushed or fetched, and is in the local store.
struct Arrived {
  DatumId datum;
  std::uint64_t bytes = 0;
  bool is_local = true;  ///< from a process of this host
};

struct FetchFailed {
  DatumId datum;
  PeerId peer;
};

/// The link to the scheduler closed. Everything pending fails.
struct SchedulerLost {
  std::string reason;
};

struct Tick {};

using Event = std::variant<SubmitAsked, CancelAsked, PutAsked, BringAsked, ReleaseAsked,
                           FromScheduler, Arrived, FetchFailed, SchedulerLost, Tick,
                           DropTemplateAsked, ExplainAsked, StreamMoved, StreamEnded>;

// ---- actions: ordered commands ---------------------------------------------------------------

struct ToScheduler {
  protocol::DriverToScheduler message;
};

struct StartFetch {
  DatumId datum;
  PeerId peer;
  std::uint64_t bytes = 0;
};

struct AbandonFetch {
  DatumId datum;
};

/// A datum that was to be brought home is here: hand it to whoever waits. It stays in the local
/// store until DropDatum.
struct Deliver {
  DatumId datum;
};

/// An entry of a run's stream is here, and stays until StreamMoved. Entries of a stream that fails
/// or is ended by the program are not to be looked at any more.
struct StreamDeliver {
  std::uint32_t run = 0;
  std::uint32_t position = 0;
  DatumId datum;
};

/// A wanted output exists on some worker (persist: nothing is brought).
struct Exists {
  DatumId datum;
};

/// A datum can not be had. Each datum that was asked for ends in Deliver or DatumFailed, each
/// wanted output that is not brought in Exists or DatumFailed.
struct DatumFailed {
  DatumId datum;
  ErrorKind kind = ErrorKind::task_failed;
  std::string error;
};

/// A run has ended, and every wanted output that was to be brought home was delivered or failed.
/// The program is done with its stream, which otherwise has failed, and the run with it. The bytes
/// that came home are among the moved bytes of `stats`.
struct RunFinished {
  std::uint32_t run = 0;
  protocol::RunOutcome outcome = protocol::RunOutcome::done;
  ErrorKind error_kind = ErrorKind::task_failed;
  std::string error;
  protocol::RunStats stats;
};

struct Progress {
  std::uint32_t run = 0;
  std::uint64_t tasks_done = 0;
  std::uint64_t tasks = 0;
};

/// Remove a datum from the local store: a put buffer nobody needs, or a fetched copy.
struct DropDatum {
  DatumId datum;
};

struct KnowPeer {
  protocol::PeerInfo info;
};

struct ForgetPeer {
  PeerId peer;
};

struct KnowCluster {
  protocol::ClusterSize size;
};

/// The answer to what was asked under this number. None comes once the scheduler is lost.
struct Explained {
  std::uint64_t request = 0;
  std::string text;
};

using Action =
    std::variant<ToScheduler, StartFetch, AbandonFetch, Deliver, Exists, DatumFailed, RunFinished,
                 Progress, DropDatum, KnowPeer, ForgetPeer, KnowCluster, Explained, StreamDeliver>;
using Actions = std::vector<Action>;

// ---- the engine ------------------------------------------------------------------------------

struct Limits {
  /// Fetches under way at once: results merge as they come, memory stays bounded.
  std::uint32_t fetches = 16;
  /// How long after DataReady a push is waited for before the datum is fetched instead.
  Duration push_wait = Duration::milliseconds(500);
  /// Failed fetches of one datum before it is given up.
  std::uint32_t fetch_attempts = 8;
  /// From the second failure on the scheduler is asked so much later: it may have yet to hear that
  /// the holder has died.
  Duration fetch_retry = Duration::milliseconds(100);
  /// The scheduler knows templates; else every run takes its graph along.
  bool keeps_templates = true;
  /// It wants to know when the program looks at a part of a stream.
  bool says_what_is_held = true;
};

/// How results come home: which data to pull, in which order, and what is still owed to the
/// program. A pure state machine.
///
/// Threads: one at a time.
class DriverEngine {
 public:
  /// `host_identity` is that of the driver's own Endpoint; see protocol::is_pushed.
  explicit DriverEngine(SessionId session, Limits limits = {}, std::string host_identity = {});
  ~DriverEngine();
  DriverEngine(DriverEngine&&) noexcept;
  DriverEngine& operator=(DriverEngine&&) noexcept;

  void step(std::span<const Event> events, Instant now, Actions& actions);

  /// Runs not yet finished.
  std::size_t open_runs() const;
  std::string dump() const;
  std::uint64_t digest() const;
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::driver
