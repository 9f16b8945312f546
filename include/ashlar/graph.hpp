#pragma once

#include <ashlar/detail/arguments.hpp>
#include <ashlar/future.hpp>
#include <ashlar/task_options.hpp>
#include <ashlar/tasks.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ashlar {

class Graph;
class SessionTasks;
namespace detail {
class GraphData;
}  // namespace detail

/// A value within one Graph: what a task will make there, or one of the graph's inputs.
template <class T>
class Node {
 public:
  using value_type = T;

  /// A node of no graph, to be assigned.
  Node() = default;

  /// Not for programs.
  explicit Node(const detail::NodeRef& ref) : ref_(ref) {}
  const detail::NodeRef& ref() const { return ref_; }

 private:
  detail::NodeRef ref_;
};

namespace detail {
template <class T>
struct HandleTraits<Node<T>> {
  static constexpr bool is_handle = true;
  static constexpr bool needs_graph = true;
  using Value = T;
  template <class Sink>
  static void add_to(const Node<T>& node, Sink& sink) {
    sink.add(node.ref());
  }
};

/// What a graph needs to know of a call that has all its arguments.
struct NewTask {
  TaskIdentity function;
  std::uint64_t result_bytes = 0;
  const TaskOptions* options = nullptr;  ///< or none
  std::source_location where;
};
}  // namespace detail

/// A batch of tasks that depend on each other, built here and run as a whole, as often as wanted.
///
///   ashlar::Graph graph;
///   auto grid = graph.input(host_array);
///   auto half = graph.add<smooth>(grid, 0.5);
///   auto norm = graph.add<norm_of>({.priority = 1}, half);
///   graph.want(norm);
///   double value = session.run(graph)[norm].get();
///
/// Arguments of a task are values, futures, and nodes of the same graph. Tasks are flat data:
/// adding one allocates nothing of its own. Threads: one at a time.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  /// Adds a call of `fn`. Arguments above 16 KiB are kept by the graph and travel once.
  /// Errors: BadInput for a node of another graph, an empty future, or an array that does not
  /// match its view.
  template <auto fn, class... Rest>
  requires detail::ArgumentsFrom<fn, true, 1, Rest...> Node<detail::TaskResultOf<fn>> add(
      detail::FirstArgumentOf<fn, true> first, const Rest&... rest) {
    return add_task<fn>(nullptr, first.where(), [&](detail::CallBuilder& call) {
      first.append_to(call);
      detail::append_arguments<fn, true, 1>(call, rest...);
    });
  }

  /// The same with options: graph.add<fn>({.priority = 1}, arguments...).
  template <auto fn, class... Arguments>
  requires detail::ArgumentsFrom<fn, true, 0, Arguments...> Node<detail::TaskResultOf<fn>> add(
      const TaskOptions& options, const Arguments&... arguments) {
    return add_task<fn>(&options, options.where, [&](detail::CallBuilder& call) {
      detail::append_arguments<fn, true, 0>(call, arguments...);
    });
  }

  template <auto fn>
  requires detail::ArgumentsFrom<fn, true, 0> Node<detail::TaskResultOf<fn>> add(
      std::source_location where = std::source_location::current()) {
    return add_task<fn>(nullptr, where, [](detail::CallBuilder&) {});
  }

  /// A value from outside, which bind() may replace between runs. The elements of a HostArray are
  /// read when the graph is run.
  template <class T>
  Node<T> input(const Future<T>& future) {
    return Node<T>(add_input(future.handle(), {}));
  }
  template <Codable T>
  Node<T> input(const T& value) {
    return Node<T>(add_input(nullptr, kept(value)));
  }

  /// Replaces the value of an input for the runs to come. Errors: BadInput unless `node` came
  /// from input().
  template <class T>
  void bind(const Node<T>& node, const Future<T>& future) {
    bind_input(node.ref(), future.handle(), {});
  }
  template <Codable T>
  void bind(const Node<T>& node, const T& value) {
    bind_input(node.ref(), nullptr, kept(value));
  }

  /// The value is to be had after a run; what nobody wants is dropped as soon as it is used.
  /// Errors: BadInput for an input or a node of another graph.
  template <class T>
  void want(const Node<T>& node) {
    want_output(node.ref());
  }

  /// Makes room for as many tasks, of about this many arguments each.
  void reserve(std::size_t tasks, std::size_t arguments = 3);

  std::size_t task_count() const;

  /// Not for programs.
  detail::GraphData& data() const { return *data_; }

 private:
  template <auto fn, class Append>
  Node<detail::TaskResultOf<fn>> add_task(const TaskOptions* options,
                                          const std::source_location& where, Append append) {
    using Result = detail::TaskResultOf<fn>;
    detail::CallBuilder call = begin_task();
    append(call);
    return Node<Result>(end_task(
        call, {detail::task_identity<fn>(), detail::result_bytes<Result>(), options, where}));
  }

  template <Codable T>
  static detail::EncodableValue kept(const T& value) {
    return {Codec<T>::size(value), [value](std::span<std::byte> to) {
              Writer writer(to);
              Codec<T>::encode(value, writer);
            }};
  }

  detail::CallBuilder begin_task();
  detail::NodeRef end_task(const detail::CallBuilder& call, const detail::NewTask& task);
  detail::NodeRef add_input(const detail::DatumHandle& datum, detail::EncodableValue value);
  void bind_input(const detail::NodeRef& node, const detail::DatumHandle& datum,
                  detail::EncodableValue value);
  void want_output(const detail::NodeRef& node);

  friend class SessionTasks;
  std::shared_ptr<detail::GraphData> data_;
};

