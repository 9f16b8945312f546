#include "simulate/world.hpp"

#include "simulate/peer_node.hpp"

namespace ashlar::simulate {

namespace {

/// By peer: workers have the numbers from 1 on, in order.
std::vector<double> bandwidths(const Config& settings) {
  if (!settings.machine || settings.machine->bandwidth_of.empty()) return {};
  std::vector<double> all{settings.machine->bandwidth};
  const auto& of_worker = settings.machine->bandwidth_of;
  all.insert(all.end(), of_worker.begin(), of_worker.end());
  return all;
}

}  // namespace

World::World(const Config& settings, std::uint64_t seed)
    : config(settings),
      random(seed),
      network_(settings.machine ? settings.machine->bandwidth : 1, bandwidths(settings)) {}

World::~World() = default;

void World::send_bytes(PeerId from, PeerId to, std::uint64_t bytes, std::function<void()> deliver) {
  if (!config.machine || bytes == 0) {
    send(from, to, std::move(deliver));
    return;
  }
  send(from, to, [this, from, to, bytes, arrived = std::move(deliver)]() mutable {
    if (find(from) == nullptr || find(to) == nullptr) return;
    network_.start(now, {from.value, to.value}, bytes, std::move(arrived));
    watch_network();
  });
}

void World::cut_off(PeerId peer) {
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
