#include "scheduler/placement/replan.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>
#include <utility>

#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Planning takes some hundred nanoseconds for each task, and longer with many workers.
constexpr std::size_t tasks_max = std::size_t{1} << 15;
constexpr std::size_t tasks_times_workers_max = std::size_t{1} << 22;
/// By how much a plan is to be better that moves tasks.
constexpr double move_gain = 0.02;

struct Moving {
  std::int64_t way_ns = 0;   ///< until it is there
  std::int64_t work_ns = 0;  ///< of the worker that gets it
};

class Planner {
 public:
  Planner(const View& view, const Submission& run, const Pool& pool)
      : view_(view), run_(run), pool_(pool) {}

  std::vector<PeerIndex> level_by_level(const Plan& from);
  std::vector<std::uint32_t> order_of(const Plan& plan) const;
  double bytes_between_hosts(const Plan& plan) const;
  /// When the last task would end, if links had no limit for all that moves at once.
  std::int64_t makespan(const Plan& plan) const;

 private:
  struct Load {
    double share = 0;         ///< of all work
    double given = 0;         ///< nanoseconds on an average worker
    double cap = 0;           ///< of what it is to get in all when this level is given
    std::uint32_t tasks = 0;  ///< of this level
  };
  struct Wish {
    std::int64_t margin = 0;  ///< what is saved where most is, less what is saved elsewhere
    std::uint32_t task = 0;
  };
  struct Holder {
    PeerIndex worker = no_peer;
    std::int64_t saved_ns = 0;
  };

  std::vector<std::vector<std::uint32_t>> levels(const std::vector<std::uint32_t>& order) const;
  void give_level(const std::vector<std::uint32_t>& tasks, const Plan& from);
  void find_holders(std::uint32_t task);
  void give(std::uint32_t task, PeerIndex worker);
  PeerIndex first_with_room(double task_ns) const;
  bool has_room(PeerIndex worker, double task_ns) const;
  Moving moving(std::uint32_t datum, PeerIndex from, PeerIndex to) const;

  template <class Visit>
  void for_made_inputs(std::uint32_t task, Visit visit) const {
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (datum < run_.graph.output_count()) visit(datum, run_.producer[datum]);
    }
  }
  bool reads_others(std::uint32_t task) const {
    return std::ranges::any_of(run_.graph.inputs_of(task), [this](std::uint32_t datum) {
      return datum >= run_.graph.output_count();
    });
  }

  const View& view_;
  const Submission& run_;
  const Pool& pool_;
  std::vector<Load> loads_;       ///< by worker
  std::vector<PeerIndex> where_;  ///< by task
  std::vector<Holder> holders_;   ///< of the task in question, who saves most first
  double total_ns_ = 0;           ///< of all levels up to this one
};

std::vector<std::vector<std::uint32_t>> Planner::levels(
    const std::vector<std::uint32_t>& order) const {
  std::vector<std::uint32_t> level(order.size(), 0);
  std::vector<std::vector<std::uint32_t>> levels;
  for (const std::uint32_t task : order) {
    for_made_inputs(task, [&](std::uint32_t, std::uint32_t maker) {
      level[task] = std::max(level[task], level[maker] + 1);
    });
    if (levels.size() <= level[task]) levels.resize(level[task] + std::size_t{1});
    levels[level[task]].push_back(task);
  }
  return levels;
}

Moving Planner::moving(std::uint32_t datum, PeerIndex from, PeerIndex to) const {
  if (from == to) return {};
  const Limits& limits = view_.limits;
  if (view_.workers.at(from).host == view_.workers.at(to).host) {
    return {limits.local_latency.ns, limits.fetch_work.ns};
  }
  return {moving_ns(view_, run_.graph.output_bytes[datum]), limits.fetch_work.ns};
}

std::vector<PeerIndex> Planner::level_by_level(const Plan& from) {
  where_.assign(from.where.size(), no_peer);
  loads_.assign(view_.workers.size(), {});
  double speed = 0;
  for (const PeerIndex worker : pool_.members) {
    const Peer& peer = view_.workers.at(worker);
    loads_[worker].share = peer.slots / peer.slowness;
    speed += loads_[worker].share;
  }
  for (Load& load : loads_) load.share /= speed;
  for (const auto& tasks : levels(from.order)) give_level(tasks, from);
  return std::move(where_);
}

