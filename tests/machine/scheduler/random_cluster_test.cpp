#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "model_cluster.hpp"
#include "seeds.hpp"

namespace ashlar::scheduler {
namespace {

constexpr SessionId session{0};
constexpr PeerId driver_peer{1000000};

/// A driver, an engine and model workers, joined by queues that are emptied in random order.
class Cluster {
 public:
  Cluster(std::uint64_t seed, bool with_faults, PolicyKind policy)
      : random_(seed),
        curious_(~seed),
        with_faults_(with_faults),
        limits_(model_limits(policy, seed)),
        engine_(limits_, seed) {
    step(SessionOpened{session, driver_peer, {}});
    for (std::uint64_t n = 1 + random_.below(4); n-- > 0;) join();
    put();
    run_count_ = 1 + random_.below(7);
  }

  void play() {
    for (int moves = 0; moves < 20000; ++moves) {
      if (::testing::Test::HasFailure()) return;
      if (move()) continue;
      if (!advance()) return;
    }
    FAIL() << "no end\n" << engine_.dump();
  }

  void check_end() {
    EXPECT_EQ(engine_.unfinished_tasks(), 0u);
    for (const auto& [number, run] : runs_) {
      EXPECT_TRUE(run.is_ended) << "run " << number << "\n" << engine_.dump();
      EXPECT_TRUE(run.may_fail || with_faults_ || run.outcome == protocol::RunOutcome::done);
    }
    for (const auto& [id, worker] : workers_) {
      EXPECT_TRUE(worker.tasks.empty());
      EXPECT_TRUE(worker.fetches.empty()) << engine_.dump();
      EXPECT_TRUE(worker.templates.empty());
      EXPECT_TRUE(worker.store.empty()) << "leaked datum " << worker.store.begin()->first.index
                                        << " of run " << worker.store.begin()->first.run.number;
    }
    EXPECT_TRUE(put_.empty());
    EXPECT_EQ(engine_.counters().peers_dropped, 0u);
    const double budget = limits_.twin_share * static_cast<double>(task_ns_);
    EXPECT_TRUE(with_faults_ || static_cast<double>(twin_ns_) <= budget) << twin_ns_;
  }

  const Counters& counters() const { return engine_.counters(); }

 private:
  // ---- the driver

  void put() {
    protocol::PutData message{next_run_++, std::vector<std::uint64_t>(3, 8)};
    for (std::uint32_t i = 0; i < 3; ++i) {
      put_[{{session, message.run}, i}] = put_values_[{{session, message.run}, i}] = 77 + i;
    }
    to_scheduler_.push_back(std::move(message));
  }

  std::uint64_t value_of(DatumId id) const {
    const auto put = put_values_.find(id);
    return put != put_values_.end() ? put->second : runs_.at(id.run.number).values[id.index];
  }

  /// What a new run may read.
  std::vector<DatumId> sources() const {
    std::vector<DatumId> found;
    for (const auto& [id, value] : put_) found.push_back(id);
    for (const auto& [number, run] : runs_) {
      if (run.is_released || run.is_cancelled) continue;
      for (const std::uint32_t d : run.graph->wanted) found.push_back({{session, number}, d});
    }
    return found;
  }

  /// A graph and what it is to read; a graph that ran before, with other data, now and then.
  /// Returns whether the scheduler has it.
  bool choose_graph(ModelRun& run, std::uint32_t& template_number) {
    const std::vector<DatumId> all = sources();
    if (!templates_.empty() && random_.below(3) > 0) {
      auto at = templates_.begin();
      std::advance(at, random_.below(templates_.size()));
      template_number = at->first;
      run.graph = at->second;
      for (std::uint32_t i = 0; i < run.graph->external_count() && !all.empty(); ++i) {
        run.externals.push_back(all[random_.below(all.size())]);
      }
      if (run.externals.size() == run.graph->external_count()) return true;
      run.externals.clear();
    }
    for (const DatumId id : all) {
      if (random_.below(2) == 0) run.externals.push_back(id);
    }
    run.graph = make_graph(static_cast<std::uint32_t>(run.externals.size()));
    template_number = protocol::no_template;
    if (random_.below(2) == 0) {
      template_number = next_template_++;
      templates_[template_number] = run.graph;
    }
    return false;
  }

