#include "scheduler/placement/replan.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <span>
#include <tuple>
#include <utility>

#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Planning takes some hundred nanoseconds for each task and input, and longer with many workers.
constexpr std::size_t tasks_max = std::size_t{1} << 15;
constexpr std::size_t inputs_max = std::size_t{1} << 17;
constexpr std::size_t tasks_times_workers_max = std::size_t{1} << 22;
/// By how much a plan is to be better that moves tasks; and one that shares levels unevenly, since
/// speeds and times are not known better than so.
constexpr double move_gain = 0.02, uneven_gain = 0.05;
/// Times what is held at once in the order before, for another one.
constexpr double peak_max = 2;

struct Moving {
  std::int64_t way_ns = 0;   ///< until it is there
  std::int64_t work_ns = 0;  ///< of the worker that gets it
};

class Planner {
 public:
  Planner(const View& view, const Submission& run, const Pool& pool)
      : view_(view), run_(run), pool_(pool) {}

  /// Where each level waits for the one before, each is shared out evenly. Where levels overlap,
  /// who got more than its share of one may get less of the next: they are even in all.
  enum class Even : std::uint8_t { in_each_level, in_all };
  std::vector<PeerIndex> level_by_level(const Plan& from, Even even);
  /// The longest way to the end first, unless much more would be held at once.
  std::vector<std::uint32_t> order_of(const Plan& plan) const;
  /// When the last task would end, if links had no limit for all that moves at once.
  std::int64_t makespan(const Plan& plan) const;
  /// Whether a worker reads what another one makes.
  bool is_connected(const Plan& plan) const;

 private:
  struct Load {
    double share = 0;         ///< of its host's work
    double given = 0;         ///< nanoseconds on an average worker
    double cap = 0;           ///< of what it is to get in all when this level is given
    std::uint32_t tasks = 0;  ///< of this level
  };
  struct Host {
    std::span<const PeerIndex> members;
    double work_ns = 0;                ///< of its tasks, up to this level
    std::vector<std::uint32_t> tasks;  ///< of this level
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
  Host host_of(PeerIndex worker);
  void give_level(Host& host, const Plan& from, Even even);
  void find_holders(std::uint32_t task, const Host& host);
  void give(std::uint32_t task, PeerIndex worker);
  PeerIndex first_with_room(const Host& host, double task_ns) const;
  bool has_room(PeerIndex worker, double task_ns) const;
  Moving moving(std::uint32_t datum, PeerIndex from, PeerIndex to) const;
  std::vector<std::int64_t> begins(const std::vector<PeerIndex>& where) const;

  template <class Visit>
  void for_made_inputs(std::uint32_t task, Visit visit) const {
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (datum < run_.graph.output_count()) visit(datum, run_.producer[datum]);
    }
  }
  template <class Visit>
  void for_users(std::uint32_t task, Visit visit) const {
    const graph::TaskGraph& g = run_.graph;
    for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
      for (const std::uint32_t user : run_.consumers.of(d)) visit(d, user);
    }
  }
  bool reads_others(std::uint32_t task) const {
    return std::ranges::any_of(run_.graph.inputs_of(task), [this](std::uint32_t datum) {
      return datum >= run_.graph.output_count();
    });
  }
  double task_ns(std::uint32_t task) const { return static_cast<double>(run_.task_ns(task)); }

  const View& view_;
  const Submission& run_;
  const Pool& pool_;
  std::vector<Load> loads_;       ///< by worker
  std::vector<PeerIndex> where_;  ///< by task
  std::vector<Holder> holders_;   ///< of the task in question, who saves most first
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
    return {limits.local_latency.ns, limits.local_fetch_work.ns};
  }
  return {moving_ns(view_, run_.bytes_of(datum)), limits.fetch_work.ns};
}

