#include "runtime/worker_shell.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "base/check.hpp"
#include "graph/task_graph.hpp"
#include "runtime/clock.hpp"
#include "wire/codec.hpp"

namespace ashlar::runtime {

namespace {

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
constexpr auto tick_interval = std::chrono::milliseconds(100);
/// A scheduler that has said nothing for so long is taken for dead.
constexpr Duration silence_max = Duration::seconds(10);
/// What is done is told in batches, when tasks are short.
constexpr Duration report_delay = Duration::microseconds(100);
constexpr Duration report_delay_max = Duration::milliseconds(1);
/// A slot reports what it has finished before the next task when this long has passed.
constexpr Duration report_interval = Duration::microseconds(50);
/// The limit holds for what the engine has set aside. The store needs addresses beyond it: for gaps
/// between blocks, for slabs of small blocks, and for what a reader has not given back yet.
constexpr std::size_t addresses_per_byte = 2;
constexpr std::size_t addresses_min = std::size_t{4} << 20;

}  // namespace

/// One started task: what the slot needs, and what it says afterwards.
struct WorkerShell::Job {
  static constexpr std::uint32_t no_handle = ~std::uint32_t{0};
  std::uint32_t handle = no_handle;
  const kernels::Kernel* kernel = nullptr;
  worker::TaskView task;
  std::uint32_t reuse_input = graph::TaskGraph::no_input;
  std::vector<store::Buffer> inputs;
  std::vector<std::span<const std::byte>> input_bytes;
  std::vector<store::Buffer> outputs;
  std::uint64_t elapsed_ns = 0;
  std::optional<std::pair<ErrorKind, std::string>> error;
};

class WorkerShell::Outputs : public kernels::OutputBuffers {
 public:
  Outputs(Job& job, const std::shared_ptr<store::Arena>& arena) : job_(job), arena_(arena) {}

  std::span<std::byte> allocate(std::size_t index, std::size_t bytes) override {
    if (index >= job_.outputs.size()) throw BadInput("the kernel names an output it has not");
    const std::uint64_t announced = job_.task.output_bytes[index];
    if (announced != graph::TaskGraph::dynamic_bytes && announced != bytes) {
      throw BadInput("the kernel makes " + std::to_string(bytes) + " bytes, announced were " +
                     std::to_string(announced));
    }
    store::Buffer& output = job_.outputs[index];
    if (index == 0 && job_.reuse_input != graph::TaskGraph::no_input) {
      store::Buffer& input = job_.inputs[job_.reuse_input];
      if (input.size() == bytes && input.is_own() && input.is_unshared()) {
        output = std::move(input);
        return output.writable();
      }
      output = store::Buffer::allocate(arena_, bytes);
      std::memcpy(output.writable().data(), input.bytes().data(), std::min(bytes, input.size()));
      return output.writable();
    }
    output = store::Buffer::allocate(arena_, bytes);
    return output.writable();
  }

