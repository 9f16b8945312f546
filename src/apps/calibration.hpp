#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/cluster_file.hpp"
#include "runtime/recorded_runs.hpp"

namespace ashlar::apps {

/// What calls of each kernel took, in complete runs.
using KernelCalls = std::map<std::string, std::vector<simulate::MeasuredCall>>;
KernelCalls calls_of(const runtime::RecordedRuns& recorded);

/// The middle value. Requires at least one.
double median(std::vector<double> values);

/// What recorded runs say of the machines they ran on: kernels' times from all complete runs, the
/// overhead of a task from runs of very short tasks, the latency from runs of one task. What none
/// of them shows is as load_cluster has it without a file.
/// Errors: BadInput when no run is complete.
Calibration calibrated(const runtime::RecordedRuns& recorded);

}  // namespace ashlar::apps
