#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "scheduler/scheduler_engine.hpp"
#include "simulate/cluster.hpp"

namespace ashlar::simulate {

/// How a graph is to be run on a machine.
struct Question {
  std::shared_ptr<const Program> program;
  std::shared_ptr<const Machine> machine;
  scheduler::PolicyKind policy = scheduler::PolicyKind::least_loaded;
  std::uint32_t runs = 2;   ///< one after the other; from the first ones the scheduler learns
  bool is_repeated = false;  ///< later runs are placed as the first one was (Session::compile)
  std::uint64_t seed = 1;
};

/// What the last run takes.
struct Forecast {
  std::string error;  ///< what the run failed with; empty when it ended well
  double makespan_seconds = 0;
  double bound_seconds = 0;       ///< no schedule is shorter, as lower_bound_seconds() has it
  double utilisation = 0;         ///< time in tasks over slots x makespan, while workers are there
  std::uint64_t moved_bytes = 0;  ///< from worker to worker
  std::uint64_t memory_peak = 0;  ///< of the worker that reserved most
  History history;
};

/// Runs the production engines under virtual time. The same question gives the same forecast.
/// Requires a valid graph, and workers that stay to the end.
Forecast forecast(const Question& question);

}  // namespace ashlar::simulate