 private:
  Job& job_;
  const std::shared_ptr<store::Arena>& arena_;
};

namespace {

WorkerShell::Options following_reads(WorkerShell::Options options) {
  options.exchange.follows_reads = true;
  options.limits.untracked_bytes = options.exchange.inline_bytes;
  options.limits.taken_bytes = store::Arena::block_bytes;
  options.limits.report_delay = report_delay;
  options.limits.report_delay_max = report_delay_max;
  options.limits.report_delay_template = protocol::template_report_delay;
  options.limits.can_spill = options.spill.has_value();
  return options;
}

}  // namespace

WorkerShell::WorkerShell(const kernels::Registry& registry, telemetry::Log& log, Options options)
    : registry_(registry),
      log_(log),
      options_(following_reads(std::move(options))),
      arena_(std::make_shared<store::Arena>(store::Arena::Options{
          .capacity = addresses_per_byte * options_.memory_limit + addresses_min,
          .memory = options_.memory_limit})),
      loop_(options_.loop),
      exchange_(loop_, arena_, table_, *this, log, options_.exchange),
      timer_(loop_.io()),
      jobs_(record_positions(options_.slots, options_.limits)) {
  for (std::size_t i = jobs_.size(); i-- > 0;) {
    jobs_[i] = std::make_unique<Job>();
    free_jobs_.push_back(static_cast<std::uint32_t>(i));
  }
  if (options_.spill) {
    spiller_ = std::make_unique<Spiller>(arena_, *options_.spill, [this] { loop_.wake(); });
  }
  loop_.add_turn_hook([this] { return process(); });
  loop_.add_rest_hook([this] {
    if (!engine_ || engine_->report_due() == never) return false;
    events_.push_back(worker::Resting{});
    return true;
  });
  kernels::ComputeSlots::Callbacks callbacks;
  callbacks.run = [this](kernels::ComputeSlots::Job job) { run(job); };
  callbacks.completed = [this] {
    // When nobody has the turn, this slot takes it before its next task.
    if (loop_.is_held()) loop_.wake();
  };
  callbacks.drive = [this](std::stop_token stop) {
    has_slots_.wait(false);
    loop_.drive_until([&] { return slots_->has_queued() || stop.stop_requested(); }, never);
    return true;
  };
  callbacks.interrupt = [this] { loop_.wake(); };
  slots_ = std::make_unique<kernels::ComputeSlots>(
      kernels::ComputeSlots::Limits{.slots = options_.slots, .spin = {}}, std::move(callbacks));
  has_slots_ = true;
  has_slots_.notify_all();
}

WorkerShell::~WorkerShell() {
  slots_->stop();
  loop_.stop();
  if (link_) link_->detach();
}

WorkerShell::End WorkerShell::serve(std::shared_ptr<net::Link> link) {
  loop_.start();
  loop_.dispatch([this, link = std::move(link)]() mutable {
    link_ = std::move(link);
    last_heard_ = now();
    protocol::Hello hello;
    hello.role = protocol::Role::worker;
    hello.token = options_.exchange.token;
    hello.name = options_.name;
    hello.endpoint = exchange_.endpoint();
    hello.encrypts = options_.exchange.tls != nullptr;
    if (hello.encrypts) hello.authorities = options_.exchange.tls->authorities();
    hello.slots = options_.slots;
    hello.memory_limit = options_.memory_limit;
    hello.kernels = registry_.names();
    hello.repeatable = registry_.repeatable();
    hello.resources = options_.resources;
    link_->start(*this);
    link_->trust();
    link_->send({wire::encode(wire::Handshake(std::move(hello))), {}, {}, -1});
    link_->flush();
    tick();
  });
  std::unique_lock lock(end_mutex_);
  end_changed_.wait(lock, [this] { return has_ended_; });
  return end_;
}

void WorkerShell::leave(const std::string& reason) {
  loop_.dispatch([this, reason] {
    if (link_ && engine_) {
      const protocol::WorkerToScheduler message = protocol::Leaving{reason};
      link_->send({wire::encode(message), {}, {}, -1});
      link_->flush();
    } else {
      end(reason, true);
    }
  });
}

void WorkerShell::end(const std::string& reason, bool is_orderly) {
  {
    std::lock_guard lock(end_mutex_);
    if (has_ended_) return;
    has_ended_ = true;
    end_ = {reason, is_orderly};
  }
  end_changed_.notify_all();
}

void WorkerShell::tick() {
  timer_.expires_after(tick_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || !link_) return;
    events_.push_back(worker::Tick{});
    if (engine_) {
      link_->send({wire::encode(protocol::WorkerToScheduler(heartbeat())), {}, {}, -1});
    }
    if (now() - last_heard_ > silence_max) link_->close("the scheduler is silent");
    tick();
  });
}

