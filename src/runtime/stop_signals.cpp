#include "runtime/stop_signals.hpp"

#include <csignal>
#include <utility>

namespace ashlar::runtime {

StopSignals::StopSignals(Loop& loop, std::function<void()> on_stop)
    : signals_(loop.io(), SIGINT, SIGTERM) {
  signals_.async_wait([on_stop = std::move(on_stop)](const boost::system::error_code& error, int) {
    if (!error) on_stop();
  });
}

}  // namespace ashlar::runtime
