#include "scheduler/placement/policy.hpp"

#include <ashlar/error.hpp>

#include <string>

#include "scheduler/placement/order.hpp"

namespace ashlar::scheduler {

std::string_view name_of(PolicyKind policy) {
  switch (policy) {
    case PolicyKind::least_loaded:
      return "least_loaded";
    case PolicyKind::locality:
      return "locality";
    case PolicyKind::heft:
      return "heft";
    case PolicyKind::lshs:
      return "lshs";
    case PolicyKind::round_robin:
      return "round_robin";
    case PolicyKind::random:
      return "random";
  }
  return "?";
}

PolicyKind policy_of(std::string_view name) {
  std::string known;
  for (const PolicyKind kind : policy_kinds) {
    if (name == name_of(kind)) return kind;
    known.append(known.empty() ? "" : ", ").append(name_of(kind));
  }
  throw BadInput("placement policy \"" + std::string(name) + "\": expected one of " + known);
}

namespace placement {

TaskOrder Policy::order(const View& view, const Submission& run) {
  return timely_order(view, run, minds_owners());
}

PeerIndex least_loaded_worker(const View& view, const Question& question) {
  const IndexedHeap& open = question.pool.open;
  if (open.empty()) return no_peer;
  if (is_able(view, question, open.top())) return open.top();
  PeerIndex best = no_peer;
  for (const PeerIndex worker : question.pool.members) {
    if (!open.contains(worker)) continue;
    if (!is_able(view, question, worker)) continue;
    if (best == no_peer || open.key(worker) < open.key(best)) best = worker;
  }
  return best;
}

std::unique_ptr<Policy> make_policy(PolicyKind kind, std::uint64_t seed) {
  switch (kind) {
    case PolicyKind::least_loaded:
      return make_least_loaded();
    case PolicyKind::locality:
      return make_locality();
    case PolicyKind::heft:
      return make_heft();
    case PolicyKind::lshs:
      return make_lshs();
    case PolicyKind::round_robin:
      return make_round_robin();
    case PolicyKind::random:
      return make_random(seed);
  }
  return make_least_loaded();
}

}  // namespace placement
}  // namespace ashlar::scheduler
