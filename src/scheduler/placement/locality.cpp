#include <vector>

#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// The worker that holds the most bytes of the inputs, for which a task waits while no worker is
/// idle; without inputs, the least loaded one.
class Locality final : public Policy {
 public:
  Choice choose(const View& view, const Question& question) override {
    held_.resize(view.workers.size());
    for (const Datum* datum : question.inputs) {
      for_holders(view, *datum, [&](PeerIndex holder) {
        if (held_[holder] == 0) holders_.push_back(holder);
        held_[holder] += 1 + known_bytes(*datum);
      });
    }
    PeerIndex best = no_peer;
    for (const PeerIndex holder : holders_) {
      if (!is_possible(view, question, holder)) continue;
      if (best == no_peer || is_better(view, holder, best)) best = holder;
    }
    for (const PeerIndex holder : holders_) held_[holder] = 0;
    holders_.clear();
    const bool may_wait =
        best != no_peer &&
        (view.workers.idle_count() == 0 || view.workers.has_room(best, view.limits.holder_windows));
    const Choice holder{.worker = best, .reason = Reason::most_bytes};
    if (may_wait) return holder;
    const Choice idle = choose_least_loaded(view, question);
    return idle.worker == no_peer ? holder : idle;
  }

 private:
  bool is_better(const View& view, PeerIndex a, PeerIndex b) const {
    if (held_[a] != held_[b]) return held_[a] > held_[b];
    const std::int64_t load_a = view.workers.load_ns(a), load_b = view.workers.load_ns(b);
    return load_a != load_b ? load_a < load_b : a < b;
  }

  std::vector<std::uint64_t> held_;  ///< all zero between questions
  std::vector<PeerIndex> holders_;
};

}  // namespace

std::unique_ptr<Policy> make_locality() { return std::make_unique<Locality>(); }

}  // namespace ashlar::scheduler::placement