  void submit() {
    ModelRun run;
    const std::uint32_t number = next_run_++;
    std::uint32_t template_number = protocol::no_template;
    const bool is_kept = choose_graph(run, template_number);
    for (const auto& [earlier_number, earlier] : runs_) {
      if (earlier.may_fail) run.may_fail = true;  // with it
    }
    const graph::TaskGraph& g = *run.graph;
    run.values.resize(g.output_count());
    for (std::uint32_t t = 0; t < g.task_count(); ++t) {
      std::uint64_t value = mix(number, t);
      for (const std::uint32_t d : g.inputs_of(t)) {
        value = mix(value, d < g.output_count() ? run.values[d]
                                                : value_of(run.externals[d - g.output_count()]));
      }
      for (std::uint32_t d = g.output_offsets[t]; d < g.output_offsets[t + 1]; ++d) {
        run.values[d] = mix(value, d);
      }
    }
    run.undelivered.insert(g.wanted.begin(), g.wanted.end());
    if (random_.below(8) == 0) run.may_fail = true;
    run.fails_by_chance = random_.below(2) == 0;
    run.ends_on_failure = random_.below(8) == 0;
    if (run.ends_on_failure) ++runs_cut_;
    to_scheduler_.push_back(protocol::SubmitRun{.run = number,
                                                .graph = is_kept ? nullptr : run.graph,
                                                .externals = run.externals,
                                                .ends_on_failure = run.ends_on_failure,
                                                .template_number = template_number});
    if (template_number != protocol::no_template && random_.below(10) == 0) {
      templates_.erase(template_number);
      to_scheduler_.push_back(protocol::DropTemplates{session, {template_number}});
    }
    runs_[number] = std::move(run);
  }

  std::shared_ptr<graph::TaskGraph> make_graph(std::uint32_t externals) {
    auto graph = std::make_shared<graph::TaskGraph>();
    graph->kernels = {"k"};
    const std::uint64_t tasks = random_.below(25);
    std::vector<std::uint32_t> outputs;
    for (std::uint64_t t = 0; t < tasks; ++t) outputs.push_back(random_.below(6) == 0 ? 2 : 1);
    std::uint32_t count = 0;
    for (const std::uint32_t n : outputs) count += n;
    for (std::uint64_t t = 0; t < tasks; ++t) {
      const auto made = static_cast<std::uint32_t>(graph->output_bytes.size());
      for (std::uint64_t i = random_.below(4); i-- > 0 && made + externals > 0;) {
        const auto pick = static_cast<std::uint32_t>(random_.below(made + externals));
        graph->inputs.push_back(pick < made ? pick : count + pick - made);
      }
      graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
      graph->output_bytes.resize(made + outputs[t], 8);
      graph->output_offsets.push_back(made + outputs[t]);
      graph->kernel.push_back(0);
      graph->param_offsets.push_back(0);
      graph->priority.push_back(static_cast<std::int32_t>(random_.below(2)));
      const bool reuses = graph->input_offsets[t] < graph->input_offsets[t + 1];
      graph->reuse_input.push_back(reuses ? 0 : graph::TaskGraph::no_input);
    }
    graph->external_bytes.assign(externals, 8);
    for (std::uint32_t d = 0; d < count; ++d) {
      if (random_.below(4) == 0) graph->wanted.push_back(d);
    }
    return graph;
  }

  void receive(const protocol::SchedulerToDriver& message) {
    if (const auto* ready = std::get_if<protocol::DataReady>(&message)) {
      for (std::size_t i = 0; i < ready->index.size(); ++i) {
        fetch_home({{session, ready->run}, ready->index[i]}, ready->holder[i]);
      }
    } else if (const auto* ended = std::get_if<protocol::RunEnded>(&message)) {
      ModelRun& run = runs_.at(ended->run);
      EXPECT_FALSE(run.is_ended) << "ended twice";
      run.is_ended = true;
      run.outcome = ended->outcome;
      task_ns_ += ended->stats.task_ns;
      twin_ns_ += ended->stats.rebalance.twin_ns;
      if (ended->outcome == protocol::RunOutcome::done) {
        EXPECT_GE(ended->stats.tasks, run.graph->task_count());
      } else if (ended->outcome == protocol::RunOutcome::failed) {
        EXPECT_TRUE(run.may_fail || with_faults_) << ended->error;
        EXPECT_FALSE(ended->error.empty());
      } else {
        EXPECT_TRUE(run.is_cancelled);
      }
      const bool is_cut = run.ends_on_failure && ended->outcome == protocol::RunOutcome::failed;
      if (run.is_cancelled || is_cut) run.undelivered.clear();
    } else if (const auto* progress = std::get_if<protocol::RunProgress>(&message)) {
      EXPECT_LE(progress->tasks_done, runs_.at(progress->run).graph->task_count());
    } else if (const auto* unused = std::get_if<protocol::PutDataUnused>(&message)) {
      for (const DatumId id : unused->data) EXPECT_EQ(put_.erase(id), 1u);
    } else if (const auto* lost = std::get_if<protocol::DataLost>(&message)) {
      EXPECT_TRUE(with_faults_ || runs_.at(lost->data[0].run.number).is_cancelled ||
                  runs_.at(lost->data[0].run.number).may_fail)
          << lost->reason;
      for (const DatumId id : lost->data) {
        EXPECT_TRUE(with_faults_ || is_doomed(id)) << "it descends from no failure: " << id.index;
        runs_.at(id.run.number).undelivered.erase(id.index);
      }
    }
  }

