#include <string>

#include "histories.hpp"
#include "model_cluster.hpp"

/// Workers, each on a host of its own, that all reach the scheduler but not all each other.
namespace ashlar::scheduler {
namespace {

class Reach : public testing::Test {
 protected:
  explicit Reach(Duration link_wait = {}) : engine_(limits_of(link_wait)) {
    step(SessionOpened{session, driver, {}});
  }

  static Limits limits_of(Duration link_wait) {
    Limits limits;
    limits.link_wait = link_wait;
    return limits;
  }

  /// Named a, b, c, …, each with a resource of its name.
  void join(std::uint32_t workers) {
    for (std::uint32_t id = 1; id <= workers; ++id) {
      join_one(std::string(1, static_cast<char>('a' + id - 1)), id);
    }
  }

  void join_one(const std::string& name, std::uint32_t id) {
    workers_[PeerId{id}].id = PeerId{id};
    protocol::Hello hello;
    hello.name = name;
    hello.slots = 1;
    hello.kernels = {"add"};
    hello.endpoint.host_identity = name;
    hello.endpoint.remote_address = "tcp://host-" + name + ":1";
    hello.resources = {{name, 100.0}};
    step(WorkerJoined{PeerId{id}, hello});
  }

  void cut(std::uint32_t a, std::uint32_t b) {
    cuts_.cut(PeerId{a}, PeerId{b});
    cuts_.cut(PeerId{b}, PeerId{a});
  }

  void tell_broken(std::uint32_t asker, std::uint32_t asked) {
    cuts_.cut(PeerId{asker}, PeerId{asked});
    step(FromWorker{PeerId{asker},
                    protocol::DataMissing{{}, {}, {PeerId{asked}}, {"connection refused"}, {}}});
  }

  /// `where`: for each task, the name of the worker that alone may run it; empty: any.
  void submit(std::uint32_t number, const std::vector<std::vector<std::uint32_t>>& tasks,
              const std::vector<std::string>& where, std::vector<std::uint32_t> wanted,
              std::vector<DatumId> externals = {}, float flops = 1000) {
    auto graph = graph_of(tasks, std::move(wanted), flops);
    graph->external_bytes.assign(externals.size(), 8);
    graph->reuse_input = reuse_input_;
    graph->constraints.push_back({});
    for (const std::string& name : where) {
      graph->constraint.push_back(static_cast<std::uint32_t>(graph->constraints.size()));
      graph->constraints.push_back({});
      if (!name.empty()) graph->constraints.back().resources = {{name, 1.0}};
    }
    step(FromDriver{session, protocol::SubmitRun{number, graph, std::move(externals), false}});
  }

  /// Everybody does what there is to do, until nothing is left.
  void play() {
    for (int turns = 0; turns < 1000; ++turns) {
      bool any = false;
      for (auto& [id, worker] : workers_) any |= move(worker);
      if (!any) return;
    }
    FAIL() << "no end\n" << engine_.dump();
  }

  bool move(ModelWorker& worker) {
    bool any = !worker.inbox.empty();
    for (; !worker.inbox.empty(); worker.inbox.pop_front()) worker.receive(worker.inbox.front());
    const auto fetches = worker.fetches;
    for (const auto& [datum, holder] : fetches) any |= fetch(worker, datum, holder);
    const auto tasks = worker.tasks;
    for (const auto& [key, task] : tasks) {
      if (!worker.tasks.contains(key) || !worker.can_run(task) || is_idle_) continue;
      worker.run(key, false);
      ran_[key.second].push_back(worker.id.value);
      any = true;
    }
    for (; !worker.outbox.empty(); any = true) {
      auto message = worker.outbox.front();
      worker.outbox.pop_front();
      step(FromWorker{worker.id, std::move(message)});
    }
    return any;
  }

  bool fetch(ModelWorker& worker, DatumId datum, PeerId holder) {
    if (holder.is_none()) return false;
    if (cuts_.keep_off(worker, datum)) return ++refused_ > 0;
    const auto other = workers_.find(holder);
    const bool is_there = other != workers_.end() ? other->second.store.contains(datum)
                                                  : holder == driver && put_.contains(datum);
    if (!is_there) return false;
    cuts_.came(worker, holder);
    worker.store[datum] = holder == driver ? put_.at(datum) : other->second.store.at(datum);
    worker.outbox.push_back(protocol::DataAcquired{datum.run, {datum}, 0, 8});
    worker.fetches.erase(datum);
    return true;
  }

