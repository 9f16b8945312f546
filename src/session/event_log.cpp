#include "session/event_log.hpp"

#include <ashlar/error.hpp>

#include <memory>

#include "runtime/event_log_file.hpp"
#include "wire/event_log.hpp"

namespace ashlar::session {

void keep_event_log(const std::string& path, runtime::SchedulerShell::Options& options,
                    telemetry::Log& log) {
  if (path.empty()) return;
  auto file = std::make_shared<std::unique_ptr<runtime::EventLogFile>>(
      std::make_unique<runtime::EventLogFile>(path));
  (*file)->write(wire::encode(wire::SchedulerMade{.policy = options.limits.policy,
                                                  .no_worker_wait = options.limits.no_worker_wait,
                                                  .growth_wait = options.limits.growth_wait}));
  options.on_step = [file, &log](auto events, Instant now, const scheduler::Actions& actions) {
    if (!*file) return;
    try {
      (*file)->write(wire::encode_step(events, now, actions));
    } catch (const Error& error) {
      // A full disk ends the event log, not the scheduler.
      log.error(std::string(error.what()) + "; it ends here");
      file->reset();
    }
  };
}

}  // namespace ashlar::session
