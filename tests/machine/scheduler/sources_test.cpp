#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/scheduler_engine.hpp"

/// Whom the readers of one datum are sent to, when each is on a host of its own.
namespace ashlar::scheduler {
namespace {

constexpr SessionId session{0};
constexpr std::uint32_t hosts = 8;

class Sources : public testing::Test {
 protected:
  Sources() {
    step(SessionOpened{session, PeerId{100}, {}});
    for (std::uint32_t host = 0; host < hosts; ++host) join(host);
  }

  void join(std::uint32_t host) {
    protocol::Hello hello;
    hello.name = std::to_string(host);
    hello.slots = 1;
    hello.kernels = {"k"};
    hello.endpoint.host_identity = std::to_string(host);
    step(WorkerJoined{PeerId{host}, hello});
  }

  /// A task makes a datum of so many bytes, then each worker gets a long task that reads it.
  void broadcast(std::uint64_t bytes) {
    submit(0, bytes, {}, 1);
    ASSERT_EQ(given_.size(), 1u);
    maker_ = given_.begin()->first;
    finish(maker_, 0, 0);
    given_.clear();
    submit(1, 8, {{{session, 0}, 0}}, hosts);
    ASSERT_EQ(given_.size(), hosts) << "one to each";
  }

  void submit(std::uint32_t number, std::uint64_t bytes, std::vector<DatumId> externals,
              std::uint32_t tasks) {
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    for (std::uint32_t t = 0; t < tasks; ++t) {
      graph->kernel.push_back(0);
      if (!externals.empty()) graph->inputs.push_back(tasks);
      graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
      graph->output_bytes.push_back(bytes);
      graph->output_offsets.push_back(t + 1);
      graph->param_offsets.push_back(0);
      graph->wanted.push_back(t);
      graph->flops.push_back(1e10F);
    }
    if (!externals.empty()) graph->external_bytes = {1};
    step(FromDriver{session, protocol::SubmitRun{number, graph, std::move(externals), false}});
  }

  void finish(std::uint32_t worker, std::uint32_t run, std::uint32_t task) {
    step(FromWorker{PeerId{worker},
                    protocol::TasksDone{{session, run}, {task}, {1}, {100'000'000}, {}}});
  }

  void step(Event event) {
    Actions actions;
    now_ = now_ + Duration::microseconds(10);
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    relocated_.clear();
    for (const Action& action : actions) {
      const auto* to = std::get_if<ToWorker>(&action);
      if (to == nullptr) continue;
      if (const auto* assigned = std::get_if<protocol::AssignTasks>(&to->message)) {
        for (std::size_t i = 0; i < assigned->task.size(); ++i) {
          given_[to->worker.value] =
              assigned->inputs.empty() ? to->worker.value : assigned->input_holder.at(i).value;
        }
      } else if (const auto* moved = std::get_if<protocol::Relocate>(&to->message)) {
        relocated_[to->worker.value] = moved->holder.at(0).value;
      }
    }
  }

  /// How many hosts the datum has to pass until it is with the worker.
  std::uint32_t passes(std::uint32_t worker) const {
    std::uint32_t count = 0;
    for (; worker != maker_ && count <= hosts; ++count) worker = given_.at(worker);
    return count;
  }

  std::uint32_t readers_of(std::uint32_t source) const {
    return static_cast<std::uint32_t>(std::ranges::count_if(
        given_, [&](const auto& to) { return to.first != source && to.second == source; }));
  }

  SchedulerEngine engine_{Limits{}, 7};
  Instant now_;
  std::uint32_t maker_ = 0;
  std::map<std::uint32_t, std::uint32_t> given_;      ///< worker: where it gets the datum
  std::map<std::uint32_t, std::uint32_t> relocated_;  ///< likewise, told in the last step
};

TEST_F(Sources, LargeDataArePassedOnAlongATree) {
  broadcast(16 << 20);
  EXPECT_EQ(readers_of(maker_), 3u) << "of a binomial tree of eight";
  std::vector<std::uint32_t> found;
  for (std::uint32_t w = 0; w < hosts; ++w) found.push_back(passes(w));
  std::ranges::sort(found);
  EXPECT_EQ(found, (std::vector<std::uint32_t>{0, 1, 1, 1, 2, 2, 2, 3}));
}

TEST_F(Sources, SmallDataComeFromTheirMaker) {
  broadcast(1000);
  EXPECT_EQ(readers_of(maker_), hosts - 1);
}

TEST_F(Sources, WhoAskedInVainIsSentToThePrimary) {
  broadcast(16 << 20);
  const auto reader = std::ranges::find_if(
      given_, [&](const auto& to) { return to.first != maker_ && to.second != maker_; });
  ASSERT_NE(reader, given_.end());
  const std::uint32_t worker = reader->first;
  step(FromWorker{PeerId{worker},
                  protocol::DataMissing{{{{session, 0}, 0}}, {PeerId{reader->second}}}});
  EXPECT_EQ(relocated_, (std::map<std::uint32_t, std::uint32_t>{{worker, maker_}}));
}

}  // namespace
}  // namespace ashlar::scheduler
