// METG(50 %) of Ashlar: graphs built once, run repeatedly, on real worker processes of one slot
// each; placed anew each time, and compiled. See bench/README.md.
#include <ashlar/ashlar.hpp>

#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "options.hpp"
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

/// What is measured: the graphs are run as they are, or compiled.
enum class Variant { dynamic, compiled };

void measure(ashlar::Session& session, const metg::Options& options, const metg::Pattern& pattern,
             Variant variant) {
  const bool is_compiled = variant == Variant::compiled;
  std::map<long, ashlar::Graph> graphs;
  metg::measure(is_compiled ? "ashlar compiled" : "ashlar", options, pattern, [&](long iterations) {
    auto found = graphs.find(iterations);
    if (found == graphs.end()) {
      found = graphs.emplace(iterations, graph_of(pattern, iterations)).first;
      // Until its placement is known: the first run is placed, the second told in full.
      const auto compiled = session.compile(found->second);
      for (int run = 0; is_compiled && run < 2; ++run) session.run(compiled).wait();
    }
    return metg::seconds_of([&] {
      if (is_compiled) {
        session.run(session.compile(found->second)).wait();
      } else {
        session.run(found->second).wait();
      }
    });
  });
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<run_task>("metg");
  ashlar::init(argc, argv, tasks);
  metg::Options options;
  std::string only;
  CLI::App app("METG(50 %) of Ashlar: placed anew each time, and compiled");
  metg::add_options(app, options);
  app.add_option("--only", only)->check(CLI::IsMember({"dynamic", "compiled"}));
  CLI11_PARSE(app, argc, argv);
  try {
    metg::complete(options);
    auto session = ashlar::Session::local(
        {.workers = std::uint32_t(options.cores), .threads_per_worker = 1, .progress = false});
    for (const std::string& name : options.patterns) {
      for (const int width : options.widths) {
        const metg::Pattern pattern{metg::kind_of(name), width, options.steps};
        if (only != "compiled") measure(session, options, pattern, Variant::dynamic);
        if (only != "dynamic") measure(session, options, pattern, Variant::compiled);
      }
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_metg: " << error.what() << '\n';
    return 1;
  }
}
