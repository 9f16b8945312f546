#include "simulate/world.hpp"

#include "simulate/peer_node.hpp"

namespace ashlar::simulate {

namespace {

/// By the number of their link: that of host n is n + 1.
std::vector<double> bandwidths(const Config& settings) {
  if (!settings.machine || settings.machine->bandwidth_of.empty()) return {};
  const Machine& machine = *settings.machine;
  std::vector<double> all{machine.bandwidth};
  for (std::size_t w = 0; w < machine.bandwidth_of.size(); ++w) {
    if (machine.host_at(w) + 1 == all.size()) all.push_back(machine.bandwidth_of[w]);
  }
  return all;
}

}  // namespace

World::World(const Config& settings, std::uint64_t seed)
    : config(settings),
      random(seed),
      network_(settings.machine ? settings.machine->bandwidth : 1, bandwidths(settings)) {}

World::~World() = default;

void World::send_bytes(PeerId from, PeerId to, std::uint64_t bytes, std::function<void()> deliver) {
  if (!config.machine || bytes == 0 || share_host(from, to)) {
    send(from, to, std::move(deliver));
    return;
  }
  send(from, to, [this, from, to, bytes, arrived = std::move(deliver)]() mutable {
    if (find(from) == nullptr || find(to) == nullptr) return;
    network_.start(now, {link_of(from), link_of(to)}, bytes, std::move(arrived));
    watch_network();
  });
}

bool World::share_host(PeerId a, PeerId b) {
  const PeerNode *first = find(a), *second = find(b);
  return first != nullptr && second != nullptr && first->host() == second->host();
}

std::uint32_t World::link_of(PeerId peer) const {
  // Workers have the numbers from 1 on.
  const Machine& machine = *config.machine;
  const bool is_worker = peer.value <= machine.speeds.size();
  return is_worker ? machine.host_at(peer.value - 1) + 1 : peer.value;
}

void World::cut_off(PeerId peer) {
  // On a host with other processes nothing is cut; what still comes, nobody waits for.
  if (config.machine && !config.machine->host_of.empty()) return;
  network_.remove_host(now, peer.value);
  watch_network();
}

/// Comes back when the next stream has ended, unless streams start or end before.
void World::watch_network() {
  // Streams that start in one instant are shared out once.
  const std::uint64_t change = ++network_changes_;
  after({}, [this, change] {
    if (change != network_changes_ || network_.is_quiet()) return;
    at(network_.next_end(), [this, change] {
      if (change != network_changes_) return;
      network_.advance(now);
      watch_network();
    });
  });
}

}  // namespace ashlar::simulate
