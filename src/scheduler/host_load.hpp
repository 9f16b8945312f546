#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "protocol/messages.hpp"

namespace ashlar::scheduler {

/// What the workers of one host account for, as they last said.
struct HostShare {
  std::int64_t cpu_percent = 0;  ///< CPU time of all of them
  std::int64_t slots = 0;        ///< of those that may use every core of the host
};

/// What a worker's host has to do beside the workers, from heartbeats.
class HostLoad {
 public:
  struct Thresholds {
    double load_hot, load_cool;      ///< shares of the cores
    double memory_hot, memory_cool;  ///< shares of the memory limit
  };

  /// Takes a heartbeat in, and what it changes of the host's share. Returns whether it was news: a
  /// measurement that is not known yet.
  bool hear(const protocol::Heartbeat& beat, std::uint32_t slots, HostShare& host, Instant now);
  /// Judges by the last heartbeat and the shares of all workers of the host.
  void judge(const HostShare& host, std::uint32_t slots, const Thresholds& thresholds);
  /// Nothing has been heard for too long: as if nothing ever had been.
  void forget(HostShare& host);

  bool is_known() const { return is_known_; }
  Instant heard() const { return heard_; }
  /// Threads that others keep busy on the cores that the worker may use, or would if they could.
  double others() const { return others_; }
  /// Share of the worker's cores that others want: 0 … 1.
  double share() const { return share_; }
  double memory_share() const { return memory_share_; }
  /// How much longer the worker's tasks take because of the others: 1 … 16.
  double stretch() const { return stretch_; }
  /// The load or the memory went above the upper threshold, and not yet both below the lower one.
  bool is_hot() const { return is_hot_; }

 private:
  double threads_of_others(const HostShare& host, std::uint32_t slots) const;
  void count(HostShare& host, int sign) const;

  protocol::Heartbeat beat_;
  std::uint32_t slots_ = 0;
  bool is_known_ = false;
  Instant heard_;
  double others_ = 0, share_ = 0, memory_share_ = 0, stretch_ = 1;
  bool is_hot_ = false;
};

}  // namespace ashlar::scheduler
