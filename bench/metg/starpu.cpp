// StarPU: one task for each point, CPU workers in one process, scheduler lws unless STARPU_SCHED
// says otherwise. Data are registered beforehand; submitting the tasks is within the time, as
// StarPU has no graph that could be kept.
#include <starpu.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

#include "options.hpp"
#include "sweep.hpp"

namespace {

using metg::Cell;
using metg::Pattern;

struct Call {
  Pattern pattern;
  int step, point;
  long iterations;
};

/// Cells of a task's inputs, from its buffers after the first.
struct Buffers {
  void** buffers;
  std::size_t count;
  std::size_t size() const { return count; }
  Cell operator[](std::size_t i) const {
    return *reinterpret_cast<const Cell*>(STARPU_VARIABLE_GET_PTR(buffers[i + 1]));
  }
};

void run_call(void** buffers, void* argument) {
  const Call& call = *static_cast<const Call*>(argument);
  const Buffers inputs{buffers, std::size_t(starpu_task_get_current()->nbuffers) - 1};
  try {
    *reinterpret_cast<Cell*>(STARPU_VARIABLE_GET_PTR(buffers[0])) =
        metg::run_task(call.pattern, call.step, call.point, call.iterations, inputs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer_metg_starpu: %s\n", error.what());
    std::_Exit(1);
  }
}

class Grid {
 public:
  explicit Grid(const Pattern& pattern)
      : pattern_(pattern),
        cells_(std::size_t(pattern.steps) * std::size_t(pattern.width)),
        handles_(cells_.size()),
        calls_(cells_.size()) {
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      starpu_variable_data_register(&handles_[i], STARPU_MAIN_RAM,
                                    reinterpret_cast<uintptr_t>(&cells_[i]), sizeof(Cell));
    }
    starpu_codelet_init(&codelet_);
    codelet_.cpu_funcs[0] = run_call;
    codelet_.nbuffers = STARPU_VARIABLE_NBUFFERS;
    codelet_.name = "metg";
  }
  ~Grid() {
    for (const auto& handle : handles_) starpu_data_unregister(handle);
  }
  Grid(const Grid&) = delete;
  Grid& operator=(const Grid&) = delete;

  void run(long iterations) {
    for (int step = 0; step < pattern_.steps; ++step) {
      for (int point = 0; point < pattern_.points(step); ++point) {
        submit({pattern_, step, point, iterations});
      }
    }
    starpu_task_wait_for_all();
  }

 private:
  std::size_t at(int step, int point) const {
    return std::size_t(step) * std::size_t(pattern_.width) + std::size_t(point);
  }

  void submit(const Call& call) {
    Call& kept = calls_[at(call.step, call.point)] = call;
    starpu_task* task = starpu_task_create();
    task->cl = &codelet_;
    task->cl_arg = &kept;
    task->cl_arg_size = sizeof kept;
    task->handles[0] = handles_[at(call.step, call.point)];
    task->modes[0] = STARPU_W;
    task->nbuffers = 1;
    for (const int other : pattern_.inputs(call.step, call.point)) {
      task->handles[task->nbuffers] = handles_[at(call.step - 1, other)];
      task->modes[task->nbuffers++] = STARPU_R;
    }
    if (starpu_task_submit(task) != 0) throw std::runtime_error("StarPU refused a task");
  }

  Pattern pattern_;
  std::vector<Cell> cells_;
  std::vector<starpu_data_handle_t> handles_;
  std::vector<Call> calls_;
  starpu_codelet codelet_;
};

}  // namespace

int main(int argc, char** argv) {
  metg::Options options;
  CLI::App app("METG(50 %) of StarPU");
  metg::add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    metg::complete(options);
    starpu_conf conf;
    starpu_conf_init(&conf);
    conf.ncpus = options.cores;
    conf.ncuda = 0;
    conf.nopencl = 0;
    if (!std::getenv("STARPU_SCHED")) conf.sched_policy_name = "lws";
    if (starpu_init(&conf) != 0) throw std::runtime_error("StarPU does not start");
    for (const std::string& name : options.patterns) {
      for (const int width : options.widths) {
        const Pattern pattern{metg::kind_of(name), width, options.steps};
        Grid grid(pattern);
        metg::measure("starpu", options, pattern, [&](long iterations) {
          return metg::seconds_of([&] { grid.run(iterations); });
        });
      }
    }
    starpu_shutdown();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer_metg_starpu: %s\n", error.what());
    return 1;
  }
}
