#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.hpp"
#include "machine/worker/rig.hpp"
#include "seeds.hpp"

namespace ashlar::worker {
namespace {

/// A shell and a scheduler gone mad: any event in any order, and a store that follows the
/// engine's actions, so that an action that makes no sense is caught.
class Mob {
 public:
  explicit Mob(std::uint64_t seed)
      : random_(seed),
        rig_(1 + below(3), 60 + below(200),
             {.fetches = 1 + below(6),
              .fetches_per_peer = 1 + below(3),
              .dropped_remembered = 4,
              .can_spill = below(3) > 0,
              .spill_bytes_min = 1,
              .spill_writes = 1 + below(3),
              .load_failures = 1 + below(100),
              .untracked_bytes = untracked_}) {
    if (below(2) == 0) rig_.told(peer_info(2, "here"));
    if (below(2) == 0) rig_.told(peer_info(90, "here"));
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      std::vector<Event> events;
      for (std::uint64_t n = 1 + below(3); n > 0; --n) {
        events.push_back(any_event());
        // What came is in the store before the engine hears of it.
        if (const auto* done = std::get_if<FetchDone>(&events.back())) {
          store_.insert(done->datum);
          fetching_.erase(done->datum);
        }
        if (const auto* failed = std::get_if<FetchFailed>(&events.back())) {
          const auto fetch = fetching_.find(failed->datum);
          if (fetch != fetching_.end() && fetch->second == failed->peer) fetching_.erase(fetch);
        }
        if (const auto* end = std::get_if<TaskEnded>(&events.back())) finish(*end);
        if (const auto* load = std::get_if<LoadDone>(&events.back())) loaded(load->copy);
        if (const auto* load = std::get_if<LoadFailed>(&events.back())) loads_.erase(load->copy);
        if (const auto* write = std::get_if<SpillDone>(&events.back())) writes_.erase(write->copy);
        if (const auto* write = std::get_if<SpillFailed>(&events.back())) {
          if (writes_.erase(write->copy) > 0) copies_.erase(write->copy);
        }
      }
      rig_.now = rig_.now + Duration::milliseconds(below(20) == 0 ? 3000 : below(30));
      rig_(events);
      perform();
    }
  }

  std::uint64_t spilled() const { return rig_.engine.counters().spilled_bytes; }
  std::uint64_t loaded() const { return rig_.engine.counters().loaded_bytes; }

