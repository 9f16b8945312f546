#include "session/core.hpp"

#include <ashlar/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "net/link.hpp"
#include "runtime/clock.hpp"
#include "runtime/dial.hpp"
#include "session/event_log.hpp"
#include "session/machine.hpp"
#include "session/program.hpp"
#include "session/tls.hpp"
#include "telemetry/cores.hpp"

namespace ashlar::session {

namespace {

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
constexpr Duration workers_start_max = Duration::seconds(30);
constexpr Duration farewell_max = Duration::milliseconds(200);
constexpr int worker_grace_ms = 500;
constexpr std::uint32_t default_workers_max = 8;
/// Workers replaced in a row without a task that ended between: a task that kills its worker is
/// given up after three, and several such tasks may take turns.
constexpr std::uint32_t replacements_max = 16;
/// How long runs wait for a replacement when no other worker is left.
constexpr Duration replacement_start_max = Duration::seconds(10);

std::string process_name() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(::getpid());
}

runtime::Loop::Options loop_options(std::chrono::nanoseconds spin) {
  runtime::Loop::Options options;
  options.spin = Duration{std::max<std::int64_t>(0, spin.count())};
  return options;
}

}  // namespace

Core::Core(runtime::Loop::Options loop, telemetry::LogOptions log)
    : log_(std::move(log)),
      tasks_(program_tasks()),
      arena_(std::make_shared<store::Arena>(usable_memory())),
      loop_(loop) {}

Core::~Core() { close(); }

void Core::make_driver(runtime::Exchange::Options exchange) {
  runtime::DriverShell::Options options;
  options.exchange = std::move(exchange);
  options.name = process_name();
  runtime::DriverEvents& events = *this;
  driver_ = std::make_shared<runtime::DriverShell>(loop_, arena_, log_, events, options);
}

std::shared_ptr<Core> Core::local(const LocalOptions& options) {
  require_init();
  telemetry::LogOptions log{telemetry::log_level(options.log_level), options.log_file, "driver"};
  std::shared_ptr<Core> core(new Core(loop_options(options.spin), std::move(log)));
  core->shows_progress_ = options.progress;
  core->cluster_ = std::make_unique<LocalCluster>();
  runtime::SchedulerShell::Options scheduler;
  scheduler.limits.no_worker_wait = replacement_start_max;
  scheduler.limits.policy = scheduler::policy_of(options.policy);
  Core* self = core.get();
  scheduler.certify_death = [self](const protocol::Hello& hello, const std::string& reason) {
    return self->replace_worker(hello.name, reason);
  };
  keep_event_log(options.event_log, scheduler, core->log_);
  scheduler.on_workers = [self](std::size_t workers) { self->workers_ = workers; };
  core->scheduler_ =
      std::make_unique<runtime::SchedulerShell>(core->loop_, core->log_, std::move(scheduler));
  // With work for every core, a polling driver would take one from a worker.
  core->loop_.set_may_spin([self, cores = usable_cores()] {
    return self->scheduler_->engine().unfinished_tasks() < cores;
  });
  core->make_driver({});
  core->driver_->join(*core->scheduler_);
  core->session_ = core->driver_->session();
  core->start_workers(options);
  return core;
}

