#include "session/scheduler_process.hpp"

#include <ashlar/error.hpp>

#include <signal.h>

#include <atomic>
#include <iostream>
#include <limits>

#include "net/address.hpp"
#include "runtime/clock.hpp"
#include "runtime/dial.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "runtime/stop_signals.hpp"
#include "session/event_log.hpp"
#include "session/machine.hpp"
#include "session/tls.hpp"
#include "telemetry/log.hpp"

namespace ashlar::session {

namespace {
constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
constexpr Duration farewell_max = Duration::seconds(2);
}  // namespace

int run_scheduler(const SchedulerOptions& given) {
  ::signal(SIGPIPE, SIG_IGN);
  allow_all_descriptors();
  telemetry::Log log({telemetry::log_level(given.log_level), given.log_file, "scheduler"});
  runtime::Loop loop({});
  runtime::SchedulerShell::Options options;
  options.token = given.token;
  options.tls = load_tls(given.tls);
  options.limits.policy = scheduler::policy_of(given.policy);
  options.limits.growth_wait = Duration::seconds(given.growth_wait_seconds);
  keep_event_log(given.event_log, options, log);
  runtime::SchedulerShell shell(loop, log, std::move(options));
  shell.listen(net::Address::parse(given.listen));
  const net::Address address = shell.addresses().front();
  if (address.kind == net::Address::Kind::tcp) {
    // Processes of this host find the scheduler here, by its port.
    shell.listen(net::Address::parse(runtime::local_address_of_port(address.port)));
  }
  std::cout << "listening at " << address.to_string() << std::endl;

  std::atomic<bool> is_stopping{false};
  const runtime::StopSignals signals(loop, [&](int) { is_stopping = true; });
  loop.drive_until([&] { return is_stopping.load(); }, never);
  loop.dispatch([&] { shell.shut_down_workers("the scheduler was stopped"); });
  loop.drive_until([&] { return shell.worker_count() == 0; }, runtime::now() + farewell_max);
  log.info("stopped");
  log.flush();
  return 0;
}

}  // namespace ashlar::session
