#pragma once

#include <ashlar/tls.hpp>

#include <string>

namespace ashlar::session {

struct SchedulerOptions {
  std::string listen = "tcp://127.0.0.1:8786";
  std::string token;
  TlsOptions tls;
  std::string log_level = "info";
  std::string log_file;
  /// How long runs wait for a worker that has the kernel and the resources that they need, while
  /// others are there.
  double growth_wait_seconds = 0;
  std::string policy = "least_loaded";  ///< where tasks go; as LocalOptions::policy
  std::string event_log;  ///< file for all that the scheduler is told and does; empty: none
};

/// Serves workers and drivers until SIGINT or SIGTERM. Prints "listening at ADDRESS" on standard
/// output once it does. Returns the process's exit code.
/// Errors: Disconnected when the address is in use; BadInput for an address that is none, or one
/// beyond this host with neither token nor certificates, certificates that cannot be used, or an
/// event log that cannot be written.
int run_scheduler(const SchedulerOptions& options);

}  // namespace ashlar::session