void Core::start_workers(const LocalOptions& options) {
  const std::uint32_t cores = usable_cores();
  const std::uint32_t workers =
      options.workers != 0 ? options.workers : std::min(cores, default_workers_max);
  slots_per_worker_ =
      options.threads_per_worker != 0 ? options.threads_per_worker : std::max(1u, cores / workers);
  check_threads(workers, slots_per_worker_);
  check_memory(options.memory_per_worker);
  WorkerProcessOptions process;
  process.program = options.worker_program;
  process.slots = slots_per_worker_;
  process.memory_limit = options.memory_per_worker != 0 ? options.memory_per_worker
                                                        : usable_memory() / 10 * 9 / workers;
  process.spill_dir = options.spill_dir;
  process.spill_limit = spill_limit_for(options.spill_dir, options.spill_per_worker, workers);
  process.spin_ns = std::max<std::int64_t>(0, options.spin.count());
  process.log_level = options.log_level;
  process.log_file = options.log_file;
  const std::vector<int> numbers = telemetry::core_numbers();
  const bool is_bound = options.bind_cores && numbers.size() == workers * slots_per_worker_;
  for (std::uint32_t i = 0; i < workers; ++i) {
    if (is_bound) {
      const auto first = numbers.begin() + i * slots_per_worker_;
      process.cores.assign(first, first + slots_per_worker_);
    }
    accept_worker(cluster_->start_worker(process));
  }
  loop_.start();
  const Instant deadline = runtime::now() + workers_start_max;
  const auto is_settled = [&] { return workers_ >= workers || scheduler_->lost_newcomers() > 0; };
  if (!loop_.drive_until(is_settled, deadline) || workers_ < workers) {
    const std::string reason = cluster_->first_death();
    throw Disconnected(
        "only " + std::to_string(workers_) + " of " + std::to_string(workers) +
        " worker processes started" + (reason.empty() ? "" : ": " + reason) + "; a worker runs " +
        (options.worker_program.empty() ? std::string("this program") : options.worker_program) +
        ", whose main must begin with ashlar::init");
  }
}

void Core::accept_worker(store::FileDescriptor socket) {
  scheduler_->accept(net::Link::adopt(loop_.io(), socket.release()));
}

runtime::SchedulerShell::Death Core::replace_worker(const std::string& name,
                                                    const std::string& reason) {
  auto death = cluster_->certify_death(name, reason);
  if (is_closed_) return death;
  const auto& counters = scheduler_->engine().counters();
  const std::uint64_t ended = counters.tasks_done + counters.tasks_failed;
  if (std::exchange(ended_at_replacement_, ended) != ended) replacements_ = 0;
  if (replacements_ == replacements_max) {
    death.reason += "; it is not replaced: " + std::to_string(replacements_max) +
                    " workers were, and no task ended";
    return death;
  }
  ++replacements_;
  try {
    accept_worker(cluster_->replace_worker(name));
  } catch (const Error& error) {
    death.reason += std::string("; it is not replaced: ") + error.what();
  }
  return death;
}

std::shared_ptr<Core> Core::connect(const std::string& address, const ConnectOptions& options) {
  telemetry::LogOptions log{telemetry::log_level(options.log_level), options.log_file, "driver"};
  std::shared_ptr<Core> core(new Core(loop_options(options.spin), std::move(log)));
  core->shows_progress_ = options.progress;
  runtime::Exchange::Options exchange;
  const char* token = std::getenv("ASHLAR_TOKEN");
  exchange.token = !options.token.empty() || token == nullptr ? options.token : token;
  exchange.listen_host = runtime::own_host_towards(address);
  exchange.tls = load_tls(options.tls);
  exchange.uses_ucx = runtime::is_ucx(options.transport);
  core->make_driver(exchange);
  core->loop_.start();
  const Duration timeout = Duration::milliseconds(options.timeout.count());
  // A link ends where it is polled: nobody else keeps it.
  core->loop_.dispatch([self = core.get(), link = runtime::dial(core->loop_, address, timeout,
                                                                exchange.tls)]() mutable {
    self->driver_->join(std::move(link));
  });
  const auto is_settled = [&] { return core->driver_->is_joined() || core->is_disconnected(); };
  // A handshake that takes too long says so itself.
  const Duration patience = exchange.tls ? timeout + Duration::seconds(1) : timeout;
  core->loop_.drive_until(is_settled, runtime::now() + patience);
  if (!core->driver_->is_joined()) {
    const std::string why =
        core->is_disconnected() ? core->why_disconnected() : std::string("no answer");
    throw Disconnected("scheduler at " + address + ": " + why);
  }
  core->session_ = core->driver_->session();
  return core;
}

