#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "graph/task_graph.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "simulate/history.hpp"
#include "worker/worker_engine.hpp"

namespace ashlar::simulate {

/// Hosts, one for each worker if it does not say otherwise, and the network between them.
struct Machine {
  std::vector<double> speeds = {};  ///< of each worker; a task takes its seconds over this
  std::uint32_t slots = 2;          ///< of each worker
  double bandwidth = 1.25e9;        ///< bytes/s of a host's link, each way; streams share it fairly
  Duration latency = Duration::microseconds(30);      ///< of the network, one way
  Duration engine_delay = Duration::microseconds(5);  ///< from an event to what is done about it
  Duration vanishes_after = {};  ///< after the last submission a worker dies; 0: never
  double disk_bandwidth = 1e9;   ///< bytes/s of each worker's disk, for spilled data; 0: no disk
  Duration task_overhead = {};   ///< for which a slot is busy with each task beside computing
  double output_seconds_per_byte = 0;  ///< likewise, for each byte that the task makes

  /// Where workers differ: one for each worker, or none for all.
  std::vector<std::uint32_t> slots_of = {};
  std::vector<std::uint64_t> memory_of = {};
  std::vector<double> bandwidth_of = {};
  std::vector<double> disk_of = {};
  std::vector<Duration> latency_of = {};   ///< between two of its kind; between others the mean
  std::vector<Duration> vanishes_of = {};  ///< as vanishes_after

  /// The host of each worker, counted from 0; none: each has its own. A host has one link, of its
  /// first worker's bandwidth. What lies on a host is read in place by its processes.
  std::vector<std::uint32_t> host_of = {};
  bool is_driver_on_first_host = false;  ///< else it has a host of its own

  std::uint32_t slots_at(std::size_t worker) const {
    return slots_of.empty() ? slots : slots_of[worker];
  }
  Duration vanishes_at(std::size_t worker) const {
    if (!vanishes_of.empty()) return vanishes_of[worker];
    return worker + 1 == speeds.size() ? vanishes_after : Duration{};
  }
  double disk_at(std::size_t worker) const {
    return worker < disk_of.size() ? disk_of[worker] : disk_bandwidth;
  }
  std::uint32_t host_at(std::size_t worker) const {
    return host_of.empty() ? static_cast<std::uint32_t>(worker) : host_of[worker];
  }
  Duration latency_at(std::size_t worker) const {
    return worker < latency_of.size() ? latency_of[worker] : latency;
  }
};

/// A graph of the kernels that simulated workers have, and the seconds each task takes at speed 1.
struct Program {
  graph::TaskGraph graph;
  std::vector<double> task_seconds;
};

/// Sees what the engines of the scheduler and of the workers are told and do.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void scheduler_made(std::uint64_t seed) = 0;
  virtual void worker_made(PeerId worker, std::uint32_t slots, std::uint64_t memory_limit,
                           const std::string& host_identity, bool can_spill) = 0;
  virtual void stepped(std::span<const scheduler::Event> events, Instant now,
                       const scheduler::Actions& actions) = 0;
  virtual void stepped(PeerId worker, std::span<const worker::Event> events, Instant now,
                       const worker::Actions& actions) = 0;
};

/// What a simulated cluster is made of and what befalls it.
struct Config {
  std::uint32_t workers = 3;
  std::uint32_t slots_max = 3;           ///< per worker: 1 … slots_max
  std::uint32_t hosts = 2;               ///< processes are spread over them
  std::uint64_t memory_limit = 1 << 30;  ///< per worker
  bool is_memory_tight = false;          ///< tasks may then fail for want of memory
  bool can_spill = true;                 ///< workers have disks
  std::uint32_t failing_disks = 0;       ///< writes and reads, about so many in a thousand
  std::uint32_t drivers = 1;
  std::uint32_t runs = 3;           ///< per driver
  std::uint32_t tasks_max = 40;     ///< per run
  std::uint32_t kills = 0;          ///< workers that vanish
  std::uint32_t joins = 0;          ///< workers that come later
  std::uint32_t driver_kills = 0;   ///< drivers that vanish
  std::uint32_t cuts = 0;           ///< links between workers' hosts that are cut, most for good
  std::uint32_t failing_tasks = 0;  ///< kernels that throw, about so many in a thousand
  std::uint32_t cancels = 0;        ///< runs cancelled, about so many in a hundred
  Duration report_delay = {};       ///< worker::Limits::report_delay
  std::uint32_t repeats = 0;        ///< runs of a graph that ran before, about so many in a hundred
  Duration delay_max = Duration::milliseconds(2);  ///< of a message on a link
  Duration task_time_max = Duration::milliseconds(5);
  Duration patience = Duration::seconds(300);  ///< virtual time after which it is a hang
  std::uint32_t check_every = 1;               ///< steps between checks of an engine's invariants
  bool gathers_events = true;  ///< engines see several events in a step; else each as it comes
  scheduler::Limits limits = {};
  /// When given, times come from it instead of chance: it says what workers there are, so that none
  /// may join, and one driver runs the programs, one after the other.
  std::shared_ptr<const Machine> machine = {};
  std::vector<std::shared_ptr<const Program>> programs = {};
  bool keeps_history = false;  ///< of the last program
  std::shared_ptr<Observer> observer = {};
};

struct Outcome {
  std::string problem;  ///< what went wrong, with the engines' state; empty when nothing did
  std::uint64_t steps = 0;
  std::uint64_t tasks_run = 0;
  std::uint64_t runs_done = 0;
  std::uint64_t runs_failed = 0;
  std::uint64_t runs_cancelled = 0;
  std::uint64_t runs_short = 0;     ///< of the failed ones, for want of memory
  std::uint64_t template_runs = 0;  ///< placed as an earlier run of the same graph
  std::uint64_t data_compared = 0;  ///< results that equalled sequential execution
  std::uint64_t digest = 0;         ///< of everything that happened, in order
  Duration took;                    ///< virtual time
  Duration makespan;                ///< of the last run, from its submission to its last task
  std::uint64_t peak_bytes = 0;     ///< the most all stores held during the last run
  std::uint64_t remote_bytes = 0;   ///< fetched from other hosts by workers, as they report it
  std::uint64_t spilled_bytes = 0, loaded_bytes = 0;  ///< to and from disk, as workers report it
  std::string last_error;                             ///< of the last run; empty when it ended well
  History history;                                    ///< if Config::keeps_history
};

/// A whole cluster in one thread under virtual time: the real engines, with messages that are
/// delayed, workers that die and join, links between them that are cut, kernels that fail and runs
/// that are cancelled.
///
/// It demands that every run ends, that results equal sequential execution, that nothing is held
/// in the end, that a run fails for want of memory only while no task runs anywhere, and for links
/// that were cut only where it descends from data that were released, that no worker exceeds its
/// memory limit by more than outputs whose size nobody knew, and that the engines' invariants hold
/// throughout. The same seed gives the same history.
class Cluster {
 public:
  explicit Cluster(Config config);

  Outcome run(std::uint64_t seed) const;

 private:
  Config config_;
};

}  // namespace ashlar::simulate
