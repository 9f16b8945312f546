#include "session/worker_process.hpp"

#include <ashlar/error.hpp>

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string_view>

#include "kernels/blas.hpp"
#include "net/address.hpp"
#include "runtime/dial.hpp"
#include "runtime/stop_signals.hpp"
#include "runtime/worker_shell.hpp"
#include "session/local_cluster.hpp"
#include "session/machine.hpp"
#include "session/tasks.hpp"
#include "session/tls.hpp"
#include "telemetry/log.hpp"

namespace ashlar::session {

namespace {

constexpr const char* prefix = "ASHLAR_WORKER_";

/// BLAS libraries read these when they are loaded; a slot is one thread.
constexpr const char* blas_variables[] = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
                                          "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};

std::string variable(const char* name) {
  const char* value = std::getenv((std::string(prefix) + name).c_str());
  return value == nullptr ? std::string() : value;
}

template <class T>
T number(const char* name) {
  const std::string text = variable(name);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw BadInput(std::string(prefix) + name + ": expected a number, got \"" + text + "\"");
  }
  return value;
}

std::string join(const std::vector<int>& numbers) {
  std::string out;
  for (const int number : numbers) out += std::to_string(number) + " ";
  return out;
}

/// A peer that is gone, or a file that may not grow, ends a call and not the process.
void prefer_errors_to_signals() {
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
}

runtime::Loop::Options loop_options(std::int64_t spin_ns) {
  runtime::Loop::Options options;
  options.spin = Duration{spin_ns};
  options.is_mobile = true;
  return options;
}

}  // namespace

std::vector<std::string> WorkerProcessEnvironment::variables() const {
  const std::string p = prefix;
  std::vector<std::string> out{p + "DESCRIPTOR=" + std::to_string(descriptor),
                               p + "RECORD=" + std::to_string(record),
                               p + "SLOTS=" + std::to_string(slots),
                               p + "MEMORY_LIMIT=" + std::to_string(memory_limit),
                               p + "SPILL_DIR=" + spill_dir,
                               p + "SPILL_LIMIT=" + std::to_string(spill_limit),
                               p + "SPIN_NS=" + std::to_string(spin_ns),
                               p + "CORES=" + join(cores),
                               p + "LOG_LEVEL=" + log_level,
                               p + "LOG_FILE=" + log_file};
  for (const char* name : blas_variables) out.push_back(std::string(name) + "=1");
  return out;
}

bool WorkerProcessEnvironment::is_replaced(const char* text) {
  const std::string_view assignment(text);
  if (assignment.starts_with(prefix)) return true;
  const std::string_view name = assignment.substr(0, assignment.find('='));
  for (const char* blas : blas_variables) {
    if (name == blas) return true;
  }
  return false;
}

std::optional<WorkerProcessEnvironment> WorkerProcessEnvironment::read() {
  if (variable("DESCRIPTOR").empty()) return std::nullopt;
  WorkerProcessEnvironment environment;
  environment.descriptor = number<int>("DESCRIPTOR");
  environment.record = number<int>("RECORD");
  environment.slots = number<std::uint32_t>("SLOTS");
  environment.memory_limit = number<std::uint64_t>("MEMORY_LIMIT");
  environment.spill_dir = variable("SPILL_DIR");
  environment.spill_limit = number<std::uint64_t>("SPILL_LIMIT");
  environment.spin_ns = number<std::int64_t>("SPIN_NS");
  std::istringstream cores(variable("CORES"));
  for (int core; cores >> core;) environment.cores.push_back(core);
  environment.log_level = variable("LOG_LEVEL");
  environment.log_file = variable("LOG_FILE");
  return environment;
}

kernels::Registry make_registry(const Tasks& tasks) {
  kernels::Registry registry = kernels::builtin_registry();
  detail::register_tasks(tasks, registry);
  return registry;
}

int serve_local(const WorkerProcessEnvironment& environment, const Tasks& tasks) {
  // Ctrl-C and hang-ups go to every process of the terminal; workers end when their session does.
  for (const int signal : {SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  bind_to_cores(environment.cores);
  prefer_errors_to_signals();
  kernels::blas_use_one_thread();
  const kernels::Registry registry = make_registry(tasks);
  telemetry::Log log({telemetry::log_level(environment.log_level), environment.log_file,
                      "worker " + std::to_string(::getpid())});
  runtime::WorkerShell::Options options;
  options.name = LocalCluster::worker_name(::getpid());
  options.slots = environment.slots;
  options.memory_limit = memory_for_data(environment.memory_limit);
  if (environment.spill_limit > 0) {
    options.spill = {.folder = environment.spill_dir, .bytes_max = environment.spill_limit};
  }
  options.loop = loop_options(environment.spin_ns);
  options.record = runtime::RunRecord::open(store::FileDescriptor(environment.record));
  runtime::WorkerShell worker(registry, log, std::move(options));
  const auto end = worker.serve(net::Link::adopt(worker.loop().io(), environment.descriptor));
  log.info("ends: " + end.reason);
  std::_Exit(end.is_orderly ? 0 : 1);
}

int serve_scheduler(const WorkerOptions& given, const Tasks& tasks) {
  check_threads(1, given.slots);
  check_memory(given.memory_limit);
  prefer_errors_to_signals();
  allow_all_descriptors();
  kernels::blas_use_one_thread();
  const kernels::Registry registry = make_registry(tasks);
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  runtime::WorkerShell::Options options;
  options.name = std::string(host) + ":" + std::to_string(::getpid());
  telemetry::Log log({telemetry::log_level(given.log_level), given.log_file, "worker"});
  options.slots = given.slots != 0 ? given.slots : usable_cores();
  options.memory_limit =
      memory_for_data(given.memory_limit != 0 ? given.memory_limit : usable_memory() / 10 * 9);
  const std::uint64_t spill_limit = spill_limit_for(given.spill_dir, given.spill_limit, 1);
  if (spill_limit > 0) options.spill = {.folder = given.spill_dir, .bytes_max = spill_limit};
  options.loop = loop_options(given.spin_ns);
  options.resources = given.resources;
  options.exchange.token = given.token;
  options.exchange.tls = load_tls(given.tls);
  options.exchange.listen_host =
      given.listen_host.empty() ? runtime::own_host_towards(given.scheduler) : given.listen_host;
  options.exchange.uses_ucx = runtime::is_ucx(given.transport);
  const auto tls = options.exchange.tls;
  runtime::WorkerShell worker(registry, log, std::move(options));
  auto link = runtime::dial(worker.loop(), given.scheduler, Duration::seconds(5), tls);
  const runtime::StopSignals signals(worker.loop(),
                                     [&](int) { worker.leave("asked to by a signal"); });
  log.info("serves the scheduler at " + given.scheduler);
  const auto end = worker.serve(std::move(link));
  log.info("ends: " + end.reason);
  log.flush();
  if (!end.is_orderly) std::cerr << "ashlar worker: " << end.reason << '\n';
  std::_Exit(end.is_orderly ? 0 : 1);
}

}  // namespace ashlar::session
