#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "array/lower.hpp"
#include "simulate/forecast.hpp"

/// What products of matrices move from host to host: the graphs that the array library makes, on
/// simulated hosts, through the production engines. Prints a Markdown table: bytes moved over the
/// communication lower bound, and makespan over the bound on it, with the grid of hosts that the
/// product suggests and, for comparison, without.
///
/// Usage: bench_volume [--gbit N] [--slots N] [HOSTS ...]
namespace {

using namespace ashlar;

struct Size {
  std::int64_t m, n, k, chunk;
};
/// Square, one side longer, one shorter.
constexpr Size sizes[] = {{16384, 16384, 16384, 512},
                          {32768, 8192, 8192, 512},
                          {8192, 8192, 32768, 512},
                          {16384, 16384, 4096, 512}};

struct Options {
  double gbit_per_s = 10;
  std::uint32_t slots = 2;
  std::vector<std::uint32_t> hosts;
};

Options read(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--gbit" && has_value) {
      options.gbit_per_s = std::atof(argv[++i]);
    } else if (word == "--slots" && has_value) {
      options.slots = static_cast<std::uint32_t>(std::atoi(argv[++i]));
    } else if (std::atoi(word.c_str()) > 0) {
      options.hosts.push_back(static_cast<std::uint32_t>(std::atoi(word.c_str())));
    } else {
      std::fprintf(stderr, "usage: bench_volume [--gbit N] [--slots N] [HOSTS ...]\n");
      std::exit(2);
    }
  }
  if (options.hosts.empty()) options.hosts = {4, 8, 16, 64};
  return options;
}

simulate::Program product(const Size& size) {
  const Array a =
      random::uniform({size.m, size.k}, {.chunks = {size.chunk, size.chunk}, .seed = 1});
  const Array b =
      random::uniform({size.k, size.n}, {.chunks = {size.chunk, size.chunk}, .seed = 2});
  const Array c = matmul(a, b);
  simulate::Program program{*array::lower({&c, 1}).graph, {}};
  constexpr double flops_per_s = 50e9, bytes_per_s = 10e9;
  for (std::uint32_t t = 0; t < program.graph.task_count(); ++t) {
    const double flops = program.graph.flops[t], bytes = program.graph.moved_bytes[t];
    program.task_seconds.push_back(std::max(flops / flops_per_s, bytes / bytes_per_s));
  }
  return program;
}

simulate::Forecast run(simulate::Program program, std::uint32_t hosts, const Options& options) {
  simulate::Machine machine{.speeds = std::vector<double>(hosts, 1.0),
                            .slots = options.slots,
                            .bandwidth = options.gbit_per_s / 8 * 1e9};
  const auto found =
      simulate::forecast({.program = std::make_shared<const simulate::Program>(std::move(program)),
                          .machine = std::make_shared<const simulate::Machine>(machine)});
  if (!found.error.empty()) {
    std::fprintf(stderr, "the simulated run fails: %s\n", found.error.c_str());
    std::exit(1);
  }
  return found;
}

void print_row(const Size& size, std::uint32_t hosts, const Options& options) {
  simulate::Program program = product(size);
  const graph::Product shape = program.graph.products.at(0);
  const graph::ProcessGrid grid = graph::best_grid(shape, hosts);
  const double least = graph::least_moved_bytes(shape, hosts);
  const auto with = run(program, hosts, options);
  program.graph.products.clear();
  program.graph.cell.clear();
  const auto without = run(std::move(program), hosts, options);
  const auto over = [](double value, double bound) { return value / bound; };
  std::printf(
      "| %lld | %lld | %lld | %u | %u x %u x %u | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
      static_cast<long long>(size.m), static_cast<long long>(size.n),
      static_cast<long long>(size.k), hosts, grid.rows, grid.columns, grid.layers, 1e-9 * least,
      over(graph::moved_bytes(shape, grid), least),
      over(static_cast<double>(with.moved_bytes), least),
      over(static_cast<double>(without.moved_bytes), least),
      over(with.makespan_seconds, with.bound_seconds),
      over(without.makespan_seconds, without.bound_seconds));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read(argc, argv);
  std::printf(
      "| m | n | k | hosts | grid | least GB | grid / least | moved / least "
      "| without the grid | makespan / bound | without the grid |\n"
      "|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|\n");
  for (const Size& size : sizes) {
    for (const std::uint32_t hosts : options.hosts) print_row(size, hosts, options);
  }
}
