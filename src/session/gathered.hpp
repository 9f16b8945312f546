#pragma once

#include <ashlar/detail/session_core.hpp>

#include <vector>

namespace ashlar::session {

/// A list of data that are made one by one. Threads: any.
class Gathered final : public detail::Datum {
 public:
  /// `run`: what has the list's report, or none.
  explicit Gathered(std::vector<detail::DatumHandle> elements, detail::DatumHandle run = nullptr);

  bool is_ready() const override;
  bool wait(std::chrono::nanoseconds timeout) override;
  detail::Bytes get() override;
  void cancel() override;
  void then(std::function<void()> f) override;
  RunReport report() override;
  std::shared_ptr<detail::Datum> explain(std::uint32_t output) override;
  const std::vector<detail::DatumHandle>* elements() const override { return &elements_; }

 private:
  std::vector<detail::DatumHandle> elements_;
  detail::DatumHandle run_;
};

}  // namespace ashlar::session
