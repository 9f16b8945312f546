#include "runtime/recorded_runs.hpp"

#include <ashlar/error.hpp>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "runtime/event_log_file.hpp"
#include "wire/event_log.hpp"

namespace ashlar::runtime {
namespace {

class Collector {
 public:
  void take(const wire::SchedulerStep& step) {
    now_ = step.now;
    for (const scheduler::Event& event : step.events) {
      if (const auto* joined = std::get_if<scheduler::WorkerJoined>(&event)) {
        join(*joined);
      } else if (const auto* lost = std::get_if<scheduler::WorkerLost>(&event)) {
        present_.erase(lost->worker);
      } else if (const auto* opened = std::get_if<scheduler::SessionOpened>(&event)) {
        found.driver_host = opened->hello.endpoint.host_identity;
      } else if (const auto* asked = std::get_if<scheduler::FromDriver>(&event)) {
        const auto* run = std::get_if<protocol::SubmitRun>(&asked->message);
        if (run != nullptr) submit({asked->session, run->run}, *run);
      } else if (const auto* report = std::get_if<scheduler::FromWorker>(&event)) {
        const auto* done = std::get_if<protocol::TasksDone>(&report->message);
        if (done != nullptr) note(*done);
      }
    }
  }

  RecordedRuns found;

 private:
  void join(const scheduler::WorkerJoined& event) {
    const protocol::Hello& hello = event.hello;
    present_[event.worker] = {hello.name, hello.endpoint.host_identity, hello.slots,
                              hello.memory_limit};
  }

  void submit(RunId id, const protocol::SubmitRun& run) {
    const auto graph = graph_of(id.session, run);
    if (!graph) return;  // it was refused
    found.workers.clear();
    for (const auto& [peer, worker] : present_) found.workers.push_back(worker);
    positions_[id] = found.runs.size();
    RecordedRun& recorded = found.runs.emplace_back();
    recorded.graph = graph;
    recorded.is_repeated = run.graph == nullptr;
    recorded.submitted = recorded.last_done = now_;
    recorded.task_seconds.resize(graph->task_count(), 0);
    recorded.output_bytes = graph->output_bytes;
  }

  /// A repeated graph is said once, and then known by its template's number.
  std::shared_ptr<const graph::TaskGraph> graph_of(SessionId session,
                                                   const protocol::SubmitRun& run) {
    if (run.template_number == protocol::no_template) return run.graph;
    auto& kept = templates_[{session, run.template_number}];
    if (run.graph) kept = run.graph;
    return kept;
  }

  void note(const protocol::TasksDone& done) {
    const auto position = positions_.find(done.run);
    if (position == positions_.end()) return;
    RecordedRun& run = found.runs[position->second];
    std::size_t next = 0;  // among the bytes of outputs, if they are told
    for (std::size_t i = 0; i < done.task.size(); ++i) {
      const std::uint32_t task = done.task[i];
      if (task >= run.task_seconds.size()) return;
      run.tasks_done += run.task_seconds[task] == 0;
      // One that took no time that could be measured was still done.
      run.task_seconds[task] =
          1e-9 * static_cast<double>(std::max<std::uint64_t>(done.elapsed_ns[i], 1));
      run.last_done = now_;
      const std::uint32_t end = run.graph->output_offsets[task + 1];
      for (std::uint32_t d = run.graph->output_offsets[task]; d < end; ++d, ++next) {
        if (next < done.output_bytes.size()) run.output_bytes[d] = done.output_bytes[next];
      }
    }
  }

  std::map<PeerId, RecordedWorker> present_;
  std::map<RunId, std::size_t> positions_;
  std::map<std::pair<SessionId, std::uint32_t>, std::shared_ptr<const graph::TaskGraph>> templates_;
  Instant now_;
};

}  // namespace

RecordedRuns read_recorded_runs(const std::string& path) {
  Collector collector;
  read_event_log(path, [&](std::span<const std::byte> record) {
    const auto decoded = wire::decode_log_record(record);
    if (!decoded.message) throw BadInput("event log " + path + ": " + decoded.error);
    if (const auto* step = std::get_if<wire::SchedulerStep>(&*decoded.message)) {
      collector.take(*step);
    }
    return true;
  });
  return std::move(collector.found);
}

}  // namespace ashlar::runtime
