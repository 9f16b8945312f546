#include "session/run_end.hpp"

#include <utility>

namespace ashlar::session {

RunEnd::RunEnd(std::shared_ptr<Core> core, RunHandle run, std::vector<OutputHandle> inputs)
    : core_(std::move(core)), run_(std::move(run)), inputs_(std::move(inputs)) {}

bool RunEnd::is_ready() const { return run_->is_finished || core_->is_disconnected(); }

bool RunEnd::wait(std::chrono::nanoseconds timeout) {
  return core_->wait_for([this] { return is_ready(); }, timeout);
}

detail::Bytes RunEnd::get() {
  core_->keep_report(report());
  return {};
}

void RunEnd::cancel() { core_->cancel(run_->number); }

void RunEnd::then(std::function<void()> f) {
  run_->then(std::move(f));
  core_->loop().stand_in();  // the program goes on without waiting
}

RunReport RunEnd::report() { return core_->report_of(*run_); }

detail::DatumHandle RunEnd::explain(std::uint32_t output) {
  if (output != whole_run) return core_->explain_output(*run_, output);
  return core_->explain({.subject = protocol::Subject::run, .run = run_->number});
}

}  // namespace ashlar::session
