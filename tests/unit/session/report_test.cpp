#include <gtest/gtest.h>

#include <memory>

#include "session/core.hpp"

namespace ashlar::session {
namespace {

void expect_report(const std::vector<protocol::WorkerShare>& workers, double utilisation,
                   double bound_seconds) {
  Run run;
  run.graph = std::make_shared<graph::TaskGraph>();
  protocol::RunStats& stats = run.end.stats;
  stats.makespan_ns = 1'000'000'000;
  for (const auto& worker : workers) {
    stats.tasks += worker.tasks;
    stats.task_ns += worker.busy_ns;
  }
  stats.workers = workers;
  const RunReport report = make_report(run);
  EXPECT_DOUBLE_EQ(report.mean_utilisation, utilisation);
  EXPECT_DOUBLE_EQ(report.lower_bound_seconds, bound_seconds);
}

TEST(Report, AWorkerThatWasReplacedCountsForThePartItWasThere) {
  const PeerId a{1}, b{2}, c{3};
  expect_report({{a, "a", 2, 4, 1'000'000'000}, {b, "b", 2, 4, 2'000'000'000}}, 0.75, 0.75);
  // The second one died after a quarter of the time, and another took its place.
  expect_report({{a, "a", 2, 4, 1'000'000'000, 1'000'000'000},
                 {b, "b", 2, 1, 500'000'000, 250'000'000},
                 {c, "c", 2, 3, 1'500'000'000, 750'000'000}},
                0.75, 0.75);
}

}  // namespace
}  // namespace ashlar::session
