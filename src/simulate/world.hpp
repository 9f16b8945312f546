#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "scheduler/scheduler_engine.hpp"
#include "simulate/cluster.hpp"
#include "simulate/network.hpp"

namespace ashlar::simulate {

class PeerNode;

/// The scheduler's place on the network; peers have the numbers from 1 on.
inline constexpr PeerId scheduler_id{0};

/// When the driver of a machine submits a program, after the last or the start: every worker has
/// joined by then.
inline constexpr Duration submission_pause = Duration::milliseconds(10);

/// Virtual time, the network and everybody on it.
class World {
 public:
  World(const Config& settings, std::uint64_t seed);
  ~World();

  void at(Instant when, std::function<void()> what) {
    queue_.emplace(std::pair{when, sequence_++}, std::move(what));
  }
  void after(Duration delay, std::function<void()> what) { at(now + delay, std::move(what)); }
  /// Lets the next thing happen; false when there is none.
  bool happen() {
    if (queue_.empty()) return false;
    auto node = queue_.extract(queue_.begin());
    now = node.key().first;
    node.mapped()();
    return true;
  }

  /// Delivers on the link after a delay; what is sent on one link arrives in order.
  void send(PeerId from, PeerId to, std::function<void()> deliver) {
    Instant& last = links_[{from, to}];
    const Duration delay =
        config.machine ? latency_between(from, to) : any_duration(config.delay_max);
    last = std::max(now + delay, last + Duration{1});
    at(last, std::move(deliver));
  }
  /// Delivers when so many bytes have come through the network; on a machine, within a host, at
  /// once.
  void send_bytes(PeerId from, PeerId to, std::uint64_t bytes, std::function<void()> deliver);
  /// What goes from and to the peer does not arrive.
  void cut_off(PeerId peer);
  /// The asker reaches the other one no more, until `cuts` says otherwise.
  void cut(PeerId asker, PeerId asked);
  /// How long events of an engine gather before it sees them.
  Duration engine_delay() {
    if (!config.gathers_events) return {};
    return config.machine ? config.machine->engine_delay
                          : any_duration(Duration::microseconds(300));
  }

  Duration any_duration(Duration max) {
    return {static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(max.ns) + 1))};
  }
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>(random.below(bound));
  }

  /// Keeps count of the bytes in all stores.
  void hold(std::uint64_t bytes) {
    held_bytes_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, held_bytes_);
  }
  void let_go(std::uint64_t bytes) { held_bytes_ -= bytes; }
  /// The most that was held since it was asked for last.
  std::uint64_t take_peak() { return std::exchange(peak_bytes_, held_bytes_); }

  void note(std::uint64_t what) {
    outcome.digest = (outcome.digest ^ what ^ static_cast<std::uint64_t>(now.ns)) * 0x100000001B3u;
  }
  /// The last program of a machine, which the history is about, is on.
  bool is_recorded() const { return config.keeps_history && is_last_submitted; }
  void fail(const std::string& problem) {
    if (outcome.problem.empty()) outcome.problem = problem;
  }
  /// The peer, if it lives.
  PeerNode* find(PeerId peer);

  const Config& config;
  SplitMix64 random;
  Instant now;
  Outcome outcome;
  std::map<PeerId, std::unique_ptr<PeerNode>> peers;  ///< the dead stay, for what refers to them
  std::uint32_t next_peer = 1;
  std::uint32_t kills = 0;
  std::set<std::pair<PeerId, PeerId>> cuts;  ///< asker and asked
  bool is_last_submitted = false;
  /// Where messages to the scheduler arrive.
  std::function<void(scheduler::Event)> to_scheduler;
  std::function<void()> on_last_submission = [] {};

 private:
  void watch_network();
  bool share_host(PeerId a, PeerId b);
  std::uint32_t link_of(PeerId peer) const;
  Duration latency_between(PeerId a, PeerId b) const {
    const Machine& machine = *config.machine;
    // Workers have the numbers from 1 on; scheduler and driver have no latency of their own.
    const auto of = [&](PeerId peer) {
      return peer == scheduler_id ? machine.latency : machine.latency_at(peer.value - 1);
    };
    return Duration{(of(a).ns + of(b).ns) / 2};
  }

  Network network_;
  std::uint64_t network_changes_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
  std::map<std::pair<PeerId, PeerId>, Instant> links_;
  std::uint64_t sequence_ = 0;
  std::uint64_t held_bytes_ = 0, peak_bytes_ = 0;
};

/// Collects the events of an engine, so that it sees several at once, as it does in a process.
template <class Event>
class Inbox {
 public:
  Inbox(World& world, std::function<void(std::vector<Event>)> step)
      : world_(world), step_(std::move(step)) {}

  void post(Event event) {
    events_.push_back(std::move(event));
    if (events_.size() > 1) return;
    world_.after(world_.engine_delay(), [this] { step_(std::exchange(events_, {})); });
  }

 private:
  World& world_;
  std::function<void(std::vector<Event>)> step_;
  std::vector<Event> events_;
};

}  // namespace ashlar::simulate