void Core::close() {
  if (is_closed_.exchange(true)) return;
  std::atomic<bool> has_left{false};
  loop_.dispatch([this, &has_left] {
    // On one turn: no news of a run comes between.
    on_disconnected("the session was closed");
    if (driver_) driver_->leave();
    if (scheduler_) scheduler_->shut_down_workers("the session ended");
    has_left = true;
  });
  loop_.drive_until([&] { return has_left.load(); }, never);
  if (scheduler_) {
    loop_.drive_until([&] { return workers_ == 0; }, runtime::now() + farewell_max);
  }
  loop_.stop();
  if (cluster_) cluster_->stop(worker_grace_ms);
  workers_ = 0;
  std::shared_ptr<runtime::DriverShell> last;
  {
    std::lock_guard lock(mutex_);
    last.swap(driver_);
  }
}

void Core::check_open() const {
  if (is_disconnected_) throw Disconnected(why_disconnected());
}

std::shared_ptr<runtime::DriverShell> Core::driver() const {
  std::lock_guard lock(mutex_);
  return driver_;
}

std::string Core::why_disconnected() const {
  std::lock_guard lock(mutex_);
  return why_disconnected_;
}

// ---- runs ------------------------------------------------------------------------------------

void Run::then(std::function<void()> f) {
  {
    std::lock_guard lock(mutex);
    if (!is_settled_) {
      callbacks_.push_back(std::move(f));
      return;
    }
  }
  f();
}

void Run::settle() {
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex);
    is_settled_ = true;
    callbacks.swap(callbacks_);
  }
  for (auto& f : callbacks) f();
}

Submitted Core::prepare(std::shared_ptr<const graph::TaskGraph> graph, bool comes_home) {
  Submitted out;
  out.run = std::make_shared<Run>();
  Run& run = *out.run;
  run.number = next_run_++;
  run.graph = graph;
  run.comes_home = comes_home;
  run.called_at = runtime::now();
  run.live_outputs = static_cast<std::uint32_t>(graph->wanted.size());
  const RunId id{session_, run.number};
  for (const std::uint32_t datum : graph->wanted) {
    out.outputs.push_back(
        std::make_shared<Output>(shared_from_this(), DatumId{id, datum}, comes_home));
    run.outputs.push_back(out.outputs.back());
  }
  {
    std::lock_guard lock(mutex_);
    if (is_disconnected_) throw Disconnected(why_disconnected_);
    runs_[run.number] = out.run;
  }
  return out;
}

void Core::start(Run& run, std::vector<DatumId> externals,
                 const std::vector<array::WrittenFile>& files, driver::StreamOrder stream) {
  const auto driver = this->driver();
  if (!driver) throw Disconnected(why_disconnected());
  try {
    run.files.create(files);
  } catch (...) {
    run.files.discard();
    run.is_finished = true;  // it goes with its outputs
    throw;
  }
  // A file has another name in each run.
  templates_.use(
      run.graph, run.comes_home, files.empty() ? run.repetition : Repetition::never,
      [&](std::uint32_t number) { driver->post(driver::DropTemplateAsked{number}, true); },
      [&](std::uint32_t number) {
        protocol::SubmitRun submitted{.run = run.number,
                                      .graph = run.graph,
                                      .externals = std::move(externals),
                                      .deliver = run.comes_home,
                                      .ends_on_failure = run.ends_on_failure,
                                      .template_number = number};
        driver->post(driver::SubmitAsked{std::move(submitted), run.comes_home, std::move(stream)},
                     true);
      });
  loop_.dispatch([] {});
}

std::vector<OutputHandle> Core::promise(std::vector<std::uint64_t> bytes) {
  check_open();
  const std::uint32_t number = next_run_++;
  std::vector<OutputHandle> handles;
  for (std::uint32_t i = 0; i < bytes.size(); ++i) {
    const DatumId id{{session_, number}, i};
    handles.push_back(std::make_shared<Output>(shared_from_this(), id, true));
  }
  if (const auto driver = this->driver()) driver->promise({number, std::move(bytes)});
  return handles;
}

