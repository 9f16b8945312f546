#pragma once

#include <ashlar/detail/session_core.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/session.hpp>
#include <ashlar/tasks.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/task_graph.hpp"
#include "runtime/driver_shell.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "session/explanation.hpp"
#include "session/local_cluster.hpp"
#include "session/output.hpp"
#include "session/partial_files.hpp"
#include "session/template_cache.hpp"
#include "store/arena.hpp"
#include "store/result_memory.hpp"
#include "telemetry/log.hpp"

namespace ashlar::session {

/// An entry of a run's stream that has come.
struct Streamed {
  std::uint32_t position = 0;
  DatumId datum;
  store::Buffer buffer;
};

/// One run of a graph, as its driver sees it. Threads: any, where it does not say otherwise.
struct Run {
  std::uint32_t number = 0;
  std::shared_ptr<const graph::TaskGraph> graph;
  bool comes_home = true;
  bool ends_on_failure = false;  ///< its results are of use only together
  Repetition repetition = Repetition::never;
  Instant called_at;                           ///< when the program asked for it
  Instant finished_at;                         ///< when everything was there, and merged
  std::vector<std::weak_ptr<Output>> outputs;  ///< as graph->wanted
  std::atomic<std::uint32_t> live_outputs{0};

  std::mutex mutex;
  /// Positions in `outputs` in the order in which they came, for whoever merges.
  std::vector<std::uint32_t> arrived;
  std::vector<Streamed> streamed;  ///< likewise, of the run's stream

  std::atomic<bool> has_arrived{false};  ///< one of them is not empty
  std::atomic<bool> is_finished{false};
  driver::RunFinished end;  ///< valid once finished
  std::atomic<std::uint64_t> tasks_done{0};
  PartialFiles files;
  /// Or empty; called on the loop's turn. Set before the run is submitted.
  std::function<void()> on_arrived;

  /// Calls `f` once when the run has ended or never will; here and now if that is so already.
  void then(std::function<void()> f);
  /// Says that it is so.
  void settle();

