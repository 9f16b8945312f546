#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "scheduler/data_table.hpp"
#include "scheduler/kept_tasks.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "scheduler/worker_table.hpp"

/// Policies: where a task goes. Each sees the state as constants and changes nothing.
namespace ashlar::scheduler::placement {

struct View {
  const WorkerTable& workers;
  const ReplicaPool& replicas;
  const KeptTasks& kept;
  const Limits& limits;
};

struct Question {
  KeptTasks::Entry turn;                 ///< the task's, among those kept
  std::span<const Datum* const> inputs;  ///< each available
  const Datum* taken_over = nullptr;     ///< the input whose buffer an output may take over
  std::uint64_t output_bytes = 0;
  std::int64_t task_ns = 0;  ///< predicted, on an average worker
  const Pool& pool;          ///< workers that could run it
  const Requirement& requirement;
  /// For a task without inputs: where its neighbours in rank went, while it is their turn.
  PeerIndex sibling = no_peer;
  /// For a task without inputs: where the one before it went, whichever its run.
  PeerIndex recent = no_peer;
};

/// Whether the worker has the resources for the task now, and may ever hold its outputs.
inline bool is_able(const View& view, const Question& question, PeerIndex worker) {
  const std::uint64_t limit = view.workers.at(worker).memory_limit;
  return view.workers.has_resources(worker, question.requirement) &&
         (limit == 0 || question.output_bytes <= limit);
}

class Policy {
 public:
  virtual ~Policy() = default;
  /// A worker of the pool with resources for the task; no_peer when there is none. One without
  /// room (Limits::holder_windows) is worth waiting for.
  virtual PeerIndex choose(const View& view, const Question& question) = 0;
};

/// The member of the pool with room and resources that has the least load; no_peer: none.
PeerIndex least_loaded_worker(const View& view, const Question& question);

std::unique_ptr<Policy> make_least_loaded();
std::unique_ptr<Policy> make_round_robin();
std::unique_ptr<Policy> make_random(std::uint64_t seed);
std::unique_ptr<Policy> make_policy(PolicyKind kind, std::uint64_t seed);

}  // namespace ashlar::scheduler::placement
