#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "scheduler/rank_set.hpp"

namespace ashlar::scheduler {

/// Position of a peer in the WorkerTable.
using PeerIndex = std::uint32_t;
inline constexpr PeerIndex no_peer = ~PeerIndex{0};

enum class TaskState : std::uint8_t {
  waiting,     ///< an input neither exists nor has an assigned producer
  assignable,  ///< may be placed
  assigned,    ///< on a worker, which starts it when its inputs are there
  done,
  failed,
  cancelled,
};
inline constexpr std::size_t task_state_count = 6;
std::string_view name_of(TaskState state);

struct TaskRecord {
  std::uint64_t path_ns = 0;      ///< longest measured chain that ends here, when done
  std::uint64_t expected_ns = 0;  ///< what it adds to its worker's queue
  Instant due;                    ///< when it was expected to be done, as it was assigned
  PeerIndex worker = no_peer;     ///< when assigned, kept or at home: where; done: where it ran
  Attempt attempt = 0;
  /// Inputs that neither exist nor will; of one that failed or was cancelled: which of its run's
  /// causes says why.
  std::uint32_t blocked = 0;
  std::uint16_t task_class = 0;
  TaskState state = TaskState::waiting;
  std::uint8_t killed : 4 = 0;  ///< workers that died while it may have been running
  bool is_beside : 1 = false;   ///< assigned beside its worker's window
  bool is_at_home : 1 = false;  ///< assignable: will probably go to `worker`
  bool is_kept : 1 = false;     ///< assignable, but kept back for `worker`, which is full
  bool takes_over : 1 = false;  ///< was told to take over an input's buffer
};
static_assert(sizeof(TaskRecord) <= 40, "runs have millions of tasks");

/// Tasks of one run that need the same of a worker.
struct TaskClass {
  std::uint32_t requirement = 0;  ///< in the WorkerTable
  std::uint32_t unfinished = 0;
  std::uint64_t blocked_round = 0;  ///< the placement round in which no worker had room
  RankSet ready;                    ///< ranks of its assignable tasks that are not kept
};

/// The tasks of one run. transition() is the one door for task state.
/// In which order the tasks of a run are placed and started.
struct TaskOrder {
  std::vector<std::uint32_t> ranks;  ///< producers before consumers: a permutation of 0 … count-1
  std::vector<std::uint32_t> owners;  ///< by task, the host that is to run it, or no_host; or empty
  bool prefetches = false;  ///< what owned tasks read is to come to their hosts once it is made
  bool are_owners_firm =
      false;  ///< even hosts that have done all they own leave others' tasks alone
};

class TaskTable {
 public:
  TaskTable() = default;
  /// Every task starts as waiting. `rank` and `order` are inverse to each other.
  TaskTable(std::uint32_t count, std::vector<std::uint32_t> rank, std::vector<std::uint32_t> order);

  std::uint32_t size() const { return static_cast<std::uint32_t>(records_.size()); }
  const TaskRecord& at(std::uint32_t task) const { return records_[task]; }
  /// Everything but the state may be written.
  TaskRecord& edit(std::uint32_t task) { return records_[task]; }
  TaskState state(std::uint32_t task) const { return records_[task].state; }
  std::uint32_t rank(std::uint32_t task) const { return rank_[task]; }
  /// The tasks, lowest rank first.
  const std::vector<std::uint32_t>& order() const { return order_; }
  std::uint32_t task_of_rank(std::uint32_t rank) const { return order_[rank]; }

  /// Moves a task along the table of allowed moves, and keeps counts and ready sets.
  /// Requires that the task is not kept.
  void transition(std::uint32_t task, TaskState to);
  /// Takes an assignable task out of the ready set of its class, or puts it back.
  void set_kept(std::uint32_t task, bool is_kept);
  static bool is_allowed(TaskState from, TaskState to);

  std::uint32_t count(TaskState state) const { return counts_[static_cast<std::size_t>(state)]; }
  /// Assignable tasks that are not kept.
  std::uint32_t ready_count() const { return count(TaskState::assignable) - kept_; }
  /// Tasks that may still run.
  std::uint32_t unfinished() const {
    return count(TaskState::waiting) + count(TaskState::assignable) + count(TaskState::assigned);
  }

  std::vector<TaskClass>& classes() { return classes_; }
  const std::vector<TaskClass>& classes() const { return classes_; }
  /// Requires that the task is waiting and was in no class.
  void join_class(std::uint32_t task, std::uint16_t task_class);

  std::size_t bytes() const;
  void check_invariants() const;

 private:
  std::vector<TaskRecord> records_;
  std::vector<std::uint32_t> rank_;
  std::vector<std::uint32_t> order_;
  std::vector<TaskClass> classes_;
  std::array<std::uint32_t, task_state_count> counts_{};
  std::uint32_t kept_ = 0;
};

/// Whether a task in this state may still run.
inline bool is_unfinished(TaskState state) { return state < TaskState::done; }

}  // namespace ashlar::scheduler