  void wait(Duration time) {
    now_ = now_ + time;
    step(Tick{});
  }

  void step(Event event) {
    now_ = now_ + Duration::milliseconds(1);
    Actions actions;
    engine_.step({&event, 1}, now_, actions);
    engine_.check_invariants();
    for (Action& action : actions) {
      if (auto* to = std::get_if<ToWorker>(&action)) {
        workers_.at(to->worker).inbox.push_back(std::move(to->message));
      } else if (const auto* home = std::get_if<ToDriver>(&action)) {
        if (const auto* end = std::get_if<protocol::RunEnded>(&home->message)) {
          ended_.push_back(*end);
        }
      }
    }
  }

  void expect_done() {
    ASSERT_FALSE(ended_.empty()) << engine_.dump();
    EXPECT_EQ(ended_.back().outcome, protocol::RunOutcome::done) << ended_.back().error;
  }
  void expect_failed(const std::vector<std::string>& words) {
    ASSERT_FALSE(ended_.empty()) << engine_.dump();
    EXPECT_EQ(ended_.back().outcome, protocol::RunOutcome::failed);
    EXPECT_EQ(ended_.back().error_kind, ErrorKind::disconnected);
    for (const std::string& word : words) {
      EXPECT_NE(ended_.back().error.find(word), std::string::npos) << ended_.back().error;
    }
  }

  /// No two of three reach each other. Of datum 0, which is on a, or will be, and datum 1 is made
  /// datum 2, for which b has no time soon. The rest is a chain that c can go on with.
  void go_on_beside(bool is_made) {
    join(3);
    is_idle_ = true;
    constexpr std::uint32_t links = 20, first = 3;
    std::vector<std::vector<std::uint32_t>> tasks{{}, {}, {0, 1}, {}};
    std::vector<std::string> where{"", "b", "", "c"};
    for (std::uint32_t i = 0; i < links; ++i) tasks.push_back({first + i});
    where.resize(tasks.size());
    tasks.resize(tasks.size() + links);
    where.resize(tasks.size(), "b");
    submit(0, tasks, where, {2, first + links}, {}, 1e9F);
    play();
    ASSERT_TRUE(workers_[PeerId{1}].will_make({{session, 0}, 0}));
    if (is_made) workers_[PeerId{1}].run({{session, 0}, 0}, false);
    for (const std::uint32_t asker : {1, 2, 3}) {
      for (const std::uint32_t asked : {1, 2, 3}) {
        if (asker != asked) tell_broken(asker, asked);
      }
    }
    play();
    for (std::uint32_t i = first; i <= first + links; play(), ++i) {
      ASSERT_TRUE(workers_[PeerId{3}].will_make({{session, 0}, i}))
          << engine_.story({session, 0}, i);
      workers_[PeerId{3}].run({{session, 0}, i}, false);
    }
    is_idle_ = false;
    play();
    expect_done();
    EXPECT_EQ(ran_[2], std::vector<std::uint32_t>{2});
  }

