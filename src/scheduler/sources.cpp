#include <algorithm>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {
namespace {

/// Smaller data come from who made them: they are there before a copy elsewhere would be.
constexpr std::uint64_t passed_on_bytes_min = 1 << 16;

Duration transfer_time(std::uint64_t bytes, double rate) {
  return Duration{static_cast<std::int64_t>(std::min(1e9 * static_cast<double>(bytes) / rate, 1e15))};
}

}  // namespace

/// Where the worker is to get the datum: from itself, else from its host, else from where it is there
/// first.
///
/// Who gets data passes them on, also if it has yet to get them: a further reader has them sooner from
/// one with few readers than from one with many. Of one datum copies are so made along a binomial tree;
/// the chunks of an array go from host to host in a chain, each as soon as it is there.
///
/// Nobody waits in a circle: who is told to get data from one that waits itself was told later than that
/// one, and whoever is told again is sent to the primary.
PeerIndex Core::holder_for(DataRef ref, PeerIndex worker) {
  const Datum& d = datum(ref);
  if (d.primary == worker) return worker;
  const std::uint32_t host = workers_.at(worker).host;
  PeerIndex near = no_peer;
  bool is_listed = false;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    is_listed |= replica.peer == worker;
    if (!replica.is_actual) continue;
    if (replica.peer == worker) return worker;
    if (workers_.at(replica.peer).host == host) near = replica.peer;
  }
  if (workers_.at(d.primary).host == host) return d.primary;
  if (near != no_peer) return near;
  const bool is_large =
      d.bytes != graph::TaskGraph::dynamic_bytes && d.bytes >= passed_on_bytes_min;
  return is_large && !is_listed ? soonest_source(ref, worker) : d.primary;
}

/// The primary, or one of the others that has the datum or will, if it would come from there sooner.
PeerIndex Core::soonest_source(DataRef ref, PeerIndex worker) {
  const Datum& d = datum(ref);
  PeerIndex best = d.primary;
  Instant soonest = due_from(d, best, there_at(ref, best), worker);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    const bool is_source = (replica.is_actual || replica.coming_bytes > 0) &&
                           !workers_.at(replica.peer).is_leaving;
    if (!is_source) continue;
    const Instant due = due_from(d, replica.peer, there_at(ref, replica.peer), worker);
    if (due + limits_.remote_latency >= soonest) continue;
    best = replica.peer;
    soonest = due;
  }
  return best;
}

/// When the holder has the datum.
Instant Core::there_at(DataRef ref, PeerIndex holder) {
  const Datum& d = datum(ref);
  if (d.primary == holder) return now_ + Duration{unmade_ns(ref)};
  const ReplicaPool::Replica* replica = replicas_.find(d, holder);
  return replica == nullptr || replica->is_actual ? now_ : std::max(now_, replica->due);
}

/// When the worker would have it from a source that has it then: after what is to use the same links
/// already. On one host it is read in place.
Instant Core::due_from(const Datum& d, PeerIndex source, Instant there, PeerIndex worker) const {
  if (workers_.at(source).host == workers_.at(worker).host) return there;
  const Duration sending = transfer_time(replicas_.outgoing(source), links_.sending(source));
  const Duration receiving = transfer_time(replicas_.incoming(worker), links_.receiving(worker));
  const double rate = std::min(links_.sending(source), links_.receiving(worker));
  const std::uint64_t bytes = d.bytes == graph::TaskGraph::dynamic_bytes ? 0 : d.bytes;
  return std::max(there, now_ + std::max(sending, receiving)) + transfer_time(bytes, rate);
}

/// The worker is about to be told to get the datum there.
void Core::expect(DataRef ref, PeerIndex holder, PeerIndex worker) {
  Datum& d = datum(ref);
  if (workers_.at(holder).host == workers_.at(worker).host) {
    replicas_.add(d, worker, holder);
    return;
  }
  const Instant due = due_from(d, holder, there_at(ref, holder), worker);
  const ReplicaPool::Replica* source = replicas_.find(d, holder);
  const bool is_there = d.is_made && (source == nullptr || source->is_actual);
  const std::uint64_t bytes = d.bytes == graph::TaskGraph::dynamic_bytes ? 0 : d.bytes;
  replicas_.add_coming(d, worker, holder, bytes, due);
  if (is_there) links_.begin({ref, holder, worker}, now_);
}

}  // namespace ashlar::scheduler