/// What is bound most goes first. Who is behind with its share gets more; who is ahead as much as
/// others, since in the end all wait for the level's last task.
void Planner::give_level(const std::vector<std::uint32_t>& tasks, const Plan& from) {
  double level_ns = 0;
  for (const std::uint32_t task : tasks) level_ns += static_cast<double>(run_.task_ns(task));
  total_ns_ += level_ns;
  for (const PeerIndex worker : pool_.members) {
    Load& load = loads_[worker];
    load.cap = std::max(load.given + level_ns * load.share, total_ns_ * load.share);
    load.tasks = 0;
  }
  std::vector<Wish> wishes;
  for (const std::uint32_t task : tasks) {
    if (reads_others(task)) {
      give(task, from.where[task]);
      continue;
    }
    find_holders(task);
    const std::int64_t first = holders_.empty() ? 0 : holders_[0].saved_ns;
    const std::int64_t second = holders_.size() < 2 ? 0 : holders_[1].saved_ns;
    wishes.push_back({first - second, task});
  }
  std::ranges::stable_sort(wishes, std::greater{}, &Wish::margin);
  for (const Wish& wish : wishes) {
    const auto task_ns = static_cast<double>(run_.task_ns(wish.task));
    find_holders(wish.task);
    const auto holder = std::ranges::find_if(
        holders_, [&](const Holder& h) { return has_room(h.worker, task_ns); });
    give(wish.task, holder == holders_.end() ? first_with_room(task_ns) : holder->worker);
  }
}

void Planner::find_holders(std::uint32_t task) {
  holders_.clear();
  for_made_inputs(task, [&](std::uint32_t datum, std::uint32_t maker) {
    const PeerIndex from = where_[maker];
    const PeerIndex elsewhere = from == pool_.members[0] ? pool_.members.back() : pool_.members[0];
    const Moving saved = moving(datum, from, elsewhere);
    auto holder = std::ranges::find(holders_, from, &Holder::worker);
    if (holder == holders_.end()) holder = holders_.insert(holder, {from, 0});
    holder->saved_ns += saved.way_ns + saved.work_ns;
  });
  std::ranges::sort(holders_, [](const Holder& a, const Holder& b) {
    return std::tuple(-a.saved_ns, a.worker) < std::tuple(-b.saved_ns, b.worker);
  });
}

bool Planner::has_room(PeerIndex worker, double task_ns) const {
  const Load& load = loads_[worker];
  return load.tasks < view_.workers.at(worker).slots || load.given + task_ns / 2 <= load.cap;
}

/// So neighbours in the order stay together. When nobody has room, who is furthest behind.
PeerIndex Planner::first_with_room(double task_ns) const {
  const auto with_room = std::ranges::find_if(
      pool_.members, [&](PeerIndex worker) { return has_room(worker, task_ns); });
  if (with_room != pool_.members.end()) return *with_room;
  return *std::ranges::max_element(pool_.members, {}, [this](PeerIndex worker) {
    return (loads_[worker].cap - loads_[worker].given) / loads_[worker].share;
  });
}

void Planner::give(std::uint32_t task, PeerIndex worker) {
  where_[task] = worker;
  loads_[worker].given += static_cast<double>(run_.task_ns(task));
  ++loads_[worker].tasks;
}

std::vector<std::uint32_t> Planner::order_of(const Plan& plan) const {
  const graph::TaskGraph& g = run_.graph;
  std::vector<std::int64_t> way(plan.order.size(), 0);
  for (std::size_t i = plan.order.size(); i-- > 0;) {
    const std::uint32_t task = plan.order[i];
    for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
      for (const std::uint32_t user : run_.consumers.of(d)) {
        const Moving moved = moving(d, plan.where[task], plan.where[user]);
        way[task] = std::max(way[task], moved.way_ns + moved.work_ns + way[user]);
      }
    }
    way[task] += run_.task_ns(task);
  }
  std::vector<std::uint32_t> order = plan.order;
  std::ranges::stable_sort(order, std::greater{}, [&](std::uint32_t task) { return way[task]; });
  return order;
}

