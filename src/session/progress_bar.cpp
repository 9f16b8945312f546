#include "session/progress_bar.hpp"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "runtime/clock.hpp"

namespace ashlar::session {

namespace {
constexpr Duration first_shown_after = Duration::seconds(1);
constexpr Duration shown_every = Duration::milliseconds(100);
constexpr std::size_t width = 40;
}  // namespace

ProgressBar::ProgressBar(bool is_wanted, std::uint64_t tasks)
    : is_on_(is_wanted && tasks > 0 && ::isatty(STDERR_FILENO) != 0),
      tasks_(tasks),
      begin_(runtime::now()) {}

ProgressBar::~ProgressBar() {
  if (has_shown_) std::fputs("\r\033[K", stderr);
}

Duration ProgressBar::interval() const {
  return is_on_ ? shown_every : Duration::seconds(3600);
}

void ProgressBar::show(std::uint64_t done) {
  if (!is_on_) return;
  const Instant time = runtime::now();
  if (time - begin_ < first_shown_after || time - last_ < shown_every) return;
  last_ = time;
  has_shown_ = true;
  const std::size_t full = width * done / tasks_;
  const std::string bar = std::string(full, '=') + std::string(width - full, ' ');
  std::fprintf(stderr, "\r[%s] %llu/%llu tasks  %.1f s\033[K", bar.c_str(),
               static_cast<unsigned long long>(done), static_cast<unsigned long long>(tasks_),
               (time - begin_).in_seconds());
}

}  // namespace ashlar::session
