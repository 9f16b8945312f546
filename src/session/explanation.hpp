#pragma once

#include <ashlar/detail/session_core.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace ashlar::session {

class Core;

/// A text that the scheduler was asked for. Threads: any.
class ExplanationText final : public detail::Datum {
 public:
  explicit ExplanationText(std::shared_ptr<Core> core);

  bool is_ready() const override { return state_ != State::pending; }
  bool wait(std::chrono::nanoseconds timeout) override;
  detail::Bytes get() override;
  void cancel() override {}
  void then(std::function<void()> f) override;
  RunReport report() override;

  /// Told by the core, on the loop's turn; the first of them counts.
  void answered(const std::string& text);
  void failed(const std::string& why);

 private:
  enum class State : int { pending, here, failed };
  void settle(State state, const std::string& text);

  std::shared_ptr<Core> core_;
  std::atomic<State> state_{State::pending};
  std::mutex mutex_;  ///< protects what follows
  std::shared_ptr<const std::vector<std::byte>> encoded_;
  std::string why_;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace ashlar::session
