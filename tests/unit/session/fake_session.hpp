#pragma once

#include <ashlar/detail/session_tasks.hpp>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"
#include "kernels/registry.hpp"
#include "session/graph_builder.hpp"
#include "session/request_graph.hpp"
#include "session/tasks.hpp"

namespace ashlar::test {

/// 64-byte aligned bytes.
inline HostArray aligned_bytes(std::size_t count) {
  return HostArray(DType::uint8, {static_cast<std::int64_t>(count)});
}

/// A datum that has been made, or has failed.
class FakeDatum final : public detail::Datum {
 public:
  explicit FakeDatum(HostArray bytes) : bytes_(std::move(bytes)) {}
  explicit FakeDatum(std::exception_ptr error) : error_(std::move(error)) {}

  bool is_ready() const override { return true; }
  bool wait(std::chrono::nanoseconds) override { return true; }
  detail::Bytes get() override {
    if (error_) std::rethrow_exception(error_);
    return {bytes_.storage(), std::as_const(bytes_).bytes()};
  }
  void cancel() override { error_ = std::make_exception_ptr(Cancelled("cancelled")); }
  void then(std::function<void()> f) override { f(); }
  RunReport report() override { return {}; }

 private:
  HostArray bytes_;
  std::exception_ptr error_;
};

/// The memory of one output; takes over an input's buffer when told to.
class FakeOutput final : public kernels::OutputBuffers {
 public:
  FakeOutput(std::uint64_t announced, HostArray taken_over)
      : announced_(announced), buffer_(std::move(taken_over)), has_buffer_(buffer_.storage()) {}

  std::span<std::byte> allocate(std::size_t index, std::size_t bytes) override {
    if (index != 0 || ++calls_ > 1) throw std::logic_error("one output, allocated once");
    if (announced_ != graph::TaskGraph::dynamic_bytes && announced_ != bytes) {
      throw std::logic_error("not the announced size");
    }
    if (!has_buffer_) buffer_ = aligned_bytes(bytes);
    return buffer_.bytes();
  }
  const HostArray& buffer() const {
    if (calls_ != 1) throw std::logic_error("the kernel made no output");
    return buffer_;
  }

 private:
  std::uint64_t announced_;
  HostArray buffer_;
  bool has_buffer_;
  int calls_ = 0;
};

/// Runs everything at once, in this thread.
class FakePort final : public detail::SessionPort {
 public:
  explicit FakePort(Tasks tasks) : tasks_(std::move(tasks)) {
    detail::register_tasks(tasks_, registry_);
  }

  const Tasks& tasks() const override { return tasks_; }

  detail::DatumHandle submit(detail::TaskRequest request) override {
    const auto batch = session::graph_of({&request, 1});
    requests.push_back(std::move(request));
    return run_graph(*batch.graph, batch.externals).front();
  }

  detail::DatumHandle put(const detail::EncodableValue& value) override {
    ++puts;
    HostArray bytes = aligned_bytes(value.bytes);
    value.write(bytes.bytes());
    return std::make_shared<FakeDatum>(std::move(bytes));
  }

  GraphRun run(detail::GraphData& graph, bool) override {
    const auto frozen = graph.frozen(tasks_);
    std::vector<detail::DatumHandle> externals;
    for (const auto& binding : graph.bindings()) {
      externals.push_back(binding.datum ? binding.datum : put(binding.value));
    }
    const auto outputs = run_graph(*frozen, externals);
    std::vector<detail::DatumHandle> wanted;
    for (const auto index : frozen->wanted) wanted.push_back(outputs[index]);
    return {&graph, {frozen, &frozen->wanted}, wanted, std::make_shared<FakeDatum>(HostArray())};
  }

  /// Lets each task take over the buffer its reuse_input names.
  bool takes_over = false;
  std::vector<detail::TaskRequest> requests;
  int puts = 0;

 private:
  std::vector<detail::DatumHandle> run_graph(const graph::TaskGraph& graph,
                                             const std::vector<detail::DatumHandle>& externals) {
    std::vector<detail::DatumHandle> outputs;
    for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
      std::vector<detail::DatumHandle> inputs;
      for (const auto input : graph.inputs_of(task)) {
        inputs.push_back(input < graph.output_count() ? outputs[input]
                                                      : externals.at(input - graph.output_count()));
      }
      outputs.push_back(run_task(graph, task, inputs));
    }
    return outputs;
  }

  detail::DatumHandle run_task(const graph::TaskGraph& graph, std::uint32_t task,
                               const std::vector<detail::DatumHandle>& inputs) {
    try {
      std::vector<std::span<const std::byte>> bytes;
      for (const auto& input : inputs) bytes.push_back(input->get().bytes);
      std::uint32_t reuse =
          graph.reuse_input.empty() ? graph::TaskGraph::no_input : graph.reuse_input[task];
      if (!takes_over) reuse = graph::TaskGraph::no_input;
      HostArray taken_over;
      if (reuse != graph::TaskGraph::no_input) {
        const auto owner = std::const_pointer_cast<void>(inputs[reuse]->get().owner);
        auto* data = const_cast<std::byte*>(bytes[reuse].data());
        taken_over = HostArray(DType::uint8, {static_cast<std::int64_t>(bytes[reuse].size())},
                               std::shared_ptr<std::byte>(owner, data));
      }
      const std::uint64_t announced = graph.output_bytes[task];
      FakeOutput output(announced, taken_over);
      const auto kernel = registry_.find(graph.kernels[graph.kernel[task]]);
      registry_.at(static_cast<std::size_t>(kernel))
          .cpu({graph.params_of(task), bytes, {&announced, 1}, output, reuse});
      return std::make_shared<FakeDatum>(output.buffer());
    } catch (...) {
      return std::make_shared<FakeDatum>(std::current_exception());
    }
  }

  Tasks tasks_;
  kernels::Registry registry_;
};

/// A Session whose tasks run in this thread.
class FakeSession : public SessionTasks {
 public:
  explicit FakeSession(const Tasks& tasks) : FakeSession(std::make_shared<FakePort>(tasks)) {}
  FakePort& fake() { return *fake_; }

 private:
  explicit FakeSession(std::shared_ptr<FakePort> fake) : SessionTasks(fake), fake_(fake) {}
  std::shared_ptr<FakePort> fake_;
};

}  // namespace ashlar::test
