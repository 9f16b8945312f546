#include "scheduler/words.hpp"

#include <cmath>
#include <sstream>

namespace ashlar::scheduler {
namespace {

std::string three_digits(double value) {
  std::ostringstream text;
  if (std::abs(value) >= 999.5) {
    text.precision(0);
    text << std::fixed << value;
  } else {
    text.precision(3);
    text << value;
  }
  return text.str();
}

}  // namespace

std::string time_text(double ns) {
  if (ns < 1e3) return three_digits(ns) + " ns";
  if (ns < 1e6) return three_digits(ns / 1e3) + " us";
  if (ns < 1e9) return three_digits(ns / 1e6) + " ms";
  return three_digits(ns / 1e9) + " s";
}

std::string bytes_text(double bytes) {
  if (bytes < 1e3) return three_digits(bytes) + " B";
  if (bytes < 1e6) return three_digits(bytes / 1e3) + " kB";
  if (bytes < 1e9) return three_digits(bytes / 1e6) + " MB";
  return three_digits(bytes / 1e9) + " GB";
}

std::string share_text(double share) {
  const double percent = 100 * share;
  if (percent > 0 && percent < 1) return "< 1 %";
  return std::to_string(std::lround(percent)) + " %";
}

std::string clipped(std::string text, std::size_t bytes_max) {
  const std::string mark = " ...";
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max > mark.size() ? bytes_max - mark.size() : 0;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + mark;
}

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace ashlar::scheduler
