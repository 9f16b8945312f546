#include <ashlar/session.hpp>

#include <ashlar/error.hpp>

#include <algorithm>
#include <thread>
#include <utility>

#include "array/lower.hpp"
#include "array/sources.hpp"
#include "runtime/clock.hpp"
#include "session/array_result.hpp"
#include "session/array_stream.hpp"
#include "session/computation.hpp"
#include "session/core.hpp"
#include "session/destination.hpp"

namespace ashlar {

namespace {

const std::vector<array::DatumRef>* persisted_data(const Array& array) {
  const auto* persisted = std::get_if<array::DataSource>(&array.node()->operation);
  return persisted == nullptr ? nullptr : &persisted->data;
}

}  // namespace

/// Ends the session with its last handle.
struct Session::Closer {
  std::shared_ptr<session::Core> core;

  ~Closer() {
    if (core->loop().is_in_turn()) {
      // The last handle went in a callback, on the very thread that close() waits for.
      std::thread([last = core] { last->close(); }).detach();
    } else {
      core->close();
    }
  }
};

Session::Session(std::shared_ptr<session::Core> core)
    : SessionTasks(core), core_(core), closer_(std::make_shared<Closer>(std::move(core))) {}

Session Session::local(const LocalOptions& options) {
  return Session(session::Core::local(options));
}

Session Session::connect(const std::string& address, const ConnectOptions& options) {
  return Session(session::Core::connect(address, options));
}

HostArray Session::compute(const Array& array, RunReport* report) {
  return std::move(compute(std::vector<Array>{array}, report).front());
}

std::vector<HostArray> Session::compute(const std::vector<Array>& arrays, RunReport* report) {
  session::Computation computation(core_, arrays);
  computation.start();
  computation.finish();
  const RunReport made = core_->report_of(*computation.run());
  core_->keep_report(made);
  if (report != nullptr) *report = made;
  return std::move(computation.results());
}

Future<HostArray> Session::compute_async(const Array& array) {
  return Future<HostArray>(session::ArrayResult::start(core_, {&array, 1})->elements()->front());
}

Future<std::vector<HostArray>> Session::compute_async(const std::vector<Array>& arrays) {
  return Future<std::vector<HostArray>>(session::ArrayResult::start(core_, arrays));
}

void Session::compute_into(const Array& array, HostArray& out, RunReport* report) {
  compute_into(array, session::destination_of(out), report);
}

void Session::compute_into(const Array& array, detail::Destination out, RunReport* report) {
  session::check_destination(out, array);
  session::Computation computation(core_, array, std::move(out));
  computation.start();
  computation.finish();
  const RunReport made = core_->report_of(*computation.run());
  core_->keep_report(made);
  if (report != nullptr) *report = made;
}

Future<void> Session::compute_into_async(const Array& array, HostArray& out) {
  return compute_into_async(array, session::destination_of(out));
}

Future<void> Session::compute_into_async(const Array& array, detail::Destination out) {
  session::check_destination(out, array);
  return Future<void>(session::ArrayResult::start_into(core_, array, std::move(out)));
}

Stream Session::stream(const Array& array, const StreamOptions& options) {
  return Stream(std::make_unique<session::ArrayStream>(core_, array, options));
}

Array Session::persist(const Array& array) {
  if (persisted_data(array) != nullptr) return array;
  const array::Lowered lowered =
      array::lower({&array, 1}, {.partial_suffix = session::partial_suffix()});
  session::Inputs inputs(*core_, lowered);
  session::Submitted submitted = core_->prepare(lowered.graph, false);
  submitted.run->repetition = session::Repetition::perhaps;
  core_->start(*submitted.run, inputs.ids(), lowered.files);
  inputs.bring();
  const auto& wanted = lowered.graph->wanted;
  std::vector<array::DatumRef> data;
  for (const std::uint32_t datum : lowered.roots.front().data) {
    const auto it = std::lower_bound(wanted.begin(), wanted.end(), datum);
    const auto& handle = submitted.outputs[static_cast<std::size_t>(it - wanted.begin())];
    data.push_back({handle, handle->id()});
  }
  return array::from_data(array.dtype(), array.shape(), array.chunks(), std::move(data),
                          std::source_location::current());
}

void Session::wait(const Array& array) { wait_async(array).get(); }

Future<void> Session::wait_async(const Array& array) {
  const auto* data = persisted_data(array);
  if (data == nullptr || data->empty()) return gather_async(std::vector<Future<void>>{});
  return Future<void>(
      std::static_pointer_cast<const session::Output>(data->front().keepalive)->end_of_run());
}

Future<std::string> Session::explain_async() const {
  return Future<std::string>(core_->explain({.subject = protocol::Subject::run}));
}

Future<std::string> Session::explain_async(const Array& array) const {
  const auto* data = persisted_data(array);
  if (data == nullptr || data->empty()) {
    throw BadInput(data == nullptr
                       ? "explain: this array is not persisted, so that no run makes it: persist() "
                         "it, or compute_async() it and explain the future; plan() says what it "
                         "would take"
                       : "explain: this array has no chunks that a task would make");
  }
  const auto output = std::static_pointer_cast<const session::Output>(data->front().keepalive);
  return Future<std::string>(output->end_of_run()->explain());
}

Plan Session::plan(const Array& array) const {
  PlanOptions options;
  options.workers = static_cast<std::uint32_t>(std::max<std::size_t>(1, worker_count()));
  options.slots_per_worker = core_->slots_per_worker();
  return array.plan(options);
}

RunReport Session::report() const { return core_->last_report(); }
std::size_t Session::worker_count() const { return core_->worker_count(); }
void Session::close() { core_->close(); }

}  // namespace ashlar
