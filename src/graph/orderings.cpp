#include <algorithm>
#include <ranges>

#include "base/check.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::graph {
namespace {

constexpr std::uint32_t unranked = ~std::uint32_t{0};

/// Tasks so that producers come before consumers.
std::vector<std::uint32_t> topological_order(const TaskGraph& graph) {
  std::vector<std::uint32_t> missing(graph.task_count(), 0);
  std::vector<std::uint32_t> order;
  order.reserve(graph.task_count());
  bool is_ascending = true;
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum >= graph.output_count()) continue;
      ++missing[t];
      is_ascending &= datum < graph.output_offsets[t];
    }
  }
  if (is_ascending) {
    for (std::uint32_t t = 0; t < graph.task_count(); ++t) order.push_back(t);
    return order;
  }
  const auto users = consumers(graph);
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    if (missing[t] == 0) order.push_back(t);
  }
  for (std::size_t next = 0; next < order.size(); ++next) {
    const std::uint32_t t = order[next];
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      for (const std::uint32_t user : users.of(d)) {
        if (--missing[user] == 0) order.push_back(user);
      }
    }
  }
  ASHLAR_CHECK(order.size() == graph.task_count(), "orderings need a valid graph");
  return order;
}

/// Longest chain of tasks that ends in each task, in tasks.
std::vector<std::uint32_t> heights(const TaskGraph& graph,
                                   const std::vector<std::uint32_t>& producer,
                                   const std::vector<std::uint32_t>& order) {
  std::vector<std::uint32_t> height(graph.task_count(), 0);
  for (const std::uint32_t t : order) {
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum < graph.output_count())
        height[t] = std::max(height[t], height[producer[datum]] + 1);
    }
  }
  return height;
}

/// Visits producers before consumers, from one sink at a time.
class DepthFirst {
 public:
  explicit DepthFirst(const TaskGraph& graph)
      : graph_(graph),
        producer_(producers(graph)),
        height_(heights(graph, producer_, topological_order(graph))),
        rank_(graph.task_count(), unranked) {}

  void visit(std::uint32_t sink) {
    open(sink);
    while (!path_.empty()) {
      const Frame frame = path_.back();
      if (pending_.size() > frame.pending) {
        const std::uint32_t below = pending_.back();
        pending_.pop_back();
        if (rank_[below] == unranked) open(below);
      } else {
        rank_[frame.task] = next_rank_++;
        path_.pop_back();
      }
    }
  }

  std::vector<std::uint32_t> take_ranks() { return std::move(rank_); }
  const std::vector<std::uint32_t>& producer() const { return producer_; }

 private:
  struct Frame {
    std::uint32_t task;
    std::size_t pending;  ///< where its producers begin in pending_
  };

  /// Puts a task on the path. The producer at the end of the longest chain is visited first, so
  /// that the work that holds the task up is done first; ties by position.
  void open(std::uint32_t task) {
    path_.push_back({task, pending_.size()});
    const auto begin = static_cast<std::ptrdiff_t>(pending_.size());
    for (const std::uint32_t datum : graph_.inputs_of(task)) {
      if (datum >= graph_.output_count()) continue;
      if (rank_[producer_[datum]] == unranked) pending_.push_back(producer_[datum]);
    }
    std::reverse(pending_.begin() + begin, pending_.end());
    std::stable_sort(pending_.begin() + begin, pending_.end(),
                     [this](auto a, auto b) { return height_[a] < height_[b]; });
  }

  const TaskGraph& graph_;
  std::vector<std::uint32_t> producer_;
  std::vector<std::uint32_t> height_;
  std::vector<std::uint32_t> rank_;
  std::vector<Frame> path_;
  std::vector<std::uint32_t> pending_;
  std::uint32_t next_rank_ = 0;
};

}  // namespace

std::vector<std::uint32_t> depth_first_ranks(const TaskGraph& graph) {
  DepthFirst search{graph};
  std::vector<bool> has_consumer(graph.task_count(), false);
  for (const std::uint32_t datum : graph.inputs) {
    if (datum < graph.output_count()) has_consumer[search.producer()[datum]] = true;
  }
  for (std::uint32_t sink = 0; sink < graph.task_count(); ++sink) {
    if (!has_consumer[sink]) search.visit(sink);
  }
  return search.take_ranks();
}

double Bounds::lower_bound(std::uint32_t slots) const {
  return std::max(total_seconds / std::max(slots, 1u), critical_path_seconds);
}

Bounds bounds(const TaskGraph& graph, std::span<const double> task_seconds) {
  const std::vector<double> before = ways(graph, task_seconds).before;
  Bounds result;
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    result.total_seconds += task_seconds[t];
    result.critical_path_seconds =
        std::max(result.critical_path_seconds, before[t] + task_seconds[t]);
  }
  return result;
}

Ways ways(const TaskGraph& graph, std::span<const double> task_seconds) {
  ASHLAR_CHECK(task_seconds.size() == graph.task_count(), "one time per task");
  const auto producer = producers(graph);
  const std::vector<std::uint32_t> order = topological_order(graph);
  Ways result{std::vector<double>(order.size(), 0), std::vector<double>(order.size(), 0)};
  for (const std::uint32_t t : order) {
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum >= graph.output_count()) continue;
      const std::uint32_t maker = producer[datum];
      result.before[t] = std::max(result.before[t], result.before[maker] + task_seconds[maker]);
    }
  }
  for (const std::uint32_t t : order | std::views::reverse) {
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum >= graph.output_count()) continue;
      double& after = result.after[producer[datum]];
      after = std::max(after, result.after[t] + task_seconds[t]);
    }
  }
  return result;
}

}  // namespace ashlar::graph
