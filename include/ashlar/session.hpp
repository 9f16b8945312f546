#pragma once

#include <ashlar/array.hpp>
#include <ashlar/detail/destination.hpp>
#include <ashlar/detail/session_tasks.hpp>
#include <ashlar/future.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/report.hpp>
#include <ashlar/stream.hpp>
#include <ashlar/tls.hpp>
#include <ashlar/view.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ashlar {

namespace session {
class Core;
}  // namespace session

/// Names this program's tasks, and in a process that was started as a worker serves until its
/// session ends: then it does not return. The first line of main.
///
/// Removes the arguments that are Ashlar's own (there are none at present).
void init(int& argc, char** argv, const Tasks& tasks = {});

/// How a program's own worker processes are made. One that dies is replaced. There is no transport
/// to choose, and nothing to encrypt: they share memory with the program.
struct LocalOptions {
  std::uint32_t workers = 0;             ///< 0: as many as usable cores, at most 8
  std::uint32_t threads_per_worker = 0;  ///< 0: usable cores / workers, at least one
  std::uint64_t memory_per_worker = 0;   ///< bytes; 0: nine tenths of the usable memory, shared
  /// Folder for data that the workers' memory has no room for; empty: $TMPDIR, else /var/tmp.
  /// Nothing stays there when the workers end, however they do.
  std::string spill_dir = {};
  /// Disk space for such data of each worker, in bytes; 0: none, data stay in memory; not given:
  /// half of what is free there, shared.
  std::optional<std::uint64_t> spill_per_worker = {};
  /// How long a waiting process polls before it sleeps, while answers come that fast: to sleep and
  /// be woken takes 50 to 200 us, by machine. Zero: never poll.
  std::chrono::nanoseconds spin = std::chrono::microseconds(200);
  /// Where tasks go: least_loaded, locality, heft, lshs, round_robin or random; docs/scheduling.md
  /// compares them.
  std::string policy = "least_loaded";
  /// A bar on standard error, if that is a terminal, for anything longer than a second.
  bool progress = true;
  /// Keeps each worker on cores of its own, when the workers' threads are as many as the usable
  /// cores; with fewer or more the system places them.
  bool bind_cores = true;
  /// Program that serves as worker instead of this executable, such as `ashlar` with the
  /// built-in kernels only. Its main must call init.
  std::string worker_program = {};
  std::string log_level = "off";  ///< debug, info, warning, error, off
  std::string log_file = {};      ///< empty: standard error
  /// File for all that the scheduler is told and does, from which `ashlar replay` replays it and
  /// `ashlar calibrate` learns; empty: none. About 250 bytes a task.
  std::string event_log = {};
};

struct ConnectOptions {
  std::string token = {};  ///< as the scheduler's; empty: $ASHLAR_TOKEN
  TlsOptions tls = {};     ///< when the scheduler has them, too
  std::chrono::milliseconds timeout = std::chrono::seconds(5);
  std::chrono::nanoseconds spin = std::chrono::microseconds(200);
  bool progress = true;
  std::string log_level = "off";
  std::string log_file = {};
  /// "tcp", or "ucx": how data go to and from workers of other hosts that were started with
  /// `--transport ucx`.
  std::string transport = "tcp";
};

/// A driver's connection to a scheduler and its workers: what runs arrays, tasks and graphs.
///
/// Copies are handles of one session, which ends with the last of them: then its runs stop, its
/// data are freed, and the worker processes of a local session end. Threads: any may call.
///
/// What waits has a form that does not: compute, compute_into, wait and gather in one with _async
/// behind the name, GraphRun::wait in done(), Future::get in then(). Only a stream, and a session's
/// begin and end, local, connect and close, have none: a program that must never wait calls them on
/// another thread.
class Session : public SessionTasks {
 public:
  /// Starts worker processes on this host, and a scheduler on a thread of this process.
  /// Errors: BadInput without init() in main, for impossible options, or for more than 32 threads
  /// for each usable core; Overloaded or Disconnected when the workers do not start.
  static Session local(const LocalOptions& options = {});

  /// Joins a scheduler: "tcp://host:8786" or "unix:/path".
  /// Errors: BadInput for an address or a transport that is none, or certificates that cannot be
  /// used; Unsupported for certificates in a build without TLS, UCX where there is none, and both
  /// together; Disconnected when nobody answers, the scheduler refuses, or only one of the two has
  /// certificates.
  static Session connect(const std::string& address, const ConnectOptions& options = {});

  /// Computes an array and brings it here.
  /// Errors: TaskFailed naming kernel, worker and source line; Disconnected; Overloaded.
  HostArray compute(const Array& array, RunReport* report = nullptr);

