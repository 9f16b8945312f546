#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/random.hpp"
#include "scheduler/scheduler_engine.hpp"

namespace ashlar::scheduler {

/// What a datum's bytes are, in the model: a hash of the task that made it and of what it read.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return (a ^ b) * 0x9E3779B97F4A7C15u + (a >> 31) + 1;
}

/// A worker that does obviously what a worker should: keeps what it was told to run and to fetch,
/// and what it holds. It moves only when asked to.
struct ModelWorker {
  struct Assigned {
    Attempt attempt;
    std::vector<DatumId> inputs;
    std::vector<DatumId> outputs;
    std::uint32_t reuse;
  };
  PeerId id;
  std::uint32_t slots = 1;
  std::map<std::pair<RunId, std::uint32_t>, Assigned> tasks;
  std::map<DatumId, PeerId> fetches;  ///< none: waiting to be told where
  std::map<DatumId, std::uint64_t> store;
  std::set<PeerId> known;
  std::map<std::pair<SessionId, std::uint32_t>, protocol::AssignTasks> templates;
  std::deque<protocol::SchedulerToWorker> inbox;
  std::deque<protocol::WorkerToScheduler> outbox;

  bool will_make(DatumId datum) const {
    for (const auto& [key, task] : tasks) {
      for (const DatumId output : task.outputs) {
        if (output == datum) return true;
      }
    }
    return false;
  }
  bool needs(DatumId datum) const {
    for (const auto& [key, task] : tasks) {
      for (const DatumId input : task.inputs) {
        if (input == datum) return true;
      }
    }
    return false;
  }
  bool can_run(const Assigned& task) const {
    for (const DatumId input : task.inputs) {
      if (!store.contains(input)) return false;
    }
    return true;
  }

  void receive(const protocol::SchedulerToWorker& message) {
    std::visit([this](const auto& m) { on(m); }, message);
  }
  void on(const protocol::PeerInfo& m) { known.insert(m.peer); }
  void on(const protocol::PeerGone& m) {
    EXPECT_TRUE(known.contains(m.peer));
    for (auto& [datum, holder] : fetches) {
      if (holder != m.peer) continue;
      outbox.push_back(protocol::DataMissing{{datum}, {holder}});
      holder = PeerId::none();
    }
  }
  void on(const protocol::AssignTasks& m) {
    if (m.template_number != protocol::no_template) {
      templates[{m.run.session, m.template_number}] = m;
    }
    std::size_t input = 0, output = 0;
    for (std::size_t i = 0; i < m.task.size(); ++i) {
      Assigned task{m.attempt[i], {}, {}, m.reuse_input[i]};
      for (std::uint32_t n = 0; n < m.input_count[i]; ++n, ++input) {
        task.inputs.push_back(m.inputs[input]);
        EXPECT_TRUE(m.input_holder[input] == id || known.contains(m.input_holder[input]));
        if (!store.contains(m.inputs[input])) fetches[m.inputs[input]] = m.input_holder[input];
      }
      for (std::uint32_t n = 0; n < m.output_count[i]; ++n, ++output) {
        task.outputs.push_back({m.run, m.outputs[output]});
      }
      tasks[{m.run, m.task[i]}] = std::move(task);
    }
    EXPECT_EQ(input, m.inputs.size());
    EXPECT_EQ(output, m.outputs.size());
  }
  void on(const protocol::RunTemplate& m) {
    const auto kept = templates.find({m.run.session, m.template_number});
    ASSERT_NE(kept, templates.end()) << "told to run what it was not told to keep";
    protocol::AssignTasks again = kept->second;
    std::size_t next = 0;
    for (std::size_t i = 0; i < again.inputs.size(); ++i) {
      if (again.inputs[i].run == again.run) {
        again.inputs[i].run = m.run;
      } else {
        ASSERT_LT(next, m.inputs.size());
        again.inputs[i] = m.inputs[next];
        again.input_holder[i] = m.input_holder[next++];
      }
    }
    EXPECT_EQ(next, m.inputs.size());
    again.run = m.run;
    again.template_number = protocol::no_template;
    on(again);
  }
  void on(const protocol::DropTemplates& m) {
    for (const std::uint32_t number : m.numbers) templates.erase({m.session, number});
  }
  void on(const protocol::RevokeTasks& m) {
    for (std::size_t i = 0; i < m.task.size(); ++i) {
      const auto found = tasks.find({m.run, m.task[i]});
      if (found != tasks.end() && found->second.attempt == m.attempt[i]) tasks.erase(found);
    }
  }
  void on(const protocol::FreeData& m) {
    for (const DatumId datum : m.data) {
      EXPECT_FALSE(needs(datum)) << "freed while a task needs it: " << datum.index;
      store.erase(datum);
      fetches.erase(datum);
    }
  }
  void on(const protocol::Relocate& m) {
    for (std::size_t i = 0; i < m.data.size(); ++i) {
      EXPECT_TRUE(m.holder[i] == id || known.contains(m.holder[i]));
      if (const auto found = fetches.find(m.data[i]); found != fetches.end()) {
        found->second = m.holder[i];
      }
    }
  }
  void on(const protocol::Prefetch& m) {
    for (std::size_t i = 0; i < m.datum.size(); ++i) {
      const DatumId datum{m.run, m.datum[i]};
      EXPECT_TRUE(known.contains(m.holder[i]));
      if (!store.contains(datum)) fetches.try_emplace(datum, m.holder[i]);
    }
  }
  void on(const protocol::Shutdown&) {}
  void on(const protocol::Heartbeat&) {}

