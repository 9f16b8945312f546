#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "pattern.hpp"
#include "sweep.hpp"

namespace metg {

/// Says what can be asked of a program that measures, beside what the program adds itself.
inline void add_options(CLI::App& app, Options& o) {
  std::vector<std::string> names;
  for (const auto& kind : kinds) names.emplace_back(kind.name);
  app.add_option("--patterns", o.patterns)->delimiter(',')->check(CLI::IsMember(names));
  app.add_option("--widths", o.widths, "default: 1, 2 and 4 for each core")->delimiter(',');
  app.add_option("--steps", o.steps);
  app.add_option("--cores", o.cores);
  app.add_option("--repeats", o.repeats);
  app.add_option("--run-seconds", o.run_seconds, "no larger tasks once a run takes longer");
  app.add_option("--point-seconds", o.point_seconds, "shorter runs are repeated for so long");
}

/// Fills in what the others depend on, and measures the kernel.
inline void complete(Options& o) {
  if (o.widths.empty()) o.widths = {o.cores, 2 * o.cores, 4 * o.cores};
  o.bare_rate = kernel_rate();
}

}  // namespace metg
