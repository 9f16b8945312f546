#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "scheduler/scheduler_engine.hpp"

namespace ashlar::scheduler {
namespace {

/// Workers of one slot and one host in virtual time. A worker runs, of what was assigned to it, the
/// first task whose input is made, and tells what it has done after `report_delay` at the latest, at
/// once when it can go on with nothing.
class Cluster {
 public:
  Cluster(std::uint32_t workers, const Limits& limits, Duration report_delay = {})
      : engine_{limits, 7}, workers_(workers), report_delay_(report_delay) {
    for (std::uint32_t w = 0; w < workers; ++w) {
      protocol::Hello hello;
      hello.slots = 1;
      hello.kernels = {"k"};
      hello.endpoint.host_identity = "host";
      step(WorkerJoined{PeerId{w}, hello});
    }
    step(SessionOpened{SessionId{0}, PeerId{workers}, {}});
  }

  /// Runs chains of `links` tasks each, which take buffers over; `cost(worker, task)` in ns.
  /// Returns the makespan in ns; -1 when it hangs.
  template <class Cost>
  std::int64_t run_chains(std::uint32_t chains, std::uint32_t links, Cost cost) {
    const std::uint32_t tasks = chains * links;
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    graph->kernel.assign(tasks, 0);
    for (std::uint32_t t = 0; t < tasks; ++t) {
      const bool is_first = t % links == 0;
      if (!is_first) graph->inputs.push_back(t - 1);
      graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
      graph->reuse_input.push_back(is_first ? graph::TaskGraph::no_input : 0);
      graph->output_bytes.push_back(8 << 20);
      graph->output_offsets.push_back(t + 1);
      graph->param_offsets.push_back(0);
      if (t % links == links - 1) graph->wanted.push_back(t);
    }
    links_ = links;
    return run(graph, cost);
  }

  /// The same with a stencil over time: each point reads itself and its neighbours in the row
  /// before.
  template <class Cost>
  std::int64_t run_stencil(std::uint32_t columns, std::uint32_t rows, Cost cost) {
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    graph->kernel.assign(std::size_t{columns} * rows, 0);
    for (std::uint32_t t = 0; t < columns * rows; ++t) {
      const std::uint32_t row = t / columns, column = t % columns;
      for (std::uint32_t c = column > 0 ? column - 1 : 0; row > 0 && c <= column + 1; ++c) {
        if (c < columns) graph->inputs.push_back((row - 1) * columns + c);
      }
      graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
      graph->output_bytes.push_back(16);
      graph->output_offsets.push_back(t + 1);
      graph->param_offsets.push_back(0);
      if (row + 1 == rows) graph->wanted.push_back(t);
    }
    return run(graph, cost);
  }

  /// Of what the tasks of the last run read, the share that was made on another worker.
  double read_elsewhere() const {
    std::size_t elsewhere = 0;
    for (std::uint32_t t = 0; t < where_.size(); ++t) {
      for (const std::uint32_t input : graph_->inputs_of(t)) elsewhere += where_[input] != where_[t];
    }
    return static_cast<double>(elsewhere) / static_cast<double>(graph_->inputs.size());
  }

  /// Links of the last chains that ran on another worker than the one before.
  std::uint32_t moved() const {
    std::uint32_t found = 0;
    for (std::uint32_t t = 1; t < where_.size(); ++t) {
      found += t % links_ != 0 && where_[t] != where_[t - 1];
    }
    return found;
  }

 private:
  template <class Cost>
  std::int64_t run(std::shared_ptr<const graph::TaskGraph> graph, Cost cost) {
    const std::int64_t started = now_.ns;
    graph_ = graph;
    where_.assign(graph->task_count(), ~0u);
    is_done_.assign(graph->task_count(), false);
    for (Worker& worker : workers_) worker.free_at = now_.ns;
    step(FromDriver{SessionId{0}, protocol::SubmitRun{next_run_++, graph, {}, false}});
    while (engine_.unfinished_tasks() > 0) {
      for (std::uint32_t w = 0; w < workers_.size(); ++w) start(w, cost);
      if (report_idle()) continue;
      const auto next = std::ranges::min_element(
          workers_, {}, [](const Worker& w) { return w.is_busy ? w.free_at : INT64_MAX; });
      if (!next->is_busy) return -1;
      finish(*next, static_cast<std::uint32_t>(next - workers_.begin()));
    }
    return now_.ns - started;
  }

  struct Assigned {
    RunId run;
    std::uint32_t task = 0;
    Attempt attempt = 0;
  };
  struct Worker {
    std::deque<Assigned> queue;
    Assigned running;
    bool is_busy = false;
    std::int64_t elapsed = 0, free_at = 0;
    protocol::TasksDone done;  ///< and not told yet
    std::int64_t held_since = 0;
  };

