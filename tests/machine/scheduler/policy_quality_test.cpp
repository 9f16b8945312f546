#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

namespace ashlar::scheduler {
namespace {

/// Milliseconds of virtual time in which two fast workers and two that need four times as long
/// run `count` independent tasks, when the engine has seen some before.
std::int64_t makespan_ms(PolicyKind policy, std::uint32_t count, Limits limits = {}) {
  limits.policy = policy;
  SchedulerEngine engine{limits, 7};
  struct Assigned {
    RunId run;
    std::uint32_t task;
    Attempt attempt;
  };
  std::vector<std::deque<Assigned>> queues(4);
  std::vector<std::int64_t> busy_until(4, 0);
  Instant now;
  const auto step = [&](Event event) {
    Actions actions;
    engine.step({&event, 1}, now, actions);
    for (const Action& action : actions) {
      const auto* to = std::get_if<ToWorker>(&action);
      if (to == nullptr) continue;
      const auto* tasks = std::get_if<protocol::AssignTasks>(&to->message);
      for (std::size_t i = 0; tasks != nullptr && i < tasks->task.size(); ++i) {
        queues[to->worker.value].push_back({tasks->run, tasks->task[i], tasks->attempt[i]});
      }
    }
  };
  for (std::uint32_t w = 0; w < 4; ++w) {
    protocol::Hello hello;
    hello.slots = 1;
    hello.kernels = {"k"};
    step(WorkerJoined{PeerId{w}, hello});
  }
  step(SessionOpened{SessionId{0}, PeerId{9}, {}});
  std::int64_t started = 0;
  for (std::uint32_t run = 0; run < 2; ++run) {
    started = now.ns;
    std::ranges::fill(busy_until, now.ns);
    auto graph = std::make_shared<graph::TaskGraph>();
    const std::uint32_t tasks = run == 0 ? 200 : count;
    graph->kernels = {"k"};
    graph->kernel.assign(tasks, 0);
    graph->input_offsets.assign(tasks + 1, 0);
    graph->output_offsets.assign(tasks + 1, 0);
    graph->param_offsets.assign(tasks + 1, 0);
    step(FromDriver{SessionId{0}, protocol::SubmitRun{run, graph, {}, false}});
    while (engine.unfinished_tasks() > 0) {
      std::size_t next = 4;
      const auto cost = [](std::size_t w) { return std::int64_t{w < 2 ? 1'000'000 : 4'000'000}; };
      for (std::size_t w = 0; w < 4; ++w) {
        if (queues[w].empty()) continue;
        if (next == 4 || busy_until[w] + cost(w) < busy_until[next] + cost(next)) next = w;
      }
      if (next == 4) return -1;
      const Assigned task = queues[next].front();
      queues[next].pop_front();
      busy_until[next] = std::max(busy_until[next], std::int64_t{0}) + cost(next);
      now.ns = std::max(now.ns, busy_until[next]);
      step(FromWorker{PeerId{static_cast<std::uint32_t>(next)},
                      protocol::TasksDone{task.run,
                                          {task.task},
                                          {task.attempt},
                                          {static_cast<std::uint64_t>(cost(next))},
                                          {}}});
    }
  }
  return (now.ns - started) / 1'000'000;
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
  const std::int64_t least_loaded = makespan_ms(PolicyKind::least_loaded, tasks, wide);
  const std::int64_t random = makespan_ms(PolicyKind::random, tasks, wide);
  const std::int64_t round_robin = makespan_ms(PolicyKind::round_robin, tasks, wide);
  std::printf("least loaded %lld ms, random %lld ms, round robin %lld ms, bound %lld ms\n",
              static_cast<long long>(least_loaded), static_cast<long long>(random),
              static_cast<long long>(round_robin), static_cast<long long>(bound_ms));
  EXPECT_GE(static_cast<double>(random), 1.1 * static_cast<double>(least_loaded));
  EXPECT_GE(static_cast<double>(round_robin), 1.1 * static_cast<double>(least_loaded));
}

}  // namespace
}  // namespace ashlar::scheduler
