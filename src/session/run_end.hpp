#pragma once

#include <ashlar/detail/session_core.hpp>

#include <memory>

#include "session/core.hpp"

namespace ashlar::session {

/// The end of a run, as a datum without bytes. Threads: any.
class RunEnd : public detail::Datum {
 public:
  RunEnd(std::shared_ptr<Core> core, RunHandle run);

  bool is_ready() const override;
  bool wait(std::chrono::nanoseconds timeout) override;
  detail::Bytes get() override;
  void cancel() override;
  void then(std::function<void()> f) override;
  RunReport report() override;
  std::shared_ptr<detail::Datum> explain(std::uint32_t output) override;

 private:
  std::shared_ptr<Core> core_;
  RunHandle run_;
};

}  // namespace ashlar::session
