#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "histories.hpp"

namespace ashlar::scheduler {

/// Tasks of a millisecond, as long as nothing is measured.
inline std::shared_ptr<graph::TaskGraph> short_tasks(
    const std::vector<std::vector<std::uint32_t>>& tasks) {
  return graph_of(tasks, {}, 2e7F);
}

inline std::string name_of(std::uint32_t worker) {
  return std::string("w").append(std::to_string(worker));
}

struct Joining {
  std::string host = "host";
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::vector<std::pair<std::string, double>> resources = {};
  std::string name = {};
};

/// An engine that is told events one by one, and asked.
class Explain : public ::testing::Test {
 protected:
  Explain() { open(); }

  void use(Limits limits) {
    engine_ = SchedulerEngine{limits};
    open();
  }
  void use(PolicyKind policy) {
    Limits limits;
    limits.policy = policy;
    use(limits);
  }
  void join(std::uint32_t id, const Joining& joining = {}) {
    protocol::Hello hello;
    hello.name = joining.name.empty() ? name_of(id) : joining.name;
    hello.slots = joining.slots;
    hello.memory_limit = joining.memory_limit;
    hello.resources = joining.resources;
    hello.kernels = {"add", "mul"};
    hello.endpoint.host_identity = joining.host;
    step(WorkerJoined{PeerId{id}, hello});
  }
  void submit(std::shared_ptr<graph::TaskGraph> graph, std::vector<DatumId> externals = {}) {
    step(FromDriver{
        session, protocol::SubmitRun{next_run_++, std::move(graph), std::move(externals), false}});
  }
  /// Tasks of the run end on the worker that took so long.
  void done(std::uint32_t worker, std::vector<std::uint32_t> tasks, std::uint64_t elapsed_ns,
            std::uint32_t run = 0, Attempt attempt = 1) {
    protocol::TasksDone message{{session, run}, std::move(tasks), {}, {}, {}};
    message.attempt.assign(message.task.size(), attempt);
    message.elapsed_ns.assign(message.task.size(), elapsed_ns);
    say(worker, std::move(message));
  }
  void say(std::uint32_t worker, protocol::WorkerToScheduler message) {
    step(FromWorker{PeerId{worker}, std::move(message)});
  }
  void pass(Duration time) { now_ = now_ + time; }

  void open() {
    protocol::Hello hello;
    hello.endpoint.host_identity = "host";
    step(SessionOpened{session, driver, hello});
  }
  void step(Event event) {
    actions_.clear();
    engine_.step({&event, 1}, now_, actions_);
    engine_.check_invariants();
  }

  std::string story(std::uint32_t task, std::uint32_t run = 0) const {
    return engine_.story({session, run}, task);
  }
  std::string explained(std::uint32_t run = 0) const {
    return engine_.explain({.run = run}, session);
  }
  /// The worker that a task is on, or was.
  std::string worker_of(std::uint32_t task, std::uint32_t run = 0) const {
    const std::string text = story(task, run);
    const std::size_t at = text.find("on worker ") + 10;
    return text.substr(at, text.find_first_of(" ;,", at) - at);
  }
  /// The latest attempt at a task that is on a worker.
  Attempt attempt_of(std::uint32_t task) const {
    const std::string text = story(task), state = text.substr(0, text.find('\n'));
    const std::size_t at = state.find("; attempt ");
    return at == std::string::npos ? 1 : static_cast<Attempt>(std::stoul(state.substr(at + 10)));
  }
  void expect(const std::string& text, const std::vector<std::string>& parts) const {
    for (const std::string& part : parts) {
      EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in\n" << text;
    }
  }
  std::vector<protocol::Explanation> answers() const {
    return told_driver<protocol::Explanation>(actions_);
  }

  Instant now_{1'000'000'000};
  SchedulerEngine engine_;
  Actions actions_;
  std::uint32_t next_run_ = 0;
};

}  // namespace ashlar::scheduler