  /// What makes it failed, or was cut short, or reads what did.
  bool is_doomed(DatumId id) const {
    if (put_values_.contains(id)) return false;
    const ModelRun& run = runs_.at(id.run.number);
    const graph::TaskGraph& g = *run.graph;
    const std::uint32_t task = graph::producers(g)[id.index];
    const bool may_be_cut = run.ends_on_failure && run.may_fail;
    if (run.is_cancelled || may_be_cut || run.failed.contains(task)) return true;
    return std::ranges::any_of(g.inputs_of(task), [&](std::uint32_t name) {
      return is_doomed(name < g.output_count() ? DatumId{id.run, name}
                                               : run.externals[name - g.output_count()]);
    });
  }

  void fetch_home(DatumId id, PeerId holder) {
    ModelRun& run = runs_.at(id.run.number);
    if (run.is_released || run.is_cancelled || !run.undelivered.contains(id.index)) return;
    const auto worker = workers_.find(holder);
    const bool is_there = worker != workers_.end() && worker->second.store.contains(id);
    if (!is_there) {
      to_scheduler_.push_back(protocol::LocateData{{id}});
      return;
    }
    EXPECT_EQ(worker->second.store.at(id), run.values[id.index]) << "wrong bits";
    // Made by an attempt that ended well, though a later one failed: a moved task's.
    const bool may_be_doomed = with_faults_ || some_fail_by_chance_ || runs_cut_ > 0;
    EXPECT_TRUE(may_be_doomed || !is_doomed(id)) << "made of a failure";
    run.undelivered.erase(id.index);
  }

  void release(std::uint32_t number, ModelRun& run) {
    run.is_released = true;
    protocol::ReleaseData message;
    for (const std::uint32_t d : run.graph->wanted) message.data.push_back({{session, number}, d});
    to_scheduler_.push_back(std::move(message));
  }

  // ---- workers

  void join() {
    const PeerId id{next_peer_++};
    workers_[id].id = id;
    protocol::Hello hello;
    hello.slots = static_cast<std::uint32_t>(1 + random_.below(3));
    workers_[id].slots = hello.slots;
    hello.kernels = {"k"};
    hello.repeatable = {0};
    hello.endpoint.host_identity = random_.below(2) == 0 ? "one" : "two";
    step(WorkerJoined{id, hello});
  }

  void kill(PeerId id) {
    // What it said last may have come through, up to some point.
    ModelWorker& worker = workers_.at(id);
    for (std::uint64_t n = random_.below(worker.outbox.size() + 1); n-- > 0;) say(worker);
    workers_.erase(id);
    step(WorkerLost{id, "killed by the test"});
  }

  void say(ModelWorker& worker) {
    auto message = worker.outbox.front();
    worker.outbox.pop_front();
    const auto* failure = std::get_if<protocol::TaskFailed>(&message);
    const auto failed = failure != nullptr ? std::optional(*failure) : std::nullopt;
    const std::uint64_t before = engine_.counters().tasks_failed;
    step(FromWorker{worker.id, std::move(message)});
    if (failed && engine_.counters().tasks_failed > before) {
      runs_.at(failed->run.number).failed.insert(failed->task);
    }
  }

