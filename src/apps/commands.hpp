#pragma once

#include <ashlar/tasks.hpp>
#include <ashlar/tls.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The subcommands of the `ashlar` program. Each returns the process's exit code.
namespace ashlar::apps {

/// What this build and this machine are, and whether the BLAS is as fast as it should be.
int info();

struct MatmulOptions {
  std::string a;
  std::string b;
  std::string out;
  std::optional<std::int64_t> chunks;  ///< none: 1024, or less for smaller matrices
  std::uint32_t workers = 0;
  std::uint32_t threads = 0;
  std::string scheduler;  ///< address; empty: own worker processes
  std::string token;
  TlsOptions tls;
  bool is_quiet = false;
};

/// Multiplies two .npy files into a third; workers read and write their chunks themselves.
int matmul(const MatmulOptions& options);

struct ExplainOptions {
  std::string scheduler;  ///< address
  std::string token;
  TlsOptions tls;
  std::optional<std::uint32_t> session;  ///< none: all
  std::optional<std::uint32_t> run;      ///< none: all of them
  std::optional<std::uint32_t> task;     ///< none: the run as a whole
};

/// Prints how a scheduler's runs are, what bounds a run, or where a task is and why.
int explain(const ExplainOptions& options);

struct SimulateOptions {
  std::string graph;    ///< of the suite, or a file
  std::string cluster;  ///< file
  std::string policy = "least_loaded";
  std::uint32_t tasks = 500;            ///< about so many, of a suite's graph
  double task_ms = 10;                  ///< mean time of these at speed 1
  std::uint64_t chunk_bytes = 1 << 20;  ///< size of their data
  std::uint32_t runs = 2;
  std::uint64_t seed = 1;
  std::string trace;  ///< file; empty: none
};

/// Runs a graph on a described cluster in virtual time and prints what it takes.
int simulate(const SimulateOptions& options);

struct CalibrateOptions {
  std::string out = "machine.toml";
  std::uint32_t workers = 0;  ///< 0: as Session::local has it, as for threads
  std::uint32_t threads = 0;
  std::string event_log;  ///< of a run to learn from; empty: a job of its own is run
};

/// Measures this machine, or learns from a recorded run, and writes a file for `simulate`.
int calibrate(const CalibrateOptions& options);

/// Gives fresh engines the events of a scheduler's log, and says whether they do what was done.
int replay(const std::string& path);

/// Adds the tasks of shared libraries. Errors: BadInput for one that cannot be loaded or has no
/// ashlar_name_tasks.
void load_plugins(const std::vector<std::string>& libraries, Tasks& tasks);

}  // namespace ashlar::apps
