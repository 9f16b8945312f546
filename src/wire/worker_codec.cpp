#include <algorithm>
#include <numeric>

#include "wire/channel.hpp"

// Both directions between a worker and the scheduler.

namespace ashlar::wire {

namespace {

void write_assign(const protocol::AssignTasks& assign, schema::AssignTasks::Builder out) {
  write_run(assign.run, out.initRun());
  write_column(assign.task, [&](unsigned n) { return out.initTask(n); });
  write_column(assign.attempt, [&](unsigned n) { return out.initAttempt(n); });
  write_column(assign.kernel, [&](unsigned n) { return out.initKernel(n); });
  write_column(assign.rank, [&](unsigned n) { return out.initRank(n); });
  write_column(assign.expected_ns, [&](unsigned n) { return out.initExpectedNs(n); });
  write_column(assign.reuse_input, [&](unsigned n) { return out.initReuseInput(n); });
  write_column(assign.input_count, [&](unsigned n) { return out.initInputCount(n); });
  write_column(assign.output_count, [&](unsigned n) { return out.initOutputCount(n); });
  write_column(assign.param_bytes, [&](unsigned n) { return out.initParamBytes(n); });
  write_column(assign.deliver, [&](unsigned n) { return out.initDeliver(n); });
  out.setDriver(assign.driver.value);
  write_ids(assign.inputs, out.initInputs());
  write_column(assign.input_bytes, [&](unsigned n) { return out.initInputBytes(n); });
  write_column(assign.input_holder, [&](unsigned n) { return out.initInputHolder(n); });
  write_column(assign.outputs, [&](unsigned n) { return out.initOutputs(n); });
  write_column(assign.output_bytes, [&](unsigned n) { return out.initOutputBytes(n); });
  if (!assign.params.empty()) out.setParams(as_blob(assign.params));
  out.setTemplateNumber(assign.template_number);
  write_column(assign.priority, [&](unsigned n) { return out.initPriority(n); });
}

void write_template(const protocol::RunTemplate& run, schema::RunTemplate::Builder out) {
  write_run(run.run, out.initRun());
  out.setTemplateNumber(run.template_number);
  write_ids(run.inputs, out.initInputs());
  write_column(run.input_bytes, [&](unsigned n) { return out.initInputBytes(n); });
  write_column(run.input_holder, [&](unsigned n) { return out.initInputHolder(n); });
}

struct ToWorker {
  schema::SchedulerToWorker::Builder out;

