#include <vector>

#include "base/random.hpp"
#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

std::vector<PeerIndex> possible_workers(const View& view, const Question& question) {
  std::vector<PeerIndex> possible;
  for (const PeerIndex worker : question.pool.members) {
    if (question.pool.open.contains(worker) && is_able(view, question, worker)) {
      possible.push_back(worker);
    }
  }
  return possible;
}

/// One worker after the other, whatever their load: a yardstick for comparison.
class RoundRobin final : public Policy {
 public:
  bool may_be_improved() const override { return false; }
  Choice choose(const View& view, const Question& question) override {
    const auto possible = possible_workers(view, question);
    if (possible.empty()) return {};
    return {.worker = possible[next_++ % possible.size()], .reason = Reason::in_turn};
  }

 private:
  std::uint64_t next_ = 0;
};

/// Any worker: a yardstick for comparison.
class Random final : public Policy {
 public:
  explicit Random(std::uint64_t seed) : random_(seed) {}
  bool may_be_improved() const override { return false; }
  Choice choose(const View& view, const Question& question) override {
    const auto possible = possible_workers(view, question);
    if (possible.empty()) return {};
    return {.worker = possible[random_.below(possible.size())], .reason = Reason::by_chance};
  }

 private:
  SplitMix64 random_;
};

}  // namespace

std::unique_ptr<Policy> make_round_robin() { return std::make_unique<RoundRobin>(); }
std::unique_ptr<Policy> make_random(std::uint64_t seed) { return std::make_unique<Random>(seed); }

}  // namespace ashlar::scheduler::placement
