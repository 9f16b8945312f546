#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"
#include "protocol/messages.hpp"
#include "scheduler/host_load.hpp"
#include "scheduler/indexed_heap.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "scheduler/task_table.hpp"
#include "scheduler/worker_speed.hpp"

namespace ashlar::scheduler {

/// A task that was assigned to a worker, and may still be.
struct Given {
  std::uint64_t sequence = 0;  ///< the run's: slots are used again
  std::uint32_t run = 0;       ///< its slot
  std::uint32_t task = 0;
  Attempt attempt = 0;
  std::uint32_t step = 0;  ///< in which it was
};

/// A task that the worker said it runs, since then or longer.
struct Running {
  Given task;
  Instant since;
};

/// Of a task: it may as well run on any host.
inline constexpr std::uint32_t no_host = ~std::uint32_t{0};

/// A process with a store: a worker, or a session's driver. What each decision looks at comes
/// first, in two lines of the cache: of thousands of workers no more than that stays there.
struct alignas(64) Peer {
  std::uint32_t host = 0;  ///< equal for processes that share memory
  bool is_worker = false;
  bool is_alive = true;
  bool is_leaving = false;
  bool is_dropped = false;  ///< said the impossible: not listened to any more

  // Workers.
  std::uint32_t slots = 1;
  std::uint32_t slots_held = 0;  ///< by tasks that were taken back and still run
  std::uint32_t assigned = 0;
  std::uint32_t beside = 0;        ///< of these, tasks beside its window
  std::uint32_t worker_class = 0;  ///< equal for workers with the same kinds of resources
  PeerId id;
  std::int64_t queued_ns = 0;
  std::int64_t progress_ns = 0;  ///< per slot, presumed done of that, though not told yet
  std::int64_t kept_ns = 0;      ///< of tasks kept for it while it is full
  std::int64_t home_ns = 0;      ///< of assignable tasks that will probably come to it
  std::int64_t heat_ns = 0;      ///< it is chosen like one with so much more work
  double slowness = 1;           ///< measured time over that of the average worker
  std::uint64_t memory_limit = 0;
  std::uint64_t memory_used = 0;
  Instant busy_since;                ///< what runs, runs since then or longer
  std::uint64_t done = 0;            ///< tasks
  std::vector<std::uint32_t> pools;  ///< it is a member of
  std::vector<Given> given;          ///< what is assigned, in that order, and some that is no more
  std::vector<std::uint32_t> kernel_position;  ///< by kernel id; none_position: lacks it
  std::uint64_t sent = 0;                      ///< messages to it
  std::vector<bool> was_told;                  ///< peers it has been told of
  std::vector<Running> running;  ///< tasks that were told to run for long, and some that do no more
  std::vector<bool> is_repeatable;           ///< by position of the kernel
  std::vector<std::int64_t> resources_free;  ///< by resource id, in millionths
  std::vector<std::int64_t> resources_total;
  WorkerSpeed speed;
  HostLoad load;
  bool keeps_templates = false;
  Instant joined, left;
  /// What it said when it last said something; holds while it has seen all that was sent.
  std::optional<protocol::MemoryShort> shortage;

  std::string name;
  protocol::Endpoint endpoint;
  SessionId session;  ///< drivers

  bool is_short() const { return is_alive && shortage && shortage->received == sent; }
  /// Whether so much ever fits into its memory.
  bool could_hold(std::uint64_t bytes) const { return memory_limit == 0 || bytes <= memory_limit; }

  static constexpr std::uint32_t none_position = ~std::uint32_t{0};
};

/// What a task needs of a worker.
struct Requirement {
  std::uint32_t kernel = 0;
  std::vector<std::pair<std::uint32_t, std::int64_t>> resources;  ///< id, millionths
  friend auto operator<=>(const Requirement&, const Requirement&) = default;
};

/// Workers that meet the same requirements; those with room are in the heap, least loaded first.
struct Pool {
  std::vector<PeerIndex> members;
  std::vector<bool> is_member;
  std::uint64_t slots = 0;         ///< of all members
  std::vector<PeerIndex> by_host;  ///< the members, host by host
  IndexedHeap open;
};

/// Every peer, how loaded it is, and who could run what.
class WorkerTable {
 public:
  explicit WorkerTable(const Limits& limits) : limits_(limits) {}

  /// At the begin of each step.
  void set_time(Instant now) { now_ = now; }

