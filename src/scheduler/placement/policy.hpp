#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "graph/task_graph.hpp"
#include "scheduler/data_table.hpp"
#include "scheduler/decision.hpp"
#include "scheduler/kept_tasks.hpp"
#include "scheduler/link_model.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "scheduler/worker_table.hpp"

/// Policies: where a task goes. Each sees the state as constants and changes nothing.
namespace ashlar::scheduler::placement {

struct View {
  const WorkerTable& workers;
  const ReplicaPool& replicas;
  const LinkModel& links;
  const KeptTasks& kept;
  const Limits& limits;
};

struct Question {
  KeptTasks::Entry turn;                  ///< the task's, among those kept
  std::span<const Datum* const> inputs;   ///< each available
  std::span<const std::int64_t> made_ns;  ///< of each input: for how long it will not be made yet
  const Datum* taken_over = nullptr;      ///< the input whose buffer an output may take over
  std::uint64_t output_bytes = 0;
  std::int64_t task_ns = 0;  ///< predicted, on an average worker
  const Pool& pool;          ///< workers that could run it
  const Requirement& requirement;
  /// For a task without inputs: where its neighbours in rank went, while it is their turn.
  PeerIndex sibling = no_peer;
  /// For a task without inputs: where the one before it went, whichever its run.
  PeerIndex recent = no_peer;
  PeerIndex planned = no_peer;    ///< what plan() said
  std::uint32_t owner = no_host;  ///< the host that is to run it, so that little moves
  std::span<const std::uint32_t> owned_left = {};  ///< what hosts own of the run, by host
  bool is_owner_firm = false;  ///< others do not take it, though they have nothing left
  /// Predicted by class of workers; empty while there is one class.
  std::span<const std::int64_t> class_ns = {};
  /// Workers that are not to get it, as they cannot reach what it reads, or others cannot reach
  /// them.
  std::span<const PeerIndex> barred = {};
  bool is_cut = false;       ///< some of them cannot reach what it reads
  PeerIndex home = no_peer;  ///< in whose Peer::home_ns it is

  /// Predicted on this worker.
  double ns_on(const Peer& peer) const {
    const std::int64_t average = class_ns.empty() ? task_ns : class_ns[peer.worker_class];
    return static_cast<double>(average) * peer.slowness;
  }
};

/// Where a task is, or was, and in how long it is expected to be done: 0, if it is.
struct Placed {
  PeerIndex worker = no_peer;
  std::int64_t end_ns = 0;
};

/// A worker for each task of a run, or nothing.
struct Schedule {
  std::vector<PeerIndex> workers;
  Duration pause = {};  ///< so long it is not made again: that takes time
};

/// A run that was submitted.
struct Submission {
  const graph::TaskGraph& graph;
  const std::vector<std::uint32_t>& producer;  ///< by output datum
  const graph::Consumers& consumers;
  std::function<std::int64_t(std::uint32_t task)> task_ns;   ///< predicted, average worker
  std::function<const Pool&(std::uint32_t task)> pool = {};  ///< plan() only: who could run it
  std::vector<std::uint64_t> made_bytes = {};  ///< by output, when some was made; or empty
  /// plan() only: nothing for tasks that have no place yet.
  std::function<std::optional<Placed>(std::uint32_t task)> placed = {};
  /// Where an external datum is, or no_host if that is not known; or empty.
  std::function<std::uint32_t(std::uint32_t external)> external_host = {};

  std::uint64_t bytes_of(std::uint32_t datum) const {
    const std::uint32_t outputs = graph.output_count();
    if (datum >= outputs) return graph.external_bytes[datum - outputs];
    return made_bytes.empty() ? graph.output_bytes[datum] : made_bytes[datum];
  }
  std::optional<Placed> place_of(std::uint32_t task) const {
    return placed ? placed(task) : std::nullopt;
  }
  std::uint32_t host_of_external(std::uint32_t datum) const {
    return external_host ? external_host(datum - graph.output_count()) : no_host;
  }
};

/// Whether the worker has the resources for the task now, and may ever hold its outputs.
inline bool is_able(const View& view, const Question& question, PeerIndex worker) {
  return view.workers.has_resources(worker, question.requirement) &&
         view.workers.at(worker).could_hold(question.output_bytes) &&
         std::ranges::find(question.barred, worker) == question.barred.end();
}

inline bool is_possible(const View& view, const Question& question, PeerIndex worker) {
  return worker < question.pool.is_member.size() && question.pool.is_member[worker] &&
         view.workers.has_free_slot(worker) && is_able(view, question, worker);
}

/// 0 when it is not known yet.
inline std::uint64_t known_bytes(const Datum& datum) {
  return datum.bytes == graph::TaskGraph::dynamic_bytes ? 0 : datum.bytes;
}

/// Visits who has the datum, or will: the primary, and some of the other ones.
template <class Visit>
void for_holders(const View& view, const Datum& datum, Visit visit) {
  constexpr std::uint32_t holders_per_input = 16;
  visit(datum.primary);
  std::uint32_t looked_at = 0;
  for (std::uint32_t node = datum.replicas;
       node != ReplicaPool::end && looked_at < holders_per_input; ++looked_at) {
    const ReplicaPool::Replica& replica = view.replicas.at(node);
    visit(replica.peer);
    node = replica.next;
  }
}

class Policy {
 public:
  virtual ~Policy() = default;
  /// Whether it minds owners (owners.hpp): else no task has one.
  virtual bool minds_owners() const { return false; }
  /// Whether graphs that run again may run by a better plan (replan.hpp) than it made.
  virtual bool may_be_improved() const { return true; }
  virtual TaskOrder order(const View& view, const Submission& run);
  /// A worker for each task of the run without a place, for choose() to be reminded of.
  virtual Schedule plan(const View&, const Submission&) { return {}; }
  /// Whether plan() is asked again, of what is left, when workers have come or gone.
  virtual bool plans_again() const { return false; }
  /// A worker of the pool with resources for the task; no_peer when there is none. One without
  /// room (Limits::holder_windows) is worth waiting for.
  virtual Choice choose(const View& view, const Question& question) = 0;
};

/// The member of the pool with room and resources that has the least load; no_peer: none.
PeerIndex least_loaded_worker(const View& view, const Question& question);
/// The same, as a choice.
inline Choice choose_least_loaded(const View& view, const Question& question) {
  return {.worker = least_loaded_worker(view, question), .reason = Reason::least_loaded};
}

std::unique_ptr<Policy> make_least_loaded();
std::unique_ptr<Policy> make_locality();
std::unique_ptr<Policy> make_heft();
std::unique_ptr<Policy> make_lshs();
std::unique_ptr<Policy> make_round_robin();
std::unique_ptr<Policy> make_random(std::uint64_t seed);
std::unique_ptr<Policy> make_policy(PolicyKind kind, std::uint64_t seed);

}  // namespace ashlar::scheduler::placement
