#include "scheduler/placement/hosts.hpp"

#include <algorithm>
#include <map>

namespace ashlar::scheduler::placement {

std::vector<Host> hosts_of(const WorkerTable& workers) {
  std::map<std::uint32_t, double> slots;
  for (PeerIndex p = 0; p < workers.size(); ++p) {
    const Peer& peer = workers.at(p);
    if (workers.is_usable(p)) slots[peer.host] += peer.slots / peer.slowness;
  }
  std::vector<Host> hosts;
  for (const auto& [number, count] : slots) hosts.push_back({number, count});
  return hosts;
}

std::uint32_t position_of(std::uint32_t number, const std::vector<Host>& hosts) {
  const auto host = std::ranges::find(hosts, number, &Host::number);
  return host == hosts.end() ? nowhere : static_cast<std::uint32_t>(host - hosts.begin());
}

double slots_of(const std::vector<Host>& hosts) {
  double slots = 0;
  for (const Host& host : hosts) slots += host.slots;
  return slots;
}

}  // namespace ashlar::scheduler::placement
