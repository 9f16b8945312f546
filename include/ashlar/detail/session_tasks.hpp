#pragma once

#include <ashlar/detail/arguments.hpp>
#include <ashlar/future.hpp>
#include <ashlar/graph.hpp>
#include <ashlar/task_options.hpp>
#include <ashlar/tasks.hpp>

#include <memory>
#include <source_location>
#include <utility>
#include <vector>

namespace ashlar {

namespace detail {

/// What the typed calls ask of a session. Threads: any.
class SessionPort {
 public:
  virtual ~SessionPort() = default;
  virtual const Tasks& tasks() const = 0;
  virtual DatumHandle submit(TaskRequest request) = 0;
  /// Makes a datum of a value; `value.write` is called before this returns.
  virtual DatumHandle put(const EncodableValue& value) = 0;
  virtual GraphRun run(GraphData& graph, bool is_compiled) = 0;
};

/// Collects the inputs of one request.
class RequestInputs final : public InputSink {
 public:
  RequestInputs(SessionPort& port, TaskRequest& request) : port_(port), request_(request) {}
  void add(const DatumHandle& datum) override;
  void add(const NodeRef& node) override;
  void add(EncodableValue value) override;

 private:
  SessionPort& port_;
  TaskRequest& request_;
};

/// Fills in what is no argument. Errors: BadInput for a function without a name.
TaskRequest begin_request(const SessionPort& port, const TaskIdentity& function,
                          const TaskOptions& options, std::uint64_t result_bytes);
/// Ends a request whose arguments are there.
void end_request(TaskRequest& request, const CallBuilder& call, InputSink& inputs,
                 const TaskOptions& options);

template <auto fn, class Append>
TaskRequest make_request(SessionPort& port, const TaskOptions& options, Append append) {
  TaskRequest request =
      begin_request(port, task_identity<fn>(), options, result_bytes<TaskResultOf<fn>>());
  RequestInputs inputs(port, request);
  CallBuilder call{request.params, inputs};
  append(call);
  end_request(request, call, inputs, options);
  return request;
}

}  // namespace detail

/// The calls of a Session that run your own functions on workers.
///
/// Every call but gather returns at once. Threads: any.
class SessionTasks {
 public:
  /// Runs fn(arguments...) on some worker. An argument is a value, or the Future of one; arguments
  /// are copied before this returns. The task runs even if the Future is dropped; Future::cancel
  /// stops it.
  /// Errors: BadInput for a function that was not named in main, an empty future, or an array
  /// that does not match its view. What the function throws comes with Future::get.
  template <auto fn, class... Rest>
  requires detail::ArgumentsFrom<fn, false, 1, Rest...> Future<detail::TaskResultOf<fn>> submit(
      detail::FirstArgumentOf<fn, false> first, const Rest&... rest) {
    return submit_task<fn>({.where = first.where()}, [&](detail::CallBuilder& call) {
      first.append_to(call);
      detail::append_arguments<fn, false, 1>(call, rest...);
    });
  }

  /// The same with options: session.submit<fn>({.priority = 1}, arguments...).
  template <auto fn, class... Arguments>
  requires detail::ArgumentsFrom<fn, false, 0, Arguments...> Future<detail::TaskResultOf<fn>>
  submit(const TaskOptions& options, const Arguments&... arguments) {
    return submit_task<fn>(options, [&](detail::CallBuilder& call) {
      detail::append_arguments<fn, false, 0>(call, arguments...);
    });
  }

  template <auto fn>
  requires detail::ArgumentsFrom<fn, false, 0> Future<detail::TaskResultOf<fn>> submit(
      std::source_location where = std::source_location::current()) {
    return submit_task<fn>({.where = where}, [](detail::CallBuilder&) {});
  }

  /// Calls `fn` for each element of a range, as one graph: cheaper than as many submits. An
  /// element is the function's argument, or a tuple of its arguments. A call that fails leaves the
  /// others alone: each future has its own value or error, as soon as that is known.
  template <auto fn, class R>
  requires detail::Mappable<fn, R> std::vector<Future<detail::TaskResultOf<fn>>> map(
      R&& range, const TaskOptions& options = {}) {
    const Graph graph = detail::map_graph<fn>(std::forward<R>(range), options);
    const GraphRun made = port_->run(graph.data(), false);
    const auto& data = made.wanted_data();
    return {data.begin(), data.end()};
  }

  /// Puts a value where tasks can read it: for arguments that many tasks share.
  template <Codable T>
  Future<T> put(const T& value) {
    return Future<T>(port_->put({Codec<T>::size(value), [&value](std::span<std::byte> to) {
                                   Writer writer(to);
                                   Codec<T>::encode(value, writer);
                                 }}));
  }

  /// Runs a graph. The same graph may be run again, also while it runs.
  /// Errors: BadInput when one of its functions was not named in main.
  GraphRun run(const Graph& graph) { return port_->run(graph.data(), false); }

  /// Has a graph's placement kept: each further run sends every task to the worker that ran it the
  /// last time, with one short message for each worker, instead of placing it anew. For graphs of
  /// many short tasks that are run with other inputs each time:
  ///
  ///   auto step = session.compile(graph);
  ///   for (const auto& input : inputs) {
  ///     graph.bind(x, input);
  ///     results.push_back(session.run(step)[y]);
  ///   }
  ///
  /// The first run is placed as usual. So is one after a worker came or went, or after times of
  /// tasks have changed so that workers are no longer equally busy; the next one then follows it.
  /// Graphs whose tasks name resources, and runs of more than 100 ms, are always placed as usual.
  /// Results do not depend on it. Expressions given to compute and persist need no such call: what
  /// becomes the same graph as lately is treated like this.
  /// Errors: none; those of run() come with it.
  CompiledGraph compile(const Graph& graph) const { return CompiledGraph(graph.data_); }
  GraphRun run(const CompiledGraph& graph) { return port_->run(graph.data(), true); }

  /// The values of all futures, in order.
  template <class T>
  auto gather(const std::vector<Future<T>>& futures) {
    return ashlar::gather(futures);
  }

  /// The same without waiting.
  template <class T>
  auto gather_async(const std::vector<Future<T>>& futures) {
    return ashlar::gather_async(futures);
  }

 protected:
  explicit SessionTasks(std::shared_ptr<detail::SessionPort> port) : port_(std::move(port)) {}
  const std::shared_ptr<detail::SessionPort>& port() const { return port_; }

 private:
  template <auto fn, class Append>
  Future<detail::TaskResultOf<fn>> submit_task(const TaskOptions& options, Append append) {
    return Future<detail::TaskResultOf<fn>>(
        port_->submit(detail::make_request<fn>(*port_, options, append)));
  }

  std::shared_ptr<detail::SessionPort> port_;
};

}  // namespace ashlar
