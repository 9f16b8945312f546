#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

/// How many tasks a second the scheduler engine decides, alone: a stencil over time (three
/// dependencies each), workers that answer at once, in batches. Prints the median of several
/// repetitions and the bytes of state per task (graph included).
namespace {

using namespace ashlar;
using namespace ashlar::scheduler;

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

struct Result {
  double submit_seconds = 0;
  double decide_seconds = 0;
  double bytes_per_task = 0;
};

/// Processor time of this process, which has one thread: other processes do not count.
double seconds_since(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

Result run_once(std::shared_ptr<const graph::TaskGraph> graph, std::uint32_t workers,
                std::uint32_t batch) {
  SchedulerEngine engine;
  std::vector<Event> events;
  for (std::uint32_t w = 0; w < workers; ++w) {
    protocol::Hello hello;
    hello.name = "worker " + std::to_string(w);
    hello.slots = 1;
    hello.kernels = {"stencil"};
    hello.endpoint.host_identity = "host " + std::to_string(w / 8);
    events.push_back(WorkerJoined{PeerId{w}, hello});
  }
  events.push_back(SessionOpened{SessionId{0}, PeerId{workers}, {}});
  Actions actions;
  Instant now;
  engine.step(events, now, actions);

  Result result;
  const auto start = std::clock();
  Event submission = FromDriver{SessionId{0}, protocol::SubmitRun{0, graph, {}, false}};
  actions.clear();
  engine.step({&submission, 1}, now, actions);
  result.submit_seconds = seconds_since(start);

  // Each worker's assigned tasks, oldest first; it reports up to `batch` of them at a time.
  std::vector<protocol::TasksDone> assigned(workers);
  std::vector<std::size_t> reported(workers, 0);
  bool is_ended = false;
  while (!is_ended) {
    for (const Action& action : actions) {
      if (const auto* to_worker = std::get_if<ToWorker>(&action)) {
        if (const auto* tasks = std::get_if<protocol::AssignTasks>(&to_worker->message)) {
          auto& list = assigned[to_worker->worker.value];
          list.task.insert(list.task.end(), tasks->task.begin(), tasks->task.end());
          list.attempt.insert(list.attempt.end(), tasks->attempt.begin(), tasks->attempt.end());
        }
      } else if (const auto* to_driver = std::get_if<ToDriver>(&action)) {
        is_ended |= std::holds_alternative<protocol::RunEnded>(to_driver->message);
      }
    }
    events.clear();
    for (std::uint32_t w = 0; w < workers; ++w) {
      auto& list = assigned[w];
      const std::size_t first = reported[w];
      const std::size_t last = std::min(first + batch, list.task.size());
      if (first == last) continue;
      protocol::TasksDone done;
      done.task.assign(list.task.begin() + static_cast<std::ptrdiff_t>(first),
                       list.task.begin() + static_cast<std::ptrdiff_t>(last));
      done.attempt.assign(list.attempt.begin() + static_cast<std::ptrdiff_t>(first),
                          list.attempt.begin() + static_cast<std::ptrdiff_t>(last));
      done.elapsed_ns.assign(last - first, 10000);
      done.run = RunId{SessionId{0}, 0};
      reported[w] = last;
      events.push_back(FromWorker{PeerId{w}, std::move(done)});
    }
    if (!is_ended && events.empty()) {
      std::fprintf(stderr, "the engine stands still\n%s", engine.dump().c_str());
      std::exit(1);
    }
    now = now + Duration::microseconds(100);
    actions.clear();
    engine.step(events, now, actions);
    if (result.bytes_per_task == 0 && engine.counters().tasks_done > graph->task_count() / 2) {
      result.bytes_per_task = static_cast<double>(engine.state_bytes()) / graph->task_count();
    }
    for (const Action& action : actions) {
      if (const auto* to_driver = std::get_if<ToDriver>(&action)) {
        is_ended |= std::holds_alternative<protocol::RunEnded>(to_driver->message);
      }
    }
  }
  result.decide_seconds = seconds_since(start) - result.submit_seconds;
  return result;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto tasks = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 1'000'000);
  const auto workers = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 64);
  const auto batch = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 64);
  const int repetitions = argc > 4 ? std::atoi(argv[4]) : 5;
  const std::uint32_t width = 1000;
  const auto graph = stencil(width, std::max(tasks / width, 1u));
  std::vector<double> decide, with_submit, bytes;
  for (int r = 0; r < repetitions; ++r) {
    const Result result = run_once(graph, workers, batch);
    const double count = graph->task_count();
    decide.push_back(count / result.decide_seconds);
    with_submit.push_back(count / (result.decide_seconds + result.submit_seconds));
    bytes.push_back(result.bytes_per_task);
  }
  std::printf(
      "tasks %u, 3 dependencies each, workers %u, reports of up to %u tasks, %d repetitions\n",
      graph->task_count(), workers, batch, repetitions);
  std::printf("decisions per second, median:               %.0f\n", median(decide));
  std::printf("the same with taking in the graph:          %.0f\n", median(with_submit));
  std::printf("bytes of state per task (graph included):   %.1f\n", median(bytes));
}
