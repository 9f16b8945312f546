// What a task costs: rates of empty tasks from one graph, the round trip of one (beside that of
// bare bytes), and the start of a session. Real worker processes; medians over repetitions, with
// the range.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "../statistics.hpp"

namespace {

namespace bench = ashlar::bench;
using Clock = std::chrono::steady_clock;

void nothing() {}
int next(int x) { return x + 1; }
int step(int, int, int) { return 1; }
int begin_step() { return 1; }

double seconds_of(const std::function<void()>& f) {
  const auto begin = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

ashlar::Graph empty_tasks(int count) {
  ashlar::Graph graph;
  graph.reserve(count, 0);
  for (int i = 0; i < count; ++i) graph.add<nothing>();
  return graph;
}

/// A stencil over time: each task needs its left neighbour, itself and its right neighbour of the
/// step before.
ashlar::Graph stencil(int width, int steps) {
  ashlar::Graph graph;
  graph.reserve(static_cast<std::size_t>(width) * steps, 3);
  std::vector<ashlar::Node<int>> row, above;
  for (int i = 0; i < width; ++i) row.push_back(graph.add<begin_step>());
  for (int t = 1; t < steps; ++t) {
    above.swap(row);
    row.clear();
    for (int i = 0; i < width; ++i) {
      const int left = std::max(0, i - 1), right = std::min(width - 1, i + 1);
      row.push_back(graph.add<step>(above[left], above[i], above[right]));
    }
  }
  return graph;
}

std::vector<double> rates(ashlar::Session& session, const ashlar::Graph& graph, int repeats) {
  std::vector<double> values;
  for (int i = -1; i < repeats; ++i) {
    const double seconds = seconds_of([&] { session.run(graph).wait(); });
    if (i >= 0) values.push_back(static_cast<double>(graph.task_count()) / seconds * 1e-3);
  }
  return values;
}

/// Medians of batches of round trips, in microseconds.
std::vector<double> round_trips(ashlar::Session& session, int repeats) {
  constexpr int trips = 2000;
  std::vector<double> medians;
  for (int r = -1; r < repeats; ++r) {
    std::vector<double> times;
    for (int i = 0; i < trips; ++i) {
      times.push_back(1e6 * seconds_of([&] {
                        if (session.submit<next>(i).get() != i + 1)
                          throw std::runtime_error("wrong result");
                      }));
    }
    if (r >= 0) medians.push_back(bench::median(times));
  }
  return medians;
}

/// One end of a ping-pong over a Unix socket: waits for a message, polling or in epoll.
bool receive(int socket, int events, bool polls) {
  char message[64];
  while (true) {
    epoll_event event;
    if (!polls) epoll_wait(events, &event, 1, -1);
    const auto got = recv(socket, message, sizeof message, MSG_DONTWAIT);
    if (got >= 0) return got > 0;
    if (errno != EAGAIN && errno != EINTR) return false;
  }
}

/// What no runtime can undercut: 64 bytes to another process and back, with nothing done to them.
std::vector<double> ping_pongs(bool polls, int repeats) {
  constexpr int trips = 2000;
  constexpr char message[64] = {};
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("no socket pair");
  const pid_t child = fork();
  const int mine = ends[child == 0 ? 1 : 0];
  close(ends[child == 0 ? 0 : 1]);
  const int events = epoll_create1(0);
  epoll_event readable{.events = EPOLLIN, .data = {}};
  epoll_ctl(events, EPOLL_CTL_ADD, mine, &readable);
  if (child == 0) {
    while (receive(mine, events, polls) && send(mine, message, sizeof message, MSG_NOSIGNAL) > 0) {
    }
    _exit(0);
  }
  std::vector<double> medians;
  for (int r = -1; r < repeats; ++r) {
    std::vector<double> times;
    for (int i = 0; i < trips; ++i) {
      times.push_back(1e6 * seconds_of([&] {
                        if (send(mine, message, sizeof message, MSG_NOSIGNAL) < 0 ||
                            !receive(mine, events, polls)) {
                          throw std::runtime_error("the other process is gone");
                        }
                      }));
    }
    if (r >= 0) medians.push_back(bench::median(times));
  }
  close(mine);
  close(events);
  waitpid(child, nullptr, 0);
  return medians;
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<nothing>("nothing").add<next>("next");
  tasks.add<step>("step").add<begin_step>("begin_step");
  ashlar::init(argc, argv, tasks);
  int repeats = 7, count = 300'000;
  std::uint32_t workers = 2;
  std::string only;
  CLI::App app("What a task costs.");
  app.add_option("--repeats", repeats);
  app.add_option("--tasks", count, "tasks in a graph");
  app.add_option("--workers", workers);
  app.add_option("--only", only)
      ->check(CLI::IsMember({"empty", "stencil", "roundtrip", "blocking", "start"}));
  CLI11_PARSE(app, argc, argv);
  const auto wants = [&](const char* name) { return only.empty() || only == name; };
  const ashlar::LocalOptions options{
      .workers = workers, .threads_per_worker = 1, .progress = false};
  try {
    if (wants("start")) {
      std::vector<double> values;
      for (int i = 0; i < repeats; ++i) {
        const auto begin = Clock::now();
        auto session = ashlar::Session::local(options);
        session.submit<next>(1).get();
        values.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
      }
      bench::print("session start to first result", values, "ms");
    }
    auto session = ashlar::Session::local(options);
    if (wants("empty")) {
      bench::print("empty tasks from one graph", rates(session, empty_tasks(count), repeats),
                   "k/s");
    }
    if (wants("stencil")) {
      constexpr int width = 100;
      bench::print("stencil over time, 3 dependencies each",
                   rates(session, stencil(width, count / width), repeats), "k/s");
    }
    if (wants("roundtrip")) {
      bench::print("submit(fn).get(), spinning while active", round_trips(session, repeats), "us");
      bench::print("  bytes there and back between processes, polling", ping_pongs(true, repeats),
                   "us");
    }
    session.close();
    if (wants("blocking")) {
      auto sleeper = options;
      sleeper.spin = {};
      auto sleepy = ashlar::Session::local(sleeper);
      bench::print("submit(fn).get(), never spinning", round_trips(sleepy, repeats), "us");
      bench::print("  bytes there and back between processes, sleeping", ping_pongs(false, repeats),
                   "us");
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_tasks: " << error.what() << '\n';
    return 1;
  }
}
