#include "simulate/forecast.hpp"

#include <algorithm>
#include <limits>

#include "base/check.hpp"
#include "simulate/lower_bound.hpp"

namespace ashlar::simulate {

namespace {

/// Virtual time after which it is a hang, whatever the policy.
Duration patience_for(const Question& question, double bound_seconds) {
  const double each = 1000 * (bound_seconds + 1);
  return Duration::seconds(std::min(each * question.runs, 1e9));
}

double slot_seconds(const Machine& machine, double makespan) {
  double all = 0;
  for (std::size_t w = 0; w < machine.speeds.size(); ++w) {
    const double vanishes = machine.vanishes_at(w).in_seconds();
    all += machine.slots_at(w) * (vanishes > 0 ? std::min(vanishes, makespan) : makespan);
  }
  return all;
}

}  // namespace

Forecast forecast(const Question& question) {
  const Machine& machine = *question.machine;
  Forecast found;
  found.bound_seconds = lower_bound_seconds(*question.program, machine);
  Config config{.memory_limit = std::uint64_t{1} << 40,
                .is_memory_tight = !machine.memory_of.empty(),
                .patience = patience_for(question, found.bound_seconds),
                .check_every = std::numeric_limits<std::uint32_t>::max()};
  config.limits.policy = question.policy;
  config.machine = question.machine;
  config.programs.assign(question.runs, question.program);
  config.repeats = question.is_repeated ? 100 : 0;
  config.keeps_history = true;
  Outcome outcome = Cluster(config).run(question.seed);
  ASHLAR_CHECK(outcome.problem.empty(), outcome.problem);
  found.error = outcome.last_error;
  found.history = std::move(outcome.history);
  found.makespan_seconds = outcome.makespan.in_seconds();
  double busy = 0;
  for (const History::Task& task : found.history.tasks) busy += task.took.in_seconds();
  if (found.makespan_seconds > 0) {
    found.utilisation = busy / slot_seconds(machine, found.makespan_seconds);
  }
  for (const auto& transfer : found.history.transfers) found.moved_bytes += transfer.bytes;
  for (const std::uint64_t peak : found.history.memory_peak) {
    found.memory_peak = std::max(found.memory_peak, peak);
  }
  return found;
}

}  // namespace ashlar::simulate