  PeerIndex add(PeerId id, const protocol::Hello& hello, bool is_worker);
  void remove(PeerIndex peer);
  void set_leaving(PeerIndex worker);
  PeerIndex find(PeerId id) const;
  bool was_known(PeerId id) const { return index_of(id) != no_peer; }

  std::size_t size() const { return peers_.size(); }
  const Peer& at(PeerIndex peer) const { return peers_[peer]; }
  Peer& edit(PeerIndex peer) { return peers_[peer]; }
  std::size_t worker_count() const { return worker_count_; }
  /// Changes when a worker joins, leaves or is lost.
  std::uint64_t membership() const { return membership_; }
  /// Workers that take new tasks.
  std::size_t usable_count() const { return usable_count_; }
  std::uint64_t usable_slots() const { return usable_slots_; }
  std::size_t open_count() const { return open_count_; }
  /// Appends the workers that have room since the last call, though they have no fewer tasks than
  /// before.
  void take_also_opened(std::vector<PeerIndex>& into) {
    into.insert(into.end(), also_opened_.begin(), also_opened_.end());
    also_opened_.clear();
  }
  /// Workers that take new tasks and have none.
  std::size_t idle_count() const { return idle_count_; }
  /// Workers that take new tasks and have fewer than slots, and workers that have more.
  std::size_t spare_count() const { return spare_count_; }
  std::size_t backlog_count() const { return backlog_count_; }
  bool is_spare(PeerIndex worker) const { return is_spare_[worker]; }
  bool has_backlog(PeerIndex worker) const { return has_backlog_[worker]; }
  /// Slots of workers that take new tasks for which there is no task.
  std::uint64_t idle_slots() const { return idle_slots_; }

  std::uint32_t kernel_id(const std::string& name);
  const std::map<std::string, std::uint32_t>& kernels() const { return kernels_; }
  const std::map<std::string, std::uint32_t>& resources() const { return resources_; }
  std::uint32_t requirement_id(std::uint32_t kernel, const graph::Constraint& constraint);
  const Requirement& requirement(std::uint32_t id) const { return requirements_[id]; }
  /// What of a requirement that nobody meets is missing, for people: 'asks for 2 "gpu": the most
  /// that a worker has is 1'. Requires that a worker has the kernel.
  std::string what_is_missing(std::uint32_t requirement) const;
  std::uint32_t pool_of(std::uint32_t requirement) const { return pool_of_[requirement]; }
  const Pool& pool(std::uint32_t id) const { return pools_[id]; }
  /// Members of the pool that are on the host.
  std::span<const PeerIndex> members_on(const Pool& pool, std::uint32_t host) const;
  /// Finds again who could run what, if workers came or went. Returns whether they did.
  bool refresh_pools();

  /// The kernel's position in the worker's Hello; Peer::none_position: it lacks it.
  std::uint32_t position_of(PeerIndex worker, std::uint32_t kernel) const {
    const auto& positions = peers_[worker].kernel_position;
    return kernel < positions.size() ? positions[kernel] : Peer::none_position;
  }
  /// Whether the worker has the kernel and says that it has no side effects.
  bool is_repeatable(PeerIndex worker, std::uint32_t kernel) const {
    const std::uint32_t position = position_of(worker, kernel);
    return position != Peer::none_position && peers_[worker].is_repeatable[position];
  }
  bool is_usable(PeerIndex worker) const { return is_usable(peers_[worker]); }
  /// Whether it has the kernel, and ever the resources.
  bool meets(PeerIndex worker, std::uint32_t requirement) const {
    return meets(peers_[worker], requirements_[requirement]);
  }
  /// A window is filled once it has run half empty, so that tasks travel in batches. With more
  /// than one window, half empty or not.
  bool has_room(PeerIndex worker, std::uint32_t windows = 1) const;
  bool has_resources(PeerIndex worker, const Requirement& requirement) const;
  /// Queued time per slot, less what is presumed done, as a key for comparison.
  std::int64_t load_ns(PeerIndex worker) const;
  /// load_ns() with what its host has to do besides.
  std::int64_t busy_ns(PeerIndex worker) const { return load_ns(worker) + peers_[worker].heat_ns; }
  /// For choosing: busy_ns() with what a usual task takes there, by its speed to a quarter. A slow
  /// worker that is idle is not better than a fast one that soon will be, and equal ones keep their
  /// order.
  std::int64_t rank_ns(PeerIndex worker) const {
    const auto quarters = static_cast<std::int64_t>(4 * peers_[worker].slowness + 0.5);
    return busy_ns(worker) + quarters * usual_ns_ / 4;
  }

