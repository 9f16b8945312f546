#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "simulate/cluster.hpp"
#include "simulate/kernel_model.hpp"

namespace ashlar::apps {

/// A cluster as a TOML file describes it; docs/simulate.md says how.
struct ClusterFile {
  simulate::Machine machine;
  std::vector<std::string> hosts;  ///< names of the workers, in the machine's order
  std::vector<std::string> host_names;  ///< of the host of each worker
  std::map<std::string, simulate::KernelModel> kernels;  ///< at speed 1
};

/// Errors: BadInput that names the file, the line, and what is expected there.
ClusterFile load_cluster(const std::string& path);
/// The same of a text; `path` is what errors call it.
ClusterFile parse_cluster(const std::string& text, const std::string& path);

/// Hosts that are alike, as they are written.
struct HostGroup {
  std::string name;
  std::uint32_t workers = 1;
  std::uint32_t slots = 1;
  std::uint64_t memory_bytes = 0;  ///< of each worker
};

/// What `ashlar calibrate` has found out.
struct Calibration {
  std::vector<HostGroup> hosts;
  double gbit_per_s = 0;  ///< 0: not known
  double latency_us = 30;
  double task_overhead_us = 0;
  double decision_us = 2;
  double output_seconds_per_byte = 0;
  bool is_driver_local = false;  ///< it is on the first host
  std::map<std::string, simulate::KernelModel> kernels;
};

/// The calibration as a file that load_cluster reads. `comment` goes to the top, a line.
std::string to_toml(const Calibration& calibration, const std::string& comment);

}  // namespace ashlar::apps