void Core::fulfil(const Filled& filled) {
  runtime::DriverShell::Puts puts;
  for (const auto& [handle, buffer] : filled) {
    handle->delivered(buffer);
    puts.emplace_back(handle->id(), buffer);
  }
  if (const auto driver = this->driver()) driver->fulfil(std::move(puts));
}

OutputHandle Core::put(store::Buffer buffer) {
  OutputHandle handle = promise({buffer.size()}).front();
  fulfil({{handle, std::move(buffer)}});
  return handle;
}

DatumId Core::id_of(const detail::DatumHandle& datum) const {
  const auto* output = dynamic_cast<const Output*>(datum.get());
  if (output == nullptr || output->core() != this) {
    throw BadInput(
        "a future or array of another session, or one that was not computed by a task, "
        "cannot be an input here");
  }
  return output->id();
}

void Core::bring(DatumId id) {
  if (const auto driver = this->driver()) driver->post(driver::BringAsked{{id}});
}

void Core::release(DatumId id) {
  if (const RunHandle run = find(id.run.number)) {
    --run->live_outputs;
    forget_if_over(run);
  }
  if (const auto driver = this->driver()) driver->post(driver::ReleaseAsked{{id}}, true);
}

void Core::cancel(std::uint32_t run) {
  if (const auto driver = this->driver()) driver->post(driver::CancelAsked{run});
}

void Core::move_on(std::uint32_t run, std::uint32_t position) {
  if (const auto driver = this->driver()) driver->post(driver::StreamMoved{run, position});
}

void Core::end_stream(std::uint32_t run) {
  if (const auto driver = this->driver()) driver->post(driver::StreamEnded{run});
}

bool Core::wait_for(const std::function<bool()>& done, std::chrono::nanoseconds timeout) {
  const Instant now = runtime::now();
  const bool is_bounded = timeout.count() < never.ns - now.ns;
  return loop_.drive_until(done, is_bounded ? now + Duration{timeout.count()} : never);
}

void Core::wait(Run& run) {
  loop_.drive_until([&] { return run.is_finished.load() || is_disconnected(); }, never);
  if (!run.is_finished) throw Disconnected(why_disconnected());
  if (run.end.outcome != protocol::RunOutcome::done) {
    throw_error(run.end.error_kind, run.end.error);
  }
}

RunReport Core::report_of(Run& run) {
  wait(run);
  return make_report(run);
}

void Core::keep_report(const RunReport& report) {
  std::lock_guard lock(mutex_);
  last_report_ = report;
}

RunReport Core::last_report() const {
  std::lock_guard lock(mutex_);
  return last_report_;
}

RunHandle Core::find(std::uint32_t number) {
  std::lock_guard lock(mutex_);
  const auto it = runs_.find(number);
  return it == runs_.end() ? nullptr : it->second;
}

void Core::forget_if_over(const RunHandle& run) {
  if (!run->is_finished || run->live_outputs > 0) return;
  std::lock_guard lock(mutex_);
  runs_.erase(run->number);
}

namespace {
/// The position of a datum among the wanted ones of its run.
std::size_t wanted_position(const Run& run, std::uint32_t index) {
  const auto& wanted = run.graph->wanted;
  const auto it = std::lower_bound(wanted.begin(), wanted.end(), index);
  return it != wanted.end() && *it == index ? static_cast<std::size_t>(it - wanted.begin())
                                            : wanted.size();
}
}  // namespace

OutputHandle Core::find(DatumId id) {
  const RunHandle run = find(id.run.number);
  if (!run) return nullptr;
  const std::size_t position = wanted_position(*run, id.index);
  return position < run->outputs.size() ? run->outputs[position].lock() : nullptr;
}

// ---- what the driver engine says, on the loop's turn --------------------------------------------

