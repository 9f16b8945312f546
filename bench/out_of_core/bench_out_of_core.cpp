// Times a product whose factors and result do not fit into the workers' memory, on local worker
// processes, and watches these: 100 times a second, what pages each has of its own and in its
// arena. Prints one JSON line. `--memory 0` is the same product in memory. `--job sum` adds up random
// numbers that are never all there.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Options {
  std::string job = "matmul";
  std::int64_t n = 8192;
  std::int64_t chunk = 1024;
  std::uint32_t workers = 2;
  std::uint64_t memory = 0;
  std::string spill_dir;
  bool report = false;
};

double seconds_of(const auto& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<int> child_processes() {
  std::vector<int> pids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (int pid; file >> pid;) pids.push_back(pid);
  }
  return pids;
}

std::uint64_t own_bytes(const std::string& process) {
  std::ifstream status(process + "/status");
  std::uint64_t total = 0;
  for (std::string line; std::getline(status, line);) {
    const bool counts = line.starts_with("RssAnon:") || line.starts_with("RssFile:");
    if (counts) total += std::stoull(line.substr(8)) * 1024;
  }
  return total;
}

std::uint64_t arena_bytes(const std::string& process) {
  std::uint64_t total = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd", gone)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    struct stat info = {};
    if (target.find("ashlar-arena") == std::string::npos) continue;
    if (::stat(entry.path().c_str(), &info) == 0) {
      total += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  return total;
}

/// The most that any child process took.
class Watch {
 public:
  Watch() : thread_([this] { watch(); }) {}
  ~Watch() { stop(); }
  std::uint64_t peak() {
    stop();
    return peak_;
  }

 private:
  void stop() {
    is_over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void watch() {
    while (!is_over_) {
      for (const int pid : child_processes()) {
        const std::string process = "/proc/" + std::to_string(pid);
        peak_ = std::max(peak_, own_bytes(process) + arena_bytes(process));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  std::uint64_t peak_ = 0;
  std::atomic<bool> is_over_ = false;
  std::thread thread_;
};

ashlar::Array uniform(const Options& o, std::uint64_t seed) {
  return ashlar::random::uniform({o.n, o.n}, {.chunks = {o.chunk, o.chunk}, .seed = seed});
}

/// (a b) 1 = a (b 1), at a fraction of the cost.
void check(ashlar::Session& session, const Options& o, const ashlar::Array& a,
           const ashlar::Array& b, const ashlar::Array& c) {
  const auto ones = ashlar::ones({o.n, 1}, {.chunks = {o.chunk, 1}});
  const auto found = session.compute(ashlar::matmul(c, ones));
  const auto expected = session.compute(ashlar::matmul(a, ashlar::matmul(b, ones)));
  for (std::int64_t i = 0; i < o.n; ++i) {
    const double left = found.data<double>()[i], right = expected.data<double>()[i];
    if (!(std::abs(left - right) <= 1e-12 * static_cast<double>(o.n) * std::abs(right))) {
      throw std::runtime_error("wrong product in row " + std::to_string(i));
    }
  }
}

ashlar::Session session_of(const Options& o) {
  return ashlar::Session::local({.workers = o.workers,
                                 .threads_per_worker = 1,
                                 .memory_per_worker = o.memory,
                                 .spill_dir = o.spill_dir,
                                 .progress = false});
}

void print(const Options& o, double seconds, std::uint64_t peak, const ashlar::RunReport& report) {
  if (o.report) std::cerr << to_string(report);
  std::cout << "{\"job\": \"" << o.job << "\", \"n\": " << o.n << ", \"chunk\": " << o.chunk
            << ", \"workers\": " << o.workers << ", \"memory\": " << o.memory
            << ", \"seconds\": " << seconds << ", \"peak\": " << peak
            << ", \"spilled\": " << report.spilled_bytes
            << ", \"loaded\": " << report.loaded_bytes << "}\n";
}

/// The sum of an array that is never stored.
void run_sum(const Options& o) {
  auto session = session_of(o);
  Watch watch;
  double sum = 0;
  const double seconds = seconds_of(
      [&] { sum = session.compute(ashlar::sum(uniform(o, 1))).data<double>()[0]; });
  const double count = static_cast<double>(o.n) * static_cast<double>(o.n);
  if (!(std::abs(sum / count - 0.5) < 5 / std::sqrt(12 * count))) {
    throw std::runtime_error("wrong sum: " + std::to_string(sum));
  }
  print(o, seconds, watch.peak(), session.report());
}

void run_matmul(const Options& o) {
  auto session = session_of(o);
  Watch watch;
  const auto a = session.persist(uniform(o, 1));
  const auto b = session.persist(uniform(o, 2));
  session.wait(a);
  session.wait(b);
  std::optional<ashlar::Array> c;
  const double seconds = seconds_of([&] {
    c.emplace(session.persist(ashlar::matmul(a, b)));
    session.wait(*c);
  });
  const ashlar::RunReport report = session.report();
  check(session, o, a, b, *c);
  print(o, seconds, watch.peak(), report);
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  Options o;
  CLI::App app("A product, or a sum, of what does not fit into memory");
  app.add_option("--job", o.job, "matmul, or sum: of an array that is never stored")
      ->check(CLI::IsMember({"matmul", "sum"}));
  app.add_option("--n", o.n, "rows and columns");
  app.add_option("--chunk", o.chunk, "rows and columns of a chunk");
  app.add_option("--workers", o.workers, "worker processes, of one thread each");
  app.add_option("--memory", o.memory, "limit of each, such as 512MiB; 0: none")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--spill-dir", o.spill_dir, "folder for what has no room");
  app.add_flag("--report", o.report, "print the report of the product");
  CLI11_PARSE(app, argc, argv);
  try {
    o.job == "sum" ? run_sum(o) : run_matmul(o);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