  void operator()(const protocol::PeerInfo& info) { write_peer_info(info, out.initPeerInfo()); }
  void operator()(const protocol::PeerGone& gone) { write_peer_gone(gone, out.initPeerGone()); }
  void operator()(const protocol::AssignTasks& assign) {
    write_assign(assign, out.initAssignTasks());
  }
  void operator()(const protocol::RevokeTasks& revoke) {
    auto to = out.initRevokeTasks();
    write_run(revoke.run, to.initRun());
    write_column(revoke.task, [&](unsigned n) { return to.initTask(n); });
    write_column(revoke.attempt, [&](unsigned n) { return to.initAttempt(n); });
  }
  void operator()(const protocol::FreeData& free) { write_ids(free.data, out.initFreeData()); }
  void operator()(const protocol::Relocate& relocate) {
    auto to = out.initRelocate();
    write_ids(relocate.data, to.initData());
    write_column(relocate.holder, [&](unsigned n) { return to.initHolder(n); });
  }
  void operator()(const protocol::Prefetch& prefetch) {
    auto to = out.initPrefetch();
    write_run(prefetch.run, to.initRun());
    write_column(prefetch.datum, [&](unsigned n) { return to.initDatum(n); });
    write_column(prefetch.bytes, [&](unsigned n) { return to.initBytes(n); });
    write_column(prefetch.holder, [&](unsigned n) { return to.initHolder(n); });
    write_column(prefetch.rank, [&](unsigned n) { return to.initRank(n); });
  }
  void operator()(const protocol::Shutdown& shutdown) {
    out.initShutdown().setReason(as_text(shutdown.reason));
  }
  void operator()(const protocol::Heartbeat& beat) { write_heartbeat(beat, out.initHeartbeat()); }
  void operator()(const protocol::RunTemplate& run) { write_template(run, out.initRunTemplate()); }
  void operator()(const protocol::DropTemplates& drop) {
    auto to = out.initDropTemplates();
    to.setSession(drop.session.value);
    write_column(drop.numbers, [&](unsigned n) { return to.initNumbers(n); });
  }
};

std::size_t words_of(const protocol::SchedulerToWorker& message) {
  using namespace protocol;
  if (const auto* a = std::get_if<AssignTasks>(&message))
    return 64 + id_words(a->inputs) +
           list_words(a->task, a->attempt, a->kernel, a->rank, a->expected_ns, a->reuse_input,
                      a->input_count, a->output_count, a->param_bytes, a->deliver, a->input_bytes,
                      a->input_holder, a->outputs, a->output_bytes, a->params, a->priority);
  if (const auto* revoke = std::get_if<RevokeTasks>(&message))
    return list_words(revoke->task, revoke->attempt);
  if (const auto* free = std::get_if<FreeData>(&message)) return id_words(free->data);
  if (const auto* relocate = std::get_if<Relocate>(&message))
    return id_words(relocate->data) + list_words(relocate->holder);
  if (const auto* prefetch = std::get_if<Prefetch>(&message))
    return list_words(prefetch->datum, prefetch->bytes, prefetch->holder, prefetch->rank);
  if (const auto* run = std::get_if<RunTemplate>(&message))
    return id_words(run->inputs) + list_words(run->input_bytes, run->input_holder);
  if (const auto* drop = std::get_if<DropTemplates>(&message)) return list_words(drop->numbers);
  return 0;
}

std::uint64_t total(const std::vector<std::uint32_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

void check_assign(const protocol::AssignTasks& a) {
  const std::size_t tasks = a.task.size();
  for (const std::size_t size : {a.attempt.size(), a.kernel.size(), a.rank.size(),
                                 a.expected_ns.size(), a.reuse_input.size(), a.input_count.size(),
                                 a.output_count.size(), a.param_bytes.size(), a.deliver.size()})
    require(size == tasks, "columns of assigned tasks differ in length");
  require(a.priority.empty() || a.priority.size() == tasks, "some tasks have no priority");
  require(a.input_bytes.size() == a.inputs.size() && a.input_holder.size() == a.inputs.size(),
          "columns of inputs differ in length");
  require(a.output_bytes.size() == a.outputs.size(), "columns of outputs differ in length");
  require(total(a.input_count) == a.inputs.size(), "input counts do not sum to the inputs");
  require(total(a.output_count) == a.outputs.size(), "output counts do not sum to the outputs");
  require(total(a.param_bytes) == a.params.size(), "parameter sizes do not sum to the parameters");
  std::uint8_t deliver = 0;
  for (const std::uint8_t each : a.deliver) deliver |= each;
  require(deliver <= 1, "a task is delivered neither 0 nor 1");
  bool reuse_exists = true;
  for (std::size_t i = 0; i < tasks; ++i)
    reuse_exists &=
        (a.reuse_input[i] == graph::TaskGraph::no_input) | (a.reuse_input[i] < a.input_count[i]);
  require(reuse_exists, "a task reuses an input that it does not have");
}

protocol::AssignTasks read_assign(schema::AssignTasks::Reader in) {
  protocol::AssignTasks assign;
  assign.run = read_run(in.getRun());
  assign.task = read_u32(in.getTask());
  assign.attempt = read_u32(in.getAttempt());
  assign.kernel = read_u32(in.getKernel());
  assign.rank = read_u32(in.getRank());
  assign.expected_ns = read_u64(in.getExpectedNs());
  assign.reuse_input = read_u32(in.getReuseInput());
  assign.input_count = read_u32(in.getInputCount());
  assign.output_count = read_u32(in.getOutputCount());
  assign.param_bytes = read_u32(in.getParamBytes());
  assign.deliver = read_column<std::uint8_t, std::uint8_t>(in.getDeliver());
  assign.driver = PeerId{in.getDriver()};
  assign.inputs = read_ids(in.getInputs());
  assign.input_bytes = read_planned_sizes(in.getInputBytes());
  assign.input_holder = read_peers(in.getInputHolder());
  assign.outputs = read_u32(in.getOutputs());
  assign.output_bytes = read_planned_sizes(in.getOutputBytes());
  assign.params = read_blob(in.getParams());
  assign.template_number = in.getTemplateNumber();
  assign.priority = read_column<std::int32_t, std::int32_t>(in.getPriority());
  check_assign(assign);
  return assign;
}

protocol::RunTemplate read_template(schema::RunTemplate::Reader in) {
  protocol::RunTemplate run{.run = read_run(in.getRun()),
                            .template_number = in.getTemplateNumber(),
                            .inputs = read_ids(in.getInputs()),
                            .input_bytes = read_planned_sizes(in.getInputBytes()),
                            .input_holder = read_peers(in.getInputHolder())};
  require(run.template_number != protocol::no_template, "a run of no template");
  require(
      run.input_bytes.size() == run.inputs.size() && run.input_holder.size() == run.inputs.size(),
      "columns of a template's inputs differ in length");
  return run;
}

protocol::SchedulerToWorker read_to_worker(schema::SchedulerToWorker::Reader in) {
  using schema::SchedulerToWorker;
  switch (in.which()) {
    case SchedulerToWorker::PEER_INFO:
      return read_peer_info(in.getPeerInfo());
    case SchedulerToWorker::PEER_GONE:
      return read_peer_gone(in.getPeerGone());
    case SchedulerToWorker::ASSIGN_TASKS:
      return read_assign(in.getAssignTasks());
    case SchedulerToWorker::REVOKE_TASKS: {
      const auto from = in.getRevokeTasks();
      protocol::RevokeTasks revoke{.run = read_run(from.getRun()),
                                   .task = read_u32(from.getTask()),
                                   .attempt = read_u32(from.getAttempt())};
      require(revoke.task.size() == revoke.attempt.size(),
              "columns of revoked tasks differ in length");
      return revoke;
    }
    case SchedulerToWorker::FREE_DATA:
      return protocol::FreeData{.data = read_ids(in.getFreeData())};
    case SchedulerToWorker::RELOCATE: {
      const auto from = in.getRelocate();
      protocol::Relocate relocate{.data = read_ids(from.getData()),
                                  .holder = read_peers(from.getHolder())};
      require(relocate.data.size() == relocate.holder.size(),
              "columns of relocated data differ in length");
      return relocate;
    }
    case SchedulerToWorker::PREFETCH: {
      const auto from = in.getPrefetch();
      protocol::Prefetch prefetch{.run = read_run(from.getRun()),
                                  .datum = read_u32(from.getDatum()),
                                  .bytes = read_u64(from.getBytes()),
                                  .holder = read_peers(from.getHolder()),
                                  .rank = read_u32(from.getRank())};
      for (const std::size_t size :
           {prefetch.bytes.size(), prefetch.holder.size(), prefetch.rank.size()})
        require(size == prefetch.datum.size(), "columns of data to prefetch differ in length");
      return prefetch;
    }
    case SchedulerToWorker::SHUTDOWN:
      return protocol::Shutdown{.reason = read_text(in.getShutdown().getReason())};
    case SchedulerToWorker::HEARTBEAT:
      return read_heartbeat(in.getHeartbeat());
    case SchedulerToWorker::RUN_TEMPLATE:
      return read_template(in.getRunTemplate());
    case SchedulerToWorker::DROP_TEMPLATES: {
      const auto from = in.getDropTemplates();
      return protocol::DropTemplates{.session = SessionId{from.getSession()},
                                     .numbers = read_u32(from.getNumbers())};
    }
  }
  refuse_unknown("a worker", in.which());
}

struct ToScheduler {
  schema::WorkerToScheduler::Builder out;

  void operator()(const protocol::TasksDone& done) {
    auto to = out.initTasksDone();
    write_run(done.run, to.initRun());
    write_column(done.task, [&](unsigned n) { return to.initTask(n); });
    write_column(done.attempt, [&](unsigned n) { return to.initAttempt(n); });
    write_column(done.elapsed_ns, [&](unsigned n) { return to.initElapsedNs(n); });
    write_column(done.output_bytes, [&](unsigned n) { return to.initOutputBytes(n); });
  }
  void operator()(const protocol::TaskFailed& failed) {
    auto to = out.initTaskFailed();
    write_run(failed.run, to.initRun());
    to.setTask(failed.task);
    to.setAttempt(failed.attempt);
    to.setKind(static_cast<schema::ErrorKind>(failed.kind));
    to.setWhat(as_text(failed.what));
  }
  void operator()(const protocol::DataAcquired& acquired) {
    auto to = out.initDataAcquired();
    write_run(acquired.run, to.initRun());
    write_ids(acquired.data, to.initData());
    to.setLocalBytes(acquired.local_bytes);
    to.setRemoteBytes(acquired.remote_bytes);
    to.setSpilledBytes(acquired.spilled_bytes);
    to.setLoadedBytes(acquired.loaded_bytes);
  }
  void operator()(const protocol::DataMissing& missing) {
    auto to = out.initDataMissing();
    write_ids(missing.data, to.initData());
    write_column(missing.peer, [&](unsigned n) { return to.initPeer(n); });
    write_column(missing.unreachable, [&](unsigned n) { return to.initUnreachable(n); });
    write_texts(missing.reasons, to.initReasons(list_size(missing.reasons.size())));
    write_column(missing.reached, [&](unsigned n) { return to.initReached(n); });
  }
  void operator()(const protocol::Leaving& leaving) {
    out.initLeaving().setReason(as_text(leaving.reason));
  }
  void operator()(const protocol::MemoryShort& shortage) {
    auto to = out.initMemoryShort();
    to.setReceived(shortage.received);
    to.setMemoryUsed(shortage.memory_used);
    write_ids(shortage.tasks, to.initTasks());
    write_column(shortage.bytes, [&](unsigned n) { return to.initBytes(n); });
    to.setSpillError(as_text(shortage.spill_error));
  }
  void operator()(const protocol::SlotsHeld& held) { out.initSlotsHeld().setSlots(held.slots); }
  void operator()(const protocol::TasksRunning& running) {
    auto to = out.initTasksRunning();
    write_ids(running.tasks, to.initTasks());
    write_column(running.attempt, [&](unsigned n) { return to.initAttempt(n); });
    write_column(running.running_ns, [&](unsigned n) { return to.initRunningNs(n); });
  }
  void operator()(const protocol::Heartbeat& beat) { write_heartbeat(beat, out.initHeartbeat()); }
};

std::size_t words_of(const protocol::WorkerToScheduler& message) {
  using namespace protocol;
  if (const auto* done = std::get_if<TasksDone>(&message))
    return list_words(done->task, done->attempt, done->elapsed_ns, done->output_bytes);
  if (const auto* failed = std::get_if<protocol::TaskFailed>(&message))
    return failed->what.size() / 8;
  if (const auto* acquired = std::get_if<DataAcquired>(&message)) return id_words(acquired->data);
  if (const auto* missing = std::get_if<DataMissing>(&message))
    return id_words(missing->data) +
           list_words(missing->peer, missing->unreachable, missing->reached) +
           text_words(missing->reasons);
  if (const auto* shortage = std::get_if<MemoryShort>(&message))
    return id_words(shortage->tasks) + list_words(shortage->bytes) +
           shortage->spill_error.size() / 8;
  if (const auto* running = std::get_if<TasksRunning>(&message))
    return id_words(running->tasks) + list_words(running->attempt, running->running_ns);
  return 0;
}

protocol::TasksDone read_done(schema::TasksDone::Reader in) {
  protocol::TasksDone done;
  done.run = read_run(in.getRun());
  done.task = read_u32(in.getTask());
  done.attempt = read_u32(in.getAttempt());
  done.elapsed_ns = read_u64(in.getElapsedNs());
  done.output_bytes = read_sizes(in.getOutputBytes());
  require(done.attempt.size() == done.task.size() && done.elapsed_ns.size() == done.task.size(),
          "columns of done tasks differ in length");
  return done;
}

protocol::WorkerToScheduler read_to_scheduler(schema::WorkerToScheduler::Reader in) {
  using schema::WorkerToScheduler;
  switch (in.which()) {
    case WorkerToScheduler::TASKS_DONE:
      return read_done(in.getTasksDone());
    case WorkerToScheduler::TASK_FAILED: {
      const auto from = in.getTaskFailed();
      return protocol::TaskFailed{.run = read_run(from.getRun()),
                                  .task = from.getTask(),
                                  .attempt = from.getAttempt(),
                                  .kind = read_error_kind(from.getKind()),
                                  .what = read_text(from.getWhat())};
    }
    case WorkerToScheduler::DATA_ACQUIRED: {
      const auto from = in.getDataAcquired();
      return protocol::DataAcquired{.run = read_run(from.getRun()),
                                    .data = read_ids(from.getData()),
                                    .local_bytes = from.getLocalBytes(),
                                    .remote_bytes = from.getRemoteBytes(),
                                    .spilled_bytes = from.getSpilledBytes(),
                                    .loaded_bytes = from.getLoadedBytes()};
    }
    case WorkerToScheduler::DATA_MISSING: {
      const auto from = in.getDataMissing();
      protocol::DataMissing missing{.data = read_ids(from.getData()),
                                    .peer = read_peers(from.getPeer()),
                                    .unreachable = read_peers(from.getUnreachable()),
                                    .reasons = read_texts(from.getReasons()),
                                    .reached = read_peers(from.getReached())};
      require(missing.data.size() == missing.peer.size() &&
                  missing.unreachable.size() == missing.reasons.size(),
              "columns of missing data differ in length");
      return missing;
    }
    case WorkerToScheduler::LEAVING:
      return protocol::Leaving{.reason = read_text(in.getLeaving().getReason())};
    case WorkerToScheduler::HEARTBEAT:
      return read_heartbeat(in.getHeartbeat());
    case WorkerToScheduler::MEMORY_SHORT: {
      const auto from = in.getMemoryShort();
      protocol::MemoryShort shortage{.received = from.getReceived(),
                                     .memory_used = from.getMemoryUsed(),
                                     .tasks = read_ids(from.getTasks()),
                                     .bytes = read_u64(from.getBytes()),
                                     .spill_error = read_text(from.getSpillError())};
      require(shortage.tasks.size() == shortage.bytes.size(),
              "columns of tasks that wait for memory differ in length");
      return shortage;
    }
    case WorkerToScheduler::SLOTS_HELD:
      return protocol::SlotsHeld{in.getSlotsHeld().getSlots()};
    case WorkerToScheduler::TASKS_RUNNING: {
      const auto from = in.getTasksRunning();
      protocol::TasksRunning running{.tasks = read_ids(from.getTasks()),
                                     .attempt = read_u32(from.getAttempt()),
                                     .running_ns = read_u64(from.getRunningNs())};
      require(running.tasks.size() == running.attempt.size() &&
                  running.tasks.size() == running.running_ns.size(),
              "columns of running tasks differ in length");
      return running;
    }
  }
  refuse_unknown("the scheduler", in.which());
}

}  // namespace

std::vector<std::byte> encode(const protocol::SchedulerToWorker& message) {
  return encode_as<schema::SchedulerToWorker>(
      words_of(message),
      [&](schema::SchedulerToWorker::Builder out) { std::visit(ToWorker{out}, message); });
}

std::vector<std::byte> encode(const protocol::WorkerToScheduler& message) {
  return encode_as<schema::WorkerToScheduler>(
      words_of(message),
      [&](schema::WorkerToScheduler::Builder out) { std::visit(ToScheduler{out}, message); });
}

Decoded<protocol::SchedulerToWorker> decode_scheduler_to_worker(std::span<const std::byte> bytes) {
  return decode_as<protocol::SchedulerToWorker, schema::SchedulerToWorker>(bytes, read_to_worker);
}

Decoded<protocol::WorkerToScheduler> decode_worker_to_scheduler(std::span<const std::byte> bytes) {
  return decode_as<protocol::WorkerToScheduler, schema::WorkerToScheduler>(bytes,
                                                                           read_to_scheduler);
}

}  // namespace ashlar::wire
