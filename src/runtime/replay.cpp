#include "runtime/replay.hpp"

#include <variant>

namespace ashlar::runtime {

std::string Replay::step(std::span<const std::byte> record) {
  const auto decoded = wire::decode_log_record(record);
  if (!decoded.message) return decoded.error;
  return std::visit([this](const auto& what) { return on(what); }, *decoded.message);
}

std::string Replay::on(const wire::SchedulerMade& made) {
  if (scheduler_) return "a second scheduler";
  scheduler::Limits limits;
  limits.policy = made.policy;
  limits.no_worker_wait = made.no_worker_wait;
  limits.growth_wait = made.growth_wait;
  scheduler_.emplace(limits, made.seed);
  return {};
}

std::string Replay::on(const wire::WorkerMade& made) {
  worker::Limits limits;
  limits.taken_bytes = taken_bytes_;
  limits.can_spill = made.can_spill;
  const auto [worker, is_new] = workers_.try_emplace(made.worker, made.worker, made.slots,
                                                     made.memory_limit, limits, made.host_identity);
  return is_new ? "" : "a second worker " + std::to_string(made.worker.value);
}

std::string Replay::on(const wire::SchedulerStep& step) {
  if (!scheduler_) return "a step of the scheduler before it was made";
  scheduler::Actions actions;
  scheduler_->step(step.events, step.now, actions);
  return count(step.events.size(), wire::encode(actions) == step.actions, "the scheduler",
               actions.size());
}

std::string Replay::on(const wire::WorkerStep& step) {
  const std::string name = "worker " + std::to_string(step.worker.value);
  const auto found = workers_.find(step.worker);
  if (found == workers_.end()) return "a step of " + name + " before it was made";
  worker::Actions actions;
  found->second.step(step.events, step.now, actions);
  return count(step.events.size(), wire::encode(actions) == step.actions, name, actions.size());
}

std::string Replay::count(std::size_t events, bool is_same, const std::string& engine,
                          std::size_t actions) {
  ++steps_;
  events_ += events;
  if (is_same) return {};
  return "step " + std::to_string(steps_) + ", of " + engine + ": its " + std::to_string(actions) +
         " actions are not those of the log";
}

}  // namespace ashlar::runtime