protocol::Heartbeat WorkerShell::heartbeat() {
  const Instant time = now();
  const telemetry::Load load = sampler_.sample(time);
  protocol::Heartbeat beat;
  beat.memory_used = arena_->allocated_bytes();
  beat.cpu_percent = load.cpu_percent;
  beat.slots_percent = slot_time_.take_percent(time);
  beat.cores = load.cores;
  beat.cores_busy_percent = load.cores_busy_percent;
  beat.host_cores = load.host_cores;
  beat.host_busy_percent = load.host_busy_percent;
  beat.run_queue = load.run_queue;
  beat.cpu_stall_percent = load.cpu_stall_percent;
  beat.process_bytes = load.process_bytes;
  beat.host_memory_used = load.host_memory_used;
  beat.host_memory_limit = load.host_memory_limit;
  beat.cgroup_memory_used = load.cgroup_memory_used;
  beat.cgroup_memory_limit = load.cgroup_memory_limit;
  beat.sample = ++samples_;
  return beat;
}

void WorkerShell::collect_completed() {
  completed_.clear();
  slots_->take_completed(completed_);
  for (const auto position : completed_) {
    Job& job = *jobs_[position];
    worker::TaskEnded ended;
    ended.handle = job.handle;
    ended.elapsed_ns = job.elapsed_ns;
    if (job.error) {
      ended.is_ok = false;
      ended.error_kind = job.error->first;
      ended.error = std::move(job.error->second);
    } else {
      publish(job, ended);
    }
    release(position);
    events_.push_back(std::move(ended));
  }
}

void WorkerShell::release(std::uint32_t position) {
  Job& job = *jobs_[position];
  job.handle = Job::no_handle;
  job.inputs.clear();
  job.input_bytes.clear();
  job.outputs.clear();
  job.error.reset();
  free_jobs_.push_back(position);
}

/// Seldom: looks at every job.
void WorkerShell::withdraw(std::uint32_t handle) {
  std::uint32_t position = 0;
  while (position < jobs_.size() && jobs_[position]->handle != handle) ++position;
  if (position == jobs_.size()) return;
  if (std::erase(starting_, position) == 0 && !slots_->withdraw(position)) return;
  release(position);
  worker::TaskEnded ended;
  ended.handle = handle;
  ended.is_ok = false;
  events_.push_back(std::move(ended));
}

void WorkerShell::publish(Job& job, worker::TaskEnded& ended) {
  bool is_dynamic = false;
  for (const auto bytes : job.task.output_bytes) {
    is_dynamic = is_dynamic || bytes == graph::TaskGraph::dynamic_bytes;
  }
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (is_dynamic) ended.output_bytes.push_back(job.outputs[i].size());
    table_.put({job.task.run, job.task.outputs[i]}, std::move(job.outputs[i]));
  }
}

bool WorkerShell::process() {
  const Instant time = now();
  last_turn_ns_.store(time.ns, std::memory_order_relaxed);
  if (!engine_) {
    exchange_.flush();
    return false;
  }
  collect_completed();
  collect_moved();
  if (events_.empty() && time >= engine_->report_due()) events_.push_back(worker::Tick{});
  const bool has_events = !events_.empty();
  if (has_events) {
    taken_events_.swap(events_);
    actions_.clear();
    engine_->step(taken_events_, time, actions_);
    taken_events_.clear();
    for (auto& action : actions_) perform(action);
    if (!starting_.empty()) {
      slots_->submit(starting_);
      starting_.clear();
    }
  }
  exchange_.flush();
  return has_events;
}

