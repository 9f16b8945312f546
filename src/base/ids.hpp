#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>

namespace ashlar {

/// A number that names one kind of thing and cannot be mistaken for another kind's.
template <class Tag, class Value = std::uint32_t>
struct Id {
  using value_type = Value;
  static constexpr Value none_value = std::numeric_limits<Value>::max();

  Value value = none_value;

  constexpr bool is_none() const { return value == none_value; }
  static constexpr Id none() { return Id{}; }
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

/// A process with a store: a worker or a driver. Given by the scheduler, never reused.
using PeerId = Id<struct PeerTag>;
/// A driver's connection to a scheduler. Never reused.
using SessionId = Id<struct SessionTag>;
/// A task in its graph: 0 … task_count - 1.
using TaskIndex = Id<struct TaskTag>;
/// One placement of one task; counts up per task within a run.
using Attempt = std::uint32_t;

/// One execution of a graph. Numbers are chosen by the driver and never reused in its session.
struct RunId {
  SessionId session;
  std::uint32_t number = 0;
  friend constexpr auto operator<=>(const RunId&, const RunId&) = default;
};

/// One output of one task of one run, or a buffer the driver put: immutable once produced.
struct DatumId {
  RunId run;
  std::uint32_t index = 0;
  friend constexpr auto operator<=>(const DatumId&, const DatumId&) = default;
};

}  // namespace ashlar

template <class Tag, class Value>
struct std::hash<ashlar::Id<Tag, Value>> {
  std::size_t operator()(const ashlar::Id<Tag, Value>& id) const noexcept {
    return std::hash<Value>{}(id.value);
  }
};
