#include "scheduler/placement/list_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "scheduler/placement/hosts.hpp"
#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler::placement {
namespace {

using graph::TaskGraph;

/// Up to so many workers each choice compares well enough as tasks come.
constexpr std::size_t few_workers = 16;
/// The longest chain over what all slots take for all tasks together, at least.
constexpr double chain_min = 0.5;
/// What moving all inputs would take on all links, over the same, at most.
constexpr double moving_max = 0.75;
/// What the schedule may take: of the run's time, and at all.
constexpr double share_max = 0.03, schedule_ns_max = 1e8;
/// What it takes: for a task, and beside for each slot of the workers of each speed looked at.
constexpr double task_cost_ns = 300, slot_cost_ns = 25;
/// More slots of a worker than this are as good as these.
constexpr std::uint32_t lanes_max = 1024;
/// Of those of one speed that are free first, or that have been free for the shortest time, so many
/// are looked at, and so many asked whether they may.
constexpr int free_looked_at = 2, free_asked = 16;
/// Speeds that are told apart: so many powers of two to either side of the average.
constexpr double octaves_max = 3;

int octave_of(const Peer& worker) {
  return static_cast<int>(
      std::lround(std::clamp(std::log2(worker.slowness), -octaves_max, octaves_max)));
}

/// The times in which one slot is to be busy.
class Lane {
 public:
  explicit Lane(std::int64_t free_from) : busy_{{0, free_from}} {}

  /// When a task could start that is not to start before `ready`.
  std::int64_t start(std::int64_t ready, std::int64_t length) const {
    auto next = first_after(ready);
    std::int64_t at = ready;
    for (; next != busy_.end() && next->begin < at + length; ++next) at = std::max(at, next->end);
    return at;
  }

  void insert(std::int64_t begin, std::int64_t end) {
    auto next = busy_.begin() + (first_after(begin) - busy_.begin());
    if (next != busy_.begin() && std::prev(next)->end == begin) {
      std::prev(next)->end = end;
    } else {
      busy_.insert(next, {begin, end});
    }
  }

  /// From then on nothing is to be done in it.
  std::int64_t free_from() const { return busy_.back().end; }

 private:
  struct Busy {
    std::int64_t begin, end;
  };
  std::vector<Busy>::const_iterator first_after(std::int64_t time) const {
    return std::ranges::upper_bound(busy_, time, {}, &Busy::end);
  }
  std::vector<Busy> busy_;  ///< ascending
};

class ListSchedule {
 public:
  ListSchedule(const View& view, const Submission& run, Candidates candidates)
      : view_(view), run_(run), candidates_(candidates), lanes_(view.workers.size()) {}

  std::vector<PeerIndex> make() {
    const std::vector<std::uint32_t> tasks = by_way_to_end(view_, run_);
    place_.assign(tasks.size(), no_peer);
    end_.assign(tasks.size(), 0);
    if (candidates_ == Candidates::near) {
      for (PeerIndex p = 0; p < view_.workers.size(); ++p) {
        if (view_.workers.is_usable(p)) free_of(p).emplace(free_from(p), p);
      }
    }
    std::vector<std::uint32_t> to_place;
    for (const std::uint32_t task : tasks) {
      const std::optional<Placed> known = run_.place_of(task);
      place_[task] = known ? known->worker : no_peer;
      end_[task] = known ? known->end_ns : 0;
      if (!known) to_place.push_back(task);
    }
    for (const std::uint32_t task : to_place) place(task);
    return std::move(place_);
  }

 private:
  struct Spot {
    PeerIndex worker = no_peer;
    std::size_t lane = 0;
    std::int64_t begin = 0, end = 0;
  };

  std::vector<Lane>& lanes_of(PeerIndex worker) {
    std::vector<Lane>& lanes = lanes_[worker];
    if (lanes.empty()) {
      const std::uint32_t slots = std::min(view_.workers.at(worker).slots, lanes_max);
      lanes.assign(slots, Lane(view_.workers.load_ns(worker)));
    }
    return lanes;
  }

