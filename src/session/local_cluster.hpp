#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "runtime/run_record.hpp"
#include "runtime/scheduler_shell.hpp"
#include "store/arena.hpp"

namespace ashlar::session {

/// How worker processes of a local session are started.
struct WorkerProcessOptions {
  std::string program;  ///< empty: this executable, whose main calls ashlar::init
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::string spill_dir;
  std::uint64_t spill_limit = 0;  ///< 0: data stay in memory
  std::int64_t spin_ns = 0;
  std::vector<int> cores;  ///< to stay on; empty: any
  std::string log_level = "off";
  std::string log_file;
};

/// The worker processes of a local session. They end when their socket closes, so also when this
/// process is killed.
/// Threads: one at a time.
class LocalCluster {
 public:
  LocalCluster() = default;
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  /// Starts a worker process and returns this side's end of its control socket.
  /// Errors: Overloaded when the system does not let us.
  store::FileDescriptor start_worker(const WorkerProcessOptions& options);

  /// Starts another process in place of a worker that is lost, with its options, and returns this
  /// side's end of its control socket. Errors: BadInput when it is not one of ours; as
  /// start_worker.
  store::FileDescriptor replace_worker(const std::string& worker_name);

  /// What became of a worker process, in words: "killed by signal 9 (Killed)"; `reason` when it
  /// is not one of ours; and what it was running. Waits a moment for it to be over.
  runtime::SchedulerShell::Death certify_death(const std::string& worker_name,
                                               const std::string& reason);

  /// What became of the first worker process that is over, or empty.
  std::string first_death();

  /// Waits for all to end, killing those that do not within `grace_ms`.
  void stop(int grace_ms);

  static std::string worker_name(pid_t pid);

 private:
  struct Child {
    pid_t pid = -1;
    bool is_reaped = false;
    int status = 0;
    WorkerProcessOptions options;
    runtime::RunRecord record;
  };
  std::vector<Child>::iterator find(const std::string& worker_name);
  static void end(Child& child);
  bool reap(Child& child, int timeout_ms);
  static std::string describe(const Child& child);

  std::vector<Child> children_;
};

}  // namespace ashlar::session
