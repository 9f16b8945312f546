#include "runtime/stop_signals.hpp"

#include <csignal>
#include <cstdlib>
#include <utility>

namespace ashlar::runtime {

StopSignals::StopSignals(Loop& loop, std::function<void()> on_stop)
    : signals_(loop.io(), SIGINT, SIGTERM) {
  wait([this, on_stop = std::move(on_stop)] {
    wait([] { std::_Exit(130); });
    on_stop();
  });
}

void StopSignals::wait(std::function<void()> on_signal) {
  signals_.async_wait(
      [on_signal = std::move(on_signal)](const boost::system::error_code& error, int) {
        if (!error) on_signal();
      });
}

}  // namespace ashlar::runtime
