#include <algorithm>
#include <sstream>

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
  peer.heat_ns = static_cast<std::int64_t>(others) + (peer.load.is_hot() ? limits_.hot_cost.ns : 0);
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
  mark_dirty(worker);
}

void WorkerTable::note_task(std::int64_t task_ns) {
  const double weight = 1.0 / static_cast<double>(std::max<std::size_t>(64, usable_count_));
  mean_ns_ += weight * (static_cast<double>(task_ns) - mean_ns_);
}

/// Not above some windows: among longer tasks may be short ones, which a fast worker that is busy
/// for as long would hold up.
void WorkerTable::follow_usual_time() {
  const double mean = std::min(mean_ns_, 4.0 * static_cast<double>(limits_.window_time.ns));
  const auto usual = static_cast<double>(usual_ns_);
  if (mean <= 1.5 * usual && usual <= 1.5 * mean) return;
  usual_ns_ = static_cast<std::int64_t>(mean);
  for (PeerIndex worker = 0; worker < peers_.size(); ++worker) {
    if (peers_[worker].is_worker) mark_dirty(worker);
  }
  settle();
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

std::string WorkerTable::what_is_missing(std::uint32_t requirement) const {
  const Requirement& wanted = requirements_[requirement];
  const auto amount_on = [](const Peer& peer, std::uint32_t resource) {
    return resource < peer.resources_total.size() ? peer.resources_total[resource] : 0;
  };
  std::ostringstream all, lacking;
  for (const auto& [resource, need] : wanted.resources) {
    std::int64_t most = 0;
    for (PeerIndex p = 0; p < peers_.size(); ++p) {
      if (!is_usable(p) || position_of(p, wanted.kernel) == Peer::none_position) continue;
      most = std::max(most, amount_on(peers_[p], resource));
    }
    const auto name =
        std::ranges::find(resources_, resource, [](const auto& entry) { return entry.second; });
    std::ostringstream what;
    what << static_cast<double>(need) * 1e-6 << " \"" << name->first << '"';
    all << (all.tellp() > 0 ? " and " : "") << what.str();
    if (most >= need) continue;
    lacking << (lacking.tellp() > 0 ? ", and for " : "") << what.str();
    if (most == 0) {
      lacking << ": no worker with the kernel has any";
    } else {
      lacking << ": the most that a worker has is " << static_cast<double>(most) * 1e-6;
    }
  }
  if (lacking.tellp() > 0) return "asks for " + lacking.str();
  return "asks for " + all.str() + ": no worker has them together with the kernel";
}

}  // namespace ashlar::scheduler
