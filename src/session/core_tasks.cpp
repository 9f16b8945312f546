#include <ashlar/error.hpp>
#include <ashlar/graph.hpp>

#include <chrono>
#include <limits>
#include <mutex>
#include <utility>

#include "runtime/clock.hpp"
#include "session/core.hpp"
#include "session/graph_builder.hpp"
#include "session/request_graph.hpp"

namespace ashlar::session {

namespace {

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};

/// The end of a run, as a datum without bytes.
class RunEnd : public detail::Datum {
 public:
  RunEnd(std::shared_ptr<Core> core, RunHandle run)
      : core_(std::move(core)), run_(std::move(run)) {}

  bool is_ready() const override { return run_->is_finished || core_->is_disconnected(); }

  bool wait(std::chrono::nanoseconds timeout) override {
    const Instant now = runtime::now();
    const bool is_bounded = timeout.count() < never.ns - now.ns;
    const Instant deadline = is_bounded ? now + Duration{timeout.count()} : never;
    return core_->loop().drive_until([this] { return is_ready(); }, deadline);
  }

  detail::Bytes get() override {
    core_->wait(*run_);
    core_->keep_report_of(*run_);
    return {};
  }

  void cancel() override { core_->cancel(run_->number); }

  void then(std::function<void()> f) override {
    const auto call = std::make_shared<std::function<void()>>(std::move(f));
    core_->loop().dispatch([run = run_, core = core_, call] {
      if (run->is_finished || core->is_disconnected()) return (*call)();
      run->on_finished = [before = std::move(run->on_finished), call] {
        if (before) before();
        (*call)();
      };
    });
  }

 private:
  std::shared_ptr<Core> core_;
  RunHandle run_;
};

}  // namespace

detail::DatumHandle Core::submit(detail::TaskRequest request) {
  auto made = graph_of({&request, 1});
  std::vector<DatumId> externals;
  for (const auto& datum : made.externals) externals.push_back(id_of(datum));
  Submitted submitted = prepare(std::move(made.graph), true);
  start(*submitted.run, std::move(externals));
  return submitted.outputs.front();
}

detail::DatumHandle Core::put(const detail::EncodableValue& value) {
  auto buffer = store::Buffer::allocate(arena_, value.bytes);
  value.write(buffer.writable().first(value.bytes));
  return put(std::move(buffer));
}

GraphRun Core::run(const Graph& graph) {
  detail::GraphData& data = graph.data();
  const auto frozen = data.frozen(tasks_);
  std::vector<OutputHandle> kept;
  std::vector<DatumId> externals;
  for (const auto& binding : data.bindings()) {
    if (binding.datum) {
      externals.push_back(id_of(binding.datum));
    } else {
      auto buffer = store::Buffer::allocate(arena_, binding.value.bytes);
      binding.value.write(buffer.writable().first(binding.value.bytes));
      kept.push_back(put(std::move(buffer)));
      externals.push_back(kept.back()->id());
    }
  }
  Submitted submitted = prepare(frozen, true);
  start(*submitted.run, std::move(externals));
  std::vector<detail::DatumHandle> outputs(submitted.outputs.begin(), submitted.outputs.end());
  const std::shared_ptr<const std::vector<std::uint32_t>> wanted(frozen, &frozen->wanted);
  return GraphRun(&data, wanted, std::move(outputs),
                  std::make_shared<RunEnd>(shared_from_this(), submitted.run));
}

}  // namespace ashlar::session