  /// Several at once, sharing what they have in common.
  std::vector<HostArray> compute(const std::vector<Array>& arrays, RunReport* report = nullptr);

  /// The same without waiting; what the arrays read of this process's memory has been copied when
  /// they return. Results are merged on the session's thread; Future::report says how it went.
  /// Errors of running come with Future::get.
  Future<HostArray> compute_async(const Array& array);
  Future<std::vector<HostArray>> compute_async(const std::vector<Array>& arrays);

  /// Computes an array into memory of the program's: part of a larger array, a matrix of another
  /// library. Chunks are copied there from where the workers made them. Strides may be any, also
  /// negative, as of a column-major matrix: session.compute_into(c, as_view(eigen_matrix)).
  ///
  /// The memory may be what the array reads by from_host: that has been copied before anything is
  /// written. After an error, what is in it is not specified.
  /// Errors: BadInput for a dtype or shape that is not the array's, or strides with which elements
  /// overlap; else as compute.
  template <class T, std::size_t N>
  void compute_into(const Array& array, View<T, N> out, RunReport* report = nullptr) {
    compute_into(array, detail::destination_of(out), report);
  }
  void compute_into(const Array& array, HostArray& out, RunReport* report = nullptr);

  /// The same without waiting: the memory must stay until the Future is ready, and chunks may be
  /// written before this returns. Errors: besides, BadInput when the array reads that memory.
  template <class T, std::size_t N>
  Future<void> compute_into_async(const Array& array, View<T, N> out) {
    return compute_into_async(array, detail::destination_of(out));
  }
  Future<void> compute_into_async(const Array& array, HostArray& out);

  /// Computes an array and brings it here chunk by chunk, in bounded memory: the chunks that were
  /// not looked at yet wait on the workers. An array that is persisted stays there.
  ///
  /// The report is kept when the last chunk is let go.
  /// Errors: as persist. Errors of running come with the iteration.
  Stream stream(const Array& array, const StreamOptions& options = {});

  /// Starts computing an array that stays on the workers, and returns it, without waiting, as an
  /// array whose chunks need not be computed again. They are freed with its last handle.
  /// Errors: BadInput for an expression of too many tasks, or one that uses what another session
  /// persisted; Disconnected. Errors of running come with wait, or with what uses the array.
  Array persist(const Array& array);

  /// Waits until every chunk of a persisted array exists; returns at once for any other.
  /// Errors: what its tasks failed with.
  void wait(const Array& array);

  /// The same without waiting.
  Future<void> wait_async(const Array& array);

  /// What computing the array would take on this session's workers.
  Plan plan(const Array& array) const;

  /// Says, for people, how far the session's run is that goes on, or how the last one went, and
  /// what bounds it or bounded it: the longest chain of tasks, the workers, one worker, a link,
  /// memory, too few ready tasks. A Future's or a GraphRun's own explain tells of one task or run.
  ///
  /// Not to be called from Future::then. Errors: as Future::explain.
  std::string explain() const { return explain_async().get(); }
  /// The same of what makes a persisted array, or of a future.
  /// Errors: besides, BadInput for an array that is not persisted or has no elements.
  std::string explain(const Array& array) const { return explain_async(array).get(); }
  template <class T>
  std::string explain(const Future<T>& future) const {
    return future.explain();
  }
  /// The same without waiting.
  Future<std::string> explain_async() const;
  Future<std::string> explain_async(const Array& array) const;
  template <class T>
  Future<std::string> explain_async(const Future<T>& future) const {
    return future.explain_async();
  }

  /// How the last compute, persist or run went that was waited for, or whose Future was asked by
  /// get(). Where several go on at once, ask each: compute's `report`, or Future::report.
  RunReport report() const;

  /// Workers that are there now.
  std::size_t worker_count() const;

  /// What a local session's scheduler has learnt, as a table for people: for each kernel the calls,
  /// the predicted time and how sure that is; for each worker how slow it is, and what else its
  /// host does; what the links between hosts carry. Not to be called from Future::then.
  /// Errors: Unsupported when the scheduler is elsewhere; Disconnected.
  std::string learned() const;

  /// Has the scheduler forget it, as when the machine was not itself. Errors: as learned().
  void forget_learned();

  /// Ends the session now. Futures that are not ready fail with Disconnected. May be repeated.
  void close();

 private:
  explicit Session(std::shared_ptr<session::Core> core);
  void compute_into(const Array& array, detail::Destination out, RunReport* report);
  Future<void> compute_into_async(const Array& array, detail::Destination out);

  std::shared_ptr<session::Core> core_;
  struct Closer;
  std::shared_ptr<Closer> closer_;  ///< closes with the last handle
};

}  // namespace ashlar
