#pragma once

#include <ashlar/detail/session_core.hpp>

#include <memory>
#include <vector>

#include "session/core.hpp"

namespace ashlar::session {

/// The end of a run, as a datum without bytes. Threads: any.
class RunEnd : public detail::Datum {
 public:
  /// `inputs`: what the run was given; kept as long as this, so that it can be read again where
  /// what a lost worker made is made again.
  RunEnd(std::shared_ptr<Core> core, RunHandle run, std::vector<OutputHandle> inputs = {});

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
  std::vector<OutputHandle> inputs_;
};

}  // namespace ashlar::session
