#include "session/progress_bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "runtime/clock.hpp"

namespace ashlar::session {

namespace {
constexpr Duration first_shown_after = Duration::seconds(1);
constexpr Duration shown_every = Duration::milliseconds(100);
constexpr std::size_t width = 40;
}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t tasks) {
  const double part = static_cast<double>(done) / static_cast<double>(tasks);
  const auto full = static_cast<std::size_t>(static_cast<double>(width) * std::min(part, 1.0));
  std::string bar(full, '=');
  bar.resize(width, ' ');
  std::ostringstream line;
  line << '[' << bar << "] " << done << '/' << tasks << " tasks";
  return line.str();
}

ProgressBar::ProgressBar(bool is_wanted, std::uint64_t tasks)
    : is_on_(is_wanted && tasks > 0 && ::isatty(STDERR_FILENO) != 0),
      tasks_(tasks),
      begin_(runtime::now()) {}

ProgressBar::~ProgressBar() {
  if (has_shown_) std::fputs("\r\033[K", stderr);
}

Duration ProgressBar::interval() const { return is_on_ ? shown_every : Duration::seconds(3600); }

void ProgressBar::show(std::uint64_t done) {
  if (!is_on_) return;
  const Instant time = runtime::now();
  if (time - begin_ < first_shown_after || time - last_ < shown_every) return;
  last_ = time;
  has_shown_ = true;
  std::fprintf(stderr, "\r%s  %.1f s\033[K", progress_line(done, tasks_).c_str(),
               (time - begin_).in_seconds());
}

}  // namespace ashlar::session