  void step(Event event) {
    Actions actions;
    engine_.step({&event, 1}, now_, actions);
    for (const Action& action : actions) {
      const auto* to = std::get_if<ToWorker>(&action);
      if (to == nullptr) continue;
      if (const auto* revoked = std::get_if<protocol::RevokeTasks>(&to->message)) {
        revoke(workers_[to->worker.value], *revoked);
      }
      const auto* tasks = std::get_if<protocol::AssignTasks>(&to->message);
      for (std::size_t i = 0; tasks != nullptr && i < tasks->task.size(); ++i) {
        workers_[to->worker.value].queue.push_back({tasks->run, tasks->task[i], tasks->attempt[i]});
      }
    }
  }

  static void revoke(Worker& worker, const protocol::RevokeTasks& message) {
    for (std::size_t i = 0; i < message.task.size(); ++i) {
      std::erase_if(worker.queue, [&](const Assigned& assigned) {
        return assigned.run == message.run && assigned.task == message.task[i] &&
               assigned.attempt == message.attempt[i];
      });
    }
  }

  template <class Cost>
  void start(std::uint32_t w, Cost cost) {
    Worker& worker = workers_[w];
    if (worker.is_busy) return;
    const auto next = std::ranges::find_if(worker.queue, [this](const Assigned& assigned) {
      return std::ranges::all_of(graph_->inputs_of(assigned.task),
                                 [this](std::uint32_t input) { return is_done_[input]; });
    });
    if (next == worker.queue.end()) return;
    worker.running = *next;
    worker.queue.erase(next);
    worker.is_busy = true;
    worker.elapsed = cost(w, worker.running.task);
    worker.free_at = now_.ns + worker.elapsed;
    where_[worker.running.task] = w;
  }

  void finish(Worker& worker, std::uint32_t w) {
    worker.is_busy = false;
    now_.ns = worker.free_at;
    const Assigned& ended = worker.running;
    is_done_[ended.task] = true;
    if (worker.done.task.empty()) worker.held_since = now_.ns;
    worker.done.run = ended.run;
    worker.done.task.push_back(ended.task);
    worker.done.attempt.push_back(ended.attempt);
    worker.done.elapsed_ns.push_back(static_cast<std::uint64_t>(worker.elapsed));
    if (now_.ns - worker.held_since >= report_delay_.ns) report(w);
  }

  void report(std::uint32_t w) {
    step(FromWorker{PeerId{w}, std::exchange(workers_[w].done, {})});
  }

  /// Returns whether one that can go on with nothing had something to tell.
  bool report_idle() {
    for (std::uint32_t w = 0; w < workers_.size(); ++w) {
      if (workers_[w].is_busy || workers_[w].done.task.empty()) continue;
      report(w);
      return true;
    }
    return false;
  }