  // worker_load.cpp
  /// A task is placed that takes so long on the average worker.
  void note_task(std::int64_t task_ns);
  /// Brings ranks up to date when usual tasks have become longer or shorter by half.
  void follow_usual_time();
  /// Takes a worker's heartbeat in.
  void hear(PeerIndex worker, const protocol::Heartbeat& beat, bool has_work, Instant now);
  /// The worker's tasks took so many times what the average worker takes.
  void observe_speed(PeerIndex worker, double ratio, Instant now);
  /// Forgets what hosts said too long ago.
  void forget_old_loads(Instant now);
  void forget_speeds();
  /// Workers on hot hosts.
  std::size_t hot_count() const { return hot_count_; }
  /// Names of classes, by number.
  const std::vector<std::string>& classes() const { return classes_; }

  /// `is_beside`: the task does not count in the worker's window, as far as it has slots for such.
  void take(PeerIndex worker, const Requirement& requirement, std::uint64_t expected_ns,
            bool is_beside = false);
  /// Takes many tasks that need no resources.
  void take_all(PeerIndex worker, std::uint32_t tasks, std::int64_t expected_ns);
  /// Gives back what take() took; settle() then makes the room visible.
  void give_back(PeerIndex worker, const Requirement& requirement, std::uint64_t expected_ns,
                 bool is_beside = false);
  void settle();
  void set_held(PeerIndex worker, std::uint32_t slots);
  /// Some slot is not held by a task that was taken back.
  bool has_free_slot(PeerIndex worker) const {
    return peers_[worker].slots_held < peers_[worker].slots;
  }

  std::size_t bytes() const;
  void check_invariants() const;

 private:
  PeerIndex index_of(PeerId id) const;
  bool is_usable(const Peer& peer) const {
    return peer.is_worker && peer.is_alive && !peer.is_leaving;
  }
  bool is_below(const Peer& peer, double windows) const;
  bool meets(const Peer& peer, const Requirement& requirement) const;
  std::uint32_t resource_id(const std::string& name);
  std::uint32_t intern_pool(std::vector<PeerIndex> members);
  void update_heaps(PeerIndex worker);
  void fill_together();
  void presume_progress(PeerIndex worker);
  static void count(std::vector<bool>& which, PeerIndex worker, bool is_one, std::size_t& count);
  std::uint32_t idle_slots_of(const Peer& peer) const {
    return is_usable(peer) ? peer.slots - std::min(peer.slots, peer.assigned) : 0;
  }
  void forget_usable(const Peer& peer);
  void mark_dirty(PeerIndex worker);
  std::uint32_t class_id(const protocol::Hello& hello);
  void weigh(PeerIndex worker);
  void forget_load(PeerIndex worker);

  Limits limits_;
  Instant now_;
  double mean_ns_ = 0;         ///< predicted, of the tasks placed lately
  std::int64_t usual_ns_ = 0;  ///< about that, as ranks have it
  std::vector<Peer> peers_;
  std::vector<std::pair<PeerId, PeerIndex>> index_;  ///< sorted
  std::map<std::string, std::uint32_t> hosts_, kernels_, resources_;
  std::map<Requirement, std::uint32_t> requirement_ids_;
  std::vector<Requirement> requirements_;
  std::vector<std::uint32_t> pool_of_;  ///< by requirement
  std::vector<Pool> pools_;
  std::map<std::vector<PeerIndex>, std::uint32_t> pool_ids_;
  std::vector<HostShare> host_shares_;  ///< by host
  std::vector<std::string> classes_;
  std::size_t hot_count_ = 0;
  std::vector<bool> is_open_, is_idle_, is_spare_, has_backlog_;
  std::vector<std::uint32_t> idle_slots_by_peer_;
  std::vector<bool> is_filling_;        ///< its window, after it had run half empty
  std::vector<PeerIndex> opened_;       ///< whose windows have run half empty since, …
  std::vector<PeerIndex> also_opened_;  ///< … and who is filled with them
  std::vector<PeerIndex> dirty_;
  std::vector<bool> is_dirty_;
  std::size_t worker_count_ = 0, usable_count_ = 0, open_count_ = 0, idle_count_ = 0;
  std::size_t spare_count_ = 0, backlog_count_ = 0;
  std::uint64_t usable_slots_ = 0, idle_slots_ = 0;
  std::uint64_t membership_ = 0;
  bool pools_are_stale_ = false;
};

}  // namespace ashlar::scheduler