  /// Tries one fetch; returns whether something happened.
  bool fetch(ModelWorker& worker) {
    for (auto& [datum, holder] : worker.fetches) {
      if (holder.is_none() || random_.below(2) == 0) continue;
      const auto other = workers_.find(holder);
      const bool is_driver = holder == driver_peer;
      if (cuts_.keep_off(worker, datum)) return true;
      if (is_driver ? put_.contains(datum)
                    : other != workers_.end() && other->second.store.contains(datum)) {
        worker.store[datum] = is_driver ? put_.at(datum) : other->second.store.at(datum);
        worker.outbox.push_back(protocol::DataAcquired{datum.run, {datum}, 8, 0});
        cuts_.came(worker, holder);
        worker.fetches.erase(datum);
        return true;
      }
      const bool may_come = other != workers_.end() &&
                            (other->second.will_make(datum) || !other->second.inbox.empty());
      if (may_come) continue;
      worker.outbox.push_back(protocol::DataMissing{{datum}, {holder}});
      holder = PeerId::none();
      return true;
    }
    return false;
  }

  bool run_task(ModelWorker& worker) {
    for (const auto& [key, task] : worker.tasks) {
      if (random_.below(2) == 0 || !worker.can_run(task)) continue;
      const ModelRun& run = runs_.at(key.first.number);
      const bool fails_always = mix(key.first.number, key.second) % 10 == 0;
      const bool fails = run.fails_by_chance ? random_.below(10) == 0 : fails_always;
      worker.run(key, run.may_fail && fails);
      some_fail_by_chance_ |= run.may_fail && run.fails_by_chance && fails;
      return true;
    }
    return false;
  }

  // ---- the play

  ModelWorker& any_worker() {
    auto at = workers_.begin();
    std::advance(at, random_.below(workers_.size()));
    return at->second;
  }

  /// Time passes, and workers say what their hosts are doing: anything at all.
  void tell_loads() {
    now_ = now_ + Duration::milliseconds(100);
    for (auto& [id, worker] : workers_) {
      worker.tell_running(random_);
      protocol::Heartbeat beat;
      beat.cores = 1 + static_cast<std::uint32_t>(random_.below(3));
      beat.host_cores = beat.cores + static_cast<std::uint32_t>(random_.below(2));
      beat.cpu_percent = static_cast<std::uint32_t>(random_.below(150));
      beat.slots_percent = static_cast<std::uint32_t>(random_.below(200));
      beat.cores_busy_percent = static_cast<std::uint32_t>(random_.below(100 * beat.cores + 1));
      beat.host_busy_percent = static_cast<std::uint32_t>(random_.below(100 * beat.host_cores + 1));
      beat.run_queue = static_cast<std::uint32_t>(random_.below(5));
      beat.host_memory_used = random_.below(120);
      beat.host_memory_limit = 100;
      beat.sample = ++samples_;
      step(FromWorker{id, beat});
    }
    step(Tick{});
  }

  /// Somebody wants to know something, sensible or not: it is told, and nothing changes.
  void ask() {
    const RunId run{SessionId{static_cast<std::uint32_t>(curious_.below(2))},
                    static_cast<std::uint32_t>(curious_.below(next_run_ + 2))};
    const auto task = static_cast<std::uint32_t>(curious_.below(27));
    const std::uint64_t digest = engine_.digest();
    EXPECT_FALSE(engine_.story(run, task).empty());
    protocol::Explain question{.request = curious_.next()};
    question.subject = static_cast<protocol::Subject>(curious_.below(3));
    if (curious_.below(2) == 0) question.session = run.session;
    if (curious_.below(2) == 0) question.run = run.number;
    question.task = task;
    EXPECT_FALSE(engine_.explain(question, session).empty());
    EXPECT_FALSE(engine_.learned().empty());
    EXPECT_EQ(engine_.digest(), digest);
  }

  /// One random move; returns false when everything seems to stand still.
  bool move() {
    if (random_.below(50) == 0 && !workers_.empty()) tell_loads();
    if (curious_.below(20) == 0) ask();
    for (int attempt = 0; attempt < 60; ++attempt) {
      switch (random_.below(6)) {
        case 0:
          if (to_scheduler_.empty()) break;
          step(FromDriver{session, to_scheduler_.front()}, true);
          return true;
        case 1:
          if (to_driver_.empty()) break;
          receive(std::exchange(to_driver_.front(), protocol::Heartbeat{}));
          to_driver_.pop_front();
          return true;
        case 2:
          if (workers_.empty()) break;
          if (ModelWorker& worker = any_worker(); !worker.inbox.empty()) {
            worker.receive(worker.inbox.front());
            worker.inbox.pop_front();
            return true;
          }
          break;
        case 3:
          if (workers_.empty()) break;
          if (ModelWorker& worker = any_worker(); !worker.outbox.empty()) {
            say(worker);
            return true;
          }
          break;
        case 4:
          if (!workers_.empty() && fetch(any_worker())) return true;
          break;
        case 5:
          if (!workers_.empty() && run_task(any_worker())) return true;
          break;
      }
      if (random_.below(300) == 0) disturb();
    }
    return false;
  }

