#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/placement/order.hpp"
#include "scheduler/placement/rehearsal.hpp"
#include "scheduler/placement/replan.hpp"

namespace ashlar::scheduler::placement {

/// A graph whose tasks make data of a megabyte, one if they do not say otherwise, and what policies
/// see of it.
class Case {
 public:
  explicit Case(std::uint32_t slots, std::uint64_t memory_limit = 0) : workers_(limits_) {
    add_host(slots, memory_limit);
  }

  void add_host(std::uint32_t slots, std::uint64_t memory_limit = 0) {
    add_worker(slots, memory_limit, "host " + std::to_string(peers_));
  }
  void add_neighbour(std::uint32_t slots) { add_worker(slots, 0, "host 0"); }
  void slow_down(PeerIndex worker, double times) { workers_.edit(worker).slowness = times; }

  std::uint32_t add(std::int64_t task_us, std::initializer_list<std::uint32_t> inputs) {
    return add(task_us, std::vector<std::uint32_t>(inputs));
  }
  /// Returns its first output; a megabyte each.
  std::uint32_t add(std::int64_t task_us, const std::vector<std::uint32_t>& inputs,
                    std::uint32_t outputs = 1) {
    graph_.kernel.push_back(0);
    graph_.inputs.insert(graph_.inputs.end(), inputs.begin(), inputs.end());
    graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
    graph_.output_bytes.insert(graph_.output_bytes.end(), outputs, 1'000'000);
    graph_.output_offsets.push_back(graph_.output_count());
    graph_.param_offsets.push_back(0);
    times_.push_back(1000 * task_us);
    return graph_.output_count() - outputs;
  }

  /// A product of n x n chunks of data that exist, each summed up in place.
  void multiply(std::uint32_t n) {
    graph_.products = {{n, n, n, 300 * n, 300 * n, 300 * n, 8}};
    graph_.external_bytes.assign(std::size_t{2} * n * n, 1'000'000);
    const std::uint32_t a = n * n * n, b = a + n * n;
    for (std::uint32_t cell = 0; cell < n * n * n; ++cell) {
      const std::uint32_t row = cell / n / n, column = cell / n % n, i = cell % n;
      const std::uint32_t left = a + row * n + i, right = b + i * n + column;
      i == 0 ? add(1000, {left, right}) : add(1000, {left, right, cell - 1});
      graph_.cell.push_back(cell);
      graph_.reuse_input.push_back(i == 0 ? graph::TaskGraph::no_input : 2);
      if (i == n - 1) graph_.wanted.push_back(cell);
    }
  }

  /// Data that are read from disk where the so many last used ones are in memory.
  std::uint32_t loads(const std::vector<std::uint32_t>& ranks, std::size_t room) {
    const std::uint32_t n = graph_.products[0].inner;
    std::vector<std::uint32_t> used;  // chunks, last used last; one for each sum
    std::uint32_t count = 0;
    for (const std::uint32_t t : inverse(ranks)) {
      for (const std::uint32_t d : graph_.inputs_of(t)) {
        const std::uint32_t chunk = d < graph_.output_count() ? d / n * n : d;
        count += std::erase(used, chunk) == 0;
        used.push_back(chunk);
      }
      if (graph_.inputs_of(t).size() == 2) used.push_back(t / n * n);
      if (used.size() > room) used.erase(used.begin(), used.end() - static_cast<long>(room));
    }
    return count;
  }

  std::vector<std::uint32_t> ranks() { return order().ranks; }

  TaskOrder order() {
    complete();
    TaskOrder order = timely_order(view(), submission(), true);
    expect_permutation(order.ranks);
    return order;
  }

