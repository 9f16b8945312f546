#include "session/output.hpp"

#include <limits>
#include <utility>

#include "session/core.hpp"
#include "session/run_end.hpp"

namespace ashlar::session {

namespace {
constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
}

Output::Output(std::shared_ptr<Core> core, DatumId id, bool comes_home)
    : core_(std::move(core)), id_(id), comes_home_(comes_home) {}

Output::~Output() { core_->release(id_); }

bool Output::is_ready() const { return state_ != State::pending; }

bool Output::wait(std::chrono::nanoseconds timeout) {
  return core_->wait_for([this] { return is_ready(); }, timeout);
}

void Output::throw_if_failed() const {
  if (state_ != State::failed) return;
  std::lock_guard lock(mutex_);
  throw_error(error_kind_, error_);
}

detail::Bytes Output::get() {
  if (state_ != State::here) {
    if (!comes_home_.exchange(true)) core_->bring(id_);
    const auto is_here = [this] {
      const State state = state_;
      return state == State::here || state == State::failed || core_->is_disconnected();
    };
    core_->loop().drive_until(is_here, never);
    throw_if_failed();
    if (state_ != State::here) throw Disconnected(core_->why_disconnected());
  }
  std::lock_guard lock(mutex_);
  return {std::make_shared<store::Buffer>(buffer_), buffer_.bytes()};
}

RunReport Output::report() {
  const RunHandle run = core_->run_of(id_);
  if (run == nullptr) throw BadInput("a value that was put has no report: no run made it");
  return core_->report_of(*run);
}

detail::DatumHandle Output::explain(std::uint32_t) {
  const RunHandle run = core_->run_of(id_);
  if (run == nullptr) {
    throw BadInput("a value that was put has nothing to explain: no task made it");
  }
  return core_->explain_output(*run, id_.index);
}

detail::DatumHandle Output::end_of_run() const {
  return std::make_shared<RunEnd>(core_, core_->run_of(id_));
}

void Output::cancel() { core_->cancel(id_.run.number); }

void Output::then(std::function<void()> f) {
  {
    std::lock_guard lock(mutex_);
    if (!is_ready()) {
      callbacks_.push_back(std::move(f));
      f = nullptr;
    }
  }
  if (f) {
    f();
  } else {
    core_->loop().stand_in();  // the program goes on without waiting
  }
}

void Output::settle(State state) {
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex_);
    state_ = state;
    callbacks.swap(callbacks_);
  }
  for (auto& f : callbacks) f();
}

void Output::delivered(const store::Buffer& buffer) {
  {
    std::lock_guard lock(mutex_);
    buffer_ = buffer;
  }
  settle(State::here);
}

void Output::moved(const store::Buffer& buffer) {
  std::lock_guard lock(mutex_);
  if (buffer_) buffer_ = buffer;
}

void Output::made() {
  if (state_ == State::pending && !comes_home_) settle(State::made);
}

void Output::failed(ErrorKind kind, const std::string& error) {
  if (state_ == State::here) return;
  {
    std::lock_guard lock(mutex_);
    error_kind_ = kind;
    error_ = error;
  }
  settle(State::failed);
}

}  // namespace ashlar::session