  void disturb() {
    const std::uint64_t what = random_.below(with_faults_ ? 6 : 2);
    if (what == 0 && workers_.size() < 6) {
      join();
    } else if (what == 1 && !runs_.empty() && random_.below(4) == 0) {
      auto at = runs_.begin();
      std::advance(at, random_.below(runs_.size()));
      if (at->second.is_ended || at->second.is_released) return;
      at->second.is_cancelled = at->second.may_fail = true;
      ++runs_cut_;
      for (auto& [number, run] : runs_) {
        if (number > at->first) run.may_fail = true;
      }
      to_scheduler_.push_back(protocol::CancelRun{at->first});
    } else if (what == 5 && !workers_.empty()) {
      cut();
    } else if (what >= 2 && !workers_.empty()) {
      kill(any_worker().id);
    }
  }

  /// A worker reaches another one no more, or the program; seldom, all are reached again.
  void cut() {
    if (random_.below(4) == 0) return cuts_.heal();
    const PeerId asker = any_worker().id;
    const PeerId asked = random_.below(8) == 0 ? driver_peer : any_worker().id;
    if (asker == asked) return;
    cuts_.cut(asker, asked);
    if (random_.below(2) == 0) cuts_.cut(asked, asker);
  }

  /// Called when nothing moves: the next thing the program does. Returns false at the end.
  bool advance() {
    now_ = now_ + Duration::seconds(0.2);
    step(Tick{});
    if (workers_.empty()) {
      join();
      return true;
    }
    if (runs_.size() < run_count_) {
      submit();
      if (random_.below(2) == 0 && runs_.size() < run_count_) submit();
      return true;
    }
    for (auto& [number, run] : runs_) {
      if (run.is_released) continue;
      // The faults are over; from now on everything has to come to its end.
      const bool is_still = ++stillness_ > 400;
      if (!run.is_ended || !run.undelivered.empty()) {
        if (!is_still) return true;
        ADD_FAILURE() << "run " << number << " hangs, ended " << run.is_ended << ", undelivered "
                      << run.undelivered.size() << "\n"
                      << engine_.dump();
        return false;
      }
      release(number, run);
      return true;
    }
    if (!put_is_released_) {
      put_is_released_ = true;
      protocol::ReleaseData message;
      for (const auto& [id, value] : put_) message.data.push_back(id);
      to_scheduler_.push_back(std::move(message));
      for (const auto& [number, graph] : templates_) {
        to_scheduler_.push_back(protocol::DropTemplates{session, {number}});
      }
      return true;
    }
    return !is_quiet();
  }

  bool is_quiet() const {
    if (!to_scheduler_.empty() || !to_driver_.empty()) return false;
    return std::ranges::all_of(workers_, [](const auto& entry) {
      const ModelWorker& worker = entry.second;
      return worker.inbox.empty() && worker.outbox.empty() && worker.tasks.empty();
    });
  }

  void step(Event event, bool from_driver = false) {
    if (from_driver) to_scheduler_.pop_front();
    now_ = now_ + Duration::microseconds(10);
    engine_.step({&event, 1}, now_, actions_);
    engine_.check_invariants();
    for (Action& action : actions_) {
      if (auto* to_worker = std::get_if<ToWorker>(&action)) {
        const auto worker = workers_.find(to_worker->worker);
        ASSERT_NE(worker, workers_.end()) << "a message to a worker that is gone";
        worker->second.inbox.push_back(std::move(to_worker->message));
      } else if (auto* to_driver = std::get_if<ToDriver>(&action)) {
        to_driver_.push_back(std::move(to_driver->message));
      }
    }
  }