  /// Everything is ended and taken back: nothing may be left.
  void wind_down() {
    while (!running_.empty()) {
      TaskEnded end{*running_.begin()};
      end.output_bytes.assign(1, bytes_of(rig_.engine.task(end.handle).outputs[0]));
      finish(end);
      rig_({end});
      perform();
    }
    for (std::uint32_t task = 0; task < tasks_; ++task) {
      for (Attempt attempt = 0; attempt <= attempt_; ++attempt) {
        rig_.told(protocol::RevokeTasks{datum(0).run, {task}, {attempt}});
        perform();
      }
    }
    while (!running_.empty()) {
      TaskEnded end{*running_.begin()};
      end.output_bytes.assign(1, bytes_of(rig_.engine.task(end.handle).outputs[0]));
      finish(end);
      rig_({end});
      perform();
    }
    for (std::uint32_t index = 0; index < data_; ++index) {
      rig_.told(protocol::FreeData{{id_of(index)}});
      perform();
    }
    rig_({FetchUnasked{PeerId{2}}, FetchUnasked{PeerId{3}}});
    perform();
    for (const DatumId& id : lent_) rig_({ReadDone{id}});
    end_transfers();
    EXPECT_TRUE(rig_.engine.is_empty()) << rig_.engine.dump();
    EXPECT_EQ(rig_.engine.memory_reserved(), 0u);
    EXPECT_TRUE(store_.empty());
    EXPECT_TRUE(fetching_.empty());
    EXPECT_TRUE(copies_.empty());
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  static std::uint64_t bytes_of(std::uint32_t index) { return index % 4 * 9; }
  PeerId any_peer() { return PeerId{1 + below(3)}; }
  /// What comes from outside may be another session's.
  static DatumId id_of(std::uint32_t index) {
    return datum(index, 1, index >= tasks_ && index % 2 == 0 ? 2 : 1);
  }
  DatumId any_datum() { return id_of(below(data_)); }

  protocol::AssignTasks any_assignment() {
    std::vector<Assigned> tasks;
    for (std::uint32_t n = 1 + below(4); n > 0; --n) {
      Assigned task;
      task.task = below(tasks_);
      task.attempt = attempt_ += below(2);
      task.rank = below(10);
      task.outputs = {task.task};
      task.output_bytes = below(8) == 0 ? graph::TaskGraph::dynamic_bytes : bytes_of(task.task);
      task.expected_ns = below(2) * 20'000;
      task.deliver = below(2) == 0;
      for (std::uint32_t k = below(4); k > 0; --k)
        task.inputs.push_back({below(data_), 1 + below(3)});
      // Inputs come from lower-numbered tasks or from outside, as in a graph.
      for (auto& input : task.inputs) {
        if (input.first >= task.task && input.first < tasks_)
          input.first = tasks_ + below(data_ - tasks_);
      }
      if (below(2) == 0) task.reuse_input = 0;
      tasks.push_back(task);
    }
    protocol::AssignTasks message = assignment(tasks);
    for (DatumId& id : message.inputs) id = id_of(id.index);
    if (below(2) == 0) {
      for (std::size_t n = tasks.size(); n > 0; --n) {
        message.priority.push_back(static_cast<std::int32_t>(below(3)) - 1);
      }
    }
    return message;
  }

  Event any_event() {
    if (!(writes_.empty() && loads_.empty()) && below(3) == 0) return any_transfer();
    if (!lent_.empty() && below(4) == 0) {
      const DatumId id = lent_.back();
      lent_.pop_back();
      return ReadDone{id};
    }
    if (below(40) == 0) return LoansWanted{any_peer()};
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
        return FromScheduler{any_assignment()};
      case 3: {
        const std::uint32_t count = below(3);
        protocol::RevokeTasks message{datum(0).run, {}, {}};
        for (std::uint32_t i = 0; i < count; ++i) {
          message.task.push_back(below(tasks_));
          message.attempt.push_back(attempt_ - std::min(attempt_, below(6)));
        }
        return FromScheduler{message};
      }
      case 4:
        return FromScheduler{protocol::FreeData{{any_datum(), any_datum()}}};
      case 5: {
        if (below(2) == 0) return FromScheduler{protocol::Relocate{{any_datum()}, {any_peer()}}};
        const DatumId id = any_datum();
        return FromScheduler{
            protocol::Prefetch{id.run, {id.index}, {bytes_of(id.index)}, {any_peer()}, {below(9)}}};
      }
      case 6:
        if (below(4) == 0) return FromScheduler{protocol::PeerGone{PeerId{2 + below(2)}, ""}};
        return FetchUnasked{PeerId{2 + below(2)}, below(4) == 0 ? FetchUnasked::all : below(50)};
      case 7:
        return FetchAsked{PeerId{2 + below(2)}, request_++, any_datum()};
      case 8:
        return FetchFailed{any_datum(), any_peer(), below(2) == 0 ? "cut" : ""};
      case 9: {
        if (fetching_.empty() || below(5) == 0) return Tick{};
        auto chosen = fetching_.begin();
        std::advance(chosen, below(static_cast<std::uint32_t>(fetching_.size())));
        return FetchDone{chosen->first, bytes_of(chosen->first.index), below(2) == 0};
      }
      default: {
        if (running_.empty()) return TaskEnded{below(5)};
        auto chosen = running_.begin();
        std::advance(chosen, below(static_cast<std::uint32_t>(running_.size())));
        TaskEnded end{*chosen, below(1000), below(6) > 0};
        const std::uint32_t output = rig_.engine.task(end.handle).outputs[0];
        end.output_bytes.assign(1, bytes_of(output));
        return end;
      }
    }
  }

