#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"
#include "scheduler/run.hpp"

namespace ashlar::scheduler {

/// A graph that a session runs again and again, and where its tasks are to run (after the execution
/// templates of Nimbus: Mashayekhi et al., USENIX ATC'17).
///
/// Its first run is placed like any other. When that has ended, `where` and `order` are as it ran,
/// or what is better by the times that are known then (placement/replan.hpp). The next run goes to
/// these workers, which keep what they are told; for further ones they are told only what is
/// different.
struct Template {
  /// What one worker has of it.
  struct Part {
    PeerIndex worker = no_peer;
    std::uint32_t tasks = 0;
    std::int64_t expected_ns = 0;
    /// Of each input entry that is not of the run itself, which external datum it is: in the order
    /// in which the worker keeps the tasks.
    std::vector<std::uint32_t> externals;
  };

  std::shared_ptr<const graph::TaskGraph> graph;
  bool delivers = false;
  std::vector<PeerIndex> where;      ///< by task; empty: not known, and nothing below holds
  std::vector<std::uint32_t> order;  ///< planned with that: tasks by rank; empty: the policy's
  std::uint64_t membership = 0;      ///< WorkerTable's, for which `where` is meant
  std::vector<PeerIndex> hot;        ///< hot_workers(), for which it is meant, too
  std::vector<Part> parts;           ///< by worker
  std::unique_ptr<Run> fresh;        ///< a run of it before anything happens, or none yet
  bool is_with_workers = false;      ///< they keep it, and what follows is known
  TaskTable placed;                  ///< all tasks assigned
  /// A datum of the run that goes to another worker than its maker.
  struct Copy {
    std::uint32_t index = 0;
    PeerIndex peer = no_peer;
    PeerIndex from = no_peer;
  };
  std::vector<Copy> copies;

  static constexpr double unknown = 0;  ///< imbalance: that of the next run
  double imbalance = 1;        ///< when the placement was new; of the first one, as if perfect
  std::int64_t excess_ns = 0;  ///< likewise
  std::uint32_t runs_bad = 0;  ///< in a row, less balanced than that
  std::uint32_t patience = 0;  ///< for how many of them; 0: the usual

  std::size_t bytes() const;
};

}  // namespace ashlar::scheduler
