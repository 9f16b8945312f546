#include <algorithm>
#include <numeric>
#include <vector>

#include "scheduler/placement/order.hpp"
#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

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

 private:
  struct Busy {
    std::int64_t begin, end;
  };
  std::vector<Busy>::const_iterator first_after(std::int64_t time) const {
    return std::ranges::upper_bound(busy_, time, {}, &Busy::end);
  }
  std::vector<Busy> busy_;  ///< ascending
};

/// Heterogeneous earliest finish time (Topcuoglu, Hariri and Wu, 2002): when a run is submitted,
/// its tasks are placed one after the other, the one with the longest way to the end first, where
/// each would be finished first, in gaps between others if they are long enough. A task whose
/// worker has gone goes to the least loaded one. Planning takes time for each task and worker.
class Heft final : public Policy {
 public:
  Choice choose(const View& view, const Question& question) override {
    if (question.planned != no_peer && is_possible(view, question, question.planned)) {
      return {.worker = question.planned, .reason = Reason::planned};
    }
    return choose_least_loaded(view, question);
  }

  /// Ranks fall with the longest way to the end, means of moving the data counted.
  TaskOrder order(const View& view, const Submission& run) override {
    // Equal ways keep the depth-first order.
    std::vector<std::uint32_t> tasks = inverse(graph::depth_first_ranks(run.graph));
    const std::vector<std::int64_t> way = ways_to_end(view, run, tasks);
    std::ranges::stable_sort(tasks, [&](auto a, auto b) { return way[a] > way[b]; });
    return {inverse(tasks), {}};
  }

  std::vector<PeerIndex> plan(const View& view, const Submission& run) override {
    const std::vector<std::uint32_t> tasks = inverse(order(view, run).ranks);
    lanes_.assign(view.workers.size(), {});
    place_.assign(tasks.size(), no_peer);
    end_.assign(tasks.size(), 0);
    for (const std::uint32_t task : tasks) place(view, run, task);
    return std::move(place_);
  }

 private:
  struct Spot {
    PeerIndex worker = no_peer;
    std::size_t lane = 0;
    std::int64_t begin = 0, end = 0;
  };

  void place(const View& view, const Submission& run, std::uint32_t task) {
    Spot best;
    const std::int64_t task_ns = run.task_ns(task);
    for (const PeerIndex worker : run.pool(task).members) {
      const Peer& peer = view.workers.at(worker);
      if (lanes_[worker].empty()) {
        lanes_[worker].assign(peer.slots, Lane(view.workers.load_ns(worker)));
      }
      const std::int64_t ready = ready_at(view, run, task, worker);
      const auto length = static_cast<std::int64_t>(static_cast<double>(task_ns) * peer.slowness);
      for (std::size_t lane = 0; lane < lanes_[worker].size(); ++lane) {
        if (best.worker != no_peer && ready + length >= best.end) break;
        const std::int64_t begin = lanes_[worker][lane].start(ready, length);
        if (best.worker == no_peer || begin + length < best.end) {
          best = {worker, lane, begin, begin + length};
        }
      }
    }
    if (best.worker == no_peer) return;
    lanes_[best.worker][best.lane].insert(best.begin, best.end);
    place_[task] = best.worker;
    end_[task] = best.end;
  }

  /// When the inputs could be there.
  std::int64_t ready_at(const View& view, const Submission& run, std::uint32_t task,
                        PeerIndex worker) const {
    std::int64_t ready = 0;
    for (const std::uint32_t datum : run.graph.inputs_of(task)) {
      if (datum >= run.graph.output_count()) continue;
      const std::uint32_t maker = run.producer[datum];
      const PeerIndex from = place_[maker];
      const bool is_near = from == worker || from == no_peer ||
                           view.workers.at(from).host == view.workers.at(worker).host;
      const std::int64_t moving = is_near ? 0 : moving_ns(view, run.graph.output_bytes[datum]);
      ready = std::max(ready, end_[maker] + moving);
    }
    return ready;
  }

  std::vector<std::vector<Lane>> lanes_;  ///< by worker; of the plan being made
  std::vector<PeerIndex> place_;          ///< by task
  std::vector<std::int64_t> end_;
};

}  // namespace

std::unique_ptr<Policy> make_heft() { return std::make_unique<Heft>(); }

}  // namespace ashlar::scheduler::placement