  Event any_transfer() {
    const auto& chosen = loads_.empty() || (!writes_.empty() && below(2) == 0) ? writes_ : loads_;
    auto entry = chosen.begin();
    std::advance(entry, below(static_cast<std::uint32_t>(chosen.size())));
    const bool is_ok = below(10) > 0;
    if (&chosen == &writes_) {
      return is_ok ? Event(SpillDone{entry->first}) : Event(SpillFailed{entry->first, "full"});
    }
    return is_ok ? Event(LoadDone{entry->first}) : Event(LoadFailed{entry->first, "bad"});
  }

  void loaded(std::uint64_t copy) {
    const auto load = loads_.find(copy);
    if (load == loads_.end()) return;
    if (copies_.contains(copy)) store_.insert(load->second);
    loads_.erase(load);
  }

  void end_transfers() {
    while (!(writes_.empty() && loads_.empty())) {
      std::vector<Event> events;
      for (const auto& [copy, id] : writes_) events.push_back(SpillDone{copy});
      for (const auto& [copy, id] : loads_) events.push_back(LoadDone{copy});
      while (!loads_.empty()) loaded(loads_.begin()->first);
      writes_.clear();
      rig_(events);
      perform();
    }
  }

  void finish(const TaskEnded& end) {
    std::erase_if(taken_, [&](const auto& entry) { return entry.first == end.handle; });
    if (running_.erase(end.handle) == 0 || !end.is_ok) return;
    for (const std::uint32_t index : rig_.engine.task(end.handle).outputs) {
      store_.insert(datum(index));
    }
  }

  void perform() {
    for (const Action& action : rig_.actions) {
      if (const auto* start = std::get_if<StartTask>(&action)) {
        ASSERT_TRUE(running_.insert(start->handle).second);
        const TaskView view = rig_.engine.task(start->handle);
        for (const DatumId& id : view.inputs) ASSERT_TRUE(store_.contains(id)) << id.index;
        if (start->reuse_input != graph::TaskGraph::no_input) {
          store_.erase(view.inputs[start->reuse_input]);
          taken_.insert({start->handle, view.inputs[start->reuse_input]});
        }
      } else if (const auto* fetch = std::get_if<StartFetch>(&action)) {
        ASSERT_FALSE(store_.contains(fetch->datum));
        ASSERT_TRUE(fetching_.emplace(fetch->datum, fetch->peer).second);
      } else if (const auto* abandon = std::get_if<AbandonFetch>(&action)) {
        fetching_.erase(abandon->datum);
      } else if (const auto* answer = std::get_if<AnswerFetch>(&action)) {
        ASSERT_TRUE(store_.contains(answer->datum));
        lend(answer->datum);
      } else if (const auto* push = std::get_if<PushDatum>(&action)) {
        ASSERT_TRUE(store_.contains(push->datum));
        lend(push->datum);
      } else if (const auto* drop = std::get_if<DropDatum>(&action)) {
        ASSERT_FALSE(is_read(drop->datum)) << drop->datum.index;
        store_.erase(drop->datum);
      } else if (const auto* spill = std::get_if<SpillDatum>(&action)) {
        ASSERT_TRUE(store_.contains(spill->datum));
        ASSERT_FALSE(is_read(spill->datum));
        ASSERT_TRUE(copies_.insert(spill->copy).second);
        writes_[spill->copy] = spill->datum;
      } else if (const auto* load = std::get_if<LoadDatum>(&action)) {
        ASSERT_FALSE(store_.contains(load->datum));
        ASSERT_TRUE(copies_.contains(load->copy));
        ASSERT_FALSE(writes_.contains(load->copy));
        loads_[load->copy] = load->datum;
      } else if (const auto* forget = std::get_if<DropCopy>(&action)) {
        copies_.erase(forget->copy);  // none, when its SpillFailed came in the same step
      }
    }
  }