  SplitMix64 random_;
  SplitMix64 curious_;  ///< of questions, so that these change no history
  bool with_faults_;
  Limits limits_;
  SchedulerEngine engine_;
  Actions actions_;
  Instant now_;
  std::uint64_t samples_ = 0;
  std::map<PeerId, ModelWorker> workers_;
  ModelCuts cuts_;
  std::map<std::uint32_t, ModelRun> runs_;
  std::map<std::uint32_t, std::shared_ptr<const graph::TaskGraph>> templates_;
  std::uint32_t next_template_ = 0;
  std::map<DatumId, std::uint64_t> put_, put_values_;
  std::deque<protocol::DriverToScheduler> to_scheduler_;
  std::deque<protocol::SchedulerToDriver> to_driver_;
  std::uint32_t next_run_ = 0, next_peer_ = 0;
  std::uint64_t run_count_ = 0;
  int runs_cut_ = 0;  ///< cancelled, or such that their first failure ends them
  std::int64_t task_ns_ = 0, twin_ns_ = 0;  ///< of runs that ended
  bool some_fail_by_chance_ = false;
  int stillness_ = 0;
  bool put_is_released_ = false;
};

bool is_one_seed() { return std::getenv("ASHLAR_TEST_SEED") != nullptr; }

/// Returns how many tasks were taken from hot hosts. That is seldom: it takes a worker that is hot
/// and has tasks waiting, and one that is idle, when time passes. So a hundred histories may have
/// none.
std::uint64_t play_seeds(std::uint64_t count, bool with_faults,
                         PolicyKind policy = PolicyKind::least_loaded) {
  const char* one = std::getenv("ASHLAR_TEST_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 0;
  Counters sum;
  for (std::uint64_t seed = first; seed < (one != nullptr ? first + 1 : seeds(count)); ++seed) {
    SCOPED_TRACE("ASHLAR_TEST_SEED=" + std::to_string(seed));
    Cluster cluster{seed, with_faults, policy};
    cluster.play();
    if (!::testing::Test::HasFailure()) cluster.check_end();
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "ASHLAR_TEST_SEED=" << seed;
      return 0;
    }
    sum.tasks_done += cluster.counters().tasks_done;
    sum.tasks_recomputed += cluster.counters().tasks_recomputed;
    sum.stale_events += cluster.counters().stale_events;
    sum.tasks_relieved += cluster.counters().tasks_relieved;
    sum.tasks_stolen += cluster.counters().tasks_stolen;
    sum.twins += cluster.counters().twins;
    sum.twins_won += cluster.counters().twins_won;
    sum.tasks_failed += cluster.counters().tasks_failed;
    sum.template_runs += cluster.counters().template_runs;
  }
  EXPECT_GT(sum.tasks_done, 0u);
  EXPECT_TRUE(one != nullptr || !with_faults || sum.tasks_recomputed > 0);
  EXPECT_TRUE(one != nullptr || sum.tasks_stolen > 0);
  EXPECT_TRUE(one != nullptr || (sum.twins > 0 && sum.twins_won > 0));
  EXPECT_TRUE(one != nullptr || sum.template_runs > 0);
  std::cout << "tasks done " << sum.tasks_done << ", recomputed " << sum.tasks_recomputed
            << ", failed " << sum.tasks_failed << "; stale events " << sum.stale_events
            << "; stolen " << sum.tasks_stolen << ", of them from hot hosts " << sum.tasks_relieved
            << "; begun twice " << sum.twins << ", of them won " << sum.twins_won
            << "; runs placed as templates " << sum.template_runs << '\n';
  return sum.tasks_relieved;
}

TEST(RandomCluster, EveryRunEndsAndNothingLeaks) {
  const std::uint64_t relieved = play_seeds(1500, false);
  EXPECT_TRUE(is_one_seed() || relieved > 0);
}

TEST(RandomCluster, EveryRunEndsThoughWorkersDieAndLinksAreCut) {
  const std::uint64_t relieved = play_seeds(2500, true);
  EXPECT_TRUE(is_one_seed() || relieved > 0);
}

TEST(RandomCluster, EveryRunEndsUnderEveryPolicy) {
  std::uint64_t relieved = 0;
  for (const PolicyKind policy : policy_kinds) {
    SCOPED_TRACE(name_of(policy));
    relieved += play_seeds(100, false, policy);
    relieved += play_seeds(200, true, policy);
  }
  EXPECT_TRUE(is_one_seed() || relieved > 0) << "under any of them";
}

}  // namespace
}  // namespace ashlar::scheduler
