#include <algorithm>

#include "scheduler/core.hpp"

namespace ashlar::scheduler {
namespace {

Duration transfer_time(std::uint64_t bytes, double rate) {
  return Duration{
      static_cast<std::int64_t>(std::min(1e9 * static_cast<double>(bytes) / rate, 1e15))};
}

}  // namespace

/// Where the worker can have the datum as things are: from itself, else from its host, else from
/// the primary.
PeerIndex Core::nearest_holder(const Datum& d, PeerIndex worker) const {
  if (d.primary == worker) return worker;
  const std::uint32_t host = workers_.at(worker).host;
  PeerIndex near = no_peer;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    if (!replica.is_actual) continue;
    if (replica.peer == worker) return worker;
    if (workers_.at(replica.peer).host == host) near = replica.peer;
  }
  return near == no_peer || workers_.at(d.primary).host == host ? d.primary : near;
}

/// Where the worker is to get the datum: from itself, else from its host, else from where it is
/// there first.
///
/// Who gets data passes them on, also if it has yet to get them: a further reader has them sooner
/// from one with few readers than from one with many. Of one datum copies are so made along a
/// binomial tree; the chunks of an array go from host to host in a chain, each as soon as it is
/// there.
PeerIndex Core::holder_for(DataRef ref, PeerIndex worker) {
  const PeerIndex wanted = best_holder(ref, worker);
  if (wanted == worker || can_reach(worker, wanted)) return wanted;
  const PeerIndex source = reachable_source(ref, worker);
  return source == no_peer ? wanted : source;
}

/// Likewise, if all could reach each other.
PeerIndex Core::best_holder(DataRef ref, PeerIndex worker) {
  const Datum& d = datum(ref);
  const PeerIndex near = nearest_holder(d, worker);
  if (near == worker || workers_.at(near).host == workers_.at(worker).host) return near;
  const bool is_large =
      d.bytes != graph::TaskGraph::dynamic_bytes && d.bytes >= limits_.passed_on_bytes_min;
  // Who is told again has asked somebody in vain, or others wait for it.
  const bool is_listed = replicas_.find(d, worker) != nullptr;
  return is_large && !is_listed ? soonest_source(ref, worker) : d.primary;
}

/// The primary, or one of the others that has the datum or will, if it would come from there
/// sooner.
PeerIndex Core::soonest_source(DataRef ref, PeerIndex worker) {
  const Datum& d = datum(ref);
  PeerIndex best = d.primary;
  Instant soonest = due_from(ref, best, worker);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    if (workers_.at(replica.peer).is_leaving) continue;
    const Instant due =
        due_after(std::max(replica.due, replica.sends_until), d, replica.peer, worker);
    if (due + limits_.remote_latency >= soonest || !will_have(d, replica, worker)) continue;
    if (!can_reach(worker, replica.peer)) continue;
    best = replica.peer;
    soonest = due;
  }
  return best;
}

/// When the worker would have it from one that has it or will: after those that were sent there for
/// it before.
Instant Core::due_from(DataRef ref, PeerIndex source, PeerIndex worker) {
  const Datum& d = datum(ref);
  if (const ReplicaPool::Replica* replica = replicas_.find(d, source)) {
    return due_after(std::max(replica->due, replica->sends_until), d, source, worker);
  }
  Instant from = now_ + Duration{unmade_ns(ref)};
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    const ReplicaPool::Replica& replica = replicas_.at(n);
    if (replica.coming_bytes > 0 && replica.from == source) from = std::max(from, replica.due);
  }
  return due_after(from, d, source, worker);
}

/// Likewise if it begins no sooner than that, nor before what is to use the same links already. On
/// one host it is read in place.
Instant Core::due_after(Instant from, const Datum& d, PeerIndex source, PeerIndex worker) const {
  if (workers_.at(source).host == workers_.at(worker).host) return std::max(from, now_);
  const Duration sending = transfer_time(replicas_.outgoing(source), links_.sending(source));
  const Duration receiving = transfer_time(replicas_.incoming(worker), links_.receiving(worker));
  const double rate = std::min(links_.sending(source), links_.receiving(worker));
  const std::uint64_t bytes = d.bytes == graph::TaskGraph::dynamic_bytes ? 0 : d.bytes;
  return std::max(from, now_ + std::max(sending, receiving)) + transfer_time(bytes, rate);
}

/// The worker is about to be told, with a reader (by run), to get the datum there. If it is listed,
/// it asks somebody already, unless what was to read the datum there was taken back. Then whom it
/// is told of must be known if that one has yet to get the datum, too: nobody waits in a circle.
void Core::expect_for(DataRef reader, DataRef ref, PeerIndex holder, PeerIndex worker) {
  Datum& d = datum(ref);
  if (const ReplicaPool::Replica* listed = replicas_.find(d, worker)) {
    const ReplicaPool::Replica* source = replicas_.find(d, holder);
    const bool is_there = source == nullptr || source->is_actual;
    if (is_there || listed->from == holder || is_read_on(ref, worker, reader)) return;
    replicas_.remove(d, worker);
  }
  expect(ref, holder, worker);
}

/// The worker is about to be told to get the datum there.
void Core::expect(DataRef ref, PeerIndex holder, PeerIndex worker) {
  Datum& d = datum(ref);
  if (workers_.at(holder).host == workers_.at(worker).host) {
    replicas_.add(d, worker, holder);
    return;
  }
  const Instant due = due_from(ref, holder, worker);
  ReplicaPool::Replica* source = replicas_.find(d, holder);
  const bool is_there = d.is_made && (source == nullptr || source->is_actual);
  if (source != nullptr) source->sends_until = due;
  const std::uint64_t bytes = d.bytes == graph::TaskGraph::dynamic_bytes ? 0 : d.bytes;
  replicas_.add_coming(d, worker, holder, bytes, due);
  if (is_there) begin_transfer(*replicas_.find(d, worker));
}

void Core::begin_transfer(ReplicaPool::Replica& replica) {
  replica.has_begun = true;
  replica.began = now_;
  links_.begin(replica.from, replica.peer, now_);
}

/// The datum has been made: those that wait for it on other hosts get it now.
void Core::begin_transfers(DataRef ref) {
  const Datum& d = datum(ref);
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    ReplicaPool::Replica& replica = replicas_.edit(n);
    if (replica.coming_bytes > 0 && replica.from == d.primary) begin_transfer(replica);
  }
}

}  // namespace ashlar::scheduler
