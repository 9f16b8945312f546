#include "wire/channel.hpp"

// Both directions between a driver and the scheduler.

namespace ashlar::wire {

namespace {

struct ToScheduler {
  schema::DriverToScheduler::Builder out;

  void operator()(const protocol::SubmitRun& submit) {
    auto to = out.initSubmitRun();
    to.setRun(submit.run);
    to.setDeliver(submit.deliver);
    to.setEndsOnFailure(submit.ends_on_failure);
    to.setTemplateNumber(submit.template_number);
    if (submit.graph) write_graph(*submit.graph, to.initGraph());
    write_ids(submit.externals, to.initExternals(), SessionColumn::implied);
  }
  void operator()(const protocol::CancelRun& cancel) { out.initCancelRun().setRun(cancel.run); }
  void operator()(const protocol::PutData& put) {
    auto to = out.initPutData();
    to.setRun(put.run);
    write_column(put.bytes, [&](unsigned n) { return to.initBytes(n); });
  }
  void operator()(const protocol::ReleaseData& release) {
    write_ids(release.data, out.initReleaseData(), SessionColumn::implied);
  }
  void operator()(const protocol::LocateData& locate) {
    write_ids(locate.data, out.initLocateData(), SessionColumn::implied);
  }
  void operator()(const protocol::Heartbeat& beat) { write_heartbeat(beat, out.initHeartbeat()); }
  void operator()(const protocol::DropTemplates& drop) {
    auto to = out.initDropTemplates();
    write_column(drop.numbers, [&](unsigned n) { return to.initNumbers(n); });
  }
  void operator()(const protocol::Explain& explain) {
    auto to = out.initExplain();
    to.setRequest(explain.request);
    to.setSubject(static_cast<schema::Subject>(explain.subject));
    to.setSession(explain.session.value);
    to.setRun(explain.run);
    to.setTask(explain.task);
  }
  void operator()(const protocol::StreamHeld& held) {
    auto to = out.initStreamHeld();
    to.setRun(held.run);
    to.setIsHeld(held.is_held);
  }
};

std::size_t words_of(const protocol::DriverToScheduler& message) {
  using namespace protocol;
  if (const auto* submit = std::get_if<SubmitRun>(&message))
    return (submit->graph ? graph_words(*submit->graph) : 0) + id_words(submit->externals);
  if (const auto* put = std::get_if<PutData>(&message)) return list_words(put->bytes);
  if (const auto* release = std::get_if<ReleaseData>(&message)) return id_words(release->data);
  if (const auto* locate = std::get_if<LocateData>(&message)) return id_words(locate->data);
  if (const auto* drop = std::get_if<DropTemplates>(&message)) return list_words(drop->numbers);
  return 0;
}

protocol::SubmitRun read_submit(schema::SubmitRun::Reader in, SessionId session) {
  protocol::SubmitRun submit;
  submit.run = in.getRun();
  submit.deliver = in.getDeliver();
  submit.ends_on_failure = in.getEndsOnFailure();
  submit.template_number = in.getTemplateNumber();
  submit.externals = read_ids(in.getExternals(), session);
  // A template's graph is with the scheduler's engine, which judges the externals then.
  if (submit.template_number != protocol::no_template && !in.hasGraph()) return submit;
  auto graph = std::make_shared<graph::TaskGraph>(read_graph(in.getGraph()));
  require(submit.externals.size() == graph->external_count(),
          "not one external datum for each that the graph names");
  submit.graph = std::move(graph);
  return submit;
}

protocol::Explain read_explain(schema::Explain::Reader in) {
  require(in.getSubject() <= schema::Subject::TASK, "unknown subject of an explanation");
  return {.request = in.getRequest(),
          .subject = static_cast<protocol::Subject>(in.getSubject()),
          .session = SessionId{in.getSession()},
          .run = in.getRun(),
          .task = in.getTask()};
}

protocol::DriverToScheduler read_to_scheduler(schema::DriverToScheduler::Reader in,
                                              SessionId session) {
  using schema::DriverToScheduler;
  switch (in.which()) {
    case DriverToScheduler::SUBMIT_RUN:
      return read_submit(in.getSubmitRun(), session);
    case DriverToScheduler::CANCEL_RUN:
      return protocol::CancelRun{.run = in.getCancelRun().getRun()};
    case DriverToScheduler::PUT_DATA: {
      const auto from = in.getPutData();
      return protocol::PutData{.run = from.getRun(), .bytes = read_sizes(from.getBytes())};
    }
    case DriverToScheduler::RELEASE_DATA:
      return protocol::ReleaseData{.data = read_ids(in.getReleaseData(), session)};
    case DriverToScheduler::LOCATE_DATA:
      return protocol::LocateData{.data = read_ids(in.getLocateData(), session)};
    case DriverToScheduler::HEARTBEAT:
      return read_heartbeat(in.getHeartbeat());
    case DriverToScheduler::DROP_TEMPLATES:
      return protocol::DropTemplates{.session = session,
                                     .numbers = read_u32(in.getDropTemplates().getNumbers())};
    case DriverToScheduler::EXPLAIN:
      return read_explain(in.getExplain());
    case DriverToScheduler::STREAM_HELD: {
      const auto from = in.getStreamHeld();
      return protocol::StreamHeld{.run = from.getRun(), .is_held = from.getIsHeld()};
    }
  }
  refuse_unknown("the scheduler", in.which());
}

void write_rebalance(const protocol::RebalanceStats& stats, schema::RebalanceStats::Builder out) {
  out.setStolen(stats.stolen);
  out.setUseful(stats.useful);
  out.setUseless(stats.useless);
  out.setTwins(stats.twins);
  out.setTwinsWon(stats.twins_won);
  out.setTwinNs(stats.twin_ns);
}

protocol::RebalanceStats read_rebalance(schema::RebalanceStats::Reader in) {
  return {.stolen = in.getStolen(),
          .useful = in.getUseful(),
          .useless = in.getUseless(),
          .twins = in.getTwins(),
          .twins_won = in.getTwinsWon(),
          .twin_ns = in.getTwinNs()};
}

void write_stats(const protocol::RunStats& stats, schema::RunStats::Builder out) {
  out.setTasks(stats.tasks);
  out.setTaskNs(stats.task_ns);
  out.setCriticalPathNs(stats.critical_path_ns);
  out.setMakespanNs(stats.makespan_ns);
  out.setLocalBytes(stats.local_bytes);
  out.setRemoteBytes(stats.remote_bytes);
  out.setTemplateTasks(stats.template_tasks);
  out.setSpilledBytes(stats.spilled_bytes);
  out.setLoadedBytes(stats.loaded_bytes);
  if (stats.rebalance != protocol::RebalanceStats{}) {
    write_rebalance(stats.rebalance, out.initRebalance());
  }
  auto workers = out.initWorkers(list_size(stats.workers.size()));
  for (unsigned i = 0; i < workers.size(); ++i) {
    const protocol::WorkerShare& share = stats.workers[i];
    auto to = workers[i];
    to.setWorker(share.worker.value);
    to.setName(as_text(share.name));
    to.setSlots(share.slots);
    to.setTasks(share.tasks);
    to.setBusyNs(share.busy_ns);
    to.setPresentNs(share.present_ns);
  }
  out.setBoundBy(as_text(stats.bound_by));
}

protocol::RunStats read_stats(schema::RunStats::Reader in) {
  protocol::RunStats stats;
  stats.tasks = in.getTasks();
  stats.task_ns = in.getTaskNs();
  stats.critical_path_ns = in.getCriticalPathNs();
  stats.makespan_ns = in.getMakespanNs();
  stats.local_bytes = in.getLocalBytes();
  stats.remote_bytes = in.getRemoteBytes();
  stats.template_tasks = in.getTemplateTasks();
  stats.spilled_bytes = in.getSpilledBytes();
  stats.loaded_bytes = in.getLoadedBytes();
  stats.rebalance = read_rebalance(in.getRebalance());
  for (const auto worker : in.getWorkers())
    stats.workers.push_back({.worker = PeerId{worker.getWorker()},
                             .name = read_text(worker.getName()),
                             .slots = worker.getSlots(),
                             .tasks = worker.getTasks(),
                             .busy_ns = worker.getBusyNs(),
                             .present_ns = worker.getPresentNs()});
  stats.bound_by = read_text(in.getBoundBy());
  return stats;
}

struct ToDriver {
  schema::SchedulerToDriver::Builder out;

