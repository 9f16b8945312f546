#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/worker_table.hpp"

namespace ashlar::scheduler::placement {

struct Host {
  std::uint32_t number = 0;
  double slots = 0;  ///< of average speed
};

/// Those with workers that take new tasks, by their numbers.
std::vector<Host> hosts_of(const WorkerTable& workers);

/// Where the host of that number is among them; nowhere if it is not.
inline constexpr std::uint32_t nowhere = ~std::uint32_t{0};
std::uint32_t position_of(std::uint32_t number, const std::vector<Host>& hosts);

double slots_of(const std::vector<Host>& hosts);

}  // namespace ashlar::scheduler::placement
