#include <algorithm>

#include "scheduler/placement/list_schedule.hpp"
#include "scheduler/placement/order.hpp"
#include "scheduler/placement/policy.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Heterogeneous earliest finish time: a list schedule that looks at all workers, made when a run
/// is submitted. A task whose worker has gone goes to the least loaded one. Planning takes time for
/// each task and worker.
class Heft final : public Policy {
 public:
  Choice choose(const View& view, const Question& question) override {
    if (question.planned != no_peer && is_possible(view, question, question.planned)) {
      return {.worker = question.planned, .reason = Reason::planned};
    }
    return choose_least_loaded(view, question);
  }

  TaskOrder order(const View& view, const Submission& run) override {
    return {inverse(by_way_to_end(view, run)), {}};
  }

  Schedule plan(const View& view, const Submission& run) override {
    return {list_schedule(view, run, Candidates::all)};
  }
};

}  // namespace

std::unique_ptr<Policy> make_heft() { return std::make_unique<Heft>(); }

}  // namespace ashlar::scheduler::placement
