#pragma once

#include <ashlar/tasks.hpp>
#include <ashlar/tls.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/registry.hpp"

namespace ashlar::session {

/// How a worker process of a local session learns what it is: through its environment.
struct WorkerProcessEnvironment {
  int descriptor = -1;  ///< the control socket it inherits
  int record = -1;      ///< of what it runs, inherited too
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::string spill_dir;
  std::uint64_t spill_limit = 0;  ///< 0: data stay in memory
  std::int64_t spin_ns = 0;
  std::vector<int> cores;  ///< to stay on; empty: any
  std::string log_level = "off";
  std::string log_file;

  std::vector<std::string> variables() const;
  /// One of the variables above, or one that worker processes get a value of their own for.
  static bool is_replaced(const char* variable);
  /// From this process's environment, or none.
  static std::optional<WorkerProcessEnvironment> read();
};

/// The built-in kernels and the user's.
kernels::Registry make_registry(const Tasks& tasks);

/// Serves a local session until it ends. Returns the process's exit code.
int serve_local(const WorkerProcessEnvironment& environment, const Tasks& tasks);

struct WorkerOptions {
  std::string scheduler;  ///< address
  std::string token;
  TlsOptions tls;
  std::uint32_t slots = 0;         ///< 0: all usable cores
  std::uint64_t memory_limit = 0;  ///< 0: nine tenths of the usable memory
  std::string spill_dir;           ///< empty: $TMPDIR, else /var/tmp
  /// Bytes on disk; 0: data stay in memory; none: half of what is free there.
  std::optional<std::uint64_t> spill_limit;
  std::int64_t spin_ns = 200'000;
  std::string listen_host;  ///< empty: as the scheduler's address suggests
  std::string transport = "tcp";  ///< or "ucx": of data between hosts
  std::vector<std::pair<std::string, double>> resources;
  std::string log_level = "info";
  std::string log_file;
};

/// Joins a scheduler and serves it until it ends or SIGINT or SIGTERM asks to leave. Returns the
/// process's exit code. Errors: Disconnected when there is no scheduler at the address;
/// BadInput for certificates that cannot be used.
int serve_scheduler(const WorkerOptions& options, const Tasks& tasks);

}  // namespace ashlar::session
