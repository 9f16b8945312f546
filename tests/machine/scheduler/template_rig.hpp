#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model_cluster.hpp"

namespace ashlar::scheduler {

/// Rows of two points; each task reads both points of the row before, or only the one above it. The
/// first row reads the external datum.
inline std::shared_ptr<const graph::TaskGraph> stencil(std::uint32_t rows, bool reads_both = true) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  const std::uint32_t tasks = 2 * rows;
  for (std::uint32_t t = 0; t < tasks; ++t) {
    graph->kernel.push_back(0);
    if (t < 2) {
      graph->inputs.push_back(tasks);
    } else {
      const std::uint32_t above = (t / 2 - 1) * 2;
      graph->inputs.push_back(above + t % 2);
      if (reads_both) graph->inputs.push_back(above + 1 - t % 2);
    }
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(t + 1);
    graph->param_offsets.push_back(0);
  }
  graph->flops.assign(tasks, 1e7);  // half a millisecond: worth sharing
  graph->external_bytes = {8};
  graph->wanted = {tasks - 2, tasks - 1};
  return graph;
}

/// Tasks that read nothing. All outputs are wanted.
inline std::shared_ptr<graph::TaskGraph> independent(std::uint32_t tasks) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  for (std::uint32_t t = 0; t < tasks; ++t) {
    graph->kernel.push_back(0);
    graph->input_offsets.push_back(0);
    graph->output_bytes.push_back(8);
    graph->output_offsets.push_back(t + 1);
    graph->param_offsets.push_back(0);
    graph->wanted.push_back(t);
  }
  graph->flops.assign(tasks, 1e7);
  return graph;
}

/// Drivers of numbered sessions, an engine and model workers that do what they are told at once.
class Templates : public ::testing::Test {
 protected:
  static constexpr std::uint32_t rows = 6, tasks = 2 * rows;

  void open(std::uint32_t session) {
    step(SessionOpened{SessionId{session}, PeerId{1000 + session}, {}});
    next_run_[session] = 1;
    step(FromDriver{SessionId{session}, protocol::PutData{0, {8}}});
  }
  void join(std::uint32_t id, bool keeps_templates = true, const std::string& host = "host") {
    workers_[PeerId{id}].id = PeerId{id};
    protocol::Hello hello;
    hello.name = std::to_string(id);
    hello.kernels = {"k"};
    hello.slots = 1;
    hello.endpoint.host_identity = host;
    hello.keeps_templates = keeps_templates;
    step(WorkerJoined{PeerId{id}, hello});
  }
  void lose(std::uint32_t id) {
    workers_.erase(PeerId{id});
    step(WorkerLost{PeerId{id}, "SIGKILL", std::vector<DatumId>{}});
  }

  /// Submits the next run; the graph goes along unless the scheduler has it.
  std::uint32_t submit(std::uint32_t session, std::shared_ptr<const graph::TaskGraph> graph,
                       std::uint32_t number, DatumId external) {
    return submit(session,
                  {.graph = std::move(graph), .externals = {external}, .template_number = number});
  }
  std::uint32_t submit(std::uint32_t session, protocol::SubmitRun message) {
    message.run = next_run_[session]++;
    const std::uint32_t run = message.run;
    assignments_.clear();
    templates_.clear();
    lost_.clear();
    ran_.clear();
    end_ = {};
    end_.outcome = protocol::RunOutcome::failed;
    end_.error = "it has not ended";
    step(FromDriver{SessionId{session}, std::move(message)});
    return run;
  }
  DatumId put_of(std::uint32_t session) const { return {{SessionId{session}, 0}, 0}; }

