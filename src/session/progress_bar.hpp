#pragma once

#include <cstdint>
#include <string>

#include "base/time.hpp"

namespace ashlar::session {

/// The bar and its figures. `done` is what the scheduler said: it may be any number.
/// Requires tasks > 0.
std::string progress_line(std::uint64_t done, std::uint64_t tasks);

/// A line on standard error that shows how far a run is, once it has taken a second; nothing
/// unless standard error is a terminal.
class ProgressBar {
 public:
  ProgressBar(bool is_wanted, std::uint64_t tasks);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// How often show() is worth calling.
  Duration interval() const;
  void show(std::uint64_t tasks_done);

 private:
  bool is_on_ = false;
  bool has_shown_ = false;
  std::uint64_t tasks_ = 0;
  Instant begin_;
  Instant last_;
};

}  // namespace ashlar::session