  SchedulerEngine engine_;
  std::vector<Worker> workers_;
  Duration report_delay_;
  Instant now_;
  std::shared_ptr<const graph::TaskGraph> graph_;
  std::uint32_t next_run_ = 0, links_ = 1;
  std::vector<std::uint32_t> where_;
  std::vector<bool> is_done_;
};

/// Milliseconds in which two fast workers and two that need four times as long run `count`
/// independent tasks, when the engine has seen some before.
std::int64_t makespan_ms(PolicyKind policy, std::uint32_t count, Limits limits = {}) {
  limits.policy = policy;
  Cluster cluster{4, limits};
  const auto cost = [](std::uint32_t w, std::uint32_t) { return w < 2 ? 1'000'000 : 4'000'000; };
  cluster.run_chains(200, 1, cost);
  return cluster.run_chains(count, 1, cost) / 1'000'000;
}

// 2.5 tasks a millisecond at best: 48 ms.
constexpr std::uint32_t tasks = 120;
constexpr std::int64_t bound_ms = 48;

TEST(PolicyQuality, ShortWindowsBindLateAndComeCloseToTheBound) {
  const std::int64_t found = makespan_ms(PolicyKind::least_loaded, tasks);
  EXPECT_GE(found, bound_ms);
  EXPECT_LE(found, bound_ms * 11 / 10);
}

TEST(PolicyQuality, LeastLoadedBeatsBlindPoliciesWhenMuchIsAssignedAhead) {
  Limits wide;
  wide.window_time = Duration::milliseconds(100);
  wide.steal_gain = Duration::seconds(1000);  // no second thoughts
  const std::int64_t least_loaded = makespan_ms(PolicyKind::least_loaded, tasks, wide);
  const std::int64_t random = makespan_ms(PolicyKind::random, tasks, wide);
  const std::int64_t round_robin = makespan_ms(PolicyKind::round_robin, tasks, wide);
  std::printf("least loaded %lld ms, random %lld ms, round robin %lld ms, bound %lld ms\n",
              static_cast<long long>(least_loaded), static_cast<long long>(random),
              static_cast<long long>(round_robin), static_cast<long long>(bound_ms));
  EXPECT_GE(static_cast<double>(random), 1.1 * static_cast<double>(least_loaded));
  EXPECT_GE(static_cast<double>(round_robin), 1.1 * static_cast<double>(least_loaded));
}

// The blocked matrix multiply: each output chunk is a chain that adds into one buffer.
TEST(PolicyQuality, ChainsOfLongTasksStayWhereTheirBufferIsAndKeepEveryWorkerBusy) {
  for (const std::int64_t task_us : {100, 2'000, 43'000}) {
    Cluster cluster{2, {}};
    SplitMix64 random{11};
    const auto cost = [&](std::uint32_t, std::uint32_t) {
      return static_cast<std::int64_t>(static_cast<double>(task_us) *
                                       static_cast<double>(900 + random.below(300)));
    };
    cluster.run_chains(4, 8, cost);
    const std::int64_t found = cluster.run_chains(64, 8, cost);
    const double bound = 64 * 8 / 2 * 1050.0 * static_cast<double>(task_us);
    EXPECT_GT(static_cast<double>(found), 0.95 * bound);
    EXPECT_LT(static_cast<double>(found), 1.05 * bound) << task_us << " us";
    EXPECT_LE(cluster.moved(), 8u) << task_us << " us";
  }
}

TEST(PolicyQuality, ASlowWorkerGetsNothingThatAFastOneFinishesSooner) {
  Cluster cluster{2, {}};
  const auto cost = [](std::uint32_t w, std::uint32_t) {
    return w == 0 ? 40'000'000 : 400'000'000;
  };
  cluster.run_chains(40, 1, cost);
  EXPECT_LE(cluster.run_chains(5, 1, cost), 5 * 40'000'000);
}

TEST(LeastLoaded, TwoColumnsThatReadEachOtherRunSideBySide) {
  for (const std::int64_t task_ns : {20'000, 60'000, 200'000, 2'000'000}) {
    Cluster cluster{2, {}};
    const auto cost = [task_ns](std::uint32_t, std::uint32_t) { return task_ns; };
    cluster.run_stencil(2, 100, cost);  // learns the time
    constexpr std::uint32_t rows = 1000;
    EXPECT_LE(cluster.run_stencil(2, rows, cost), rows * task_ns * 13 / 10) << task_ns << " ns";
  }
}

// Of short tasks much is assigned ahead and told late: a row that one worker gets as a whole, since
// the other one seems to have more to do, is run by it alone, and the next one by the other.
TEST(LeastLoaded, EachWorkerHasItsPartOfEveryRowOfAStencil) {
  for (const std::int64_t task_ns : {10'000, 25'000, 100'000}) {
    Cluster cluster{2, {}, Duration::milliseconds(1)};
    SplitMix64 random{5};
    const auto cost = [&](std::uint32_t, std::uint32_t) {
      return task_ns * static_cast<std::int64_t>(90 + random.below(20)) / 100;
    };
    cluster.run_stencil(8, 100, cost);  // learns the time
    constexpr std::uint32_t rows = 500;
    const std::int64_t bound = 8 * rows / 2 * task_ns;
    EXPECT_LE(cluster.run_stencil(8, rows, cost), bound * 115 / 100) << task_ns << " ns";
    EXPECT_LE(cluster.read_elsewhere(), 0.25) << task_ns << " ns";
  }
}

TEST(LeastLoaded, WhatAStepMayNotPlaceIsPlacedByTheNextOnes) {
  Limits limits;
  limits.placed_a_step = 3;
  Cluster cluster{4, limits};
  const auto cost = [](std::uint32_t, std::uint32_t) { return 100'000; };
  cluster.run_stencil(16, 20, cost);  // learns the time
  const std::int64_t found = cluster.run_stencil(16, 200, cost);
  EXPECT_GE(found, 16 * 200 / 4 * 100'000);
  EXPECT_LE(found, 16 * 200 / 4 * 100'000 * 14 / 10);
}

// In order of rank all that one worker has the inputs of comes first.
TEST(LeastLoaded, NoWorkerIsIdleWhileTheInputsOfTheNextShortTasksAreElsewhere) {
  constexpr std::uint32_t workers = 8, columns = 40'000;
  constexpr std::int64_t task_ns = 50'000;
  Cluster cluster{workers, {}, Duration::milliseconds(1)};
  const auto cost = [](std::uint32_t, std::uint32_t) { return task_ns; };
  cluster.run_stencil(8, 100, cost);  // learns the time
  constexpr std::int64_t bound = 2 * columns / workers * task_ns;
  EXPECT_LE(cluster.run_stencil(columns, 2, cost), bound * 105 / 100);
}

}  // namespace
}  // namespace ashlar::scheduler
