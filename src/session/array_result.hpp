#pragma once

#include <ashlar/array.hpp>
#include <ashlar/detail/session_core.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "session/computation.hpp"
#include "session/core.hpp"

namespace ashlar::session {

/// An array that is being computed while the program does something else. Chunks are merged on
/// the loop as they come. Threads: any.
class ArrayResult : public detail::Datum, public std::enable_shared_from_this<ArrayResult> {
 public:
  static detail::DatumHandle start(std::shared_ptr<Core> core, const Array& array);

  bool is_ready() const override;
  bool wait(std::chrono::nanoseconds timeout) override;
  detail::Bytes get() override;
  void cancel() override;
  void then(std::function<void()> f) override;

 private:
  explicit ArrayResult(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  void finished();

  std::shared_ptr<Core> core_;
  RunHandle run_;
  std::atomic<bool> is_ready_{false};
  std::mutex mutex_;  ///< protects what follows
  std::optional<Computation> computation_;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace ashlar::session