std::vector<PeerIndex> Planner::level_by_level(const Plan& from, Even even) {
  where_.assign(from.where.size(), no_peer);
  loads_.assign(view_.workers.size(), {});
  std::map<std::uint32_t, Host> hosts;
  for (const std::vector<std::uint32_t>& tasks : levels(from.order)) {
    for (const std::uint32_t task : tasks) {
      const PeerIndex worker = from.where[task];
      const auto [host, is_new] = hosts.try_emplace(view_.workers.at(worker).host);
      if (is_new) host->second = host_of(worker);
      host->second.tasks.push_back(task);
    }
    for (auto& [number, host] : hosts) give_level(host, from, even);
  }
  return std::move(where_);
}

Planner::Host Planner::host_of(PeerIndex worker) {
  const auto members = view_.workers.members_on(pool_, view_.workers.at(worker).host);
  double speed = 0;
  for (const PeerIndex member : members) {
    const Peer& peer = view_.workers.at(member);
    loads_[member].share = peer.slots / peer.slowness;
    speed += loads_[member].share;
  }
  for (const PeerIndex member : members) loads_[member].share /= speed;
  return {members, 0, {}};
}

/// What is bound most goes first.
void Planner::give_level(Host& host, const Plan& from, Even even) {
  double level_ns = 0;
  for (const std::uint32_t task : host.tasks) level_ns += task_ns(task);
  host.work_ns += level_ns;
  for (const PeerIndex worker : host.members) {
    Load& load = loads_[worker];
    const bool is_per_level = even == Even::in_each_level;
    load.cap = is_per_level ? load.given + level_ns * load.share : host.work_ns * load.share;
    load.tasks = 0;
  }
  std::vector<Wish> wishes;
  for (const std::uint32_t task : host.tasks) {
    if (reads_others(task)) {
      give(task, from.where[task]);
      continue;
    }
    find_holders(task, host);
    const std::int64_t first = holders_.empty() ? 0 : holders_[0].saved_ns;
    const std::int64_t second = holders_.size() < 2 ? 0 : holders_[1].saved_ns;
    wishes.push_back({first - second, task});
  }
  std::ranges::stable_sort(wishes, std::greater{}, &Wish::margin);
  for (const Wish& wish : wishes) {
    find_holders(wish.task, host);
    const auto holder = std::ranges::find_if(
        holders_, [&](const Holder& h) { return has_room(h.worker, task_ns(wish.task)); });
    give(wish.task,
         holder == holders_.end() ? first_with_room(host, task_ns(wish.task)) : holder->worker);
  }
  host.tasks.clear();
}

