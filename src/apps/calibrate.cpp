#include <ashlar/array.hpp>
#include <ashlar/error.hpp>
#include <ashlar/random.hpp>
#include <ashlar/session.hpp>
#include <stdlib.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "apps/calibration.hpp"
#include "apps/commands.hpp"

namespace ashlar::apps {
namespace {

using runtime::RecordedRuns;
using simulate::MeasuredCall;

/// Its folder goes with it.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::string folder = std::filesystem::temp_directory_path() / "ashlar-calibrate-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) throw BadInput("cannot make the folder " + folder);
    folder_ = folder;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  std::string path() const { return folder_ / "log"; }

 private:
  std::filesystem::path folder_;
};

/// Every built-in kernel of arrays in memory, on chunks of several sizes that keep all slots busy.
void run_kernels(Session& session, std::int64_t chunk, std::int64_t across) {
  const std::int64_t n = across * chunk;
  const auto random_matrix = [&](std::uint64_t seed) {
    Array matrix = session.persist(
        random::uniform({n, n}, {.chunks = {chunk, chunk}, .seed = seed}));
    session.wait(matrix);
    return matrix;
  };
  const Array a = random_matrix(1), b = random_matrix(2);
  for (const Array& made : {matmul(a, b), a + b, exp(a), sum(a), sum(a, {.axes = {0}}), a.transpose() + b,
                            a.slice({{chunk / 2, n}, {}})}) {
    session.wait(session.persist(made));
  }
}

/// The rate at which this process gets a result, in bytes a second.
double rate_to_driver(Session& session) {
  constexpr std::int64_t n = 2048, chunk = 256;
  const Array array =
      session.persist(random::uniform({n, n}, {.chunks = {chunk, chunk}, .seed = 3}));
  session.wait(array);
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    session.compute(array);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    rates.push_back(static_cast<double>(n * n) * sizeof(double) / took.count());
  }
  return median(rates);
}

/// Returns the rate to the driver.
double run_job(const CalibrateOptions& options, const std::string& event_log) {
  Session session = Session::local({.workers = options.workers,
                                    .threads_per_worker = options.threads,
                                    .progress = false,
                                    .event_log = event_log});
  session.wait(session.persist(random::uniform({1})));
  std::int64_t slots = 0;
  for (const WorkerReport& worker : session.report().workers) slots += worker.slots;
  std::int64_t across = 2;
  while (across * across < 4 * slots) ++across;
  for (int round = 0; round < 3; ++round) {
    for (const std::int64_t chunk : {128, 256, 512, 768}) run_kernels(session, chunk, across);
    const std::int64_t many = 1000 * slots;
    session.wait(session.persist(random::uniform({many}, {.chunks = {1}})));
  }
  for (int i = 0; i < 200; ++i) session.wait(session.persist(random::uniform({1})));
  return rate_to_driver(session);
}

/// In billions a second; "-" where each takes no time.
std::string rate(double seconds_each) {
  if (seconds_each <= 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", 1e-9 / seconds_each);
  return text;
}

void print(const Calibration& found, const KernelCalls& calls) {
  std::printf("%-24s %8s %12s %12s %12s %8s\n", "kernel", "calls", "fixed us", "Gflop/s", "GB/s",
              "off by");
  for (const auto& [name, model] : found.kernels) {
    std::vector<double> errors;
    for (const MeasuredCall& call : calls.at(name)) {
      errors.push_back(std::abs(model.seconds(call.flops, call.bytes) / call.seconds - 1));
    }
    std::printf("%-24s %8zu %12.2f %12s %12s %6.1f %%\n", name.c_str(), calls.at(name).size(),
                1e6 * model.fixed_seconds, rate(model.seconds_per_flop).c_str(),
                rate(model.seconds_per_byte).c_str(), 100 * median(errors));
  }
  std::printf("overhead of a task %.2f us, latency %.1f us", found.task_overhead_us,
              found.latency_us);
  if (found.output_seconds_per_byte > 0) {
    std::printf(", outputs at %.3g GB/s", 1e-9 / found.output_seconds_per_byte);
  }
  if (found.gbit_per_s > 0) std::printf(", %.3g Gbit/s to the driver", found.gbit_per_s);
  std::printf("\n");
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) throw BadInput("--out " + path + ": cannot be written");
}

}  // namespace

int calibrate(const CalibrateOptions& options) {
  const TemporaryFile own_log;
  double rate = 0;
  if (options.event_log.empty()) rate = run_job(options, own_log.path());
  const std::string path = options.event_log.empty() ? own_log.path() : options.event_log;
  const RecordedRuns recorded = runtime::read_recorded_runs(path);
  Calibration found = calibrated(recorded);
  found.gbit_per_s = 8e-9 * rate;
  print(found, calls_of(recorded));
  write(options.out, to_toml(found, options.event_log.empty()
                                        ? "Measured by ashlar calibrate."
                                        : "From an event log, by ashlar calibrate."));
  std::printf("%s is written\n", options.out.c_str());
  return 0;
}

}  // namespace ashlar::apps
