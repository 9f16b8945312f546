#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "machine/rig.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::worker {

inline DatumId datum(std::uint32_t index, std::uint32_t run = 1, std::uint32_t session = 1) {
  return {{SessionId{session}, run}, index};
}

/// One task of an assignment, for tests.
struct Assigned {
  std::uint32_t task = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> inputs;  ///< datum index, holder
  std::vector<std::uint32_t> outputs;
  Attempt attempt = 1;
  std::uint32_t rank = 0;
  std::uint64_t output_bytes = 10;
  std::uint64_t expected_ns = 0;
  std::uint32_t reuse_input = graph::TaskGraph::no_input;
  bool deliver = false;
  std::uint64_t input_bytes = 10;
};

inline protocol::AssignTasks assignment(const std::vector<Assigned>& tasks, std::uint32_t run = 1,
                                        std::uint32_t session = 1) {
  protocol::AssignTasks message;
  message.run = {SessionId{session}, run};
  message.driver = PeerId{90};
  for (const Assigned& task : tasks) {
    message.task.push_back(task.task);
    message.attempt.push_back(task.attempt);
    message.kernel.push_back(0);
    message.rank.push_back(task.rank);
    message.expected_ns.push_back(task.expected_ns);
    message.reuse_input.push_back(task.reuse_input);
    message.input_count.push_back(static_cast<std::uint32_t>(task.inputs.size()));
    message.output_count.push_back(static_cast<std::uint32_t>(task.outputs.size()));
    message.param_bytes.push_back(1);
    message.params.push_back(std::byte{static_cast<unsigned char>(task.task)});
    message.deliver.push_back(task.deliver ? 1 : 0);
    for (const auto& [index, holder] : task.inputs) {
      message.inputs.push_back(datum(index, run, session));
      message.input_bytes.push_back(task.input_bytes);
      message.input_holder.push_back(PeerId{holder});
    }
    for (const std::uint32_t index : task.outputs) {
      message.outputs.push_back(index);
      message.output_bytes.push_back(task.output_bytes);
    }
  }
  return message;
}

inline protocol::PeerInfo peer_info(std::uint32_t peer, std::string host) {
  return {PeerId{peer}, "peer", {std::move(host), "", "", ""}};
}

inline std::string text_of(const protocol::WorkerToScheduler& message) {
  std::ostringstream out;
  if (const auto* done = std::get_if<protocol::TasksDone>(&message)) {
    out << "done";
    for (const auto task : done->task) out << ' ' << task;
    if (!done->output_bytes.empty()) {
      out << " bytes";
      for (const auto bytes : done->output_bytes) out << ' ' << bytes;
    }
  } else if (const auto* failed = std::get_if<protocol::TaskFailed>(&message)) {
    out << "failed " << failed->task << " \"" << failed->what << '"';
  } else if (const auto* acquired = std::get_if<protocol::DataAcquired>(&message)) {
    out << "acquired";
    for (const auto& id : acquired->data) out << ' ' << id.index;
    out << " local " << acquired->local_bytes << " remote " << acquired->remote_bytes;
    if (acquired->spilled_bytes > 0) out << " spilled " << acquired->spilled_bytes;
    if (acquired->loaded_bytes > 0) out << " loaded " << acquired->loaded_bytes;
  } else if (const auto* missing = std::get_if<protocol::DataMissing>(&message)) {
    out << "missing";
    for (std::size_t i = 0; i < missing->data.size(); ++i) {
      out << ' ' << missing->data[i].index << '@' << missing->peer[i].value;
    }
    for (std::size_t i = 0; i < missing->unreachable.size(); ++i) {
      out << " broken " << missing->unreachable[i].value << " (" << missing->reasons[i] << ')';
    }
    for (const PeerId peer : missing->reached) out << " reached " << peer.value;
  } else if (const auto* held = std::get_if<protocol::SlotsHeld>(&message)) {
    out << "held " << held->slots;
  } else if (const auto* running = std::get_if<protocol::TasksRunning>(&message)) {
    out << "running";
    for (const auto& id : running->tasks) out << ' ' << id.index;
  } else if (const auto* shortage = std::get_if<protocol::MemoryShort>(&message)) {
    out << "short after " << shortage->received << ", " << shortage->memory_used << " used:";
    for (std::size_t i = 0; i < shortage->tasks.size(); ++i) {
      out << ' ' << shortage->tasks[i].index << " needs " << shortage->bytes[i];
    }
    if (!shortage->spill_error.empty()) out << " (" << shortage->spill_error << ')';
  }
  return out.str();
}

/// What a worker did, a word and its numbers per action.
inline std::string text_of(const Actions& actions) {
  std::ostringstream out;
  for (const Action& action : actions) {
    if (out.tellp() > 0) out << "; ";
    if (const auto* a = std::get_if<ToScheduler>(&action)) {
      out << text_of(a->message);
    } else if (const auto* s = std::get_if<StartTask>(&action)) {
      out << "start " << s->handle;
      if (s->reuse_input != graph::TaskGraph::no_input) out << " reusing " << s->reuse_input;
    } else if (const auto* f = std::get_if<StartFetch>(&action)) {
      out << (f->is_copied ? "copy " : "fetch ") << f->datum.index << '@' << f->peer.value;
    } else if (const auto* b = std::get_if<AbandonFetch>(&action)) {
      out << "abandon " << b->datum.index;
    } else if (const auto* w = std::get_if<AnswerFetch>(&action)) {
      out << "answer " << w->datum.index << " to " << w->peer.value << '#' << w->request;
    } else if (const auto* r = std::get_if<RefuseFetch>(&action)) {
      out << "refuse " << r->peer.value << '#' << r->request;
    } else if (const auto* p = std::get_if<PushDatum>(&action)) {
      out << "push " << p->datum.index << " to " << p->driver.value;
    } else if (const auto* d = std::get_if<DropDatum>(&action)) {
      out << "drop " << d->datum.index;
    } else if (const auto* k = std::get_if<KnowPeer>(&action)) {
      out << "know " << k->info.peer.value;
    } else if (const auto* g = std::get_if<ForgetPeer>(&action)) {
      out << "forget " << g->peer.value;
    } else if (const auto* t = std::get_if<WithdrawTask>(&action)) {
      out << "withdraw " << t->handle;
    } else if (const auto* sp = std::get_if<SpillDatum>(&action)) {
      out << "spill " << sp->datum.index << " as " << sp->copy;
    } else if (const auto* l = std::get_if<LoadDatum>(&action)) {
      out << "load " << l->datum.index << " from " << l->copy;
    } else if (const auto* c = std::get_if<DropCopy>(&action)) {
      out << "drop copy " << c->copy;
    } else if (std::get_if<RecallLoans>(&action) != nullptr) {
      out << "recall";
    } else if (std::get_if<Exit>(&action) != nullptr) {
      out << "exit";
    }
  }
  return out.str();
}

class Rig : public machine::Rig<WorkerEngine, Event, Actions, FromScheduler, Tick> {
 public:
  explicit Rig(std::uint32_t slots = 1, std::uint64_t memory = 1000, Limits limits = {})
      : machine::Rig<WorkerEngine, Event, Actions, FromScheduler, Tick>(PeerId{1}, slots, memory,
                                                                        limits, "here") {}

  std::string ended(std::uint32_t handle) { return (*this)({Event{TaskEnded{handle, 5}}}); }
};

}  // namespace ashlar::worker