  void operator()(const protocol::PeerInfo& info) { write_peer_info(info, out.initPeerInfo()); }
  void operator()(const protocol::PeerGone& gone) { write_peer_gone(gone, out.initPeerGone()); }
  void operator()(const protocol::DataReady& ready) {
    auto to = out.initDataReady();
    to.setRun(ready.run);
    write_column(ready.index, [&](unsigned n) { return to.initIndex(n); });
    write_column(ready.bytes, [&](unsigned n) { return to.initBytes(n); });
    write_column(ready.holder, [&](unsigned n) { return to.initHolder(n); });
  }
  void operator()(const protocol::RunEnded& ended) {
    auto to = out.initRunEnded();
    to.setRun(ended.run);
    to.setOutcome(static_cast<schema::RunOutcome>(ended.outcome));
    to.setErrorKind(static_cast<schema::ErrorKind>(ended.error_kind));
    to.setError(as_text(ended.error));
    write_stats(ended.stats, to.initStats());
  }
  void operator()(const protocol::RunProgress& progress) {
    auto to = out.initRunProgress();
    to.setRun(progress.run);
    to.setTasksDone(progress.tasks_done);
  }
  void operator()(const protocol::PutDataUnused& unused) {
    write_ids(unused.data, out.initPutDataUnused());
  }
  void operator()(const protocol::DataLost& lost) {
    auto to = out.initDataLost();
    write_ids(lost.data, to.initData());
    to.setReason(as_text(lost.reason));
    to.setKind(static_cast<schema::ErrorKind>(lost.kind));
  }
  void operator()(const protocol::Heartbeat& beat) { write_heartbeat(beat, out.initHeartbeat()); }
  void operator()(const protocol::ClusterSize& size) {
    write_cluster_size(size, out.initClusterSize());
  }
  void operator()(const protocol::Explanation& explanation) {
    auto to = out.initExplanation();
    to.setRequest(explanation.request);
    to.setText(as_text(explanation.text));
  }
};

std::size_t words_of(const protocol::SchedulerToDriver& message) {
  using namespace protocol;
  if (const auto* ready = std::get_if<DataReady>(&message))
    return list_words(ready->index, ready->bytes, ready->holder);
  if (const auto* ended = std::get_if<RunEnded>(&message))
    return 16 * ended->stats.workers.size() +
           (ended->error.size() + ended->stats.bound_by.size()) / 8;
  if (const auto* unused = std::get_if<PutDataUnused>(&message)) return id_words(unused->data);
  if (const auto* lost = std::get_if<DataLost>(&message)) return id_words(lost->data);
  if (const auto* told = std::get_if<Explanation>(&message)) return told->text.size() / 8;
  return 0;
}

protocol::DataReady read_ready(schema::DataReady::Reader in) {
  protocol::DataReady ready;
  ready.run = in.getRun();
  ready.index = read_u32(in.getIndex());
  ready.bytes = read_sizes(in.getBytes());
  ready.holder = read_peers(in.getHolder());
  require(ready.bytes.size() == ready.index.size() && ready.holder.size() == ready.index.size(),
          "columns of ready data differ in length");
  return ready;
}

protocol::RunEnded read_ended(schema::RunEnded::Reader in) {
  require(in.getOutcome() <= schema::RunOutcome::CANCELLED, "unknown outcome of a run");
  return {.run = in.getRun(),
          .outcome = static_cast<protocol::RunOutcome>(in.getOutcome()),
          .error_kind = read_error_kind(in.getErrorKind()),
          .error = read_text(in.getError()),
          .stats = read_stats(in.getStats())};
}

protocol::SchedulerToDriver read_to_driver(schema::SchedulerToDriver::Reader in) {
  using schema::SchedulerToDriver;
  switch (in.which()) {
    case SchedulerToDriver::PEER_INFO:
      return read_peer_info(in.getPeerInfo());
    case SchedulerToDriver::PEER_GONE:
      return read_peer_gone(in.getPeerGone());
    case SchedulerToDriver::DATA_READY:
      return read_ready(in.getDataReady());
    case SchedulerToDriver::RUN_ENDED:
      return read_ended(in.getRunEnded());
    case SchedulerToDriver::RUN_PROGRESS: {
      const auto from = in.getRunProgress();
      return protocol::RunProgress{.run = from.getRun(), .tasks_done = from.getTasksDone()};
    }
    case SchedulerToDriver::PUT_DATA_UNUSED:
      return protocol::PutDataUnused{.data = read_ids(in.getPutDataUnused())};
    case SchedulerToDriver::DATA_LOST: {
      const auto from = in.getDataLost();
      return protocol::DataLost{.data = read_ids(from.getData()),
                                .reason = read_text(from.getReason()),
                                .kind = read_error_kind(from.getKind())};
    }
    case SchedulerToDriver::HEARTBEAT:
      return read_heartbeat(in.getHeartbeat());
    case SchedulerToDriver::CLUSTER_SIZE:
      return read_cluster_size(in.getClusterSize());
    case SchedulerToDriver::EXPLANATION: {
      const auto from = in.getExplanation();
      return protocol::Explanation{.request = from.getRequest(), .text = read_text(from.getText())};
    }
  }
  refuse_unknown("a driver", in.which());
}

}  // namespace

std::vector<std::byte> encode(const protocol::DriverToScheduler& message) {
  return encode_as<schema::DriverToScheduler>(
      words_of(message),
      [&](schema::DriverToScheduler::Builder out) { std::visit(ToScheduler{out}, message); });
}

std::vector<std::byte> encode(const protocol::SchedulerToDriver& message) {
  return encode_as<schema::SchedulerToDriver>(
      words_of(message),
      [&](schema::SchedulerToDriver::Builder out) { std::visit(ToDriver{out}, message); });
}

Decoded<protocol::DriverToScheduler> decode_driver_to_scheduler(std::span<const std::byte> bytes,
                                                                SessionId session) {
  return decode_as<protocol::DriverToScheduler, schema::DriverToScheduler>(
      bytes, [&](schema::DriverToScheduler::Reader in) { return read_to_scheduler(in, session); });
}

Decoded<protocol::SchedulerToDriver> decode_scheduler_to_driver(std::span<const std::byte> bytes) {
  return decode_as<protocol::SchedulerToDriver, schema::SchedulerToDriver>(bytes, read_to_driver);
}

}  // namespace ashlar::wire
