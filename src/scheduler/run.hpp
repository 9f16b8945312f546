#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "graph/task_graph.hpp"
#include "protocol/messages.hpp"
#include "scheduler/data_table.hpp"
#include "scheduler/decision.hpp"
#include "scheduler/slot_account.hpp"
#include "scheduler/task_table.hpp"
#include "scheduler/worker_table.hpp"

namespace ashlar::scheduler {

/// A run that reads a datum of this one: its slot, and which of its externals that is.
struct Watcher {
  std::uint32_t datum = 0;
  std::uint32_t run = 0;
  std::uint32_t external = 0;
  friend auto operator<=>(const Watcher&, const Watcher&) = default;
};

/// What one worker did for a run.
struct Share {
  PeerIndex worker = no_peer;
  std::uint64_t tasks = 0;
  std::int64_t busy_ns = 0;
};

/// What a process received from other hosts for a run, and sent to them.
struct Traffic {
  PeerIndex peer = no_peer;
  std::uint64_t received = 0, sent = 0;  ///< bytes
};

/// Why tasks ended without a result.
struct Cause {
  ErrorKind kind = ErrorKind::task_failed;
  std::string text;  ///< what was wrong in the first place
};
using CausePtr = std::shared_ptr<const Cause>;

/// One execution of a graph, or a batch of data the driver put (no graph, nothing to run). Lives
/// while something in it runs or any of its data may be needed.
struct Run {
  RunId id;
  std::uint32_t slot = 0;
  std::uint64_t sequence = 0;                     ///< older runs have lower numbers
  std::shared_ptr<const graph::TaskGraph> graph;  ///< null: put data
  graph::Consumers consumers;
  std::vector<std::uint32_t> producer;
  std::vector<std::uint32_t> kernel_ids;  ///< WorkerTable's, by the graph's kernel
  TaskTable tasks;
  std::vector<Decision> decisions;        ///< by task
  std::vector<Datum> data;                ///< outputs, or put data
  std::vector<DataRef> externals;         ///< no_run: gone
  std::vector<PeerIndex> planned;         ///< the policy's, by task, or empty
  bool was_planned = false;               ///< at some time
  std::uint64_t planned_membership = 0;   ///< the workers that there were then, …
  std::size_t planned_workers = 0;        ///< … and how many: a plan is not for who joins
  std::vector<std::uint32_t> owners;      ///< hosts, by task (owners_of), or empty
  std::vector<std::uint32_t> owned_left;  ///< unfinished tasks that a host owns, by host, or empty
  bool prefetches = false;                ///< TaskOrder's …
  bool are_owners_firm = false;           ///< … likewise
  std::uint64_t sizes_after = 0;          ///< done tasks its data's are looked at; 0: never
  /// By task, or empty: the user's, or that of what waits for the task if that is higher.
  std::vector<std::int32_t> priority;
  std::set<Watcher> watchers;

  std::uint32_t template_number = protocol::no_template;  ///< of its session
  bool is_new = true;                                     ///< none of its tasks was looked at yet
  bool is_instantiated = false;                           ///< placed as its template says
  std::uint64_t membership = 0;                           ///< WorkerTable's, when it was submitted

  bool is_ended = false;    ///< its RunEnded was sent …
  bool ended_well = false;  ///< … with all results, whatever is lost later
  bool delivers = false;
  bool ends_on_failure = false;
  bool is_held = false;                        ///< StreamHeld
  std::vector<CausePtr> causes;                ///< of its failures, the first one first
  std::map<std::uint32_t, CausePtr> given_up;  ///< wanted data that were made, and are lost
  CausePtr end_cause;                          ///< what ended it as a whole; none: nothing did
  std::uint32_t pinned = 0;                    ///< data that are wanted
  std::uint64_t outside_uses = 0;              ///< of its data, by other runs

  /// Of what waits for the run's data in other runs: at least that of its own tasks; none: lowest.
  std::int32_t raised_priority = std::numeric_limits<std::int32_t>::min();
  bool is_in_ready_set = false;
  std::int32_t ready_priority = 0;  ///< under which it is there

  /// Tasks without inputs go to the workers in blocks of neighbours, so that what they feed finds
  /// its inputs together.
  std::uint32_t roots = 0;
  PeerIndex sibling = no_peer;     ///< who has the block now
  std::uint32_t sibling_left = 0;  ///< of its block
  double roots_due = 0;            ///< all blocks so far, by the workers' shares
  double roots_given = 0;          ///< … and as whole tasks

  Instant submitted;
  Instant last_done;
  Instant ended;
  std::uint64_t done_count = 0;
  std::uint64_t reported_done = 0;
  std::int64_t task_ns = 0;
  std::uint64_t path_ns = 0;
  std::uint32_t path_end = 0;  ///< the task at the end of that path
  std::uint64_t local_bytes = 0, remote_bytes = 0;
  std::uint64_t spilled_bytes = 0, loaded_bytes = 0;
  std::vector<Share> shares;
  std::vector<Traffic> traffic;  ///< ascending peers
  SlotAccount slot_time;         ///< of all workers: when it was submitted; ended: since then
  protocol::RebalanceStats rebalance;

  /// It goes on, or its data are wanted or read.
  bool is_needed() const { return !is_ended || pinned > 0 || outside_uses > 0; }
  std::uint32_t output_count() const { return graph ? graph->output_count() : 0; }
  /// The datum a task of this run calls `datum`.
  DataRef resolve(std::uint32_t datum) const {
    return datum < output_count() ? DataRef{slot, datum} : externals[datum - output_count()];
  }
  std::int32_t priority_of(std::uint32_t task) const {
    return priority.empty() ? 0 : priority[task];
  }
  bool has_priorities() const {
    return !priority.empty() || raised_priority > std::numeric_limits<std::int32_t>::min();
  }
  double flops_of(std::uint32_t task) const {
    return graph->flops.empty() ? 0 : static_cast<double>(graph->flops[task]);
  }
  double moved_bytes_of(std::uint32_t task) const {
    return graph->moved_bytes.empty() ? 0 : static_cast<double>(graph->moved_bytes[task]);
  }
  /// Sets who owns its tasks, none of which may have been done yet.
  void own(std::vector<std::uint32_t> hosts);
  std::uint32_t owner_of(std::uint32_t task) const {
    return owners.empty() ? no_host : owners[task];
  }
  /// The task that may take over its first output's buffer, if there is one.
  std::optional<std::uint32_t> heir_of(std::uint32_t task) const;
  const std::string& kernel_name(std::uint32_t task) const {
    return graph->kernels[graph->kernel[task]];
  }
  /// Which of `causes` that is; a new one is added.
  std::uint32_t number_of(const CausePtr& cause);
  /// Why one of its wanted data is lost.
  CausePtr why_lost(std::uint32_t datum) const;
  /// The lowest rank among assignable tasks; RankSet::none when there is none.
  std::uint32_t best_ready_rank() const;
  Share& share_of(PeerIndex worker);
  Traffic& traffic_of(PeerIndex peer);
  std::string label() const { return "run " + std::to_string(id.number); }
  /// "task 3, kernel "add", main.cpp:7 main"
  std::string label(std::uint32_t task) const;
  std::size_t bytes() const;
};

/// Builds a run of a valid graph: orders its tasks by user priority, then by rank, and groups
/// them by what they need. External data are bound by the caller.
/// `ranks` gives the order apart from user priority.
std::unique_ptr<Run> make_run(RunId id, std::shared_ptr<const graph::TaskGraph> graph,
                              WorkerTable& workers,
                              const std::function<TaskOrder(const Run&)>& order);

}  // namespace ashlar::scheduler
