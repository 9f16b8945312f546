#include "telemetry/sparing_log.hpp"

namespace ashlar::telemetry {

void SparingLog::write(Instant now, LogLevel level, const std::string& text) {
  if (now - since_ >= Duration::seconds(1)) {
    since_ = now;
    lines_ = 0;
  }
  if (lines_ == lines_per_second) {
    ++left_out_;
    return;
  }
  ++lines_;
  const std::string more =
      left_out_ == 0 ? "" : " (and " + std::to_string(left_out_) + " more before it)";
  left_out_ = 0;
  log_.write(level, text + more);
}

}  // namespace ashlar::telemetry
