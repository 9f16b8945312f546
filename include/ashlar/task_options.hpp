#pragma once

#include <ashlar/detail/session_core.hpp>
#include <ashlar/future.hpp>

#include <cstdint>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace ashlar {

namespace detail {

/// A value within one graph: the output of its task `index`, or its external number `index`.
struct NodeRef {
  const void* graph = nullptr;
  std::uint32_t index = 0;
  bool is_external = false;
};

/// What stands for a value that is not here: specialised for Future and Node.
template <class A>
struct HandleTraits {
  static constexpr bool is_handle = false;
};
template <class T>
struct HandleTraits<Future<T>> {
  static constexpr bool is_handle = true;
  static constexpr bool needs_graph = false;
  using Value = T;
  template <class Sink>
  static void add_to(const Future<T>& future, Sink& sink) {
    sink.add(future.handle());
  }
};
template <class A>
concept Handle = HandleTraits<A>::is_handle;

/// Any Future or Node, whatever its type.
class AnyHandle {
 public:
  template <Handle A>
  AnyHandle(const A& handle) {  // NOLINT: implicit on purpose
    HandleTraits<A>::add_to(handle, *this);
  }
  void add(const DatumHandle& datum) { datum_ = datum; }
  void add(const NodeRef& node) { node_ = node; }

  template <class Sink>
  void add_to(Sink& sink) const {
    if (node_.graph != nullptr) {
      sink.add(node_);
    } else {
      sink.add(datum_);
    }
  }

 private:
  DatumHandle datum_;
  NodeRef node_;
};

}  // namespace detail

/// What the scheduler should know of a task beside its function and arguments.
struct TaskOptions {
  std::int32_t priority = 0;  ///< higher runs earlier
  double cost_seconds = 0;    ///< expected time; 0: unknown, learned from earlier calls
  /// Runs only on workers that offer these; name and amount.
  std::vector<std::pair<std::string, double>> resources = {};
  /// Runs after these exist, too. (They travel to the task's worker: best given Future<void>.)
  std::vector<detail::AnyHandle> after = {};
  /// What errors name.
  std::source_location where = std::source_location::current();
};

}  // namespace ashlar
