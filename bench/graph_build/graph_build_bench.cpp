// How fast the public Graph is built: a million tasks are to take less than a second, the
// freezing before the first run included.
#include <ashlar/graph.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "session/graph_builder.hpp"

namespace {

double step(int at) { return at; }
double stencil(double left, double middle, double right) { return left + middle + right; }

ashlar::Tasks named_tasks() {
  ashlar::Tasks tasks;
  tasks.add<step>("step").add<stencil>("stencil");
  return tasks;
}

/// Tasks without inputs, one argument each.
void build_independent(benchmark::State& state) {
  const auto tasks = named_tasks();
  const auto count = static_cast<int>(state.range(0));
  for (auto _ : state) {
    ashlar::Graph graph;
    for (int i = 0; i < count; ++i) graph.add<step>(i);
    benchmark::DoNotOptimize(graph.data().frozen(tasks));
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(build_independent)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

/// Tasks with three inputs each: a stencil of 1000 points over time.
void build_stencil(benchmark::State& state) {
  constexpr int width = 1000;
  const auto tasks = named_tasks();
  const auto count = static_cast<int>(state.range(0));
  for (auto _ : state) {
    ashlar::Graph graph;
    std::vector<ashlar::Node<double>> row, next;
    for (int i = 0; i < width; ++i) row.push_back(graph.add<step>(i));
    for (int made = width; made < count; made += width) {
      next.clear();
      for (int i = 0; i < width; ++i) {
        next.push_back(
            graph.add<stencil>(row[(i + width - 1) % width], row[i], row[(i + 1) % width]));
      }
      row.swap(next);
    }
    for (const auto& node : row) graph.want(node);
    benchmark::DoNotOptimize(graph.data().frozen(tasks));
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(build_stencil)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
