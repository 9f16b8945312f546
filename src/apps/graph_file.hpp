#pragma once

#include <map>
#include <string>

#include "runtime/recorded_runs.hpp"
#include "simulate/cluster.hpp"
#include "simulate/kernel_model.hpp"

namespace ashlar::apps {

using KernelModels = std::map<std::string, simulate::KernelModel>;

/// Reads a graph from a JSON file; docs/simulate.md says how it looks. Tasks that give flops
/// instead of seconds take as long as the model of their kernel says. The record of a workflow will
/// do as well (read_workflow).
///
/// Errors: BadInput that names the file, the line or the task, and what is expected there.
simulate::Program load_graph(const std::string& path, const KernelModels& kernels);

/// The last graph of a scheduler's event log. Tasks take as long as the model of their kernel says
/// or, without one, as long as they took. Data from outside are there from the beginning.
/// Errors: BadInput for a file that is no log, or has no complete run.
simulate::Program load_recorded_graph(const std::string& path, const KernelModels& kernels);

/// The graph of a run as a program for simulated workers.
simulate::Program program_of(const runtime::RecordedRun& run, const KernelModels& kernels);

}  // namespace ashlar::apps