  /// Runs a task whose inputs are here.
  void run(std::pair<RunId, std::uint32_t> key, bool fails) {
    const Assigned task = tasks.at(key);
    tasks.erase(key);
    const DatumId taken =
        task.reuse != graph::TaskGraph::no_input ? task.inputs[task.reuse] : DatumId{};
    if (fails) {
      if (task.reuse != graph::TaskGraph::no_input) store.erase(taken);
      outbox.push_back(protocol::TaskFailed{key.first, key.second, task.attempt,
                                            ErrorKind::task_failed, "as planned"});
      return;
    }
    std::uint64_t value = mix(key.first.number, key.second);
    for (const DatumId input : task.inputs) value = mix(value, store.at(input));
    if (task.reuse != graph::TaskGraph::no_input) store.erase(taken);
    for (const DatumId output : task.outputs) {
      store[output] = mix(value, output.index);
      fetches.erase(output);
    }
    outbox.push_back(protocol::TasksDone{key.first, {key.second}, {task.attempt}, {1000}, {}});
  }

  /// It says that some of its tasks, whichever, run for long.
  void tell_running(SplitMix64& random) {
    protocol::TasksRunning message;
    for (const auto& [key, task] : tasks) {
      if (message.tasks.size() == slots) break;
      if (random.below(2) == 0 || !can_run(task)) continue;
      message.tasks.push_back({key.first, key.second});
      message.attempt.push_back(task.attempt);
      message.running_ns.push_back(random.below(1'000'000'000));
    }
    if (!message.tasks.empty()) outbox.push_back(std::move(message));
  }
};

/// Links that do not work, from who asks to who is asked.
class ModelCuts {
 public:
  void cut(PeerId asker, PeerId asked) { cuts_.insert({asker, asked}); }
  void heal() { cuts_.clear(); }

  /// A worker that cannot ask where it was told to says so and waits. Returns whether that is so.
  bool keep_off(ModelWorker& worker, DatumId datum) {
    PeerId& holder = worker.fetches.at(datum);
    if (!cuts_.contains({worker.id, holder})) return false;
    told_.insert({worker.id, holder});
    worker.outbox.push_back(
        protocol::DataMissing{{datum}, {holder}, {holder}, {"connection refused"}, {}});
    holder = PeerId::none();
    return true;
  }
  /// Something came from there.
  void came(ModelWorker& worker, PeerId holder) {
    if (told_.erase({worker.id, holder}) == 0) return;
    worker.outbox.push_back(protocol::DataMissing{{}, {}, {}, {}, {holder}});
  }

 private:
  std::set<std::pair<PeerId, PeerId>> cuts_;
  std::set<std::pair<PeerId, PeerId>> told_;  ///< of which the scheduler has heard
};

/// Limits that make things happen in short histories, some of them now and then.
inline Limits model_limits(PolicyKind policy, std::uint64_t seed) {
  Limits limits;
  limits.twin_wait = Duration::milliseconds(1);
  if (seed % 2 == 0) limits.twin_share = 0.5;  // else few of these short runs have any
  limits.policy = policy;
  if (seed % 3 == 0) {  // everything is passed on from reader to reader
    limits.passed_on_bytes_min = 0;
    limits.remote_latency = {};
  }
  limits.window_tasks = 6;
  if (seed % 5 == 0) limits.placed_a_step = 3;
  limits.attempts_killed = 200;
  return limits;
}

/// A run, what it should give, and what has become of it.
struct ModelRun {
  std::shared_ptr<const graph::TaskGraph> graph;
  std::vector<DatumId> externals;
  std::vector<std::uint64_t> values;  ///< of its outputs, computed in sequence
  std::set<std::uint32_t> undelivered;
  std::set<std::uint32_t> failed;  ///< tasks whose kernels threw
  bool fails_by_chance = false;    ///< one attempt at a task may fail and another one not
  bool is_ended = false, is_cancelled = false, may_fail = false, is_released = false;
  bool ends_on_failure = false;
  protocol::RunOutcome outcome = protocol::RunOutcome::done;
};

}  // namespace ashlar::scheduler