  std::int64_t free_from(PeerIndex worker) {
    std::int64_t first = lanes_of(worker).front().free_from();
    for (const Lane& lane : lanes_of(worker)) first = std::min(first, lane.free_from());
    return first;
  }

  void place(std::uint32_t task) {
    Spot best;
    const Pool& pool = run_.pool(task);
    const std::int64_t task_ns = run_.task_ns(task);
    if (candidates_ == Candidates::all) {
      for (const PeerIndex worker : pool.members) consider(task, task_ns, worker, best);
    } else {
      for (const PeerIndex worker : near(pool, task)) consider(task, task_ns, worker, best);
    }
    if (best.worker == no_peer) return;
    const bool is_near = candidates_ == Candidates::near;
    if (is_near) free_of(best.worker).erase({free_from(best.worker), best.worker});
    lanes_[best.worker][best.lane].insert(best.begin, best.end);
    if (is_near) free_of(best.worker).emplace(free_from(best.worker), best.worker);
    place_[task] = best.worker;
    end_[task] = best.end;
  }

  using Free = std::set<std::pair<std::int64_t, PeerIndex>>;  ///< from when on, and who

  /// Those that are about as fast as the worker.
  Free& free_of(PeerIndex worker) { return free_[octave_of(view_.workers.at(worker))]; }

  const std::vector<PeerIndex>& near(const Pool& pool, std::uint32_t task) {
    near_.clear();
    const auto add = [&](PeerIndex worker) {
      const bool may = worker < pool.is_member.size() && pool.is_member[worker];
      if (may && std::ranges::find(near_, worker) == near_.end()) near_.push_back(worker);
      return may;
    };
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (datum < run_.graph.output_count()) add(place_[run_.producer[datum]]);
    }
    const std::int64_t ready = ready_at(task, no_peer);
    for (const auto& [speed, free] : free_) {
      int added = 0, asked = 0;
      const auto look = [&](PeerIndex worker) {
        added += add(worker);
        return added < free_looked_at && ++asked < free_asked;
      };
      // Who is free for the shortest time before it, so that few are needed and little moves; but
      // not so short that a delay of what they do before would be one of this.
      auto before = free.upper_bound({ready - run_.task_ns(task), no_peer});
      while (before != free.begin() && look((--before)->second)) {
      }
      added = asked = 0;
      for (auto next = free.begin(); next != free.end() && look(next->second); ++next) {
      }
    }
    // Of a small pool none may be among them.
    if (near_.empty() && !pool.members.empty()) near_.push_back(pool.members.front());
    return near_;
  }

  void consider(std::uint32_t task, std::int64_t task_ns, PeerIndex worker, Spot& best) {
    const std::int64_t ready = ready_at(task, worker);
    const auto length =
        static_cast<std::int64_t>(static_cast<double>(task_ns) * view_.workers.at(worker).slowness);
    const std::vector<Lane>& lanes = lanes_of(worker);
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      if (best.worker != no_peer && ready + length >= best.end) break;
      const std::int64_t begin = lanes[lane].start(ready, length);
      if (best.worker == no_peer || begin + length < best.end) {
        best = {worker, lane, begin, begin + length};
      }
    }
  }

  /// When the inputs could be there; no_peer: on a worker that has none of them.
  std::int64_t ready_at(std::uint32_t task, PeerIndex worker) const {
    std::int64_t ready = 0;
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (datum >= run_.graph.output_count()) continue;
      const std::uint32_t maker = run_.producer[datum];
      const PeerIndex from = place_[maker];
      const bool is_near =
          from == worker || from == no_peer ||
          (worker != no_peer && view_.workers.at(from).host == view_.workers.at(worker).host);
      const std::int64_t moving = is_near ? 0 : moving_ns(view_, run_.graph.output_bytes[datum]);
      ready = std::max(ready, end_[maker] + moving);
    }
    return ready;
  }

  const View& view_;
  const Submission& run_;
  const Candidates candidates_;
  std::vector<std::vector<Lane>> lanes_;  ///< by worker
  std::map<int, Free> free_;              ///< near: by speed
  std::vector<PeerIndex> near_;
  std::vector<PeerIndex> place_;  ///< by task
  std::vector<std::int64_t> end_;
};

