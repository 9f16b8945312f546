#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "scheduler/data_table.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "scheduler/worker_table.hpp"

/// Policies: where a task goes. Each sees the state as constants and changes nothing.
namespace ashlar::scheduler::placement {

struct View {
  const WorkerTable& workers;
  const ReplicaPool& replicas;
  const Limits& limits;
};

struct Question {
  std::span<const Datum* const> inputs;  ///< each available
  std::uint64_t output_bytes = 0;
  std::int64_t task_ns = 0;  ///< predicted, on an average worker
  const Pool& pool;          ///< workers that could run it
  const Requirement& requirement;
  /// For a task without inputs: where its neighbours in rank went, while it is their turn.
  PeerIndex sibling = no_peer;
  /// For a task without inputs: where the one before it went, whichever its run.
  PeerIndex recent = no_peer;
};

class Policy {
 public:
  virtual ~Policy() = default;
  /// A worker of the pool with room and resources for the task; no_peer when there is none.
  virtual PeerIndex choose(const View& view, const Question& question) = 0;
};

/// The member of the pool with room and resources that has the least load; no_peer: none.
PeerIndex least_loaded_worker(const View& view, const Question& question);

std::unique_ptr<Policy> make_least_loaded();
std::unique_ptr<Policy> make_round_robin();
std::unique_ptr<Policy> make_random(std::uint64_t seed);
std::unique_ptr<Policy> make_policy(PolicyKind kind, std::uint64_t seed);

}  // namespace ashlar::scheduler::placement
