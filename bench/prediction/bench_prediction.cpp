#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "../statistics.hpp"
#include "apps/calibration.hpp"
#include "apps/cluster_file.hpp"
#include "apps/graph_file.hpp"
#include "kernels.hpp"
#include "runtime/recorded_runs.hpp"
#include "simulate/forecast.hpp"

/// How well `ashlar simulate` foretells real runs on this machine. Runs matmul, Cholesky, stencil
/// and sort in several sizes on local workers, calibrates from the event log of some, and prints
/// what the others, of other sizes and chunkings, took beside what the simulation says.
namespace {

using namespace ashlar;

struct Options {
  std::uint32_t workers = 2;
  int rounds = 7;
  std::string machine;  ///< where the machine file is kept; empty: nowhere
};

/// Something that can be run, as one run of the scheduler, again and again.
struct Workload {
  std::string name, size;
  std::function<void(Session&)> run;
};

// What a task costs is said in billionths of a second for each operation: the calibration finds
// out how long these take.
double operations(double count) { return 1e-9 * count; }

Workload of_graph(std::string name, std::string size, std::shared_ptr<Graph> graph) {
  return {std::move(name), std::move(size),
          [graph](Session& session) { session.run(*graph).wait(); }};
}

std::string times(std::int64_t count, std::int64_t size) {
  return std::to_string(count) + " x " + std::to_string(size);
}

Workload matmul_of(std::int64_t across, std::int64_t chunk) {
  return {"matmul", times(across, chunk), [=](Session& session) {
            const std::int64_t n = across * chunk;
            const auto a = random::uniform({n, n}, {.chunks = {chunk, chunk}, .seed = 1});
            const auto b = random::uniform({n, n}, {.chunks = {chunk, chunk}, .seed = 2});
            session.wait(session.persist(matmul(a, b)));
          }};
}

Workload cholesky_of(std::int64_t across, std::int64_t n) {
  auto graph = std::make_shared<Graph>();
  const auto cube = static_cast<double>(n * n * n), square = static_cast<double>(n * n);
  std::vector<std::vector<Node<HostArray>>> tile(static_cast<std::size_t>(across));
  const auto count = static_cast<std::size_t>(across);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      tile[i].push_back(graph->add<prediction::make_tile>({.cost_seconds = operations(square)}, n,
                                                          std::int64_t(i), std::int64_t(j)));
    }
  }
  for (std::size_t k = 0; k < count; ++k) {
    tile[k][k] = graph->add<prediction::factor>({.cost_seconds = operations(cube / 3)}, tile[k][k]);
    for (std::size_t i = k + 1; i < count; ++i) {
      tile[i][k] =
          graph->add<prediction::solve>({.cost_seconds = operations(cube)}, tile[k][k], tile[i][k]);
    }
    for (std::size_t i = k + 1; i < count; ++i) {
      for (std::size_t j = k + 1; j <= i; ++j) {
        tile[i][j] = graph->add<prediction::update>({.cost_seconds = operations(2 * cube)},
                                                    tile[i][k], tile[j][k], tile[i][j]);
      }
    }
  }
  for (const auto& row : tile) {
    for (const auto& node : row) graph->want(node);
  }
  return of_graph("Cholesky", times(across, n), graph);
}

Workload stencil_of(std::int64_t strips, std::int64_t rows, std::int64_t columns, int steps) {
  auto graph = std::make_shared<Graph>();
  const double cost = operations(static_cast<double>(rows * columns));
  std::vector<Node<HostArray>> now, before;
  for (std::int64_t i = 0; i < strips; ++i) {
    now.push_back(graph->add<prediction::make_strip>({.cost_seconds = cost}, rows, columns, i));
  }
  for (int step = 0; step < steps; ++step) {
    before = now;
    for (std::size_t i = 0; i < now.size(); ++i) {
      const std::size_t above = i == 0 ? now.size() - 1 : i - 1;
      now[i] = graph->add<prediction::smooth>({.cost_seconds = cost}, before[above], before[i],
                                              before[(i + 1) % now.size()]);
    }
  }
  for (const auto& node : now) graph->want(node);
  return of_graph("stencil", times(strips, rows) + " x " + std::to_string(columns), graph);
}