  Instant now_;
  SchedulerEngine engine_;
  std::map<PeerId, ModelWorker> workers_;
  ModelCuts cuts_;
  std::map<DatumId, std::uint64_t> put_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> ran_;  ///< by task: on whom
  std::vector<protocol::RunEnded> ended_;
  std::vector<std::uint32_t> reuse_input_;  ///< of graphs that are submitted
  int refused_ = 0;                         ///< fetches
  bool is_idle_ = false;
};

using Owners = std::vector<std::uint32_t>;

TEST_F(Reach, WhatSomebodyElseHasComesFromThere) {
  join(3);
  cut(1, 3);
  submit(0, {{}, {0}, {0, 1}}, {"a", "b", "c"}, {2});
  play();
  expect_done();
  EXPECT_EQ(ran_[0], Owners{1}) << "b has it for task 1";
  EXPECT_EQ(ran_[1], Owners{2});
  EXPECT_EQ(ran_[2], Owners{3});
}

TEST_F(Reach, AReaderGoesWhereAllThatItReadsCanBeHad) {
  join(3);
  cut(1, 2);
  submit(0, {{}, {}, {0, 1}}, {"a", "b", ""}, {2});
  play();
  expect_done();
  EXPECT_EQ(ran_[2], Owners{3});
  EXPECT_EQ(ran_[0], Owners{1});
  EXPECT_EQ(ran_[1], Owners{2});
}

TEST_F(Reach, ItIsNotSentThereAgain) {
  join(3);
  cut(1, 2);
  submit(0, {{}, {}, {0, 1}}, {"a", "b", ""}, {0, 1, 2});
  play();
  const int refused = refused_;
  submit(1, {{4, 5}, {4, 5}, {4, 5}, {0, 1, 2}}, {"", "", "", ""}, {3},
         {{{session, 0}, 0}, {{session, 0}, 1}});
  play();
  expect_done();
  EXPECT_EQ(refused_, refused);
}

TEST_F(Reach, WhatNobodyReachesIsMadeAgainWhereItCanBeReached) {
  join(2);
  cut(1, 2);
  is_idle_ = true;  // so that both workers get something to make
  submit(0, {{}, {}, {}, {}, {0, 1}, {2, 3}, {4, 5}}, {"", "", "", "", "", "", ""}, {6}, {}, 1e9F);
  play();
  is_idle_ = false;
  play();
  expect_done();
  EXPECT_GT(engine_.counters().tasks_assigned, 7u) << "both had made some of it";
}

TEST_F(Reach, ItIsMadeAgainWhereAllThatThisTakesCanBeHad) {
  join(2);
  cut(1, 2);
  is_idle_ = true;
  submit(0, {{}, {0}, {}, {}, {1, 2, 3}}, {"a", "", "", "", ""}, {4}, {}, 1e9F);
  play();
  ASSERT_TRUE(workers_[PeerId{1}].will_make({{session, 0}, 1}));
  ASSERT_TRUE(workers_[PeerId{2}].will_make({{session, 0}, 2}));
  ASSERT_TRUE(workers_[PeerId{2}].will_make({{session, 0}, 3}));
  is_idle_ = false;
  play();
  expect_done();
  EXPECT_EQ(ran_[1], Owners{1}) << "b lacks less, but could not make it";
  EXPECT_EQ(ran_[4], Owners{1});
}

TEST_F(Reach, WhatIsMadeAgainForOneIsStillThereForTheOther) {
  join(2);
  is_idle_ = true;
  submit(0, {{}, {}, {}, {0, 1}, {0, 2}}, {"", "a", "b", "a", "b"}, {3, 4});
  play();
  const std::uint32_t first = workers_[PeerId{1}].will_make({{session, 0}, 0}) ? 1 : 2;
  workers_[PeerId{first}].run({{session, 0}, 0}, false);
  cut(1, 2);
  play();
  is_idle_ = false;
  play();
  expect_done();
  EXPECT_EQ(ran_[0], Owners{3 - first}) << "beside what the first one has";
  EXPECT_EQ(engine_.counters().tasks_done, 6u);
}

TEST_F(Reach, WhatIsMadeElsewhereInsteadIsInNobodysWay) { go_on_beside(false); }

TEST_F(Reach, WhoWaitsForWhatIsMadeAgainIsInNobodysWay) { go_on_beside(true); }

TEST_F(Reach, WhoIsToMakeADatumAgainMayStillTellThatItWasNotToBeHad) {
  join(2);
  is_idle_ = true;
  submit(0, {{}, {}, {}, {0, 1}, {0, 2}}, {"", "a", "b", "a", "b"}, {3, 4});
  play();
  const std::uint32_t first = workers_[PeerId{1}].will_make({{session, 0}, 0}) ? 1 : 2;
  const PeerId other{3 - first};
  const DatumId shared{{session, 0}, 0};
  workers_[PeerId{first}].run({{session, 0}, 0}, false);
  cut(1, 2);
  play();
  ASSERT_TRUE(workers_[other].will_make(shared));
  step(FromWorker{other,
                  protocol::DataMissing{
                      {shared}, {PeerId{first}}, {PeerId{first}}, {"connection refused"}, {}}});
  is_idle_ = false;
  play();
  expect_done();
  EXPECT_EQ(ran_[0], Owners{other.value}) << "once";
}

TEST_F(Reach, WhatIsPutInReachOfOneWorkerGoesThere) {
  join(2);
  cuts_.cut(PeerId{1}, driver);
  put_[{{session, 7}, 0}] = 5;
  step(FromDriver{session, protocol::PutData{7, {8}}});
  submit(0, {{2}, {0}}, {"", "a"}, {1}, {{{session, 7}, 0}});
  play();
  expect_done();
  EXPECT_EQ(ran_[0], Owners{2});
  EXPECT_EQ(ran_[1], Owners{1}) << "b passes on what it made of it";
}

TEST_F(Reach, NoTwoThatAreToPassADatumOnWaitForEachOther) {
  join(4);
  join_one("d", 5);
  is_idle_ = true;
  submit(0, {{}, {}, {0, 1}, {0}}, {"", "d", "b", "c"}, {2, 3});
  play();
  const DatumId read{{session, 0}, 0};  // on b and c
  ASSERT_TRUE(workers_[PeerId{1}].will_make(read));
  ASSERT_TRUE(workers_[PeerId{4}].will_make({{session, 0}, 1}));
  cut(1, 2);
  step(FromWorker{PeerId{2},
                  protocol::DataMissing{{}, {}, {PeerId{1}}, {"connection refused"}, {}}});
  step(WorkerLost{PeerId{4}, "killed by the test", {}});
  workers_.erase(PeerId{4});
  play();
  ASSERT_EQ(workers_[PeerId{2}].fetches.at(read), PeerId{3}) << "b's reader was placed anew";
  cut(1, 3);
  play();
  is_idle_ = false;
  play();
  expect_done();
}

TEST_F(Reach, WhatCannotBeIsAnErrorThatNamesTheLink) {
  join(2);
  cut(1, 2);
  submit(0, {{}, {0}}, {"a", "b"}, {1});
  play();
  expect_failed({"task 1",
                 "worker b (tcp://host-b:1) cannot fetch from worker a "
                 "(tcp://host-a:1): connection refused",
                 "firewall", "--listen", "certificates"});
  EXPECT_EQ(refused_, 1);
}

class ReachInTheEnd : public Reach {
 protected:
  ReachInTheEnd() : Reach(Limits{}.link_wait) {
    join(2);
    cut(1, 2);
    submit(0, {{}, {0}}, {"a", "b"}, {1});
    play();
    EXPECT_TRUE(ended_.empty()) << "it waits";
    EXPECT_NE(engine_.story({session, 0}, 1).find("no worker reaches"), std::string::npos);
  }
};

TEST_F(ReachInTheEnd, WhatHasNoOtherWayWaitsForALink) {
  cuts_.heal();
  wait(Limits{}.link_wait);
  play();
  expect_done();
}

TEST_F(ReachInTheEnd, ItDoesNotWaitForLong) {
  wait(Limits{}.link_wait);
  play();
  expect_failed({"connection refused"});
  EXPECT_EQ(refused_, 2) << "tried once more";
}

TEST_F(ReachInTheEnd, ItWaitsAgainWhenALinkBreaksLater) {
  is_idle_ = true;
  cuts_.heal();
  step(FromWorker{PeerId{2}, protocol::DataMissing{{}, {}, {}, {}, {PeerId{1}}}});
  play();
  wait(Limits{}.link_pause);
  cuts_.cut(PeerId{2}, PeerId{1});
  step(FromWorker{PeerId{2},
                  protocol::DataMissing{
                      {{{session, 0}, 0}}, {PeerId{1}}, {PeerId{1}}, {"connection refused"}, {}}});
  play();
  EXPECT_TRUE(ended_.empty());
  cuts_.heal();
  step(FromWorker{PeerId{2}, protocol::DataMissing{{}, {}, {}, {}, {PeerId{1}}}});
  is_idle_ = false;
  play();
  expect_done();
}

TEST_F(ReachInTheEnd, ItGoesOnWhenThereIsAWay) {
  cuts_.heal();
  step(FromWorker{PeerId{2}, protocol::DataMissing{{}, {}, {}, {}, {PeerId{1}}}});
  play();
  expect_done();
}

TEST_F(Reach, SoIsWhatWouldTakeWithItWhatCannotBeMadeAgain) {
  join(2);
  submit(0, {{}}, {"a"}, {0});
  play();
  constexpr std::uint32_t none = graph::TaskGraph::no_input;
  reuse_input_ = {none, 0, none};
  is_idle_ = true;
  submit(1, {{3}, {0}, {1}}, {"a", "", "b"}, {2}, {{{session, 0}, 0}});
  play();
  ASSERT_TRUE(workers_[PeerId{1}].will_make({{session, 1}, 1}));
  step(FromDriver{session, protocol::ReleaseData{{{{session, 0}, 0}}}});
  workers_[PeerId{1}].run({{session, 1}, 0}, false);
  play();
  cut(1, 2);
  play();
  is_idle_ = false;
  play();
  expect_failed({"cannot be made again elsewhere", "worker b", "cannot fetch from worker a"});
}

TEST_F(Reach, SoIsAProgramsDataThatNoWorkerReaches) {
  join(2);
  for (const std::uint32_t worker : {1, 2}) cuts_.cut(PeerId{worker}, driver);
  put_[{{session, 7}, 0}] = 5;
  step(FromDriver{session, protocol::PutData{7, {8}}});
  submit(0, {{1}}, {""}, {0}, {{{session, 7}, 0}});
  play();
  expect_failed({"cannot fetch from the program", "connection refused"});
}

TEST_F(Reach, ALaterRunThatHasNoOtherWayTriesALinkAgain) {
  join(2);
  cut(1, 2);
  submit(0, {{}, {0}}, {"a", "b"}, {0, 1});
  play();
  submit(1, {{1}}, {"b"}, {0}, {{{session, 0}, 0}});
  play();
  expect_failed({"connection refused"});
  EXPECT_EQ(refused_, 2);
  cuts_.heal();
  submit(2, {{1}}, {"b"}, {0}, {{{session, 0}, 0}});
  play();
  expect_done();
}

TEST_F(Reach, ALinkIsTriedAgainAfterAWhile) {
  join(2);
  cut(1, 2);
  submit(0, {{}, {0}}, {"a", "b"}, {1});
  play();
  const auto is_told = [this] {
    const std::string text = engine_.explain({.subject = protocol::Subject::cluster}, session);
    return text.find("worker b (tcp://host-b:1) cannot fetch from worker a") != std::string::npos;
  };
  EXPECT_TRUE(is_told());
  wait(Limits{}.link_pause);
  EXPECT_FALSE(is_told());
}

TEST_F(Reach, OneThatWorksAgainIsNoLongerTold) {
  join(2);
  cut(1, 2);
  submit(0, {{}, {0}}, {"a", "b"}, {0, 1});
  play();
  cuts_.heal();
  submit(1, {{1}}, {"b"}, {0}, {{{session, 0}, 0}});
  play();
  expect_done();
  EXPECT_EQ(engine_.explain({.subject = protocol::Subject::cluster}, session).find("cannot fetch"),
            std::string::npos);
}

TEST_F(Reach, AWorkerThatComesAnewIsBelievedToBeReached) {
  join(2);
  cut(1, 2);
  submit(0, {{}, {0}}, {"a", "b"}, {1});
  play();
  const std::string question = engine_.explain({.subject = protocol::Subject::cluster}, session);
  EXPECT_NE(question.find("worker b (tcp://host-b:1) cannot fetch from worker a"),
            std::string::npos)
      << question;
  workers_.erase(PeerId{1});
  step(WorkerLost{PeerId{1}, "killed by the test", {}});
  EXPECT_EQ(engine_.explain({.subject = protocol::Subject::cluster}, session).find("cannot fetch"),
            std::string::npos);
}

TEST_F(Reach, AWaitingTaskSaysWhichLinkIsBroken) {
  join(3);
  cut(1, 2);
  submit(0, {{}, {}, {0, 1}}, {"a", "b", ""}, {2});
  for (int i = 0; i < 30; ++i) submit(1 + i, {{}}, {"c"}, {0});
  is_idle_ = true;
  play();
  workers_[PeerId{1}].run({{session, 0}, 0}, false);
  workers_[PeerId{2}].run({{session, 0}, 1}, false);
  play();
  const std::string story = engine_.story({session, 0}, 2);
  EXPECT_TRUE(story.find("cannot fetch from worker") != std::string::npos ||
              story.find("kept for worker c") != std::string::npos ||
              story.find("on worker c") != std::string::npos)
      << story;
  is_idle_ = false;
  play();
  expect_done();
}

}  // namespace
}  // namespace ashlar::scheduler
