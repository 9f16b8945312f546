#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

namespace ashlar::scheduler {

/// Workers in virtual time, each on a core of its own, that run independent tasks in the order in
/// which they come and send a heartbeat every tenth of a second.
class LoadCluster {
 public:
  struct Worker {
    double slowness = 1;  ///< a task's time is that of the graph times this …
    /// … times 1 + the programs beside it on its core at that time.
    std::function<double(Instant)> others = [](Instant) { return 0.0; };
    double host_memory = 0;  ///< share that is used
  };

  explicit LoadCluster(std::vector<Worker> workers, Limits limits = {}) : engine_{limits, 7} {
    for (Worker& worker : workers) {
      const PeerId id{static_cast<std::uint32_t>(states_.size())};
      states_.push_back({std::move(worker), {}, {}, 0, 0});
      protocol::Hello hello;
      hello.name = "node" + std::to_string(id.value + 1);
      hello.slots = 1;
      hello.kernels = {"k"};
      hello.endpoint.host_identity = "host " + std::to_string(id.value);
      step(WorkerJoined{id, hello});
    }
    step(SessionOpened{SessionId{0}, PeerId{1000}, {}});
  }

  /// Submits independent tasks.
  void submit(std::uint32_t tasks) {
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    graph->kernel.assign(tasks, 0);
    for (std::uint32_t t = 0; t < tasks; ++t) {
      graph->input_offsets.push_back(0);
      graph->output_bytes.push_back(8);
      graph->output_offsets.push_back(t + 1);
      graph->param_offsets.push_back(0);
      graph->wanted.push_back(t);
    }
    step(FromDriver{SessionId{0}, protocol::SubmitRun{next_run_++, graph, {}, false}});
  }

  /// Lets time pass until everything is done, or for so long. Tasks take `task` on an average
  /// worker. Returns the time it took.
  Duration run(Duration task, Duration at_most = Duration::seconds(3600)) {
    const Instant begin = now_, end = now_ + at_most;
    task_ = task;
    while (now_ < end && (engine_.unfinished_tasks() > 0 || at_most < Duration::seconds(3600))) {
      for (State& state : states_) start(state);
      Instant next = std::min(next_beat_, end);
      State* first = nullptr;
      for (State& state : states_) {
        if (!state.is_busy || state.free_at > next) continue;
        next = state.free_at;
        first = &state;
      }
      now_ = next;
      if (first != nullptr) {
        finish(*first);
      } else if (now_ == next_beat_) {
        beat();
      }
    }
    return now_ - begin;
  }

  void mute(bool is_mute) { is_mute_ = is_mute; }
  Worker& worker(std::size_t index) { return states_[index].worker; }
  /// Tasks that the worker has ended, and has waiting or running.
  std::uint64_t done(std::size_t worker) const { return states_[worker].done; }
  std::size_t held(std::size_t worker) const {
    return states_[worker].queue.size() + (states_[worker].is_busy ? 1 : 0);
  }
  std::uint64_t revoked() const { return revoked_; }
  SchedulerEngine& engine() { return engine_; }
  Instant now() const { return now_; }
  void step(Event event) {
    Actions actions;
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    for (const Action& action : actions) {
      if (const auto* to = std::get_if<ToWorker>(&action)) receive(*to);
    }
  }

 private:
  struct Assigned {
    RunId run;
    std::uint32_t task = 0;
    Attempt attempt = 0;
  };
  struct State {
    Worker worker;
    std::deque<Assigned> queue;
    Assigned running;
    std::uint64_t done = 0;
    std::int64_t busy_ns = 0;  ///< since the last heartbeat
    bool is_busy = false;
    Instant began = {}, free_at = {};
  };

  void receive(const ToWorker& to) {
    State& state = states_[to.worker.value];
    if (const auto* tasks = std::get_if<protocol::AssignTasks>(&to.message)) {
      for (std::size_t i = 0; i < tasks->task.size(); ++i) {
        state.queue.push_back({tasks->run, tasks->task[i], tasks->attempt[i]});
      }
    } else if (const auto* revoke = std::get_if<protocol::RevokeTasks>(&to.message)) {
      for (const std::uint32_t task : revoke->task) {
        revoked_ += std::erase_if(state.queue, [&](const Assigned& assigned) {
          return assigned.run == revoke->run && assigned.task == task;
        });
      }
    }
  }

  void start(State& state) {
    if (state.is_busy || state.queue.empty()) return;
    state.running = state.queue.front();
    state.queue.pop_front();
    state.is_busy = true;
    state.began = now_;
    const double stretch = state.worker.slowness * (1 + state.worker.others(now_));
    state.free_at = now_ + Duration::seconds(task_.in_seconds() * stretch);
  }

  void finish(State& state) {
    state.is_busy = false;
    ++state.done;
    state.busy_ns += (now_ - std::max(state.began, last_beat_)).ns;
    const auto id = static_cast<std::uint32_t>(&state - states_.data());
    const auto elapsed = static_cast<std::uint64_t>((now_ - state.began).ns);
    const Assigned& ended = state.running;
    step(FromWorker{PeerId{id}, protocol::TasksDone{
                                    ended.run, {ended.task}, {ended.attempt}, {elapsed}, {}}});
  }

  /// What a fair host would count: threads on a full core share it.
  protocol::Heartbeat load_of(State& state) {
    if (state.is_busy) state.busy_ns += (now_ - std::max(state.began, last_beat_)).ns;
    const double wanted = static_cast<double>(std::exchange(state.busy_ns, 0)) / 1e8;
    const double others = state.worker.others(now_);
    const double own = wanted / std::max(1.0, wanted + others) ;
    const double busy = std::min(1.0, wanted + others);
    protocol::Heartbeat beat;
    beat.cpu_percent = static_cast<std::uint32_t>(100 * own + 0.5);
    beat.slots_percent = static_cast<std::uint32_t>(100 * wanted + 0.5);
    beat.cores = beat.host_cores = 1;
    beat.cores_busy_percent = beat.host_busy_percent = static_cast<std::uint32_t>(100 * busy + 0.5);
    beat.run_queue = static_cast<std::uint32_t>(wanted + others + 0.99);
    beat.host_memory_limit = 1000;
    beat.host_memory_used = static_cast<std::uint64_t>(1000 * state.worker.host_memory);
    beat.sample = ++samples_;
    return beat;
  }

  void beat() {
    for (std::uint32_t w = 0; w < states_.size() && !is_mute_; ++w) {
      step(FromWorker{PeerId{w}, load_of(states_[w])});
    }
    last_beat_ = now_;
    next_beat_ = now_ + Duration::milliseconds(100);
    step(Tick{});
  }

  SchedulerEngine engine_;
  std::vector<State> states_;
  Instant now_, last_beat_, next_beat_ = {100'000'000};
  Duration task_;
  std::uint32_t next_run_ = 0;
  std::uint64_t samples_ = 0, revoked_ = 0;
  bool is_mute_ = false;
};

}  // namespace ashlar::scheduler
