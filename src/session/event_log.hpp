#pragma once

#include <string>

#include "runtime/scheduler_shell.hpp"
#include "telemetry/log.hpp"

namespace ashlar::session {

/// Has the scheduler's steps written to a file. `log` outlives the shell. Does nothing for an
/// empty path. Errors: BadInput when the file cannot be made.
void keep_event_log(const std::string& path, runtime::SchedulerShell::Options& options,
                    telemetry::Log& log);

}  // namespace ashlar::session
