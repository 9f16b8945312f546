#pragma once

#include <boost/asio/signal_set.hpp>

#include <functional>

#include "runtime/loop.hpp"

namespace ashlar::runtime {

/// Calls a function on the loop's turn when SIGINT or SIGTERM asks a program to stop; a second
/// signal ends the process at once. For programs of our own only: in a user's program signals are
/// the user's.
class StopSignals {
 public:
  StopSignals(Loop& loop, std::function<void(int signal)> on_stop);

  /// The exit status that says that a signal ended the process, as shells have it.
  static int exit_status(int signal) { return 128 + signal; }

 private:
  void wait(std::function<void(int signal)> on_signal);

  boost::asio::signal_set signals_;
};

}  // namespace ashlar::runtime
