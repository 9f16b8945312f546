#pragma once

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "driver/driver_engine.hpp"
#include "machine/rig.hpp"

namespace ashlar::driver {

inline DatumId datum(std::uint32_t index, std::uint32_t run = 1) {
  return {{SessionId{4}, run}, index};
}

/// Asks for a run of `tasks` tasks, each with one output, of which the first `wanted` are wanted.
inline SubmitAsked submission(std::uint32_t tasks, std::uint32_t wanted, std::uint32_t run = 1,
                              bool bring_home = true) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernel.assign(tasks, 0);
  for (std::uint32_t i = 0; i < wanted; ++i) graph->wanted.push_back(i);
  return {{run, graph, {}, false}, bring_home};
}

/// A stream of the outputs at these indices of a run of as many tasks, or of another run's.
inline SubmitAsked stream(std::vector<std::uint32_t> index, std::uint64_t bytes_max,
                          std::uint32_t run = 1, std::uint32_t made_by = 1) {
  const auto tasks = static_cast<std::uint32_t>(made_by == run ? index.size() : 0);
  SubmitAsked event = submission(tasks, tasks, run, false);
  for (const std::uint32_t i : index) event.stream.data.push_back(datum(i, made_by));
  event.stream.bytes_max = bytes_max;
  return event;
}

inline protocol::DataReady ready(std::vector<std::uint32_t> index, std::uint32_t holder,
                                 std::uint64_t bytes = 1 << 20, std::uint32_t run = 1) {
  protocol::DataReady message;
  message.run = run;
  message.bytes.assign(index.size(), bytes);
  message.holder.assign(index.size(), PeerId{holder});
  message.index = std::move(index);
  return message;
}

inline protocol::RunEnded ended(protocol::RunOutcome outcome = protocol::RunOutcome::done,
                                std::uint32_t run = 1) {
  protocol::RunEnded message;
  message.run = run;
  message.outcome = outcome;
  if (outcome == protocol::RunOutcome::failed) message.error = "bang";
  return message;
}

inline protocol::PeerInfo peer_info(std::uint32_t peer, std::string host) {
  return {PeerId{peer}, "worker", {std::move(host), "", "", ""}};
}

/// What a driver did, a word and its numbers per action.
inline std::string text_of(const Actions& actions) {
  std::ostringstream out;
  const auto list = [&out](const char* word, const std::vector<DatumId>& data) {
    out << word;
    for (const DatumId& id : data) out << ' ' << id.index;
  };
  for (const Action& action : actions) {
    if (out.tellp() > 0) out << "; ";
    if (const auto* to = std::get_if<ToScheduler>(&action)) {
      if (const auto* run = std::get_if<protocol::SubmitRun>(&to->message)) {
        out << "submit " << run->run << (run->deliver ? " deliver" : "");
      } else if (const auto* cancel = std::get_if<protocol::CancelRun>(&to->message)) {
        out << "cancel " << cancel->run;
      } else if (std::holds_alternative<protocol::PutData>(to->message)) {
        out << "put";
      } else if (const auto* r = std::get_if<protocol::ReleaseData>(&to->message)) {
        list("release", r->data);
      } else if (const auto* l = std::get_if<protocol::LocateData>(&to->message)) {
        list("locate", l->data);
      } else if (const auto* q = std::get_if<protocol::Explain>(&to->message)) {
        out << "explain " << q->request;
      } else if (const auto* h = std::get_if<protocol::StreamHeld>(&to->message)) {
        out << (h->is_held ? "hold " : "let go of ") << h->run;
      }
    } else if (const auto* f = std::get_if<StartFetch>(&action)) {
      out << "fetch " << f->datum.index << '@' << f->peer.value;
    } else if (const auto* a = std::get_if<AbandonFetch>(&action)) {
      out << "abandon " << a->datum.index;
    } else if (const auto* d = std::get_if<Deliver>(&action)) {
      out << "deliver " << d->datum.index;
    } else if (const auto* s = std::get_if<StreamDeliver>(&action)) {
      out << "show " << s->run << ':' << s->position;
    } else if (const auto* e = std::get_if<Exists>(&action)) {
      out << "exists " << e->datum.index;
    } else if (const auto* x = std::get_if<DatumFailed>(&action)) {
      out << "lose " << x->datum.index << " \"" << x->error << '"';
    } else if (const auto* n = std::get_if<RunFinished>(&action)) {
      out << "finished " << n->run;
    } else if (const auto* p = std::get_if<Progress>(&action)) {
      out << "progress " << p->tasks_done << '/' << p->tasks;
    } else if (const auto* o = std::get_if<DropDatum>(&action)) {
      out << "drop " << o->datum.index;
    } else if (const auto* k = std::get_if<KnowPeer>(&action)) {
      out << "know " << k->info.peer.value;
    } else if (const auto* g = std::get_if<ForgetPeer>(&action)) {
      out << "forget " << g->peer.value;
    } else if (const auto* t = std::get_if<Explained>(&action)) {
      out << "explained " << t->request << ' ' << t->text;
    }
  }
  return out.str();
}

class Rig : public machine::Rig<DriverEngine, Event, Actions, FromScheduler, Tick> {
 public:
  explicit Rig(Limits limits = {})
      : machine::Rig<DriverEngine, Event, Actions, FromScheduler, Tick>(SessionId{4}, limits,
                                                                        "here") {}
};

}  // namespace ashlar::driver
