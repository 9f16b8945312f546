// METG(50 %) of Ashlar: graphs built once, run repeatedly, on real worker processes of one slot
// each. See bench/README.md.
#include <ashlar/ashlar.hpp>

#include <cstdint>
#include <iostream>
#include <map>
#include <vector>

#include "sweep.hpp"

namespace ashlar {
/// A cell travels as the two numbers that it is.
template <>
struct Codec<metg::Cell> {
  static constexpr std::size_t fixed_size = 16;
  static std::size_t size(const metg::Cell&) { return fixed_size; }
  static void encode(const metg::Cell& cell, Writer& to) {
    to.write(cell.step);
    to.write(cell.point);
  }
  static metg::Cell decode(Reader& from) {
    const auto step = from.read<std::int64_t>();
    return {step, from.read<std::int64_t>()};
  }
};
}  // namespace ashlar

namespace {

using metg::Cell;

Cell run_task(std::int32_t kind, std::int32_t width, std::int32_t step, std::int32_t point,
              std::int64_t iterations, const std::vector<Cell>& inputs) {
  const metg::Pattern pattern{.kind = metg::Kind{kind}, .width = width};
  return metg::run_task(pattern, step, point, iterations, inputs);
}

ashlar::Graph graph_of(const metg::Pattern& pattern, long iterations) {
  ashlar::Graph graph;
  graph.reserve(std::size_t(pattern.task_count()), 6);
  std::vector<ashlar::Node<Cell>> row, above, inputs;
  for (int step = 0; step < pattern.steps; ++step) {
    above.swap(row);
    row.clear();
    for (int point = 0; point < pattern.points(step); ++point) {
      inputs.clear();
      for (const int other : pattern.inputs(step, point)) inputs.push_back(above[other]);
      row.push_back(
          graph.add<run_task>(int(pattern.kind), pattern.width, step, point, iterations, inputs));
    }
  }
  return graph;
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<run_task>("metg");
  ashlar::init(argc, argv, tasks);
  try {
    const metg::Options options = metg::parse(argc, argv);
    auto session = ashlar::Session::local(
        {.workers = std::uint32_t(options.cores), .threads_per_worker = 1, .progress = false});
    for (const std::string& name : options.patterns) {
      for (const int width : options.widths) {
        const metg::Pattern pattern{metg::kind_of(name), width, options.steps};
        std::map<long, ashlar::Graph> graphs;
        metg::measure("ashlar", options, pattern, [&](long iterations) {
          auto found = graphs.find(iterations);
          if (found == graphs.end()) {
            found = graphs.emplace(iterations, graph_of(pattern, iterations)).first;
          }
          return metg::seconds_of([&] { session.run(found->second).wait(); });
        });
      }
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_metg: " << error.what() << '\n';
    return 1;
  }
}
