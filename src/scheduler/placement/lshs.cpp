#include <algorithm>
#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Local search after NumS (Elibol et al., 2022): of the workers that hold inputs and the least
/// loaded one, the one that leaves the least sum of the greatest memory, bytes received and bytes
/// sent of any worker. Bytes count from the start; times do not count, except between equals.
class Lshs final : public Policy {
 public:
  Choice choose(const View& view, const Question& question) override {
    traffic_.resize(view.workers.size());
    candidates_.clear();
    for (const Datum* datum : question.inputs) {
      for_holders(view, *datum, [&](PeerIndex holder) { consider(view, question, holder); });
    }
    if (const PeerIndex idle = least_loaded_worker(view, question); idle != no_peer) {
      consider(view, question, idle);
    }
    PeerIndex best = no_peer;
    double best_cost = 0;
    for (const PeerIndex candidate : candidates_) {
      const double cost = cost_of(view, question, candidate);
      if (best != no_peer && cost > best_cost) continue;
      if (best != no_peer && cost == best_cost && !is_less_loaded(view, candidate, best)) continue;
      best = candidate;
      best_cost = cost;
    }
    // For a worker without room it is asked again.
    if (best != no_peer && view.workers.has_room(best, view.limits.holder_windows)) {
      greatest_ = after(view, question, best, true);
    }
    return {.worker = best, .reason = Reason::least_traffic};
  }

 private:
  /// Bytes of one worker, or the greatest of any.
  struct Traffic {
    double memory = 0, received = 0, sent = 0;
  };

  void consider(const View& view, const Question& question, PeerIndex worker) {
    if (!is_possible(view, question, worker)) return;
    if (std::ranges::find(candidates_, worker) == candidates_.end()) candidates_.push_back(worker);
  }

  static bool is_less_loaded(const View& view, PeerIndex a, PeerIndex b) {
    const std::int64_t load_a = view.workers.load_ns(a), load_b = view.workers.load_ns(b);
    return load_a != load_b ? load_a < load_b : a < b;
  }

  double cost_of(const View& view, const Question& question, PeerIndex worker) {
    const Traffic then = after(view, question, worker, false);
    return then.memory + then.received + then.sent;
  }

  /// The greatest traffic of any worker with the task on this one, which is kept if `stays`.
  Traffic after(const View& view, const Question& question, PeerIndex worker, bool stays) {
    Traffic greatest = greatest_;
    double missing = 0;
    for (const Datum* datum : question.inputs) {
      bool is_here = false;
      for_holders(view, *datum, [&](PeerIndex holder) { is_here |= holder == worker; });
      if (is_here) continue;
      const auto bytes = static_cast<double>(known_bytes(*datum));
      missing += bytes;
      traffic_[datum->primary].sent += bytes;
      greatest.sent = std::max(greatest.sent, traffic_[datum->primary].sent);
      senders_.push_back({datum->primary, bytes});
    }
    Traffic here = traffic_[worker];
    here.memory += missing + static_cast<double>(question.output_bytes);
    here.received += missing;
    greatest.memory = std::max(greatest.memory, here.memory);
    greatest.received = std::max(greatest.received, here.received);
    if (stays) {
      traffic_[worker].memory = here.memory;
      traffic_[worker].received = here.received;
    } else {
      for (const auto& [sender, bytes] : senders_) traffic_[sender].sent -= bytes;
    }
    senders_.clear();
    return greatest;
  }

  std::vector<Traffic> traffic_;  ///< by peer
  Traffic greatest_;
  std::vector<PeerIndex> candidates_;
  std::vector<std::pair<PeerIndex, double>> senders_;  ///< scratch of after()
};

}  // namespace

std::unique_ptr<Policy> make_lshs() { return std::make_unique<Lshs>(); }

}  // namespace ashlar::scheduler::placement
