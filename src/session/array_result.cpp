#include "session/array_result.hpp"

#include <ashlar/error.hpp>

#include <limits>
#include <utility>

#include "runtime/clock.hpp"

namespace ashlar::session {

namespace {
constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
}

detail::DatumHandle ArrayResult::start(std::shared_ptr<Core> core, const Array& array) {
  std::shared_ptr<ArrayResult> result(new ArrayResult(core));
  Computation& computation = result->computation_.emplace(core, std::span(&array, 1));
  result->run_ = computation.run();
  const std::weak_ptr<ArrayResult> weak = result;
  result->run_->on_arrived = [weak] {
    if (const auto self = weak.lock()) {
      std::lock_guard lock(self->mutex_);
      self->computation_->merge_arrived();
    }
  };
  result->run_->on_finished = [weak] {
    if (const auto self = weak.lock()) self->finished();
  };
  computation.start();
  return result;
}

void ArrayResult::finished() {
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex_);
    is_ready_ = true;
    callbacks.swap(callbacks_);
  }
  for (auto& f : callbacks) f();
}

bool ArrayResult::is_ready() const { return is_ready_ || core_->is_disconnected(); }

bool ArrayResult::wait(std::chrono::nanoseconds timeout) {
  const Instant now = runtime::now();
  const bool is_bounded = timeout.count() < never.ns - now.ns;
  const Instant deadline = is_bounded ? now + Duration{timeout.count()} : never;
  return core_->loop().drive_until([this] { return is_ready(); }, deadline);
}

detail::Bytes ArrayResult::get() {
  core_->loop().drive_until([this] { return is_ready(); }, never);
  core_->wait(*run_);
  std::lock_guard lock(mutex_);
  return computation_->encoded_result(0);
}

void ArrayResult::cancel() { core_->cancel(run_->number); }

void ArrayResult::then(std::function<void()> f) {
  {
    std::lock_guard lock(mutex_);
    if (!is_ready_) {
      callbacks_.push_back(std::move(f));
      return;
    }
  }
  f();
}

}  // namespace ashlar::session
