#pragma once

#include <map>
#include <string>
#include <vector>

#include "simulate/cluster.hpp"

namespace ashlar::apps {

/// A cluster as a TOML file describes it; docs/simulate.md says how.
struct ClusterFile {
  simulate::Machine machine;
  std::vector<std::string> hosts;             ///< names, in the machine's order
  std::map<std::string, double> flops_per_s;  ///< of kernels, at speed 1
};

/// Errors: BadInput that names the file, the line, and what is expected there.
ClusterFile load_cluster(const std::string& path);

}  // namespace ashlar::apps
