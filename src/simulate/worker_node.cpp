#include "simulate/worker_node.hpp"

#include <algorithm>
#include <utility>

namespace ashlar::simulate {
namespace {

worker::Limits limits_of(const World& world, const WorkerNode::Power& power) {
  worker::Limits limits;
  limits.report_delay = world.config.report_delay;
  limits.report_delay_max = Duration{10 * limits.report_delay.ns};  // as of real workers
  limits.report_delay_template = Duration{100 * limits.report_delay.ns};
  limits.can_spill = power.disk_bandwidth > 0;
  return limits;
}

}  // namespace

WorkerNode::WorkerNode(World& world, PeerId id, std::string host, Power power)
    : PeerNode(world, id, host),
      engine_(id, power.slots, power.memory_limit, limits_of(world, power), host),
      inbox_(world, [this](std::vector<worker::Event> events) { step(std::move(events)); }),
      kernels_(std::begin(kernel_names), std::end(kernel_names)),
      power_(power),
      is_busy_(power.slots) {
  for (const auto& program : world.config.programs) {
    for (const std::string& kernel : program->graph.kernels) {
      if (std::ranges::find(kernels_, kernel) == kernels_.end()) kernels_.push_back(kernel);
    }
  }
  std::rotate(kernels_.begin(), kernels_.begin() + id.value % 3, kernels_.end());
  if (Observer* observer = world.config.observer.get()) {
    observer->worker_made(id, power.slots, power.memory_limit, host, power.disk_bandwidth > 0);
  }
}

void WorkerNode::join() {
  protocol::Hello hello;
  hello.name = name();
  hello.endpoint.host_identity = host_;
  hello.slots = power_.slots;
  hello.memory_limit = power_.memory_limit;
  hello.kernels = kernels_;
  for (std::uint32_t k = 0; k < kernels_.size(); ++k) hello.repeatable.push_back(k);
  world_.send(id_, scheduler_id, [this, hello] {
    world_.to_scheduler(scheduler::WorkerJoined{id_, hello});
  });
}

void WorkerNode::kill() {
  die();
  ++world_.kills;
  world_.send(id_, scheduler_id, [this] {
    world_.to_scheduler(scheduler::WorkerLost{id_, "killed in the simulation"});
  });
}

void WorkerNode::told(protocol::SchedulerToWorker message) {
  if (is_alive_) inbox_.post(worker::FromScheduler{std::move(message)});
}

void WorkerNode::tick() { inbox_.post(worker::Tick{}); }

void WorkerNode::fetched(const DatumId& datum, const Chunk& chunk, bool is_in_place) {
  came(chunk);
  keep(datum, chunk);
  inbox_.post(worker::FetchDone{datum, chunk.bytes, is_in_place});
}

void WorkerNode::fetch_failed(const DatumId& datum, PeerId peer, const std::string& broken) {
  inbox_.post(worker::FetchFailed{datum, peer, broken});
}

void WorkerNode::asked(PeerId peer, std::uint64_t request, const DatumId& datum,
                       const protocol::Urgency& urgency) {
  inbox_.post(worker::FetchAsked{peer, request, datum, urgency});
}

void WorkerNode::unasked(PeerId peer, std::uint64_t request) {
  inbox_.post(worker::FetchUnasked{peer, request});
}

void WorkerNode::unasked_all(PeerId peer) { inbox_.post(worker::FetchUnasked{peer}); }

/// Nobody knows the size of some small data before they are made.
void WorkerNode::came(const Chunk& chunk) {
  if (chunk.bytes < unforeseen_bytes_max) unforeseen_bytes_ += chunk.bytes;
}

void WorkerNode::read_done(const DatumId& datum, const Chunk& chunk) {
  if (chunk.bytes > worker::Limits{}.untracked_bytes) inbox_.post(worker::ReadDone{datum});
}

void WorkerNode::loans_wanted(PeerId peer) { inbox_.post(worker::LoansWanted{peer}); }

void WorkerNode::step(std::vector<worker::Event> events) {
  if (!is_alive_ || !world_.outcome.problem.empty()) return;
  worker::Actions actions;
  engine_.step(events, world_.now, actions);
  if (Observer* observer = world_.config.observer.get()) {
    observer->stepped(id_, events, world_.now, actions);
  }
  ++world_.outcome.steps;
  if (++steps_ % world_.config.check_every == 0) engine_.check_invariants();
  if (engine_.memory_reserved() > power_.memory_limit + unforeseen_bytes_) {
    world_.fail(name() + " exceeds its memory limit\n" + engine_.dump());
  }
  for (worker::Action& action : actions) perform(action);
  if (const Instant due = engine_.report_due(); due < Instant{} + world_.config.patience) {
    world_.at(due, [this] { tick(); });
  }
  if (world_.is_recorded()) {
    auto& peaks = world_.outcome.history.memory_peak;
    peaks.resize(std::max<std::size_t>(peaks.size(), id_.value));
    std::uint64_t& peak = peaks[id_.value - 1];
    peak = std::max(peak, engine_.memory_reserved());
  }
  fill_slots();
}

void WorkerNode::perform(worker::Action& action) {
  world_.note(id_.value * 16 + action.index());
  if (auto* report = std::get_if<worker::ToScheduler>(&action)) {
    world_.send(id_, scheduler_id, [this, message = std::move(report->message)] {
      world_.to_scheduler(scheduler::FromWorker{id_, message});
    });
  } else if (const auto* begin = std::get_if<worker::StartTask>(&action)) {
    start(*begin);
  } else if (const auto* fetch = std::get_if<worker::StartFetch>(&action)) {
    start_fetch(fetch->datum, fetch->peer, fetch->is_copied, fetch->urgency);
  } else if (const auto* abandon = std::get_if<worker::AbandonFetch>(&action)) {
    abandon_fetch(abandon->datum);
  } else if (const auto* give = std::get_if<worker::AnswerFetch>(&action)) {
    answer(give->peer, give->request, give->datum, give->urgency);
  } else if (const auto* deny = std::get_if<worker::RefuseFetch>(&action)) {
    refuse(deny->peer, deny->request);
  } else if (const auto* fresh = std::get_if<worker::PushDatum>(&action)) {
    push(fresh->driver, fresh->datum);
  } else if (const auto* drop = std::get_if<worker::DropDatum>(&action)) {
    discard(drop->datum);
  } else if (const auto* back = std::get_if<worker::WithdrawTask>(&action)) {
    withdraw(back->handle);
  } else if (const auto* write = std::get_if<worker::SpillDatum>(&action)) {
    spill(*write);
  } else if (const auto* read = std::get_if<worker::LoadDatum>(&action)) {
    load(*read);
  } else if (const auto* forget = std::get_if<worker::DropCopy>(&action)) {
    copies_.erase(forget->copy);
  } else if (std::holds_alternative<worker::RecallLoans>(action)) {
    recall_loans();
  } else if (std::holds_alternative<worker::Exit>(action)) {
    kill();
  }
}

void WorkerNode::withdraw(std::uint32_t handle) {
  const auto found = std::ranges::find(queue_, handle, &Started::handle);
  if (found == queue_.end()) return;
  queue_.erase(found);
  worker::TaskEnded ended;
  ended.handle = handle;
  ended.is_ok = false;
  inbox_.post(std::move(ended));
}

void WorkerNode::when_moved(std::uint64_t bytes, std::function<void()> what) {
  const Duration takes = world_.config.machine
                             ? Duration::seconds(static_cast<double>(bytes) / power_.disk_bandwidth)
                             : world_.any_duration(world_.config.delay_max);
  disk_is_free_ = std::max(disk_is_free_, world_.now) + takes;
  world_.at(disk_is_free_, std::move(what));
}

void WorkerNode::spill(const worker::SpillDatum& action) {
  const Chunk chunk = chunk_of(action.datum, "write to disk");
  copies_[action.copy] = chunk;
  const bool fails = world_.below(1000) < world_.config.failing_disks;
  when_moved(chunk.bytes, [this, copy = action.copy, fails] {
    if (!is_alive_) return;
    if (fails) {
      copies_.erase(copy);
      inbox_.post(worker::SpillFailed{copy, "the simulated disk is full"});
    } else {
      inbox_.post(worker::SpillDone{copy});
    }
  });
}

void WorkerNode::load(const worker::LoadDatum& action) {
  const bool fails = world_.below(1000) < world_.config.failing_disks;
  when_moved(action.bytes, [this, action, fails] {
    if (!is_alive_) return;
    const auto copy = copies_.find(action.copy);
    if (fails) {
      inbox_.post(worker::LoadFailed{action.copy, "the simulated disk fails"});
      return;
    }
    if (copy != copies_.end()) keep(action.datum, copy->second);
    inbox_.post(worker::LoadDone{action.copy});
  });
}

void WorkerNode::start(const worker::StartTask& action) {
  const worker::TaskView view = engine_.task(action.handle);
  Started started{action.handle, {}};
  for (const DatumId& input : view.inputs) {
    started.inputs.push_back(chunk_of(input, "run a task"));
  }
  if (action.reuse_input != graph::TaskGraph::no_input) {
    discard(view.inputs[action.reuse_input]);
  }
  queue_.push_back(std::move(started));
}

void WorkerNode::fill_slots() {
  while (busy_ < power_.slots && !queue_.empty()) {
    ++busy_;
    Started started = std::move(queue_.front());
    queue_.pop_front();
    started.takes = time_of(started.handle);
    started.slot =
        static_cast<std::uint32_t>(std::ranges::find(is_busy_, false) - is_busy_.begin());
    is_busy_[started.slot] = true;
    world_.after(overhead_of(started.handle) + started.takes, [this, started] { finish(started); });
  }
}

Duration WorkerNode::time_of(std::uint32_t handle) {
  if (!world_.config.machine) return world_.any_duration(world_.config.task_time_max);
  const worker::TaskView view = engine_.task(handle);
  const Program& program = *world_.config.programs[view.run.number];
  return Duration::seconds(program.task_seconds[view.task] / power_.speed);
}

Duration WorkerNode::overhead_of(std::uint32_t handle) const {
  const Machine* machine = world_.config.machine.get();
  if (machine == nullptr) return {};
  double bytes = 0;
  for (const std::uint64_t output : engine_.task(handle).output_bytes) {
    if (output != graph::TaskGraph::dynamic_bytes) bytes += static_cast<double>(output);
  }
  return machine->task_overhead + Duration::seconds(bytes * machine->output_seconds_per_byte);
}

void WorkerNode::finish(const Started& started) {
  if (!is_alive_) return;
  --busy_;
  is_busy_[started.slot] = false;
  if (world_.is_recorded()) record(started);
  ++world_.outcome.tasks_run;
  const worker::TaskView view = engine_.task(started.handle);
  const Kernel kernel = kernel_named(kernels_.at(view.kernel));
  worker::TaskEnded ended;
  ended.handle = started.handle;
  // What a worker says of times need not be true, except where times are what is looked at.
  ended.elapsed_ns = world_.config.machine ? static_cast<std::uint64_t>(started.takes.ns)
                                           : 1000 + world_.below(100'000);
  if (kernel == Kernel::fail) {
    ended.is_ok = false;
    ended.error = "this kernel fails";
  } else {
    for (std::uint32_t i = 0; i < view.outputs.size(); ++i) {
      const Chunk chunk = compute(kernel, view.params, started.inputs, i, view.output_bytes[i]);
      came(chunk);
      keep({view.run, view.outputs[i]}, chunk);
      ended.output_bytes.push_back(chunk.bytes);
    }
  }
  inbox_.post(std::move(ended));
  fill_slots();
}

void WorkerNode::record(const Started& started) const {
  const worker::TaskView view = engine_.task(started.handle);
  if (view.run.number + 1 != world_.config.programs.size()) return;
  world_.outcome.history.tasks.push_back({.task = view.task,
                                          .worker = id_.value - 1,
                                          .slot = started.slot,
                                          .start = world_.now + Duration{-started.takes.ns},
                                          .took = started.takes});
}

std::string WorkerNode::leftovers() const {
  if (engine_.is_empty() && store_.empty() && copies_.empty() && engine_.memory_reserved() == 0) {
    return "";
  }
  std::string text = name() + " still holds " + std::to_string(copies_.size()) +
                     " copies on disk and " + std::to_string(store_.size()) + " data:";
  for (const auto& [datum, chunk] : store_) text += " " + name_of(datum);
  return text + "\n" + engine_.dump();
}

}  // namespace ashlar::simulate
