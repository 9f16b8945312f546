#pragma once

#include <cstdint>
#include <string>

#include "base/time.hpp"
#include "telemetry/log.hpp"

namespace ashlar::telemetry {

/// Writes messages that strangers can cause: a few in a second, then how many more there were.
/// Threads: one at a time.
class SparingLog {
 public:
  static constexpr int lines_per_second = 10;

  /// Writes to `log`, which must outlive it.
  explicit SparingLog(Log& log) : log_(log) {}

  void write(Instant now, LogLevel level, const std::string& text);

 private:
  Log& log_;
  Instant since_;
  int lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace ashlar::telemetry