/// Batcher's odd-even merge sort, of blocks instead of numbers. `blocks`: a power of two.
Workload sort_of(std::size_t blocks, std::int64_t count) {
  auto graph = std::make_shared<Graph>();
  const auto n = static_cast<double>(count);
  std::vector<Node<HostArray>> block;
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto made =
        graph->add<prediction::make_block>({.cost_seconds = operations(n)}, count, std::int64_t(i));
    block.push_back(
        graph->add<prediction::sort_block>({.cost_seconds = operations(n * std::log2(n))}, made));
  }
  for (std::size_t p = 1; p < blocks; p *= 2) {
    for (std::size_t k = p; k >= 1; k /= 2) {
      for (std::size_t j = k % p; j + k < blocks; j += 2 * k) {
        for (std::size_t i = j; i < std::min(j + k, blocks - k); ++i) {
          if (i / (2 * p) != (i + k) / (2 * p)) continue;
          const auto a = block[i], b = block[i + k];
          block[i] = graph->add<prediction::lower_half>({.cost_seconds = operations(n)}, a, b);
          block[i + k] = graph->add<prediction::upper_half>({.cost_seconds = operations(n)}, a, b);
        }
      }
    }
  }
  for (const auto& node : block) graph->want(node);
  return of_graph("sort", times(static_cast<std::int64_t>(blocks), count), graph);
}

/// A run of one task, and one of many without work: what the overheads are found from.
std::vector<Workload> trifles(std::uint32_t workers) {
  const std::int64_t many = 1000 * std::int64_t{workers};
  return {{"one task", "", [](Session& s) { s.wait(s.persist(random::uniform({1}))); }},
          {"many tasks", "",
           [many](Session& s) { s.wait(s.persist(random::uniform({many}, {.chunks = {1}}))); }}};
}

std::vector<Workload> calibration_sizes() {
  return {matmul_of(4, 256),
          matmul_of(4, 512),
          matmul_of(3, 768),
          cholesky_of(8, 128),
          cholesky_of(6, 256),
          cholesky_of(5, 320),
          stencil_of(8, 256, 2048, 20),
          stencil_of(10, 256, 1024, 20),
          stencil_of(6, 512, 2048, 10),
          sort_of(16, 50000),
          sort_of(8, 150000),
          sort_of(8, 300000)};
}

std::vector<Workload> test_sizes() {
  return {matmul_of(6, 384),
          matmul_of(4, 640),
          cholesky_of(10, 192),
          cholesky_of(7, 288),
          stencil_of(12, 200, 3000, 30),
          stencil_of(6, 400, 1500, 30),
          sort_of(8, 200000),
          sort_of(16, 100000)};
}

