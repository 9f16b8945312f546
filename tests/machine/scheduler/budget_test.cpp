#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

/// What the engine may cost.
namespace ashlar::scheduler {
namespace {

/// Layers of tasks that read three of the layer before each.
std::shared_ptr<graph::TaskGraph> layers(std::uint32_t width, std::uint32_t count) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  for (std::uint32_t t = 0; t < width * count; ++t) {
    for (std::uint32_t n = 0; t >= width && n < 3; ++n) {
      graph->inputs.push_back((t / width - 1) * width + (t + n) % width);
    }
    graph->kernel.push_back(0);
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(t + 1);
    graph->param_offsets.push_back(0);
  }
  return graph;
}

TEST(Budget, AThousandWorkersTakeAtMost256BytesForEachTask) {
  SchedulerEngine engine;
  std::vector<Event> events;
  constexpr std::uint32_t workers = 1000;
  for (std::uint32_t w = 0; w < workers; ++w) {
    protocol::Hello hello;
    hello.slots = 1;
    hello.kernels = {"k"};
    hello.endpoint.host_identity = "host " + std::to_string(w);
    events.emplace_back(WorkerJoined{PeerId{w}, hello});
  }
  events.emplace_back(SessionOpened{SessionId{0}, PeerId{workers}, {}});
  const auto graph = layers(5000, 20);
  events.emplace_back(FromDriver{SessionId{0}, protocol::SubmitRun{0, graph, {}, false}});
  std::size_t most = 0;
  Instant now;
  while (!events.empty()) {
    Actions actions;
    now = now + Duration::milliseconds(1);
    engine.step(events, now, actions);
    most = std::max(most, engine.state_bytes());
    events.clear();
    for (const Action& action : actions) {
      const auto* told = std::get_if<ToWorker>(&action);
      if (told == nullptr) continue;
      const auto* tasks = std::get_if<protocol::AssignTasks>(&told->message);
      if (tasks == nullptr) continue;
      protocol::TasksDone done;
      done.run = tasks->run;
      done.task = tasks->task;
      done.attempt = tasks->attempt;
      done.elapsed_ns.assign(tasks->task.size(), 10'000);
      events.emplace_back(FromWorker{told->worker, std::move(done)});
    }
  }
  EXPECT_EQ(engine.counters().tasks_done, graph->task_count());
  EXPECT_LE(most, std::size_t{256} * graph->task_count());
}

}  // namespace
}  // namespace ashlar::scheduler