void WorkerShell::perform(worker::Action& action) {
  struct Visitor {
    WorkerShell& shell;
    void operator()(worker::ToScheduler& a) {
      if (shell.link_) shell.link_->send({wire::encode(a.message), {}, {}, -1});
    }
    void operator()(worker::StartTask& a) { shell.start(a); }
    void operator()(worker::StartFetch& a) {
      shell.exchange_.start_fetch(a.datum, a.peer, a.is_copied, a.urgency);
    }
    void operator()(worker::AbandonFetch& a) { shell.exchange_.abandon_fetch(a.datum); }
    void operator()(worker::AnswerFetch& a) {
      shell.exchange_.answer(a.peer, a.request, a.datum, a.urgency);
    }
    void operator()(worker::RefuseFetch& a) { shell.exchange_.refuse(a.peer, a.request); }
    void operator()(worker::PushDatum& a) { shell.exchange_.push(a.driver, a.datum); }
    void operator()(worker::DropDatum& a) { shell.table_.drop(a.datum); }
    void operator()(worker::KnowPeer& a) { shell.exchange_.know_peer(a.info); }
    void operator()(worker::ForgetPeer& a) { shell.exchange_.forget_peer(a.peer); }
    void operator()(worker::Exit& a) { shell.end(a.reason, true); }
    void operator()(worker::WithdrawTask& a) { shell.withdraw(a.handle); }
    void operator()(worker::SpillDatum& a) { shell.spill(a); }
    void operator()(worker::LoadDatum& a) {
      shell.loading_[a.copy] = a.datum;
      shell.spiller_->load(a.copy);
    }
    void operator()(worker::RecallLoans&) { shell.exchange_.recall_loans(); }
    void operator()(worker::DropCopy& a) {
      shell.loading_.erase(a.copy);
      shell.spiller_->drop(a.copy);
    }
  };
  std::visit(Visitor{*this}, action);
}

void WorkerShell::spill(const worker::SpillDatum& action) {
  const store::Buffer* buffer = table_.find(action.datum);
  ASHLAR_CHECK(buffer != nullptr, "a datum to be written is not in the store");
  spiller_->spill(action.copy, *buffer);
}

/// What came from disk or went there, and what others have read.
void WorkerShell::collect_moved() {
  for (const DatumId& datum : exchange_.take_read()) events_.push_back(worker::ReadDone{datum});
  if (!spiller_) return;
  for (Spiller::Result& result : spiller_->take_done()) {
    if (!result.error.empty()) log_.warning(result.error);
    if (!result.is_load) {
      if (result.error.empty()) {
        events_.push_back(worker::SpillDone{result.copy});
      } else {
        events_.push_back(worker::SpillFailed{result.copy, std::move(result.error)});
      }
      continue;
    }
    const auto load = loading_.find(result.copy);
    if (!result.error.empty()) {
      events_.push_back(worker::LoadFailed{result.copy, std::move(result.error)});
    } else {
      if (load != loading_.end()) table_.put(load->second, std::move(result.buffer));
      events_.push_back(worker::LoadDone{result.copy});
    }
    if (load != loading_.end()) loading_.erase(load);
  }
}

std::uint32_t WorkerShell::free_job() {
  ASHLAR_CHECK(!free_jobs_.empty(), "more tasks started than the engine's limit");
  const std::uint32_t position = free_jobs_.back();
  free_jobs_.pop_back();
  return position;
}

void WorkerShell::start(const worker::StartTask& action) {
  const std::uint32_t position = free_job();
  Job& job = *jobs_[position];
  job.handle = action.handle;
  job.task = engine_->task(action.handle);
  job.reuse_input = action.reuse_input;
  job.kernel = job.task.kernel < registry_.size() ? &registry_.at(job.task.kernel) : nullptr;
  for (std::size_t i = 0; i < job.task.inputs.size(); ++i) {
    const DatumId& datum = job.task.inputs[i];
    const bool is_taken = i == action.reuse_input;
    std::optional<store::Buffer> buffer;
    if (is_taken) {
      buffer = table_.take(datum);
    } else if (const auto* found = table_.find(datum)) {
      buffer = *found;
    }
    ASHLAR_CHECK(buffer.has_value(), "a started task lacks an input");
    job.input_bytes.push_back(buffer->bytes());
    job.inputs.push_back(std::move(*buffer));
  }
  job.outputs.resize(job.task.outputs.size());
  starting_.push_back(position);
}

