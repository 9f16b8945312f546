#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace ashlar::machine {

/// An engine with a transcript: each call steps it, checks it, and says what it did. Each kind of
/// engine says how with a text_of(actions) in the namespace of its actions.
template <class Engine, class Event, class Actions, class FromScheduler, class Tick>
class Rig {
 public:
  template <class... Args>
  explicit Rig(Args&&... args) : engine(std::forward<Args>(args)...) {}

  std::string operator()(std::vector<Event> events) {
    actions.clear();
    engine.step(events, now, actions);
    engine.check_invariants();
    return text_of(actions);
  }
  template <class Message>
  std::string told(Message message) {
    std::vector<Event> events(1);
    events[0].template emplace<FromScheduler>().message.template emplace<Message>(
        std::move(message));
    return (*this)(std::move(events));
  }
  std::string later(Duration time) {
    now = now + time;
    return (*this)({Event{Tick{}}});
  }

  Engine engine;
  Instant now;
  Actions actions;
};

}  // namespace ashlar::machine