  /// The second plan, for a graph that ran by the first.
  Plan replanned(Plan from) {
    complete();
    const std::uint32_t any = workers_.requirement_id(workers_.kernel_id("k"), {});
    workers_.refresh_pools();
    Submission submitted = submission();
    submitted.pool = [&](std::uint32_t) -> const Pool& {
      return workers_.pool(workers_.pool_of(any));
    };
    submitted.made_bytes = made_bytes_.empty() ? graph_.output_bytes : made_bytes_;
    Plan plan = replan(view(), submitted, std::move(from));
    expect_permutation(inverse(plan.order));
    return plan;
  }

  /// When the run would be done, in the order in which tasks were added.
  std::int64_t rehearsed_ns(const std::vector<std::uint32_t>& where, double looks_max = 1e6) {
    complete();
    std::vector<std::uint32_t> order(graph_.task_count());
    std::iota(order.begin(), order.end(), 0);
    const Submission run = submission();
    const std::vector<Host> hosts = hosts_of(workers_);
    return Rehearsal(view(), run, order, hosts, looks_max).makespan_ns(where);
  }
  std::int64_t megabyte_ns() const { return moving_ns(view(), 1'000'000); }

  double peak(const std::vector<std::uint32_t>& ranks) {
    return peak_bytes(submission(), inverse(ranks)) * 1e-6;
  }
  double depth_first_peak() { return peak(graph::depth_first_ranks(graph_)); }

  graph::TaskGraph& graph() { return graph_; }
  /// A megabyte each, at these hosts, which are numbered as they were added; after all tasks. Tasks
  /// read them by the numbers that follow those of all outputs.
  void add_externals(std::vector<std::uint32_t> hosts) {
    graph_.external_bytes.assign(hosts.size(), 1'000'000);
    external_hosts_ = std::move(hosts);
  }
  /// What the graph says nothing of.
  void make_bytes(std::vector<std::uint64_t> by_output) {
    graph_.output_bytes.assign(by_output.size(), graph::TaskGraph::dynamic_bytes);
    made_bytes_ = std::move(by_output);
  }

 private:
  void add_worker(std::uint32_t slots, std::uint64_t memory_limit, const std::string& host) {
    protocol::Hello hello;
    hello.slots = slots;
    hello.memory_limit = memory_limit;
    hello.endpoint.host_identity = host;
    hello.kernels = {"k"};
    workers_.add(PeerId{++peers_}, hello, true);
  }

  void complete() {
    graph_.kernels = {"k"};
    EXPECT_EQ(graph::validate(graph_), "");
    producer_ = graph::producers(graph_);
    consumers_ = graph::consumers(graph_);
  }

  void expect_permutation(const std::vector<std::uint32_t>& ranks) {
    std::vector<std::uint32_t> sorted = ranks;
    std::ranges::sort(sorted);
    for (std::uint32_t r = 0; r < sorted.size(); ++r) EXPECT_EQ(sorted[r], r) << "a permutation";
    for (std::uint32_t t = 0; t < graph_.task_count(); ++t) {
      for (const std::uint32_t d : graph_.inputs_of(t)) {
        if (d >= graph_.output_count()) continue;
        EXPECT_LT(ranks[producer_[d]], ranks[t]) << "producers come first";
      }
    }
  }

  View view() const { return {workers_, replicas_, links_, kept_, limits_}; }
  Submission submission() {
    Submission run{graph_, producer_, consumers_, [this](std::uint32_t t) { return times_[t]; }};
    if (external_hosts_.empty()) return run;
    run.external_host = [this](std::uint32_t i) { return external_hosts_[i]; };
    return run;
  }

  Limits limits_;
  std::uint32_t peers_ = 0;
  WorkerTable workers_;
  ReplicaPool replicas_;
  LinkModel links_{1e9};
  KeptTasks kept_;
  graph::TaskGraph graph_;
  std::vector<std::uint32_t> producer_;
  graph::Consumers consumers_;
  std::vector<std::int64_t> times_;
  std::vector<std::uint64_t> made_bytes_;
  std::vector<std::uint32_t> external_hosts_;
};

}  // namespace ashlar::scheduler::placement
