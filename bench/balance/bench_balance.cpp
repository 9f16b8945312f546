// How well work is balanced on two real worker processes. A program that takes one worker's core
// from half-way on: the makespan over that of the best static split that knew of it, which two bare
// processes run under the same conditions. And a worker that takes four times as long: its share of
// the tasks over the fair one. Medians over rounds, with the range.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../statistics.hpp"

namespace {

namespace bench = ashlar::bench;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A fixed amount of work, the same for everybody.
std::uint64_t work(std::uint64_t steps) {
  std::uint64_t x = steps;
  for (std::uint64_t i = 0; i < steps; ++i) {
    x = x * 6364136223846793005u + (x >> 29) + i;
    asm volatile("" : "+r"(x));  // no compiler can do it once for all calls
  }
  return x;
}

/// The same, four times over in the worker process that asked first under this name.
std::uint64_t handicapped(std::uint64_t steps, const std::string& name) {
  static const bool is_slow = [&] {
    const int file = ::open(name.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0) ::close(file);
    return file >= 0;
  }();
  return work(is_slow ? 4 * steps : steps);
}

int core_of_worker() { return ::sched_getcpu(); }

void pin_to(const std::vector<int>& cores) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int core : cores) CPU_SET(core, &mask);
  if (::sched_setaffinity(0, sizeof mask, &mask) != 0) throw std::runtime_error("cannot pin");
}

/// The first two cores that this program may use, which it keeps to.
std::vector<int> take_two_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  ::sched_getaffinity(0, sizeof mask, &mask);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE && cores.size() < 2; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  if (cores.size() < 2) throw std::runtime_error("two cores are needed");
  pin_to(cores);
  return cores;
}

/// A process pinned to a core that does something once it is told to.
class Process {
 public:
  Process(int core, const std::function<void()>& what) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("cannot fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      pin_to({core});
      char go = 0;
      if (::read(ends[0], &go, 1) != 1) ::_exit(1);
      what();
      ::_exit(0);
    }
    ::close(ends[0]);
    start_ = ends[1];
  }
  ~Process() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    wait();
    ::close(start_);
  }
  Process(const Process&) = delete;
  void start() {
    if (::write(start_, "x", 1) != 1) throw std::runtime_error("cannot start a process");
  }
  void wait() {
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
  int start_;
};

[[noreturn]] void hog() {
  volatile std::uint64_t x = 0;
  for (;;) x = x + 1;
}

struct Setting {
  int tasks;
  std::uint64_t steps;
};

double run(ashlar::Session& session, const Setting& setting, const std::function<void()>& then) {
  ashlar::Graph graph;
  for (int i = 0; i < setting.tasks; ++i) graph.add<work>(setting.steps);
  const auto begin = Clock::now();
  auto going = session.run(graph);
  then();
  going.wait();
  return seconds_since(begin);
}

/// Seconds of the two bare processes, with somebody on the first core after `half`.
double static_split(const std::vector<int>& cores, const Setting& setting, double half) {
  // Of the work, which takes both cores two halves, half is done by then; the rest at one and a
  // half cores. The first core's part of the whole: a quarter, and a third of the other half.
  const int of_first = static_cast<int>(std::lround(setting.tasks * (1.0 / 4 + 1.0 / 6)));
  const auto some = [&](int tasks) {
    return [&setting, tasks] {
      volatile std::uint64_t sink = 0;
      for (int i = 0; i < tasks; ++i) sink = work(setting.steps);
      (void)sink;
    };
  };
  Process other(cores[0], hog);
  Process a(cores[0], some(of_first)), b(cores[1], some(setting.tasks - of_first));
  const auto begin = Clock::now();
  a.start();
  b.start();
  std::this_thread::sleep_for(std::chrono::duration<double>(half));
  other.start();
  a.wait();
  b.wait();
  return seconds_since(begin);
}

/// The slow worker's share of the tasks over the fair fifth.
double share_of_slow(const ashlar::LocalOptions& options, const Setting& setting, bool prints) {
  const std::string name =
      std::filesystem::temp_directory_path() / ("bench-balance-" + std::to_string(::getpid()));
  auto session = ashlar::Session::local(options);
  const auto submit = [&](int tasks) {
    ashlar::Graph graph;
    for (int i = 0; i < tasks; ++i) graph.add<handicapped>(setting.steps, name);
    session.run(graph).wait();
  };
  submit(setting.tasks / 8);  // warm-up
  submit(setting.tasks);
  std::filesystem::remove(name);
  std::uint64_t least = ~std::uint64_t{0}, all = 0;
  for (const auto& worker : session.report().workers) {
    least = std::min<std::uint64_t>(least, worker.tasks);
    all += worker.tasks;
  }
  if (prints) {
    std::printf("  slow worker: %llu of %llu tasks\n", static_cast<unsigned long long>(least),
                static_cast<unsigned long long>(all));
  }
  return static_cast<double>(least) / (static_cast<double>(all) / 5);
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<work>("work").add<handicapped>("handicapped").add<core_of_worker>("core_of_worker");
  ashlar::init(argc, argv, tasks);
  int rounds = 5, count = 600;
  double task_ms = 5;
  bool is_verbose = false;
  CLI::App app("How well work is balanced when workers differ or are disturbed.");
  app.add_option("--rounds", rounds);
  app.add_option("--tasks", count, "in a run");
  app.add_option("--task-ms", task_ms, "of each, about");
  app.add_flag("--verbose", is_verbose);
  CLI11_PARSE(app, argc, argv);
  try {
    const std::vector<int> cores = take_two_cores();
    constexpr std::uint64_t trial_steps = 100'000'000;
    const auto begin = Clock::now();
    volatile std::uint64_t sink = work(trial_steps);
    (void)sink;
    const Setting setting{count, static_cast<std::uint64_t>(trial_steps * task_ms * 1e-3 /
                                                            seconds_since(begin))};
    const ashlar::LocalOptions options{.workers = 2, .threads_per_worker = 1, .progress = false};
    std::vector<double> alone, disturbed, known, ratio, share;
    for (int round = 0; round < rounds; ++round) {
      {
        auto session = ashlar::Session::local(options);
        alone.push_back(run(session, setting, [] {}));
        const double half = alone.back() / 2;
        Process other(session.submit<core_of_worker>().get(), hog);
        disturbed.push_back(run(session, setting, [&] {
          std::this_thread::sleep_for(std::chrono::duration<double>(half));
          other.start();
        }));
      }
      known.push_back(static_split(cores, setting, alone.back() / 2));
      ratio.push_back(disturbed.back() / known.back());
      share.push_back(share_of_slow(options, setting, is_verbose));
      if (is_verbose) {
        std::printf("  alone %.3f s, disturbed %.3f s, static split %.3f s\n", alone.back(),
                    disturbed.back(), known.back());
      }
    }
    bench::print("two workers, undisturbed", alone, "s");
    bench::print("one core taken by another program from half-way on", disturbed, "s");
    bench::print("best static split that knew of it, bare processes", known, "s");
    bench::print("  makespan over that of the split", ratio, "");
    bench::print("worker that takes four times as long: its share over the fair one", share, "");
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_balance: " << error.what() << '\n';
    return 1;
  }
}
