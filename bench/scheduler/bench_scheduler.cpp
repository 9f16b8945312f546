#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "drive.hpp"

/// How many tasks a second the scheduler engine decides, alone: a stencil over time (three
/// dependencies each), workers that answer at once, in batches. Prints the median of several
/// repetitions and the bytes of state per task (graph included).
namespace {

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ashlar::bench;
  const auto tasks = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 1'000'000);
  Cluster cluster;
  if (argc > 2) cluster.workers = static_cast<std::uint32_t>(std::atoi(argv[2]));
  if (argc > 3) cluster.batch = static_cast<std::uint32_t>(std::atoi(argv[3]));
  const int repetitions = argc > 4 ? std::atoi(argv[4]) : 5;
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
