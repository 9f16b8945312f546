#include "scheduler/scheduler_engine.hpp"

#include "scheduler/core.hpp"

namespace ashlar::scheduler {

struct SchedulerEngine::State {
  State(const Limits& limits, std::uint64_t seed) : core(limits, seed) {}
  Core core;
};

SchedulerEngine::SchedulerEngine(Limits limits, std::uint64_t seed)
    : state_(std::make_unique<State>(limits, seed)) {}
SchedulerEngine::~SchedulerEngine() = default;
SchedulerEngine::SchedulerEngine(SchedulerEngine&&) noexcept = default;
SchedulerEngine& SchedulerEngine::operator=(SchedulerEngine&&) noexcept = default;

void SchedulerEngine::step(std::span<const Event> events, Instant now, Actions& actions) {
  state_->core.step(events, now, actions);
}
const Counters& SchedulerEngine::counters() const { return state_->core.counters(); }
std::uint64_t SchedulerEngine::unfinished_tasks() const { return state_->core.unfinished_tasks(); }
std::size_t SchedulerEngine::worker_count() const { return state_->core.worker_count(); }
std::size_t SchedulerEngine::state_bytes() const { return state_->core.state_bytes(); }
std::string SchedulerEngine::story(RunId run, std::uint32_t task) const {
  return state_->core.story(run, task);
}
std::string SchedulerEngine::explain(const protocol::Explain& question, SessionId asker) const {
  return state_->core.explain(question, asker);
}
std::string SchedulerEngine::learned() const { return state_->core.learned(); }
std::string SchedulerEngine::dump() const { return state_->core.dump(); }
std::uint64_t SchedulerEngine::digest() const { return state_->core.digest(); }
void SchedulerEngine::check_invariants() const { state_->core.check_invariants(); }

}  // namespace ashlar::scheduler
