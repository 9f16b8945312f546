#include <ashlar/error.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../statistics.hpp"
#include "apps/graph_file.hpp"
#include "simulate/suite.hpp"

/// How good the scheduler's decisions are: well-known graphs, or recorded workflows, on simulated
/// clusters, in virtual time, through the production engines. Prints makespan / lower bound for
/// each graph, cluster and policy as a Markdown table, then median and worst of each policy. With
/// --memory the most that all stores together held, in megabytes, instead.
namespace {

using namespace ashlar;
using namespace ashlar::simulate;
using scheduler::PolicyKind;

struct Options {
  std::uint32_t tasks_per_slot = 30;
  std::vector<PolicyKind> policies{std::begin(scheduler::policy_kinds),
                                   std::end(scheduler::policy_kinds)};
  std::string graph;                   ///< empty: all
  std::vector<std::string> workflows;  ///< files to run in their place
  bool shows_memory = false;
  std::uint32_t seeds = 15;
  std::vector<std::uint32_t> workers{2, 8, 32};
};

/// Clusters of so many workers and more run a part of the suite only.
constexpr std::uint32_t large = 256;

bool is_in_part(suite::Shape shape, const std::string& site) {
  using enum suite::Shape;
  const bool has_shape = shape == cholesky || shape == stencil || shape == layered;
  return has_shape && (site == "equal" || site == "two speeds");
}

class Table {
 public:
  explicit Table(const Options& options) : options_(options) {
    std::printf("| graph | tasks | workers | cluster |");
    for (const PolicyKind policy : options.policies) std::printf(" %s |", text(policy).c_str());
    std::printf("\n|---|--:|--:|---|");
    for (std::size_t p = 0; p < options.policies.size(); ++p) std::printf("--:|");
    std::printf("\n");
  }

  /// `programs`: of each seed. `before`: what is run first, if not the usual.
  void add_row(const std::string& name, std::uint32_t workers, const suite::Site& site,
               const std::vector<std::shared_ptr<const Program>>& programs,
               const std::shared_ptr<const Program>& before = nullptr) {
    std::printf("| %s | %u | %u | %s |", name.c_str(), programs[0]->graph.task_count(), workers,
                site.name.c_str());
    for (const PolicyKind policy : options_.policies) {
      std::vector<double> of_seeds;
      for (std::size_t s = 0; s < programs.size(); ++s) {
        of_seeds.push_back(figure_of(suite::try_policy(programs[s], site, policy, s + 1, before)));
      }
      const double figure = bench::median(std::move(of_seeds));
      std::printf(options_.shows_memory ? " %.0f |" : " %.2f |", figure);
      std::fflush(stdout);
      figures_[policy].push_back(figure);
    }
    std::printf("\n");
  }

  void print_summary() const {
    std::printf("\n| policy | median | worst |\n|---|--:|--:|\n");
    for (const auto& [policy, ratios] : figures_) {
      std::printf("| %s | %.2f | %.2f |\n", text(policy).c_str(), bench::median(ratios),
                  *std::ranges::max_element(ratios));
    }
  }

 private:
  double figure_of(const suite::Trial& trial) const {
    if (!trial.problem.empty()) {
      std::fprintf(stderr, "%s\n", trial.problem.c_str());
      std::exit(1);
    }
    return options_.shows_memory ? static_cast<double>(trial.peak_bytes) * 1e-6 : trial.ratio;
  }

  static std::string text(PolicyKind policy) {
    return std::string{"`"}.append(name_of(policy)).append("`");
  }

  const Options& options_;
  std::map<PolicyKind, std::vector<double>> figures_;
};

void add_suite(Table& table, const Options& options) {
  for (const std::uint32_t workers : options.workers) {
    for (const suite::Shape shape : suite::shapes) {
      if (!options.graph.empty() && options.graph != suite::name_of(shape)) continue;
      std::vector<std::shared_ptr<const Program>> programs;
      for (const suite::Site& site : suite::sites(workers)) {
        if (workers >= large && !is_in_part(shape, site.name)) continue;
        const std::uint32_t tasks = options.tasks_per_slot * site.machine.slots * workers;
        while (programs.size() < options.seeds) {
          programs.push_back(std::make_shared<const Program>(
              suite::make_program(shape, tasks, programs.size() + 1)));
        }
        table.add_row(suite::name_of(shape), workers, site, programs);
      }
    }
  }
}

/// Their tasks take what was recorded, so that all seeds give one program. It is run once before,
/// to learn from.
void add_workflows(Table& table, const Options& options) {
  for (const std::string& path : options.workflows) {
    const auto program = std::make_shared<const Program>(apps::load_graph(path, {}));
    const std::vector<std::shared_ptr<const Program>> programs(options.seeds, program);
    for (const std::uint32_t workers : options.workers) {
      for (const suite::Site& site : suite::sites(workers)) {
        table.add_row(std::filesystem::path(path).stem(), workers, site, programs, program);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::map<std::string, PolicyKind> names;
  for (const PolicyKind kind : scheduler::policy_kinds) names.emplace(name_of(kind), kind);
  std::vector<std::string> graphs;
  for (const suite::Shape shape : suite::shapes) graphs.push_back(suite::name_of(shape));
  CLI::App app("How good the scheduler's decisions are.");
  app.add_flag("--memory", options.shows_memory, "the most that all stores held, in megabytes");
  app.add_option("--tasks-per-slot", options.tasks_per_slot)->capture_default_str();
  app.add_option("--policies", options.policies, "these only, with commas between")
      ->delimiter(',')
      ->transform(CLI::CheckedTransformer(names));
  app.add_option("--seeds", options.seeds, "shown is the median of so many; task times differ")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--graph", options.graph, "this one only")->check(CLI::IsMember(graphs));
  app.add_option("--workflow", options.workflows,
                 "instead: recorded workflows (WfFormat 1.5), or graphs as `ashlar simulate` reads")
      ->delimiter(',')
      ->check(CLI::ExistingFile);
  app.add_option("WORKERS", options.workers)->check(CLI::Range(1, 100'000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  Table table(options);
  try {
    options.workflows.empty() ? add_suite(table, options) : add_workflows(table, options);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  table.print_summary();
}