/// What the scheduler's log says of running all of them in turns, so that a slow moment of the
/// machine meets all, and then the trifles.
runtime::RecordedRuns record(const std::vector<Workload>& tests, const Options& options,
                             const std::string& log) {
  {
    auto session = Session::local(
        {.workers = options.workers, .threads_per_worker = 1, .progress = false, .event_log = log});
    const std::vector<Workload> known = calibration_sizes();
    for (int round = 0; round < options.rounds + 1; ++round) {
      for (const Workload& workload : known) workload.run(session);
      for (const Workload& workload : tests) workload.run(session);
    }
    for (const Workload& trifle : trifles(options.workers)) {
      for (int i = 0; i < 20; ++i) trifle.run(session);
    }
  }
  return runtime::read_recorded_runs(log);
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

struct Forecast {
  double makespan_seconds = 0;
  double task_seconds = 0;  ///< of all tasks
};

Forecast forecast_of(const runtime::RecordedRun& run, const apps::ClusterFile& cluster) {
  const auto program =
      std::make_shared<const simulate::Program>(apps::program_of(run, cluster.kernels));
  const auto found =
      simulate::forecast({.program = program,
                          .machine = std::make_shared<const simulate::Machine>(cluster.machine),
                          .is_repeated = run.is_repeated});
  if (!found.error.empty()) throw TaskFailed(found.error);
  return {found.makespan_seconds, sum(program->task_seconds)};
}

/// Prints a row; returns by how much the forecast is off.
double compare(const Workload& workload, const std::vector<runtime::RecordedRun>& runs,
               const apps::ClusterFile& cluster) {
  std::vector<double> real, real_tasks;
  for (const auto& run : runs) {
    real.push_back(run.makespan_seconds());
    real_tasks.push_back(sum(run.task_seconds));
  }
  std::ranges::sort(real);
  const double typical = bench::median(real);
  const Forecast simulated = forecast_of(runs.front(), cluster);
  const double off = simulated.makespan_seconds / typical - 1;
  std::printf("| %s | %s | %u | %.1f | %.1f ... %.1f | %.1f | %+.1f %% | %+.1f %% |\n",
              workload.name.c_str(), workload.size.c_str(), runs.front().graph->task_count(),
              1e3 * typical, 1e3 * real.front(), 1e3 * real.back(),
              1e3 * simulated.makespan_seconds, 100 * off,
              100 * (simulated.task_seconds / bench::median(real_tasks) - 1));
  return std::abs(off);
}

/// Those that are calibrated from, and those that are foretold, by workload.
struct Split {
  runtime::RecordedRuns known;
  std::vector<std::vector<runtime::RecordedRun>> tests;
};

/// The first round, which warms up, is left out.
Split split(const runtime::RecordedRuns& recorded, std::size_t tests, const Options& options) {
  Split out;
  out.known.workers = recorded.workers;
  out.known.driver_host = recorded.driver_host;
  out.tests.resize(tests);
  const std::size_t known = calibration_sizes().size(), round = known + tests;
  const std::size_t trifles_begin = round * (static_cast<std::size_t>(options.rounds) + 1);
  for (std::size_t i = round; i < recorded.runs.size(); ++i) {
    if (i >= trifles_begin || i % round < known) {
      out.known.runs.push_back(recorded.runs[i]);
    } else {
      out.tests[i % round - known].push_back(recorded.runs[i]);
    }
  }
  return out;
}

int run(const Options& options) {
  const std::string folder =
      std::filesystem::temp_directory_path() / ("ashlar-prediction-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const std::shared_ptr<void> cleaner(nullptr, [&](void*) { std::filesystem::remove_all(folder); });
  const std::vector<Workload> tests = test_sizes();
  const Split runs = split(record(tests, options, folder + "/log"), tests.size(), options);
  const std::string machine = options.machine.empty() ? folder + "/machine.toml" : options.machine;
  std::ofstream(machine) << apps::to_toml(apps::calibrated(runs.known),
                                          "Measured by bench_prediction.");
  const apps::ClusterFile cluster = apps::load_cluster(machine);
  std::printf(
      "| graph | size | tasks | real ms | range | simulated ms | off | sum of task times |\n"
      "|---|---|--:|--:|--:|--:|--:|--:|\n");
  std::vector<double> off;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    off.push_back(compare(tests[i], runs.tests[i], cluster));
  }
  std::printf("\nmedian off by %.1f %%, worst %.1f %%\n", 100 * bench::median(off),
              100 * std::ranges::max(off));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv, prediction::tasks());
  Options options;
  CLI::App app("How well simulated runs foretell real ones");
  app.add_option("--workers", options.workers);
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--machine", options.machine, "where the machine file is kept; default: nowhere");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "bench_prediction: " << error.what() << '\n';
    return 1;
  }
}
