#include "runtime/stop_signals.hpp"

#include <csignal>
#include <cstdlib>
#include <utility>

namespace ashlar::runtime {

StopSignals::StopSignals(Loop& loop, std::function<void(int signal)> on_stop)
    : signals_(loop.io(), SIGINT, SIGTERM) {
  wait([this, on_stop = std::move(on_stop)](int signal) {
    wait([](int second) { std::_Exit(exit_status(second)); });
    on_stop(signal);
  });
}

void StopSignals::wait(std::function<void(int signal)> on_signal) {
  signals_.async_wait(
      [on_signal = std::move(on_signal)](const boost::system::error_code& error, int signal) {
        if (!error) on_signal(signal);
      });
}

}  // namespace ashlar::runtime