/// A graph that a session runs again and again; SessionTasks::compile makes it. It shares the
/// graph's tasks and inputs, and keeps them: bind() of the graph gives the next run its inputs.
/// Copies are handles of the same one. Threads: one at a time, together with the graph.
class CompiledGraph {
 public:
  /// Not for programs.
  explicit CompiledGraph(std::shared_ptr<detail::GraphData> data) : data_(std::move(data)) {}
  detail::GraphData& data() const { return *data_; }

 private:
  std::shared_ptr<detail::GraphData> data_;
};

/// One run of a graph. Copies are handles of the same run. As long as one of them lives, or a
/// Future of done(), so do the values that were bound to inputs: what a worker that dies has made
/// of them can be made again.
class GraphRun {
 public:
  /// Not for programs: the outputs wanted, ascending, their data in the same order, and a datum
  /// that is ready when the run has ended and fails as the run did.
  GraphRun(const void* graph, std::shared_ptr<const std::vector<std::uint32_t>> wanted,
           std::vector<detail::DatumHandle> data, detail::DatumHandle end)
      : graph_(graph), wanted_(std::move(wanted)), data_(std::move(data)), end_(std::move(end)) {}

  /// What the node holds in this run. Errors: BadInput when nobody wanted it.
  template <class T>
  Future<T> operator[](const Node<T>& node) const {
    return Future<T>(data_[position_of(node.ref())]);
  }

  /// The end of the whole run: ready when every task has ended. get() throws what failed first:
  /// with it ended only what reads it. cancel() stops what has not run; report() says how it went.
  Future<void> done() const { return Future<void>(end_); }
  void wait() const { done().get(); }

  /// What bounds the run, or bounded it; what one of its tasks waits for, or where it went and why,
  /// wanted or not. As Future::explain. Errors: BadInput for a node of another graph or an input.
  std::string explain() const { return explain_async().get(); }
  Future<std::string> explain_async() const { return done().explain_async(); }
  template <class T>
  std::string explain(const Node<T>& node) const {
    return explain_async(node).get();
  }
  template <class T>
  Future<std::string> explain_async(const Node<T>& node) const {
    return Future<std::string>(end_->explain(task_of(node.ref())));
  }

  /// Not for programs.
  const std::vector<detail::DatumHandle>& wanted_data() const { return data_; }

 private:
  std::size_t position_of(const detail::NodeRef& node) const;
  std::uint32_t task_of(const detail::NodeRef& node) const;

  const void* graph_;
  std::shared_ptr<const std::vector<std::uint32_t>> wanted_;
  std::vector<detail::DatumHandle> data_;
  detail::DatumHandle end_;
};

namespace detail {

template <class T>
struct IsTuple : std::false_type {};
template <class... T>
struct IsTuple<std::tuple<T...>> : std::true_type {};
template <class A, class B>
struct IsTuple<std::pair<A, B>> : std::true_type {};

template <auto fn, class Element>
constexpr bool accepts_element() {
  if constexpr (TraitsOf<fn>::arity == 1 && ArgumentsFrom<fn, true, 0, Element>) {
    return true;
  } else if constexpr (IsTuple<Element>::value) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return ArgumentsFrom<fn, true, 0, std::remove_cvref_t<std::tuple_element_t<I, Element>>...>;
    }
    (std::make_index_sequence<std::tuple_size_v<Element>>{});
  } else {
    return false;
  }
}

/// Each element of R is the argument of `fn`, or a tuple of its arguments.
template <auto fn, class R>
concept Mappable = TaskFunction<fn> && std::ranges::input_range<R> &&
    accepts_element<fn, std::remove_cvref_t<std::ranges::range_reference_t<R>>>();

/// A graph of one call of `fn` for each element of a range, all wanted, in order.
template <auto fn, class R>
requires Mappable<fn, R> Graph map_graph(R&& range, const TaskOptions& options) {
  using Element = std::remove_cvref_t<std::ranges::range_reference_t<R>>;
  Graph graph;
  if constexpr (std::ranges::sized_range<R>) graph.reserve(std::ranges::size(range), 1);
  for (auto&& element : range) {
    const Element& value = element;
    if constexpr (TraitsOf<fn>::arity == 1 && ArgumentsFrom<fn, true, 0, Element>) {
      graph.want(graph.template add<fn>(options, value));
    } else {
      std::apply([&](const auto&... part) { graph.want(graph.template add<fn>(options, part...)); },
                 value);
    }
  }
  return graph;
}

}  // namespace detail
}  // namespace ashlar
