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
/// Its first run is placed like any other. When that has ended, `where` says who ran each task. The
/// next run goes to the same workers, which keep what they are told; for further ones they are told
/// only what is different.
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
  std::vector<PeerIndex> where;  ///< by task; empty: not known, and nothing below holds
  std::uint64_t membership = 0;  ///< WorkerTable's, for which `where` is meant
  std::vector<PeerIndex> hot;    ///< hot_workers(), for which it is meant, too
  std::vector<Part> parts;       ///< by worker
  std::unique_ptr<Run> fresh;    ///< a run of it before anything happens, or none yet
  bool is_with_workers = false;  ///< they keep it, and what follows is known
  TaskTable placed;              ///< all tasks assigned
  /// Data of the run that go to other workers than their makers: index, and to whom.
  std::vector<std::pair<std::uint32_t, PeerIndex>> copies;

  double imbalance = 1;        ///< when the placement was new; of the first one, as if perfect
  std::int64_t excess_ns = 0;  ///< likewise
  std::uint32_t runs_bad = 0;  ///< in a row, less balanced than that
  std::uint32_t patience = 0;  ///< for how many of them; 0: the usual

  std::size_t bytes() const;
};

}  // namespace ashlar::scheduler
