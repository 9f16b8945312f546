#include "scheduler/placement/hosts.hpp"

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

double slots_of(const std::vector<Host>& hosts) {
  double slots = 0;
  for (const Host& host : hosts) slots += host.slots;
  return slots;
}

}  // namespace ashlar::scheduler::placement