double Planner::bytes_between_hosts(const Plan& plan) const {
  double bytes = 0;
  for (const std::uint32_t task : plan.order) {
    const std::uint32_t host = view_.workers.at(plan.where[task]).host;
    for_made_inputs(task, [&](std::uint32_t datum, std::uint32_t maker) {
      const std::uint64_t size = run_.graph.output_bytes[datum];
      if (view_.workers.at(plan.where[maker]).host == host) return;
      if (size != graph::TaskGraph::dynamic_bytes) bytes += static_cast<double>(size);
    });
  }
  return bytes;
}

std::int64_t Planner::makespan(const Plan& plan) const {
  struct Happening {
    std::int64_t at = 0;
    std::uint32_t position = 0;  ///< of the task in the order
    bool ends = false;           ///< else its last input arrives
    auto operator<=>(const Happening&) const = default;
  };
  struct Worker {
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
    std::uint32_t free = 0;
  };
  const auto& [where, order] = plan;
  const graph::TaskGraph& g = run_.graph;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings;
  std::vector<Worker> workers(view_.workers.size());
  for (const PeerIndex worker : pool_.members) {
    workers[worker].free = view_.workers.at(worker).slots;
  }
  std::vector<std::uint32_t> position(order.size()), missing(order.size(), 0);
  std::vector<std::int64_t> arrived(order.size(), 0), length(order.size());
  for (std::uint32_t p = 0; p < order.size(); ++p) {
    const std::uint32_t task = order[p];
    position[task] = p;
    length[task] = static_cast<std::int64_t>(static_cast<double>(run_.task_ns(task)) *
                                             view_.workers.at(where[task]).slowness);
    for_made_inputs(task, [&, to = where[task]](std::uint32_t datum, std::uint32_t maker) {
      ++missing[task];
      length[task] += moving(datum, where[maker], to).work_ns;
    });
    if (missing[task] == 0) happenings.push({0, p, false});
  }
  std::int64_t now = 0;
  while (!happenings.empty()) {
    const Happening next = happenings.top();
    happenings.pop();
    now = next.at;
    const std::uint32_t task = order[next.position];
    Worker& worker = workers[where[task]];
    if (next.ends) {
      ++worker.free;
      for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
        for (const std::uint32_t user : run_.consumers.of(d)) {
          arrived[user] = std::max(arrived[user], now + moving(d, where[task], where[user]).way_ns);
          if (--missing[user] == 0) happenings.push({arrived[user], position[user], false});
        }
      }
    } else {
      worker.ready.push(next.position);
    }
    while (worker.free > 0 && !worker.ready.empty()) {
      const std::uint32_t first = worker.ready.top();
      worker.ready.pop();
      --worker.free;
      happenings.push({now + length[order[first]], first, true});
    }
  }
  return now;
}

}  // namespace

Plan replan(const View& view, const Submission& run, Plan from) {
  const std::vector<std::uint32_t>& order = from.order;
  if (order.empty() || order.size() > tasks_max) return from;
  const Pool& pool = run.pool(order[0]);
  const bool is_one_pool =
      std::ranges::all_of(order, [&](std::uint32_t task) { return &run.pool(task) == &pool; });
  if (!is_one_pool || pool.members.size() < 2) return from;
  if (order.size() * pool.members.size() > tasks_times_workers_max) return from;
  Planner planner(view, run, pool);
  Plan levelled = from;
  levelled.where = planner.level_by_level(from);
  if (planner.bytes_between_hosts(levelled) > planner.bytes_between_hosts(from)) levelled = from;
  Plan ordered = from;
  for (Plan* plan : {&ordered, &levelled}) plan->order = planner.order_of(*plan);
  std::int64_t least = planner.makespan(from);
  const auto is_better = [&](const Plan& plan, double gain) {
    const std::int64_t makespan = planner.makespan(plan);
    const bool is_it = static_cast<double>(makespan) <= static_cast<double>(least) * (1 - gain);
    if (is_it) least = makespan;
    return is_it;
  };
  // Times are never quite as predicted: what is awaited elsewhere had better come first anyway.
  if (is_better(ordered, 0)) from = std::move(ordered);
  if (is_better(levelled, move_gain)) from = std::move(levelled);
  return from;
}

}  // namespace ashlar::scheduler::placement