/// Of the host.
void Planner::find_holders(std::uint32_t task, const Host& host) {
  holders_.clear();
  for_made_inputs(task, [&](std::uint32_t, std::uint32_t maker) {
    const PeerIndex from = where_[maker];
    if (view_.workers.at(from).host != view_.workers.at(host.members[0]).host) return;
    auto holder = std::ranges::find(holders_, from, &Holder::worker);
    if (holder == holders_.end()) holder = holders_.insert(holder, {from, 0});
    holder->saved_ns += view_.limits.local_latency.ns + view_.limits.local_fetch_work.ns;
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
PeerIndex Planner::first_with_room(const Host& host, double task_ns) const {
  const auto with_room = std::ranges::find_if(
      host.members, [&](PeerIndex worker) { return has_room(worker, task_ns); });
  if (with_room != host.members.end()) return *with_room;
  return *std::ranges::max_element(host.members, {}, [this](PeerIndex worker) {
    return (loads_[worker].cap - loads_[worker].given) / loads_[worker].share;
  });
}

void Planner::give(std::uint32_t task, PeerIndex worker) {
  where_[task] = worker;
  loads_[worker].given += task_ns(task);
  ++loads_[worker].tasks;
}

std::vector<std::uint32_t> Planner::order_of(const Plan& plan) const {
  std::vector<std::int64_t> way(plan.order.size(), 0);
  for (std::size_t i = plan.order.size(); i-- > 0;) {
    const std::uint32_t task = plan.order[i];
    for_users(task, [&](std::uint32_t datum, std::uint32_t user) {
      const Moving moved = moving(datum, plan.where[task], plan.where[user]);
      way[task] = std::max(way[task], moved.way_ns + moved.work_ns + way[user]);
    });
    way[task] += run_.task_ns(task);
  }
  std::vector<std::uint32_t> order = plan.order;
  std::ranges::stable_sort(order, std::greater{}, [&](std::uint32_t task) { return way[task]; });
  return peak_bytes(run_, order) <= peak_max * peak_bytes(run_, plan.order) ? order : plan.order;
}

bool Planner::is_connected(const Plan& plan) const {
  return std::ranges::any_of(plan.order, [&](std::uint32_t task) {
    bool is_it = false;
    for_made_inputs(task, [&](std::uint32_t, std::uint32_t maker) {
      is_it |= plan.where[maker] != plan.where[task];
    });
    return is_it;
  });
}

/// When each worker hears of its tasks: one after the other is told, and woken.
std::vector<std::int64_t> Planner::begins(const std::vector<PeerIndex>& where) const {
  std::vector<bool> is_used(view_.workers.size(), false);
  for (const PeerIndex worker : where) is_used[worker] = true;
  std::vector<std::int64_t> begins(view_.workers.size(), 0);
  std::int64_t now = 0;
  for (PeerIndex worker = 0; worker < begins.size(); ++worker) {
    if (is_used[worker]) begins[worker] = now += view_.limits.wake_up.ns;
  }
  return begins;
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
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings;
  std::vector<Worker> workers(view_.workers.size());
  for (const PeerIndex worker : pool_.members) {
    workers[worker].free = view_.workers.at(worker).slots;
  }
  const std::vector<std::int64_t> told = begins(where);
  std::vector<std::uint32_t> position(order.size()), missing(order.size(), 0);
  std::vector<std::int64_t> arrived(order.size()), length(order.size());
  for (std::uint32_t p = 0; p < order.size(); ++p) {
    const std::uint32_t task = order[p];
    position[task] = p;
    arrived[task] = told[where[task]];
    length[task] =
        view_.limits.task_overhead.ns +
        static_cast<std::int64_t>(task_ns(task) * view_.workers.at(where[task]).slowness);
    for_made_inputs(task, [&, to = where[task]](std::uint32_t datum, std::uint32_t maker) {
      ++missing[task];
      length[task] += moving(datum, where[maker], to).work_ns;
    });
    if (missing[task] == 0) happenings.push({arrived[task], p, false});
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
      for_users(task, [&](std::uint32_t datum, std::uint32_t user) {
        const std::int64_t way = moving(datum, where[task], where[user]).way_ns;
        arrived[user] = std::max(arrived[user], now + way);
        if (--missing[user] == 0) happenings.push({arrived[user], position[user], false});
      });
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
  if (order.empty() || order.size() > tasks_max || run.graph.inputs.size() > inputs_max) {
    return from;
  }
  const Pool& pool = run.pool(order[0]);
  const bool is_one_pool = std::ranges::all_of(order, [&](std::uint32_t task) {
    const PeerIndex worker = from.where[task];
    return &run.pool(task) == &pool && worker < pool.is_member.size() && pool.is_member[worker];
  });
  if (!is_one_pool || order.size() * pool.members.size() > tasks_times_workers_max) return from;
  Planner planner(view, run, pool);
  Plan ordered = from;
  ordered.order = planner.order_of(ordered);
  std::int64_t least = planner.makespan(from);
  const auto is_better = [&](const Plan& plan, double gain) {
    const std::int64_t makespan = planner.makespan(plan);
    const bool is_it = static_cast<double>(makespan) <= static_cast<double>(least) * (1 - gain);
    if (is_it) least = makespan;
    return is_it;
  };
  // Times are never quite as predicted: what is awaited elsewhere had better come first anyway.
  Plan best = planner.is_connected(from) && is_better(ordered, 0) ? std::move(ordered) : from;
  const auto take_if_better = [&](Planner::Even even, double gain) {
    Plan levelled{planner.level_by_level(from, even), from.order};
    if (levelled.where == from.where) return;
    levelled.order = planner.order_of(levelled);
    if (is_better(levelled, gain)) best = std::move(levelled);
  };
  take_if_better(Planner::Even::in_each_level, move_gain);
  take_if_better(Planner::Even::in_all, uneven_gain);
  return best;
}

}  // namespace ashlar::scheduler::placement
