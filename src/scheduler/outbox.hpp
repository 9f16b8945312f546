#pragma once

#include <utility>
#include <vector>

#include "scheduler/scheduler_engine.hpp"
#include "scheduler/worker_table.hpp"

namespace ashlar::scheduler {

/// Gathers what one step says to each worker, so that it leaves in few messages. For each worker
/// the order is: templates dropped, revocations, frees, relocations, prefetches, assignments,
/// templates run; what is relocated after it was assigned is so in a message of its own.
class Outbox {
 public:
  explicit Outbox(WorkerTable& workers) : workers_(workers) {}

  /// What is to be done goes to `actions`, in place of what is there.
  void begin(Actions& actions);
  void to_driver(SessionId session, protocol::SchedulerToDriver message);
  /// Ends a worker that has nothing to do. After flush().
  void shut_down(PeerIndex worker, const std::string& reason) {
    to_worker(worker, protocol::Shutdown{reason});
  }
  void drop(PeerId peer, std::string reason);

  /// Tells `to` about `about` unless it knows. Leaves at once: before what gathers here.
  void introduce(PeerIndex to, PeerIndex about);
  /// Tells everybody who was told of the peer that it is gone.
  void announce_gone(PeerIndex peer, const std::string& reason);

  /// Nothing is gathered for a worker that is not alive.
  void revoke(PeerIndex worker, RunId run, std::uint32_t task, Attempt attempt);
  void free(PeerIndex peer, DatumId datum);
  void relocate(PeerIndex worker, DatumId datum, PeerIndex holder);
  /// Of what is not freed or relocated after that, in this step.
  void prefetch(PeerIndex worker, DatumId datum, std::uint64_t bytes, PeerIndex holder,
                std::uint32_t rank);
  /// The message to add a task to.
  protocol::AssignTasks& assignment(PeerIndex worker, RunId run);
  void run_template(PeerIndex worker, protocol::RunTemplate message) {
    seldom_gathered(worker).templates.push_back(std::move(message));
  }
  void drop_template(PeerIndex worker, SessionId session, std::uint32_t number);

  /// Makes actions of everything gathered.
  void flush();
  std::size_t bytes() const;
  /// Nothing is gathered.
  bool is_empty() const { return open_.empty(); }

 private:
  void to_worker(PeerIndex worker, protocol::SchedulerToWorker message);

  /// What is seldom said comes last: of thousands of workers no more than the rest stays in the
  /// cache.
  struct alignas(64) Gathered {
    bool is_open = false;
    bool has_seldom = false;
    std::vector<DatumId> freed;
    std::vector<protocol::AssignTasks> assignments;

    std::vector<protocol::RevokeTasks> revocations;
    std::vector<protocol::RunTemplate> templates;
    std::vector<protocol::DropTemplates> templates_dropped;
    std::vector<protocol::Prefetch> prefetches;
    protocol::Relocate relocations;
  };
  Gathered& gathered(PeerIndex peer);
  Gathered& seldom_gathered(PeerIndex peer);
  void flush(PeerIndex peer, Gathered& all);

  WorkerTable& workers_;
  Actions* actions_ = nullptr;
  std::vector<Gathered> gathered_;  ///< by peer
  std::vector<PeerIndex> open_;
  // Empty, with the memory of the last step's.
  std::vector<protocol::AssignTasks> spare_;
  std::vector<std::vector<DatumId>> spare_ids_;
};

}  // namespace ashlar::scheduler
