#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

/// What the hosts of readers are told to get before they are given these.
namespace ashlar::scheduler {
namespace {

constexpr SessionId session{0};
constexpr std::uint32_t makers = 32, readers = 4, pieces = 10'000;

class Prefetch : public testing::Test {
 protected:
  explicit Prefetch(double bytes_per_second = 1e6) : engine_(limits(bytes_per_second), 7) {
    step(SessionOpened{session, PeerId{100}, {}});
    for (std::uint32_t worker = 0; worker < 2; ++worker) join(worker);
  }

  static Limits limits(double bytes_per_second) {
    Limits limits;
    limits.remote_bandwidth = bytes_per_second;
    return limits;
  }

  void join(std::uint32_t worker) {
    protocol::Hello hello;
    hello.name = std::to_string(worker);
    hello.slots = 1;
    hello.kernels = {"k"};
    hello.endpoint.host_identity = std::to_string(worker);
    step(WorkerJoined{PeerId{worker}, hello});
  }

  /// Each maker makes a piece for each reader. Tasks take 10 ms, a piece as long on a link.
  void submit(std::int32_t priority = 0, bool are_sizes_known = true) {
    are_sizes_known_ = are_sizes_known;
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    for (std::uint32_t t = 0; t < makers + readers; ++t) {
      graph->kernel.push_back(0);
      for (std::uint32_t m = 0; t >= makers && m < makers; ++m) {
        graph->inputs.push_back(m * readers + t - makers);
      }
      graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
      graph->output_bytes.insert(graph->output_bytes.end(), t < makers ? readers : 1,
                                 are_sizes_known ? pieces : graph::TaskGraph::dynamic_bytes);
      graph->output_offsets.push_back(graph->output_count());
      graph->param_offsets.push_back(0);
      graph->flops.push_back(2e8F);
      if (priority != 0) graph->priority.push_back(priority);
      if (t >= makers) graph->wanted.push_back(graph->output_count() - 1);
    }
    ASSERT_EQ(graph::validate(*graph), "");
    step(FromDriver{session, protocol::SubmitRun{0, graph, {}, false}});
  }

  /// The worker has done its oldest task.
  void finish(std::uint32_t worker) {
    ASSERT_FALSE(given_[worker].empty());
    const std::uint32_t task = *given_[worker].begin();
    given_[worker].erase(given_[worker].begin());
    protocol::TasksDone done{{session, 0}, {task}, {1}, {10'000'000}, {}};
    if (!are_sizes_known_) done.output_bytes.assign(task < makers ? readers : 1, pieces);
    step(FromWorker{PeerId{worker}, done});
  }

  void step(Event event) {
    Actions actions;
    now_ = now_ + Duration::milliseconds(1);
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    told_.clear();
    for (const Action& action : actions) {
      const auto* to = std::get_if<ToWorker>(&action);
      if (to == nullptr) continue;
      if (const auto* assigned = std::get_if<protocol::AssignTasks>(&to->message)) {
        given_[to->worker.value].insert(assigned->task.begin(), assigned->task.end());
      } else if (const auto* prefetch = std::get_if<protocol::Prefetch>(&to->message)) {
        for (std::size_t i = 0; i < prefetch->datum.size(); ++i) {
          told_.insert({to->worker.value, prefetch->datum[i]});
          EXPECT_EQ(prefetch->bytes[i], pieces);
          EXPECT_NE(prefetch->holder[i], to->worker);
          EXPECT_TRUE(asked_.insert({to->worker.value, prefetch->datum[i]}).second) << "once";
        }
      }
    }
  }

  SchedulerEngine engine_;
  Instant now_;
  bool are_sizes_known_ = true;
  std::map<std::uint32_t, std::set<std::uint32_t>> given_;   ///< by worker
  std::set<std::pair<std::uint32_t, std::uint32_t>> told_;   ///< worker, datum: in the last step
  std::set<std::pair<std::uint32_t, std::uint32_t>> asked_;  ///< ever
};

TEST_F(Prefetch, WhatIsMadeGoesToTheHostsOfItsReaders) {
  submit();
  ASSERT_LT(given_[0].size() + given_[1].size(), makers) << "tasks are placed late";
  EXPECT_TRUE(told_.empty()) << "nothing has been made";
  const std::uint32_t task = *given_[0].begin();
  finish(0);
  EXPECT_EQ(told_.size(), readers / 2) << "half of the readers are the other host's";
  for (const auto& [worker, datum] : told_) {
    EXPECT_EQ(worker, 1u);
    EXPECT_EQ(datum / readers, task);
  }
}

TEST_F(Prefetch, AllIsToldOnceUntilTheReadersAreGivenOut) {
  submit();
  for (std::uint32_t n = 0; n < makers; ++n) finish(given_[n % 2].empty() ? 1 - n % 2 : n % 2);
  EXPECT_GT(asked_.size(), makers * readers / 3);
  EXPECT_LE(asked_.size(), makers * readers / 2);
}

TEST_F(Prefetch, WhereTheGraphDoesNotSayHowMuchIsMadeItIsSeenFromTheFirstTasks) {
  submit(0, false);
  constexpr std::uint32_t seen = 16;
  for (std::uint32_t n = 0; n < seen - 1; ++n) {
    finish(n % 2);
    EXPECT_TRUE(told_.empty());
  }
  finish(1);
  EXPECT_EQ(told_.size(), seen * readers / 2) << "what has been made by now";
  finish(0);
  EXPECT_EQ(told_.size(), readers / 2);
}

TEST_F(Prefetch, WhoDeclinesGetsItWithItsReader) {
  submit();
  finish(0);
  const auto [worker, datum] = *told_.begin();
  const DatumId id{{session, 0}, datum};
  step(FromWorker{PeerId{worker}, protocol::DataMissing{{id}, {PeerId{worker}}}});
  EXPECT_TRUE(told_.empty());
  for (std::uint32_t n = 1; n < makers; ++n) finish(given_[n % 2].empty() ? 1 - n % 2 : n % 2);
  EXPECT_FALSE(given_[worker].empty()) << "it gets readers nevertheless";
}

TEST_F(Prefetch, WhereUsersSayWhatComesFirstNothingElseTakesTheLinks) {
  submit(1);
  finish(0);
  EXPECT_TRUE(told_.empty());
}

class PrefetchOnAFastNetwork : public Prefetch {
 protected:
  PrefetchOnAFastNetwork() : Prefetch(1e9) {}
};

TEST_F(PrefetchOnAFastNetwork, NothingComesEarly) {
  submit();
  finish(0);
  EXPECT_TRUE(told_.empty());
}

}  // namespace
}  // namespace ashlar::scheduler
