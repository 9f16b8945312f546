#include <ashlar/error.hpp>
#include <ashlar/session.hpp>

#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "session/core.hpp"

namespace ashlar {

namespace session {

/// Calls `ask` on the loop's turn, and returns afterwards.
void Core::ask_scheduler(std::function<void(runtime::SchedulerShell&)> ask) {
  check_open();
  if (!scheduler_) {
    throw Unsupported("only the scheduler knows what it has learnt, and it is another process");
  }
  // Kept by the loop, in case that the session ends meanwhile.
  const auto is_done = std::make_shared<std::atomic<bool>>(false);
  loop_.dispatch([this, is_done, ask = std::move(ask)] {
    if (!is_disconnected()) ask(*scheduler_);
    *is_done = true;
  });
  constexpr Instant no_deadline{std::numeric_limits<std::int64_t>::max()};
  loop_.drive_until([&] { return is_done->load() || is_disconnected(); }, no_deadline);
  if (!is_done->load()) check_open();
}

std::string Core::learned() {
  const auto table = std::make_shared<std::string>();
  ask_scheduler(
      [table](runtime::SchedulerShell& scheduler) { *table = scheduler.engine().learned(); });
  return *table;
}

void Core::forget_learned() {
  ask_scheduler([](runtime::SchedulerShell& scheduler) { scheduler.forget_learned(); });
}

}  // namespace session

std::string Session::learned() const { return core_->learned(); }
void Session::forget_learned() { core_->forget_learned(); }

}  // namespace ashlar
