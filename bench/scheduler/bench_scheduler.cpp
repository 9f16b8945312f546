#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "../statistics.hpp"
#include "drive.hpp"

/// How many tasks a second the scheduler engine decides, alone: a stencil over time (three
/// dependencies each), workers that answer at once, in batches. Prints the median of several
/// repetitions and the bytes of state per task (graph included).
int main(int argc, char** argv) {
  using namespace ashlar::bench;
  std::uint32_t tasks = 1'000'000;
  Cluster cluster;
  int repetitions = 5;
  CLI::App app("How many tasks a second the scheduler engine decides.");
  app.add_option("--tasks", tasks)->capture_default_str();
  app.add_option("--workers", cluster.workers)->capture_default_str();
  app.add_option("--batch", cluster.batch, "tasks of a report")->capture_default_str();
  app.add_option("--repetitions", repetitions)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::uint32_t width = 1000;
  const double heap_before = heap_in_use();
  const auto graph = stencil(width, std::max(tasks / width, 1u));
  std::vector<double> decide, with_submit, bytes, heap;
  for (int r = 0; r < repetitions; ++r) {
    const Driven driven = drive(graph, cluster, heap_before);
    const double count = graph->task_count();
    decide.push_back(count / driven.decide_seconds);
    with_submit.push_back(count / (driven.decide_seconds + driven.submit_seconds));
    bytes.push_back(driven.state_bytes / count);
    heap.push_back(driven.heap_bytes / count);
  }
  std::printf(
      "tasks %u, 3 dependencies each, workers %u, reports of up to %u tasks, %d repetitions\n",
      graph->task_count(), cluster.workers, cluster.batch, repetitions);
  std::printf("decisions per second, median:               %.0f\n", median(decide));
  std::printf("the same with taking in the graph:          %.0f\n", median(with_submit));
  std::printf("bytes of state per task (graph included):   %.1f\n", median(bytes));
  std::printf("bytes of heap per task (graph included):    %.1f\n", median(heap));
}
