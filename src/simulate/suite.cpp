#include "simulate/suite.hpp"

#include <utility>

#include "simulate/lower_bound.hpp"

namespace ashlar::simulate::suite {

std::vector<Site> sites(std::uint32_t workers) {
  const Machine equal{.speeds = std::vector<double>(workers, 1.0)};
  std::vector<Site> all{{"equal", equal},
                        {"two speeds", equal},
                        {"one slow", equal},
                        {"one vanishing", equal},
                        {"slow network", equal}};
  for (std::uint32_t w = 0; w < workers; w += 2) all[1].machine.speeds[w] = 2;
  all[2].machine.speeds[0] = 0.25;
  all[3].machine.vanishes_after = Duration{1};
  all[4].machine.bandwidth /= 10;
  return all;
}

Trial try_policy(std::shared_ptr<const Program> program, const Site& site,
                 scheduler::PolicyKind policy, std::uint64_t seed,
                 std::shared_ptr<const Program> before) {
  Machine machine = site.machine;
  if (machine.vanishes_after.ns > 0) {
    machine.vanishes_after = {};
    machine.vanishes_after = Duration::seconds(lower_bound_seconds(*program, machine) / 3);
  }
  const double bound = lower_bound_seconds(*program, machine);
  Config config{.memory_limit = std::uint64_t{1} << 40, .check_every = 1u << 30};
  config.limits.policy = policy;
  config.machine = std::make_shared<const Machine>(std::move(machine));
  if (before == nullptr) {
    const std::size_t slots = site.machine.speeds.size() * site.machine.slots;
    const auto tasks = static_cast<std::uint32_t>(20 * slots);
    before = std::make_shared<const Program>(make_program(Shape::layered, tasks, 99));
  }
  const double bounds = bound + lower_bound_seconds(*before, *config.machine);
  config.patience = Duration::seconds(300 + 50 * bounds);  // far from any schedule's
  config.programs = {std::move(before), std::move(program)};
  const Outcome outcome = Cluster(config).run(seed);
  const double seconds = outcome.makespan.in_seconds();
  return {outcome.problem,    seconds,       seconds / bound, outcome.remote_bytes,
          outcome.peak_bytes, outcome.digest};
}

}  // namespace ashlar::simulate::suite
