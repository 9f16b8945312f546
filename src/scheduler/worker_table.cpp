#include "scheduler/worker_table.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"

namespace ashlar::scheduler {
namespace {

constexpr std::size_t filled_together_max = 64;  // so that filling one costs no more on huge hosts
constexpr std::int64_t dispatch_ns = 2000;       // so that tasks without predicted time spread too

std::int64_t millionths(double amount) {
  return static_cast<std::int64_t>(std::llround(std::clamp(amount, 0.0, 1e12) * 1e6));
}

std::uint32_t intern(std::map<std::string, std::uint32_t>& names, const std::string& name) {
  return names.try_emplace(name, static_cast<std::uint32_t>(names.size())).first->second;
}

}  // namespace

PeerIndex WorkerTable::add(PeerId id, const protocol::Hello& hello, bool is_worker) {
  const auto index = static_cast<PeerIndex>(peers_.size());
  Peer& peer = peers_.emplace_back();
  is_open_.push_back(false);
  is_idle_.push_back(false);
  is_spare_.push_back(false);
  has_backlog_.push_back(false);
  idle_slots_by_peer_.push_back(0);
  is_filling_.push_back(true);
  is_dirty_.push_back(false);
  index_.emplace(std::ranges::lower_bound(index_, id, {}, [](const auto& e) { return e.first; }),
                 id, index);
  peer.id = id;
  peer.name = hello.name.empty() ? "peer " + std::to_string(id.value) : hello.name;
  peer.endpoint = hello.endpoint;
  // Without a host identity nothing is shared: a host of its own.
  const std::string& host = hello.endpoint.host_identity;
  peer.host =
      intern(hosts_, host.empty() ? std::string{"peer:"}.append(std::to_string(id.value)) : host);
  host_shares_.resize(hosts_.size());
  peer.is_worker = is_worker;
  if (!is_worker) return index;
  peer.worker_class = class_id(hello);

  peer.slots = std::max(hello.slots, 1u);
  peer.memory_limit = hello.memory_limit;
  for (std::uint32_t position = 0; position < hello.kernels.size(); ++position) {
    const std::uint32_t kernel = kernel_id(hello.kernels[position]);
    if (kernel >= peer.kernel_position.size()) {
      peer.kernel_position.resize(kernel + 1, Peer::none_position);
    }
    peer.kernel_position[kernel] = position;
  }
  peer.is_repeatable.resize(hello.kernels.size(), false);
  for (const std::uint32_t position : hello.repeatable) {
    if (position < hello.kernels.size()) peer.is_repeatable[position] = true;
  }
  for (const auto& [name, amount] : hello.resources) {
    const std::uint32_t resource = resource_id(name);
    if (resource >= peer.resources_total.size()) peer.resources_total.resize(resource + 1, 0);
    peer.resources_total[resource] = millionths(amount);
  }
  peer.resources_free = peer.resources_total;
  peer.keeps_templates = hello.keeps_templates;
  ++membership_;
  ++worker_count_;
  ++usable_count_;
  usable_slots_ += peer.slots;
  pools_are_stale_ = true;
  mark_dirty(index);
  return index;
}

void WorkerTable::forget_usable(const Peer& peer) {
  if (!is_usable(peer)) return;
  --usable_count_;
  usable_slots_ -= peer.slots;
}

void WorkerTable::remove(PeerIndex index) {
  Peer& peer = peers_[index];
  forget_usable(peer);
  peer.is_alive = false;
  peer.was_told = {};
  if (!peer.is_worker) return;
  forget_load(index);
  ++membership_;
  --worker_count_;
  pools_are_stale_ = true;
  update_heaps(index);
}

void WorkerTable::set_leaving(PeerIndex worker) {
  Peer& peer = peers_[worker];
  forget_usable(peer);
  peer.is_leaving = true;
  ++membership_;
  pools_are_stale_ = true;
  update_heaps(worker);
}

PeerIndex WorkerTable::index_of(PeerId id) const {
  const auto found =
      std::ranges::lower_bound(index_, id, {}, [](const auto& e) { return e.first; });
  return found == index_.end() || found->first != id ? no_peer : found->second;
}

PeerIndex WorkerTable::find(PeerId id) const {
  const PeerIndex index = index_of(id);
  return index == no_peer || !peers_[index].is_alive ? no_peer : index;
}

std::uint32_t WorkerTable::kernel_id(const std::string& name) { return intern(kernels_, name); }
std::uint32_t WorkerTable::resource_id(const std::string& name) { return intern(resources_, name); }

std::uint32_t WorkerTable::requirement_id(std::uint32_t kernel,
                                          const graph::Constraint& constraint) {
  Requirement requirement{kernel, {}};
  for (const auto& [name, amount] : constraint.resources) {
    if (amount > 0) requirement.resources.emplace_back(resource_id(name), millionths(amount));
  }
  std::ranges::sort(requirement.resources);
  const auto [found, is_new] =
      requirement_ids_.try_emplace(requirement, static_cast<std::uint32_t>(requirements_.size()));
  if (is_new) {
    requirements_.push_back(requirement);
    pool_of_.push_back(0);
    pools_are_stale_ = true;
  }
  return found->second;
}

bool WorkerTable::meets(const Peer& peer, const Requirement& requirement) const {
  if (requirement.kernel >= peer.kernel_position.size() ||
      peer.kernel_position[requirement.kernel] == Peer::none_position) {
    return false;
  }
  return std::ranges::all_of(requirement.resources, [&](const auto& need) {
    return need.first < peer.resources_total.size() &&
           peer.resources_total[need.first] >= need.second;
  });
}

std::uint32_t WorkerTable::intern_pool(std::vector<PeerIndex> members) {
  const auto id = static_cast<std::uint32_t>(pools_.size());
  const auto [found, is_new] = pool_ids_.try_emplace(members, id);
  if (!is_new) return found->second;
  Pool& pool = pools_.emplace_back();
  pool.is_member.assign(peers_.size(), false);
  for (const PeerIndex member : members) {
    pool.is_member[member] = true;
    pool.slots += peers_[member].slots;
    peers_[member].pools.push_back(id);
  }
  pool.members = std::move(members);
  pool.by_host = pool.members;
  std::ranges::stable_sort(pool.by_host, {}, [this](PeerIndex p) { return peers_[p].host; });
  return id;
}

bool WorkerTable::refresh_pools() {
  if (!pools_are_stale_) return false;
  pools_are_stale_ = false;
  pools_.clear();
  pool_ids_.clear();
  std::vector<PeerIndex> usable;
  for (PeerIndex p = 0; p < peers_.size(); ++p) {
    peers_[p].pools.clear();
    if (is_usable(peers_[p])) usable.push_back(p);
  }
  for (std::size_t r = 0; r < requirements_.size(); ++r) {
    std::vector<PeerIndex> members;
    for (const PeerIndex p : usable) {
      if (meets(peers_[p], requirements_[r])) members.push_back(p);
    }
    pool_of_[r] = intern_pool(std::move(members));
  }
  for (const PeerIndex p : usable) update_heaps(p);
  return true;
}

std::span<const PeerIndex> WorkerTable::members_on(const Pool& pool, std::uint32_t host) const {
  return std::ranges::equal_range(pool.by_host, host, {},
                                  [this](PeerIndex p) { return peers_[p].host; });
}

bool WorkerTable::is_below(const Peer& peer, double windows) const {
  const std::uint32_t in_window = peer.assigned - std::min(peer.beside, peer.slots);
  if (in_window < 2 * peer.slots) return true;
  return peer.assigned < limits_.window_tasks * windows &&
         static_cast<double>(peer.queued_ns) <
             static_cast<double>(limits_.window_time.ns) * peer.slots * windows;
}

bool WorkerTable::has_room(PeerIndex worker, std::uint32_t windows) const {
  const Peer& peer = peers_[worker];
  return is_usable(peer) && has_free_slot(worker) && (windows > 1 || is_filling_[worker]) &&
         is_below(peer, windows);
}

bool WorkerTable::has_resources(PeerIndex worker, const Requirement& requirement) const {
  for (const auto& [resource, amount] : requirement.resources) {
    if (peers_[worker].resources_free[resource] < amount) return false;
  }
  return true;
}

std::int64_t WorkerTable::load_ns(PeerIndex worker) const {
  const Peer& peer = peers_[worker];
  return (peer.queued_ns + dispatch_ns * peer.assigned) / peer.slots - peer.progress_ns;
}

void WorkerTable::take(PeerIndex worker, const Requirement& requirement, std::uint64_t expected_ns,
                       bool is_beside) {
  Peer& peer = peers_[worker];
  ++peer.assigned;
  peer.beside += is_beside ? 1 : 0;
  peer.queued_ns += static_cast<std::int64_t>(expected_ns);
  for (const auto& [resource, amount] : requirement.resources) {
    peer.resources_free[resource] -= amount;
  }
  update_heaps(worker);
}

void WorkerTable::take_all(PeerIndex worker, std::uint32_t tasks, std::int64_t expected_ns) {
  peers_[worker].assigned += tasks;
  peers_[worker].queued_ns += expected_ns;
  update_heaps(worker);
}

void WorkerTable::give_back(PeerIndex worker, const Requirement& requirement,
                            std::uint64_t expected_ns, bool is_beside) {
  Peer& peer = peers_[worker];
  --peer.assigned;
  peer.progress_ns = 0;
  peer.beside -= is_beside ? 1 : 0;
  peer.queued_ns -= static_cast<std::int64_t>(expected_ns);
  for (const auto& [resource, amount] : requirement.resources) {
    peer.resources_free[resource] += amount;
  }
  mark_dirty(worker);
}

void WorkerTable::set_held(PeerIndex worker, std::uint32_t slots) {
  peers_[worker].slots_held = std::min(slots, peers_[worker].slots);
  mark_dirty(worker);
}

void WorkerTable::mark_dirty(PeerIndex worker) {
  if (is_dirty_[worker]) return;
  is_dirty_[worker] = true;
  dirty_.push_back(worker);
}

void WorkerTable::settle() {
  for (const PeerIndex worker : dirty_) {
    is_dirty_[worker] = false;
    update_heaps(worker);
  }
  dirty_.clear();
  fill_together();
}

/// Workers of one host are filled together: placed for one alone, all of several chains that could
/// run side by side would be where the first of their tasks are.
void WorkerTable::fill_together() {
  for (const PeerIndex opened : opened_) {
    for (const std::uint32_t pool : peers_[opened].pools) {
      const auto members = members_on(pools_[pool], peers_[opened].host);
      if (members.size() > filled_together_max) continue;
      for (const PeerIndex worker : members) {
        presume_progress(worker);
        if (is_filling_[worker]) continue;
        is_filling_[worker] = true;
        update_heaps(worker);
        if (is_open_[worker]) also_opened_.push_back(worker);
      }
    }
  }
  opened_.clear();
}

/// The worker will have gone on since it last told what it has done; all but the share of what its
/// slots run may be done.
void WorkerTable::presume_progress(PeerIndex worker) {
  Peer& peer = peers_[worker];
  const std::int64_t before = std::exchange(peer.progress_ns, 0);
  if (peer.assigned > peer.slots) {
    const std::int64_t waiting = load_ns(worker) / peer.assigned * (peer.assigned - peer.slots);
    peer.progress_ns = std::clamp((now_ - peer.busy_since).ns, std::int64_t{0},
                                  std::min(waiting, limits_.report_delay.ns));
  }
  if (peer.progress_ns != before) update_heaps(worker);
}

void WorkerTable::count(std::vector<bool>& which, PeerIndex worker, bool is_one,
                        std::size_t& count) {
  if (is_one == which[worker]) return;
  which[worker] = is_one;
  count += is_one ? 1 : std::size_t(-1);
}

void WorkerTable::update_heaps(PeerIndex worker) {
  if (is_below(peers_[worker], 0.5)) {
    if (!is_filling_[worker]) opened_.push_back(worker);
    is_filling_[worker] = true;
  } else if (!is_below(peers_[worker], 1)) {
    is_filling_[worker] = false;
  }
  const bool is_open = has_room(worker);
  const Peer& peer = peers_[worker];
  count(is_open_, worker, is_open, open_count_);
  count(is_idle_, worker, is_open && peer.assigned == 0, idle_count_);
  count(is_spare_, worker, is_open && peer.assigned < peer.slots, spare_count_);
  count(has_backlog_, worker, peer.is_alive && peer.assigned > peer.slots, backlog_count_);
  const std::uint32_t idle_slots = idle_slots_of(peer);
  idle_slots_ += std::uint64_t{idle_slots} - idle_slots_by_peer_[worker];
  idle_slots_by_peer_[worker] = idle_slots;
  const std::int64_t load = is_open ? rank_ns(worker) : 0;
  for (const std::uint32_t pool : peer.pools) {
    if (is_open) {
      pools_[pool].open.set(worker, load);
    } else {
      pools_[pool].open.erase(worker);
    }
  }
}

std::size_t WorkerTable::bytes() const {
  std::size_t total = peers_.capacity() * sizeof(Peer);
  for (const Peer& peer : peers_) {
    total += peer.was_told.capacity() / 8 + peer.kernel_position.capacity() * 4 +
             peer.given.capacity() * sizeof(Given) + peer.running.capacity() * sizeof(Running);
  }
  for (const Pool& pool : pools_) {
    total += pool.open.bytes() + (pool.members.capacity() + pool.by_host.capacity()) * 4;
  }
  return total;
}

void WorkerTable::check_invariants() const {
  ASHLAR_CHECK(dirty_.empty(), "settled");
  std::size_t workers = 0, usable = 0, usable_slots = 0, open = 0, idle = 0, hot = 0;
  std::size_t spare = 0, backlog = 0;
  std::uint64_t idle_slots = 0;
  for (PeerIndex p = 0; p < peers_.size(); ++p) {
    const Peer& peer = peers_[p];
    workers += peer.is_worker && peer.is_alive;
    usable += is_usable(peer);
    usable_slots += is_usable(peer) ? peer.slots : 0;
    open += has_room(p);
    idle += has_room(p) && peer.assigned == 0;
    spare += has_room(p) && peer.assigned < peer.slots;
    backlog += peer.is_worker && peer.is_alive && peer.assigned > peer.slots;
    idle_slots += idle_slots_of(peer);
    hot += peer.load.is_hot();
    ASHLAR_CHECK(is_open_[p] == has_room(p), peer.name);
    for (const std::uint32_t pool : peer.pools) {
      ASHLAR_CHECK(pools_[pool].open.contains(p) == has_room(p), peer.name);
      ASHLAR_CHECK(!has_room(p) || pools_[pool].open.key(p) == rank_ns(p), peer.name);
    }
    for (const std::int64_t amount : peer.resources_free) ASHLAR_CHECK(amount >= 0, peer.name);
  }
  ASHLAR_CHECK(workers == worker_count_ && usable == usable_count_ &&
                   usable_slots == usable_slots_ && open == open_count_ && idle == idle_count_ &&
                   idle_slots == idle_slots_ && hot == hot_count_ && spare == spare_count_ &&
                   backlog == backlog_count_,
               "worker counts");
}

}  // namespace ashlar::scheduler
