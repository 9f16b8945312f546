#pragma once

#include <ashlar/detail/session_core.hpp>
#include <ashlar/error.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "store/buffer.hpp"

namespace ashlar::session {

class Core;

/// One wanted output of a run: the driver's handle to a datum, made or to be made.
/// Threads: any.
class Output : public detail::Datum {
 public:
  Output(std::shared_ptr<Core> core, DatumId id, bool comes_home);
  ~Output() override;

  DatumId id() const { return id_; }
  const Core* core() const { return core_.get(); }

  bool is_ready() const override;
  bool wait(std::chrono::nanoseconds timeout) override;
  detail::Bytes get() override;
  void cancel() override;
  void then(std::function<void()> f) override;
  RunReport report() override;
  std::shared_ptr<detail::Datum> explain(std::uint32_t output) override;

  /// The end of the run that makes it. Requires that it was not put.
  detail::DatumHandle end_of_run() const;

  /// Told by the core, on the loop's turn.
  void delivered(const store::Buffer& buffer);
  void moved(const store::Buffer& buffer);
  void made();
  void failed(ErrorKind kind, const std::string& error);

 private:
  enum class State : int { pending, made, here, failed };

  void settle(State state);
  void throw_if_failed() const;

  std::shared_ptr<Core> core_;
  DatumId id_;
  std::atomic<bool> comes_home_;  ///< here, or on its way without being asked again
  std::atomic<State> state_{State::pending};
  mutable std::mutex mutex_;  ///< protects what follows
  store::Buffer buffer_;
  ErrorKind error_kind_ = ErrorKind::task_failed;
  std::string error_;
  std::vector<std::function<void()>> callbacks_;
};

using OutputHandle = std::shared_ptr<Output>;

}  // namespace ashlar::session
