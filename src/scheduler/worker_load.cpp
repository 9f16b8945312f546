#include <algorithm>

#include "scheduler/worker_table.hpp"

// What workers and their hosts say of their load and speed.

namespace ashlar::scheduler {

/// "cpu", or the kinds of resources.
std::uint32_t WorkerTable::class_id(const protocol::Hello& hello) {
  std::vector<std::string> kinds;
  for (const auto& [name, amount] : hello.resources) {
    if (amount > 0) kinds.push_back(name);
  }
  std::ranges::sort(kinds);
  std::string name = kinds.empty() ? "cpu" : "";
  for (const std::string& kind : kinds) name += (name.empty() ? "" : "+") + kind;
  const auto found = std::ranges::find(classes_, name);
  const auto id = static_cast<std::uint32_t>(found - classes_.begin());
  if (found == classes_.end()) classes_.push_back(std::move(name));
  return id;
}

/// Brings up to date what follows from a worker's load and speed.
void WorkerTable::weigh(PeerIndex worker) {
  Peer& peer = peers_[worker];
  peer.slowness = peer.speed.slowness();
  const double others = peer.load.share() * static_cast<double>(limits_.host_load_cost.ns);
  peer.heat_ns =
      static_cast<std::int64_t>(others) + (peer.load.is_hot() ? limits_.hot_cost.ns : 0);
  mark_dirty(worker);
}

void WorkerTable::hear(PeerIndex worker, const protocol::Heartbeat& beat, bool has_work,
                       Instant now) {
  Peer& peer = peers_[worker];
  peer.memory_used = beat.memory_used;
  HostShare& host = host_shares_[peer.host];
  const bool was_hot = peer.load.is_hot();
  if (peer.load.hear(beat, peer.slots, host, now)) {
    peer.load.judge(host, peer.slots,
                    {limits_.host_load_hot, limits_.host_load_cool, limits_.host_memory_hot,
                     limits_.host_memory_cool});
  }
  hot_count_ += std::size_t{peer.load.is_hot()} - std::size_t{was_hot};
  peer.speed.hear(peer.load.stretch(), has_work && peer.assigned == 0, now);
  weigh(worker);
}

void WorkerTable::observe_speed(PeerIndex worker, double ratio, Instant now) {
  Peer& peer = peers_[worker];
  peer.speed.observe(ratio, peer.load.stretch(), now);
  peer.slowness = peer.speed.slowness();
}

void WorkerTable::forget_load(PeerIndex worker) {
  Peer& peer = peers_[worker];
  if (!peer.load.is_known()) return;
  hot_count_ -= std::size_t{peer.load.is_hot()};
  peer.load.forget(host_shares_[peer.host]);
}

void WorkerTable::forget_old_loads(Instant now) {
  for (PeerIndex worker = 0; worker < peers_.size(); ++worker) {
    Peer& peer = peers_[worker];
    if (!peer.load.is_known() || now - peer.load.heard() < limits_.load_age) continue;
    forget_load(worker);
    peer.speed.hear(1, false, now);
    weigh(worker);
  }
}

void WorkerTable::forget_speeds() {
  for (PeerIndex worker = 0; worker < peers_.size(); ++worker) {
    if (!peers_[worker].is_worker || !peers_[worker].is_alive) continue;
    peers_[worker].speed = {};
    weigh(worker);
  }
}

std::uint64_t WorkerTable::idle_cool_slots() const {
  std::uint64_t slots = 0;
  for (PeerIndex worker = 0; worker < peers_.size(); ++worker) {
    const Peer& peer = peers_[worker];
    if (is_idle_[worker] && peer.assigned == 0 && !peer.load.is_hot()) slots += peer.slots;
  }
  return slots;
}

}  // namespace ashlar::scheduler