void WorkerShell::run(std::uint32_t position) {
  Instant begin = now();
  if (begin.ns - last_turn_ns_.load(std::memory_order_relaxed) > report_interval.ns) {
    loop_.try_turn();
    begin = now();
  }
  if (jobs_[position]->task.expected_ns > static_cast<std::uint64_t>(options_.loop.linger.ns)) {
    loop_.stand_in();
  }
  Job& job = *jobs_[position];
  options_.record.begin(position, job.task.run, job.task.task);
  slot_time_.begin(begin);
  try {
    if (job.kernel == nullptr || !job.kernel->cpu) {
      throw Unsupported("this worker has no such kernel");
    }
    Outputs outputs(job, arena_);
    const kernels::Call call{job.task.params, job.input_bytes, job.task.output_bytes, outputs,
                             job.reuse_input};
    job.kernel->cpu(call);
    for (std::size_t i = 0; i < job.outputs.size(); ++i) {
      const std::uint64_t announced = job.task.output_bytes[i];
      const bool is_made = static_cast<bool>(job.outputs[i]) || announced == 0 ||
                           announced == graph::TaskGraph::dynamic_bytes;
      if (!is_made) throw BadInput("the kernel did not make its output " + std::to_string(i));
    }
  } catch (const Error& error) {
    job.error.emplace(error.kind(), error.what());
  } catch (const std::exception& error) {
    job.error.emplace(ErrorKind::task_failed, error.what());
  } catch (...) {
    job.error.emplace(ErrorKind::task_failed, "threw something that is no std::exception");
  }
  const Instant end = now();
  slot_time_.end(end);
  job.elapsed_ns = static_cast<std::uint64_t>((end - begin).ns);
  options_.record.end(position);
}

void WorkerShell::on_fetched(DatumId datum, std::uint64_t bytes, bool is_in_place, bool is_local) {
  events_.push_back(worker::FetchDone{datum, bytes, is_in_place, is_local});
}

void WorkerShell::on_fetch_failed(DatumId datum, PeerId peer, const std::string& broken) {
  events_.push_back(worker::FetchFailed{datum, peer, broken});
}

void WorkerShell::on_asked(PeerId peer, std::uint64_t request, DatumId datum,
                           const protocol::Urgency& urgency) {
  events_.push_back(worker::FetchAsked{peer, request, datum, urgency});
}

void WorkerShell::on_unasked(PeerId peer, std::uint64_t request) {
  events_.push_back(worker::FetchUnasked{peer, request});
}

void WorkerShell::on_loans_wanted(PeerId peer) { events_.push_back(worker::LoansWanted{peer}); }

void WorkerShell::on_pushed(DatumId datum, std::uint64_t, bool) {
  log_.warning("a peer pushed a datum to this worker; dropped");
  table_.drop(datum);
}

std::span<std::byte> WorkerShell::on_frame(std::span<const std::byte> control,
                                           std::uint64_t payload_bytes, int descriptor) {
  const store::FileDescriptor unwanted(descriptor);
  last_heard_ = now();
  if (payload_bytes > 0) {
    link_->close("a control link carries no payload");
  } else if (!engine_) {
    auto decoded = wire::decode_handshake(control);
    if (!decoded.message) {
      link_->close("bad handshake: " + decoded.error);
    } else if (auto* refusal = std::get_if<protocol::Refusal>(&*decoded.message)) {
      end("refused by the scheduler: " + refusal->reason, false);
    } else if (auto* welcome = std::get_if<protocol::Welcome>(&*decoded.message)) {
      if (welcome->reads_checksums) link_->add_checksums();
      exchange_.set_self(welcome->peer);
      worker::Limits limits = options_.limits;
      limits.tells_running = welcome->heeds_running;
      engine_ = std::make_unique<worker::WorkerEngine>(welcome->peer, options_.slots,
                                                       options_.memory_limit, limits,
                                                       exchange_.endpoint().host_identity);
    }
  } else {
    auto decoded = wire::decode_scheduler_to_worker(control);
    if (!decoded.message) {
      link_->close("bad message: " + decoded.error);
    } else {
      events_.push_back(worker::FromScheduler{std::move(*decoded.message)});
    }
  }
  return {};
}

void WorkerShell::on_closed(const std::string& reason) {
  std::string why = std::string("lost the scheduler at ").append(link_->peer_name());
  why.append(": ").append(reason).append("; see its log, and start this worker again once it runs");
  link_ = nullptr;
  end(why, false);
}

}  // namespace ashlar::runtime
