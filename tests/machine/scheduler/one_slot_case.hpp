#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "histories.hpp"

namespace ashlar::scheduler {

inline constexpr std::uint64_t usual_ns = 10'000'000;

/// Workers of one slot, played by the test, and one session.
class OneSlotCase : public ::testing::Test {
 protected:
  explicit OneSlotCase(Limits limits = {}) : engine_{limits} {
    step(SessionOpened{session, driver, {}});
  }

  void join(std::uint32_t id, bool is_repeatable = true,
            std::vector<std::pair<std::string, double>> resources = {}) {
    protocol::Hello hello;
    hello.name = "w" + std::to_string(id);
    hello.slots = 1;
    hello.kernels = {"add"};
    if (is_repeatable) hello.repeatable = {0};
    hello.resources = std::move(resources);
    hello.endpoint.host_identity = "host";
    step(WorkerJoined{PeerId{id}, hello});
  }

  static std::shared_ptr<graph::TaskGraph> graph_of(
      const std::vector<std::vector<std::uint32_t>>& tasks, std::vector<std::uint32_t> wanted) {
    return scheduler::graph_of(tasks, std::move(wanted), 0);
  }
  void submit(std::uint32_t run, std::shared_ptr<graph::TaskGraph> graph,
              std::vector<DatumId> externals = {}) {
    step(FromDriver{session, protocol::SubmitRun{run, graph, std::move(externals), false}});
  }

  struct Where {
    std::uint32_t worker = 0, task = 0;
    Attempt attempt = 0;
    friend bool operator==(const Where&, const Where&) = default;
  };
  void done(const Where& where, std::uint32_t run = 0) {
    step(FromWorker{
        PeerId{where.worker},
        protocol::TasksDone{{session, run}, {where.task}, {where.attempt}, {usual_ns}, {}}});
  }

  void fail(const Where& where) {
    const Where failed = where;
    std::erase(assigned_, failed);
    step(FromWorker{
        PeerId{failed.worker},
        protocol::TaskFailed{
            {session, 0}, failed.task, failed.attempt, ErrorKind::overloaded, "out of memory"}});
  }

  /// Everything that is assigned ends after the usual time, until `left` tasks are left to end;
  /// returns where they are.
  std::vector<Where> run_until(std::size_t left) {
    while (assigned_.size() > left || engine_.unfinished_tasks() > left) {
      now_ = now_ + Duration{static_cast<std::int64_t>(usual_ns)};
      done(assigned_.front());
    }
    return assigned_;
  }

  void wait(Duration time) {
    for (Duration passed; passed < time; passed = passed + Duration::milliseconds(100)) {
      now_ = now_ + Duration::milliseconds(100);
      step(Tick{});
    }
  }

  void step(Event event) {
    actions_.clear();
    engine_.step({&event, 1}, now_, actions_);
    engine_.check_invariants();
    if (const auto* from = std::get_if<FromWorker>(&event)) {
      if (const auto* ended = std::get_if<protocol::TasksDone>(&from->message)) {
        std::erase(assigned_, Where{from->worker.value, ended->task[0], ended->attempt[0]});
      }
    }
    for (const Action& action : actions_) {
      const auto* to = std::get_if<ToWorker>(&action);
      if (to == nullptr) continue;
      if (const auto* m = std::get_if<protocol::RevokeTasks>(&to->message)) {
        for (std::size_t i = 0; i < m->task.size(); ++i) {
          std::erase(assigned_, Where{to->worker.value, m->task[i], m->attempt[i]});
        }
      }
      if (const auto* m = std::get_if<protocol::AssignTasks>(&to->message)) {
        for (std::size_t i = 0; i < m->task.size(); ++i) {
          assigned_.push_back({to->worker.value, m->task[i], m->attempt[i]});
        }
      }
    }
  }

  template <class Message>
  std::vector<Message> sent(std::uint32_t worker) const {
    return sent_to<Message>(PeerId{worker}, actions_);
  }
  template <class Message>
  std::vector<Message> told() const {
    return told_driver<Message>(actions_);
  }
  std::string error() const {
    const auto ended = told<protocol::RunEnded>();
    return ended.empty() ? "" : ended[0].error;
  }

  /// Another engine, and another history.
  void begin_anew() {
    engine_ = SchedulerEngine{};
    assigned_.clear();
    step(SessionOpened{session, driver, {}});
  }

  Instant now_;
  SchedulerEngine engine_;
  Actions actions_;
  std::vector<Where> assigned_;
};

}  // namespace ashlar::scheduler
