#include "drive.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

namespace ashlar::bench {
namespace {

using namespace scheduler;

/// Processor time of this process, which has one thread: other processes do not count.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Workers that are done with what they were given when the engine looks next.
class Workers {
 public:
  explicit Workers(Cluster cluster) : cluster_(cluster), assigned_(cluster.workers) {}

  std::vector<Event> hellos() const {
    std::vector<Event> events;
    for (std::uint32_t w = 0; w < cluster_.workers; ++w) {
      protocol::Hello hello;
      hello.name = "worker " + std::to_string(w);
      hello.slots = 1;
      hello.kernels = {"stencil"};
      hello.endpoint.host_identity = "host " + std::to_string(w / 8);
      events.emplace_back(WorkerJoined{PeerId{w}, hello});
    }
    return events;
  }

  void take(const ToWorker& action) {
    const auto* tasks = std::get_if<protocol::AssignTasks>(&action.message);
    if (tasks == nullptr) return;
    auto& list = assigned_[action.worker.value];
    list.task.insert(list.task.end(), tasks->task.begin(), tasks->task.end());
    list.attempt.insert(list.attempt.end(), tasks->attempt.begin(), tasks->attempt.end());
  }

  /// Reports of each worker's oldest tasks.
  void report(std::vector<Event>& events) {
    for (std::uint32_t w = 0; w < cluster_.workers; ++w) {
      auto& list = assigned_[w];
      const auto count =
          static_cast<std::ptrdiff_t>(std::min<std::size_t>(cluster_.batch, list.task.size()));
      if (count == 0) continue;
      protocol::TasksDone done;
      done.run = RunId{SessionId{0}, 0};
      done.task.assign(list.task.begin(), list.task.begin() + count);
      done.attempt.assign(list.attempt.begin(), list.attempt.begin() + count);
      done.elapsed_ns.assign(static_cast<std::size_t>(count), 10000);
      list.task.erase(list.task.begin(), list.task.begin() + count);
      list.attempt.erase(list.attempt.begin(), list.attempt.begin() + count);
      events.emplace_back(FromWorker{PeerId{w}, std::move(done)});
    }
  }

  double bytes() const {
    double total = 0;
    for (const auto& list : assigned_) {
      total += 4.0 * static_cast<double>(list.task.capacity() + list.attempt.capacity());
    }
    return total;
  }

 private:
  Cluster cluster_;
  std::vector<protocol::TasksDone> assigned_;
};

/// Hands actions on. Returns whether the run has ended.
bool perform(const Actions& actions, Workers& workers) {
  bool is_ended = false;
  for (const Action& action : actions) {
    if (const auto* to_worker = std::get_if<ToWorker>(&action)) workers.take(*to_worker);
    if (const auto* to_driver = std::get_if<ToDriver>(&action)) {
      is_ended |= std::holds_alternative<protocol::RunEnded>(to_driver->message);
    }
  }
  return is_ended;
}

}  // namespace

std::shared_ptr<const graph::TaskGraph> stencil(std::uint32_t width, std::uint32_t steps) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"stencil"};
  const std::uint32_t tasks = width * steps;
  graph->kernel.assign(tasks, 0);
  graph->output_bytes.assign(tasks, 8);
  graph->param_offsets.assign(tasks + 1, 0);
  for (std::uint32_t t = 0; t < tasks; ++t) {
    if (t >= width) {
      const std::uint32_t row = (t / width - 1) * width, column = t % width;
      graph->inputs.push_back(row + (column + width - 1) % width);
      graph->inputs.push_back(row + column);
      graph->inputs.push_back(row + (column + 1) % width);
    }
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_offsets.push_back(t + 1);
  }
  graph->inputs.shrink_to_fit();
  graph->input_offsets.shrink_to_fit();
  graph->output_offsets.shrink_to_fit();
  return graph;
}

double heap_in_use() {
  const struct mallinfo2 now = mallinfo2();
  return static_cast<double>(now.uordblks + now.hblkhd);
}

Driven drive(const std::shared_ptr<const graph::TaskGraph>& graph, Cluster cluster,
             double heap_before) {
  SchedulerEngine engine;
  Workers workers(cluster);
  Instant now;
  Actions actions;
  const auto step = [&](const std::vector<Event>& events) {
    now = now + Duration::microseconds(100);
    const double start = processor_seconds();
    engine.step(events, now, actions);
    return processor_seconds() - start;
  };
  step(workers.hellos());
  step({SessionOpened{SessionId{0}, PeerId{cluster.workers}, {}}});

  Driven result;
  std::vector<Event> events;
  events.emplace_back(FromDriver{SessionId{0}, protocol::SubmitRun{0, graph, {}, false}});
  result.submit_seconds = step(events);
  std::uint64_t look_at = 0;
  while (!perform(actions, workers)) {
    events.clear();
    if (engine.counters().tasks_done >= look_at) {
      look_at = engine.counters().tasks_done + graph->task_count() / 10;
      const auto state = static_cast<double>(engine.state_bytes());
      result.state_bytes = std::max(result.state_bytes, state);
      const double heap = heap_in_use() - heap_before - workers.bytes();
      result.heap_bytes = std::max(result.heap_bytes, heap);
    }
    workers.report(events);
    if (events.empty()) {
      std::fprintf(stderr, "the engine stands still\n%s", engine.dump().c_str());
      std::exit(1);
    }
    result.decide_seconds += step(events);
  }
  return result;
}

}  // namespace ashlar::bench