 private:
  bool is_settled_ = false;  ///< under the mutex, as the next
  std::vector<std::function<void()>> callbacks_;
};
using RunHandle = std::shared_ptr<Run>;

/// A run and its handles, in the order of graph->wanted.
struct Submitted {
  RunHandle run;
  std::vector<OutputHandle> outputs;
};

/// How a finished run went.
RunReport make_report(const Run& run);

/// What one Session is made of: a loop, a driver, and for local sessions a scheduler and worker
/// processes. Outlived by nothing it gave out: outputs keep it alive.
/// Threads: any.
class Core : public detail::SessionPort,
             public std::enable_shared_from_this<Core>,
             private runtime::DriverEvents {
 public:
  /// Errors: as Session::local.
  static std::shared_ptr<Core> local(const LocalOptions& options);
  /// Errors: as Session::connect.
  static std::shared_ptr<Core> connect(const std::string& address, const ConnectOptions& options);
  ~Core() override;

  runtime::Loop& loop() { return loop_; }
  const Tasks& tasks() const override { return tasks_; }
  detail::DatumHandle submit(detail::TaskRequest request) override;
  detail::DatumHandle put(const detail::EncodableValue& value) override;
  GraphRun run(detail::GraphData& graph, bool is_compiled) override;

  store::ResultPool& results() { return results_; }
  const std::shared_ptr<store::Arena>& arena() const { return arena_; }
  bool shows_progress() const { return shows_progress_; }

  /// Prepares a run, to which callbacks may be added; start() hands it to the scheduler.
  /// Errors: Disconnected.
  Submitted prepare(std::shared_ptr<const graph::TaskGraph> graph, bool comes_home);
  /// Errors: as PartialFiles::create, for the files that the run writes.
  void start(Run& run, std::vector<DatumId> externals,
             const std::vector<array::WrittenFile>& files = {}, driver::StreamOrder stream = {});
  /// The run's stream may have another entry in place of this one.
  void move_on(std::uint32_t run, std::uint32_t position);
  /// Nothing more of the run's stream is wanted.
  void end_stream(std::uint32_t run);

  /// Announces buffers of the driver's store for tasks to read, while the handles live. Tasks that
  /// need one wait until it is there.
  std::vector<OutputHandle> promise(std::vector<std::uint64_t> bytes);
  using Filled = std::vector<std::pair<OutputHandle, store::Buffer>>;
  void fulfil(const Filled& filled);
  OutputHandle put(store::Buffer buffer);
  /// The ids of data of this session. Errors: BadInput for another session's.
  DatumId id_of(const detail::DatumHandle& datum) const;

  void bring(DatumId id);
  void release(DatumId id);
  void cancel(std::uint32_t run);

  /// Carries the loop on until done(), at most this long; returns done().
  bool wait_for(const std::function<bool()>& done, std::chrono::nanoseconds timeout);
  /// Waits until a run is finished. Errors: what it failed with.
  void wait(Run& run);
  /// The same, and says how it went.
  RunReport report_of(Run& run);
  /// The run that makes a datum for which there is a handle; none for what was put.
  RunHandle run_of(DatumId id) { return find(id.run.number); }

  bool is_disconnected() const { return is_disconnected_; }
  std::string why_disconnected() const;

  /// Workers that are there now.
  std::size_t worker_count() const { return workers_; }
  /// Where workers differ, the mean, rounded up.
  std::uint32_t slots_per_worker() const { return slots_per_worker_; }

  /// Asks the scheduler: the datum is a text to come. The session is filled in.
  /// Errors: Unsupported when the scheduler is of a version that does not answer; Disconnected.
  detail::DatumHandle explain(protocol::Explain question);
  /// The same of the task that makes an output of a run.
  detail::DatumHandle explain_output(const Run& run, std::uint32_t output);

  // learned.cpp
  std::string learned();
  void forget_learned();

  void keep_report(const RunReport& report);
  RunReport last_report() const;

  /// Ends the session: runs stop, workers of a local session end. May be repeated.
  void close();

 private:
  void ask_scheduler(std::function<void(runtime::SchedulerShell&)> ask);
  Core(runtime::Loop::Options loop, telemetry::LogOptions log);
  void start_workers(const LocalOptions& options);
  void accept_worker(store::FileDescriptor socket);
  /// Says what became of a worker and starts another one in its place. On the loop's turn.
  runtime::SchedulerShell::Death replace_worker(const std::string& name, const std::string& reason);
  void check_open() const;

  void make_driver(runtime::Exchange::Options exchange);
  std::shared_ptr<runtime::DriverShell> driver() const;
  RunHandle find(std::uint32_t number);
  OutputHandle find(DatumId id);
  void forget_if_over(const RunHandle& run);

  void on_deliver(DatumId datum, const store::Buffer& buffer) override;
  void on_moved(DatumId datum, const store::Buffer& buffer) override;
  void on_streamed(const driver::StreamDeliver& entry, const store::Buffer& buffer) override;
  void on_exists(DatumId datum) override;
  void on_datum_failed(DatumId datum, ErrorKind kind, const std::string& error) override;
  void on_run_finished(const driver::RunFinished& finished) override;
  void on_progress(const driver::Progress& progress) override;
  void on_cluster_size(const protocol::ClusterSize& size) override;
  void on_explained(std::uint64_t request, const std::string& text) override;
  void on_disconnected(const std::string& reason) override;

  telemetry::Log log_;
  Tasks tasks_;
  store::ResultPool results_;
  TemplateCache templates_;
  std::shared_ptr<store::Arena> arena_;
  runtime::Loop loop_;
  std::unique_ptr<LocalCluster> cluster_;
  std::unique_ptr<runtime::SchedulerShell> scheduler_;
  bool shows_progress_ = false;

  mutable std::mutex mutex_;                           ///< protects what follows
  std::shared_ptr<runtime::DriverShell> driver_;       ///< none once closed
  std::unordered_map<std::uint32_t, RunHandle> runs_;  ///< unfinished, or with live outputs
  std::map<std::uint64_t, std::weak_ptr<ExplanationText>> questions_;  ///< not answered yet
  std::uint64_t next_question_ = 1;
  std::string why_disconnected_;
  RunReport last_report_;
  std::atomic<bool> is_disconnected_{false};
  std::atomic<bool> is_closed_{false};
  std::atomic<std::uint32_t> next_run_{1};
  std::atomic<std::size_t> workers_{0};
  std::atomic<std::uint32_t> slots_per_worker_{1};
  std::uint32_t replacements_ = 0;          ///< of workers, since a task last ended; on the turn
  std::uint64_t ended_at_replacement_ = 0;  ///< tasks that had ended then
  SessionId session_;
};

}  // namespace ashlar::session