  void lend(const DatumId& id) {
    if (bytes_of(id.index) > untracked_) lent_.push_back(id);
  }

  /// Whether a started task reads the datum.
  bool is_read(const DatumId& id) const {
    return std::any_of(running_.begin(), running_.end(), [&](std::uint32_t handle) {
      const auto inputs = rig_.engine.task(handle).inputs;
      return std::find(inputs.begin(), inputs.end(), id) != inputs.end() &&
             !taken_.contains({handle, id});
    });
  }

  static constexpr std::uint32_t tasks_ = 12;
  static constexpr std::uint32_t data_ = 16;
  static constexpr std::uint64_t untracked_ = 3;
  SplitMix64 random_;
  Rig rig_;
  Attempt attempt_ = 0;
  std::uint64_t request_ = 0;
  std::set<DatumId> store_;
  std::map<DatumId, PeerId> fetching_;
  std::set<std::uint32_t> running_;
  std::set<std::pair<std::uint32_t, DatumId>> taken_;  ///< inputs that became outputs, by handle
  std::vector<DatumId> lent_;
  std::set<std::uint64_t> copies_;
  std::map<std::uint64_t, DatumId> writes_, loads_;
};

TEST(WorkerRandom, AnyEventsInAnyOrderKeepTheInvariants) {
  std::uint64_t spilled = 0, loaded = 0;
  for (std::uint64_t seed = 1; seed <= seeds(1000); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Mob mob(seed);
    mob.run(120);
    spilled += mob.spilled();
    loaded += mob.loaded();
    mob.wind_down();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(spilled, 1000u);
  EXPECT_GT(loaded, 1000u);
}

TEST(WorkerRandom, TheSameEventsGiveTheSameState) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::uint64_t digests[2];
    for (std::uint64_t& digest : digests) {
      SplitMix64 random(seed);
      Rig rig(2, 100);
      digest = 0;
      for (int i = 0; i < 50; ++i) {
        const auto task = static_cast<std::uint32_t>(random.below(20));
        const auto input = static_cast<std::uint32_t>(random.below(20));
        rig.told(assignment({{task, {{20 + input, 2}}, {task}}}));
        rig({FetchDone{datum(20 + input), 10, true}});
        digest = digest * 31 + rig.engine.digest();
      }
    }
    EXPECT_EQ(digests[0], digests[1]);
  }
}

TEST(WorkerSpeed, EmptyTasksCostLittle) {
  // A chain of messages as a busy worker sees them: lots of 256 tasks, ended in lots of 64.
  WorkerEngine engine(PeerId{1}, 2, 1 << 30);
  constexpr std::uint32_t lot = 256;
  std::vector<Assigned> tasks;
  for (std::uint32_t i = 0; i < lot; ++i) tasks.push_back({i, {}, {i}, 1, i, 0, 1000});
  protocol::AssignTasks message = assignment(tasks);
  std::uint64_t done = 0;
  std::uint64_t reports = 0;
  for (std::uint32_t round = 0; round < 400; ++round) {
    message.run.number = round;
    Actions actions;
    std::vector<Event> events{FromScheduler{message}};
    while (!events.empty()) {
      actions.clear();
      engine.step(events, Instant{}, actions);
      events.clear();
      for (const Action& action : actions) {
        if (const auto* start = std::get_if<StartTask>(&action)) {
          events.push_back(TaskEnded{start->handle, 1});
        } else if (std::holds_alternative<ToScheduler>(action)) {
          ++reports;
        }
      }
      done = engine.counters().tasks_done;
    }
  }
  EXPECT_EQ(done, 400u * lot);
  EXPECT_LE(reports, 400u * lot / 64) << "reports are batched";
}

}  // namespace
}  // namespace ashlar::worker
