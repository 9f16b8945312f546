#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "histories.hpp"

/// What an urgent task waits for is as urgent. One worker of one slot does what it is told.
namespace ashlar::scheduler {
namespace {

constexpr PeerId worker{1};

struct Assigned {
  RunId run;
  std::uint32_t task = 0;
  Attempt attempt = 0;
  std::int32_t priority = 0;
};

/// Tasks of 50 ms, each with one output; what they read is given.
std::shared_ptr<graph::TaskGraph> long_tasks(const std::vector<std::vector<std::uint32_t>>& tasks,
                                             std::uint32_t externals = 0) {
  std::vector<std::uint32_t> wanted(tasks.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  auto graph = graph_of(tasks, std::move(wanted), 1e9F);
  graph->external_bytes.assign(externals, 8);
  return graph;
}

/// So many tasks that read nothing.
std::shared_ptr<graph::TaskGraph> independent(std::size_t count) {
  return long_tasks(std::vector<std::vector<std::uint32_t>>(count));
}

class Priorities : public testing::Test {
 protected:
  Priorities() {
    step(SessionOpened{session, driver, {}});
    protocol::Hello hello;
    hello.name = "w";
    hello.kernels = {"add"};
    hello.slots = 1;
    step(WorkerJoined{worker, hello});
  }

  void submit(std::uint32_t run, std::shared_ptr<const graph::TaskGraph> graph,
              std::vector<DatumId> externals = {}) {
    step(FromDriver{session,
                    protocol::SubmitRun{
                        .run = run, .graph = std::move(graph), .externals = std::move(externals)}});
  }

  /// Runs everything; how many tasks of other runs ended before the last of this one did.
  std::size_t done_before_end_of(std::uint32_t run) {
    std::size_t last = 0, own = 0;
    for (std::size_t next = 0; next < assigned_.size(); ++next) {
      const Assigned task = assigned_[next];
      if (task.run.number == run) {
        last = next + 1;
        ++own;
      }
      protocol::TasksDone done;
      done.run = task.run;
      done.task = {task.task};
      done.attempt = {task.attempt};
      done.elapsed_ns = {50'000'000};
      step(FromWorker{worker, done});
    }
    EXPECT_EQ(engine_.unfinished_tasks(), 0u);
    return last - own;
  }

  void step(Event event) {
    Actions actions;
    now_ = now_ + Duration::milliseconds(1);
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    for (const Action& action : actions) {
      const auto* to = std::get_if<ToWorker>(&action);
      const auto* told = to ? std::get_if<protocol::AssignTasks>(&to->message) : nullptr;
      if (told == nullptr) continue;
      for (std::size_t i = 0; i < told->task.size(); ++i) {
        const std::int32_t priority = told->priority.empty() ? 0 : told->priority.at(i);
        assigned_.push_back({told->run, told->task[i], told->attempt[i], priority});
      }
    }
  }

  SchedulerEngine engine_;
  std::vector<Assigned> assigned_;  ///< in the order in which they were
  Instant now_;
};

TEST_F(Priorities, WhatAnUrgentTaskWaitsForIsUrgent) {
  auto graph = long_tasks({{}, {}, {}, {2}});
  graph->priority = {1, 1, 0, 5};
  submit(0, graph);
  ASSERT_FALSE(assigned_.empty());
  EXPECT_EQ(assigned_[0].task, 2u) << "task 3 needs it";
}

TEST_F(Priorities, SoIsWhatThatWaitsFor) {
  auto graph = long_tasks({{}, {}, {1}, {2}});
  graph->priority = {1, 0, 0, 5};
  submit(0, graph);
  ASSERT_FALSE(assigned_.empty());
  EXPECT_EQ(assigned_[0].task, 1u);
}

TEST_F(Priorities, ARunThatAnUrgentOneWaitsForIsUrgent) {
  submit(0, independent(8));
  submit(1, independent(8));
  auto urgent = long_tasks({{1}}, 1);
  urgent->priority = {3};
  submit(2, urgent, {{{session, 1}, 7}});
  EXPECT_LE(done_before_end_of(2), 8u + 3u) << "its own producers, and those assigned before";
  for (const Assigned& task : assigned_) {
    const bool is_raised = task.run.number > 0;
    EXPECT_EQ(task.priority, is_raised ? 3 : 0) << "workers are told";
  }
}

TEST_F(Priorities, WorkersAreTold) {
  auto graph = long_tasks({{}, {}, {}, {2}});
  graph->priority = {1, -1, 0, 5};
  submit(0, graph);
  done_before_end_of(0);
  const std::vector<std::int32_t> expected = {1, -1, 5, 5};
  ASSERT_EQ(assigned_.size(), 4u);
  for (const Assigned& task : assigned_) EXPECT_EQ(task.priority, expected[task.task]);
}

TEST_F(Priorities, WhatWaitsForAnUnimportantRunMakesItNoLessImportantThanItself) {
  auto unimportant = independent(8);
  unimportant->priority.assign(8, -1);
  auto lesser = independent(8);
  lesser->priority.assign(8, -1);
  submit(0, lesser);
  submit(1, unimportant);
  submit(2, long_tasks({{1}}, 1), {{{session, 1}, 7}});
  EXPECT_LE(done_before_end_of(2), 8u + 3u) << "its own producers, and those assigned before";
}

}  // namespace
}  // namespace ashlar::scheduler
