#pragma once

#include <ashlar/graph.hpp>
#include <ashlar/tasks.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "graph/task_graph.hpp"
#include "session/annotations.hpp"

namespace ashlar::detail {

/// What stands for one external datum of a graph: a datum that exists or will, or else a value.
struct Binding {
  DatumHandle datum;
  EncodableValue value;
};

/// A Graph under construction: a TaskGraph whose kernels have no names yet, and in which inputs
/// that are external carry a mark, since external data are numbered after all outputs.
class GraphData final : public InputSink {
 public:
  CallBuilder begin_task();
  NodeRef end_task(const CallBuilder& call, const NewTask& task);
  NodeRef add_input(Binding binding);
  void bind_input(const NodeRef& node, Binding binding);
  void want_output(const NodeRef& node);
  void reserve(std::size_t tasks, std::size_t arguments);
  std::size_t task_count() const { return graph_.kernel.size(); }

  // The inputs of the task that was begun.
  void add(const DatumHandle& datum) override;
  void add(const NodeRef& node) override;
  void add(EncodableValue value) override;

  /// The graph as it is now, with the names of its functions; the same object until it changes.
  /// Errors: BadInput when a function has no name.
  std::shared_ptr<const graph::TaskGraph> frozen(const Tasks& tasks);

  /// External datum i of the frozen graph is bindings()[i].
  std::span<const Binding> bindings() const { return bindings_; }

 private:
  static constexpr std::uint32_t external_mark = std::uint32_t{1} << 31;

  void drop_unfinished_task();
  void check_is_mine(const NodeRef& node) const;
  void append_external(std::uint32_t index);
  std::uint32_t kernel_of(const TaskIdentity& function);
  void append_reuse(const CallBuilder& call);

  graph::TaskGraph graph_;
  session::Annotator annotator_;
  std::vector<TaskIdentity> functions_;  ///< one per kernel
  std::map<TaskKey, std::uint32_t> kernels_;
  std::vector<Binding> bindings_;
  std::size_t finished_bindings_ = 0;                       ///< of finished tasks and of inputs
  std::map<const Datum*, std::uint32_t> future_externals_;  ///< of futures given as arguments
  std::shared_ptr<const graph::TaskGraph> frozen_;
};

}  // namespace ashlar::detail