  /// Lets workers work until nothing moves. `slow` takes so many times as long.
  void play(PeerId slow = PeerId::none(), std::uint64_t times = 1) {
    for (bool moves = true; moves;) {
      moves = false;
      for (auto& [id, worker] : workers_) moves = work(worker, id == slow ? times : 1) || moves;
    }
  }
  /// One move of each worker.
  bool work(ModelWorker& worker, std::uint64_t times = 1) {
    bool moves = !worker.inbox.empty();
    while (!worker.inbox.empty()) {
      worker.receive(worker.inbox.front());
      worker.inbox.pop_front();
    }
    for (auto& [datum, holder] : worker.fetches) {
      const auto other = workers_.find(holder);
      const bool is_put = datum.run.number == 0;
      if (!is_put && (other == workers_.end() || !other->second.store.contains(datum))) continue;
      worker.store[datum] = is_put ? 77 : other->second.store.at(datum);
      step(FromWorker{worker.id, protocol::DataAcquired{datum.run, {datum}, 8, 0}});
      worker.fetches.erase(datum);
      return true;
    }
    for (const auto& [key, task] : worker.tasks) {
      if (!worker.can_run(task)) continue;
      ran_[key.second] = worker.id;
      worker.run(key, key == failing_);
      for (auto& message : worker.outbox) {
        if (auto* done = std::get_if<protocol::TasksDone>(&message)) {
          for (auto& elapsed : done->elapsed_ns) elapsed = task_ns_ * times;
        }
        step(FromWorker{worker.id, message});
      }
      worker.outbox.clear();
      return true;
    }
    return moves;
  }

  /// Submits, plays, and returns the values of what was wanted.
  std::vector<std::uint64_t> run(std::uint32_t session,
                                 std::shared_ptr<const graph::TaskGraph> graph,
                                 std::uint32_t number) {
    const std::uint32_t run = submit(session, std::move(graph), number, put_of(session));
    play();
    return values(session, run);
  }
  /// Values that do not depend on the run's number.
  std::vector<std::uint64_t> values(std::uint32_t session, std::uint32_t run) {
    std::vector<std::uint64_t> found;
    for (const std::uint32_t index : {tasks - 2, tasks - 1}) {
      for (const auto& [id, worker] : workers_) {
        const auto datum = worker.store.find({{SessionId{session}, run}, index});
        if (datum != worker.store.end()) found.push_back(datum->second);
        if (datum != worker.store.end()) break;
      }
    }
    return found;
  }
  void release(std::uint32_t session, std::uint32_t run) {
    const RunId id{SessionId{session}, run};
    step(FromDriver{SessionId{session}, protocol::ReleaseData{{{id, tasks - 2}, {id, tasks - 1}}}});
    play();
  }

  void step(Event event) {
    Actions actions;
    now_ = now_ + Duration::microseconds(100);
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    for (Action& action : actions) {
      if (auto* to = std::get_if<ToWorker>(&action)) {
        assignments_[to->worker] += std::holds_alternative<protocol::AssignTasks>(to->message);
        templates_[to->worker] += std::holds_alternative<protocol::RunTemplate>(to->message);
        if (workers_.contains(to->worker)) {
          workers_.at(to->worker).inbox.push_back(std::move(to->message));
        }
      } else if (auto* home = std::get_if<ToDriver>(&action)) {
        if (auto* end = std::get_if<protocol::RunEnded>(&home->message)) end_ = *end;
        if (auto* lost = std::get_if<protocol::DataLost>(&home->message)) {
          for (const DatumId id : lost->data) lost_.push_back(id.index);
        }
      } else {
        ++dropped_;
      }
    }
  }
  void expect_done(std::uint64_t template_tasks) {
    EXPECT_EQ(end_.outcome, protocol::RunOutcome::done) << end_.error;
    EXPECT_EQ(end_.stats.template_tasks, template_tasks);
  }
  /// After three runs every worker keeps the graph.
  void warm_up(std::uint32_t session, std::uint32_t number, bool reads_both = true) {
    run(session, stencil(rows, reads_both), number);
    expect_done(0);
    run(session, nullptr, number);
    expect_done(tasks);
    run(session, nullptr, number);
    expect_done(tasks);
  }

  Instant now_;
  std::uint64_t task_ns_ = 500'000;  ///< what each task takes
  SchedulerEngine engine_;
  std::map<PeerId, ModelWorker> workers_;
  std::map<std::uint32_t, std::uint32_t> next_run_;
  std::map<PeerId, int> assignments_, templates_;
  std::map<std::uint32_t, PeerId> ran_;  ///< by task, of the run that was submitted last
  std::vector<std::uint32_t> lost_;      ///< likewise, data
  std::pair<RunId, std::uint32_t> failing_{{SessionId{99}, 0}, 0};
  protocol::RunEnded end_;
  int dropped_ = 0;
};

}  // namespace ashlar::scheduler