void Core::on_deliver(DatumId datum, const store::Buffer& buffer) {
  const RunHandle run = find(datum.run.number);
  if (!run) return;
  const std::size_t position = wanted_position(*run, datum.index);
  if (position >= run->outputs.size()) return;
  if (const OutputHandle output = run->outputs[position].lock()) {
    output->delivered(buffer);
    {
      std::lock_guard lock(run->mutex);
      run->arrived.push_back(static_cast<std::uint32_t>(position));
    }
    run->has_arrived = true;
    if (run->on_arrived) run->on_arrived();
  }
}

void Core::on_moved(DatumId datum, const store::Buffer& buffer) {
  if (const OutputHandle output = find(datum)) output->moved(buffer);
  std::vector<RunHandle> runs;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [number, run] : runs_) runs.push_back(run);
  }
  for (const auto& run : runs) {
    std::lock_guard lock(run->mutex);
    for (Streamed& entry : run->streamed) {
      if (entry.datum == datum) entry.buffer = buffer;
    }
  }
}

void Core::on_streamed(const driver::StreamDeliver& entry, const store::Buffer& buffer) {
  const RunHandle run = find(entry.run);
  if (!run) return;
  {
    std::lock_guard lock(run->mutex);
    run->streamed.push_back({entry.position, entry.datum, buffer});
  }
  run->has_arrived = true;
  if (run->on_arrived) run->on_arrived();
}

void Core::on_exists(DatumId datum) {
  if (const OutputHandle output = find(datum)) output->made();
}

void Core::on_datum_failed(DatumId datum, ErrorKind kind, const std::string& error) {
  if (const OutputHandle output = find(datum)) output->failed(kind, error);
}

namespace {
/// Files of a run that ended well take their names, others go.
void settle_files(Run& run) {
  if (run.end.outcome == protocol::RunOutcome::done) {
    try {
      run.files.publish();
    } catch (const Error& error) {
      run.end.outcome = protocol::RunOutcome::failed;
      run.end.error_kind = error.kind();
      run.end.error = error.what();
    }
  }
  run.files.discard();
}
}  // namespace

void Core::on_run_finished(const driver::RunFinished& finished) {
  const RunHandle run = find(finished.run);
  // Without its files, which go when the session ends, no run has ended well.
  if (!run || is_disconnected_) return;
  run->end = finished;
  settle_files(*run);
  run->finished_at = runtime::now();
  run->is_finished = true;
  run->settle();
  forget_if_over(run);
}

void Core::on_progress(const driver::Progress& progress) {
  if (const RunHandle run = find(progress.run)) run->tasks_done = progress.tasks_done;
}

void Core::on_cluster_size(const protocol::ClusterSize& size) {
  const std::uint64_t workers = std::max(size.workers, 1u);
  const std::uint64_t mean = (size.slots + workers - 1) / workers;
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  slots_per_worker_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(mean, 1, most));
  workers_ = size.workers;
}

void Core::on_disconnected(const std::string& reason) {
  std::vector<RunHandle> runs;
  std::map<std::uint64_t, std::weak_ptr<ExplanationText>> questions;
  {
    std::lock_guard lock(mutex_);
    questions.swap(questions_);
    if (why_disconnected_.empty()) why_disconnected_ = reason;
    is_disconnected_ = true;
    if (!scheduler_) workers_ = 0;  // a local session counts those that still have to leave
    for (const auto& [number, run] : runs_) runs.push_back(run);
  }
  for (const auto& run : runs) {
    for (const auto& weak : run->outputs) {
      const OutputHandle output = weak.lock();
      if (output && !output->is_ready()) output->failed(ErrorKind::disconnected, reason);
    }
    // Only now: a task that misses its file must not be what the program hears of.
    run->files.discard();
    run->settle();
  }
  for (const auto& [request, question] : questions) {
    if (const auto asked = question.lock()) asked->failed(reason);
  }
}

}  // namespace ashlar::session