/// The tasks without a place: what they take together, what they read, and whether all that is
/// known.
struct Left {
  std::vector<std::uint32_t> tasks;
  double work_ns = 0, bytes = 0;
  bool is_known = true;
};

Left what_is_left(const View& view, const Submission& run) {
  const TaskGraph& g = run.graph;
  Left left;
  for (std::uint32_t task = 0; task < g.task_count(); ++task) {
    if (run.place_of(task)) continue;
    left.tasks.push_back(task);
    const std::int64_t task_ns = run.task_ns(task);
    left.is_known &= task_ns != view.limits.unknown_task_time.ns;
    left.work_ns += static_cast<double>(task_ns);
    for (const std::uint32_t datum : g.inputs_of(task)) {
      if (datum >= g.output_count()) continue;
      left.is_known &= g.output_bytes[datum] != TaskGraph::dynamic_bytes;
      left.bytes += static_cast<double>(g.output_bytes[datum]);
    }
  }
  return left;
}

/// What the schedule takes for each task.
double cost_of_task_ns(const WorkerTable& workers) {
  std::uint32_t most_slots = 1;
  std::set<int> octaves;
  for (PeerIndex p = 0; p < workers.size(); ++p) {
    if (!workers.is_usable(p)) continue;
    most_slots = std::max(most_slots, std::min(workers.at(p).slots, lanes_max));
    octaves.insert(octave_of(workers.at(p)));
  }
  return task_cost_ns + slot_cost_ns * most_slots * static_cast<double>(octaves.size());
}

/// Whether the schedule had better be made, which takes so long.
bool does_pay(const View& view, const Submission& run, const Left& left, double cost_ns) {
  const std::vector<Host> hosts = hosts_of(view.workers);
  const auto tasks = static_cast<double>(left.tasks.size());
  if (2 * left.work_ns / tasks < static_cast<double>(view.limits.window_time.ns)) return false;
  const double least = left.work_ns / slots_of(hosts);
  const double links = view.links.usual() * static_cast<double>(hosts.size());
  if (1e9 * left.bytes / links > moving_max * least) return false;
  const std::vector<std::uint32_t> order = inverse(graph::depth_first_ranks(run.graph));
  const std::vector<std::int64_t> way = ways_to_end(view, run, order);
  double longest = 0;
  for (const std::uint32_t task : left.tasks) {
    longest = std::max(longest, static_cast<double>(way[task]));
  }
  return longest >= chain_min * least && cost_ns <= share_max * std::max(longest, least);
}

}  // namespace

std::vector<PeerIndex> list_schedule(const View& view, const Submission& run,
                                     Candidates candidates) {
  return ListSchedule(view, run, candidates).make();
}

std::vector<std::uint32_t> by_way_to_end(const View& view, const Submission& run) {
  std::vector<std::uint32_t> tasks = inverse(graph::depth_first_ranks(run.graph));
  const std::vector<std::int64_t> way = ways_to_end(view, run, tasks);
  std::ranges::stable_sort(tasks, [&](auto a, auto b) { return way[a] > way[b]; });
  return tasks;
}

Schedule schedule_if_it_pays(const View& view, const Submission& run) {
  // A product's hosts own its parts, or much would be moved.
  if (view.workers.usable_count() <= few_workers || !run.graph.products.empty()) return {};
  const double each_ns = cost_of_task_ns(view.workers);
  if (each_ns * run.graph.task_count() > schedule_ns_max) return {};
  const Left left = what_is_left(view, run);
  if (left.tasks.empty() || !left.is_known) return {};
  const double cost_ns = each_ns * static_cast<double>(left.tasks.size());
  if (!does_pay(view, run, left, cost_ns)) return {};
  return {list_schedule(view, run, Candidates::near),
          Duration{static_cast<std::int64_t>(cost_ns / share_max)}};
}

}  // namespace ashlar::scheduler::placement
