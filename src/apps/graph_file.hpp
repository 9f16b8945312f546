#pragma once

#include <map>
#include <string>

#include "simulate/cluster.hpp"

namespace ashlar::apps {

/// Reads a graph from a JSON file; docs/simulate.md says how it looks. Tasks that give flops
/// instead of seconds take these over their kernel's rate.
///
/// Errors: BadInput that names the file, the line or the task, and what is expected there.
simulate::Program load_graph(const std::string& path,
                             const std::map<std::string, double>& flops_per_s);

}  // namespace ashlar::apps
