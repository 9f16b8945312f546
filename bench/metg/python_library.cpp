// The kernel, the patterns and the way of measuring for the Python peers, which load it by ctypes:
// one code for everybody.
#include <cstdio>
#include <exception>

#include "sweep.hpp"

extern "C" {

/// Runs one task's kernel and checks its inputs, given as the points they stand for; the row before
/// is implied. Returns 0 when all is right.
int metg_run_task(const char* kind, int width, int step, int point, long iterations,
                  const long* input_steps, const long* input_points, int input_count) {
  try {
    metg::Cell inputs[metg::Pattern::radix + 1];
    if (input_count > metg::Pattern::radix + 1) return 1;
    for (int i = 0; i < input_count; ++i) inputs[i] = {input_steps[i], input_points[i]};
    struct View {
      const metg::Cell* cells;
      std::size_t count;
      std::size_t size() const { return count; }
      const metg::Cell& operator[](std::size_t i) const { return cells[i]; }
    };
    metg::run_task({metg::kind_of(kind), width}, step, point, iterations,
                   View{inputs, std::size_t(input_count)});
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

/// Writes the points that the task reads; returns how many.
int metg_inputs(const char* kind, int width, int step, int point, int* points) {
  const auto inputs = metg::Pattern{metg::kind_of(kind), width}.inputs(step, point);
  for (const int other : inputs) *points++ = other;
  return inputs.count;
}

int metg_points(const char* kind, int width, int step) {
  return metg::Pattern{metg::kind_of(kind), width}.points(step);
}

double metg_kernel_rate() { return metg::kernel_rate(); }

/// Measures and prints the JSON line. `run` gets the iterations and returns the wall seconds, or a
/// negative number when it failed. Returns 0 when all is right.
int metg_measure(const char* name, const char* kind, int width, int steps, int cores, int repeats,
                 double run_seconds, double bare_rate, double (*run)(long)) {
  try {
    metg::Options options;
    options.cores = cores;
    options.repeats = repeats;
    options.run_seconds = run_seconds;
    options.bare_rate = bare_rate;
    metg::measure(name, options, {metg::kind_of(kind), width, steps}, [run](long iterations) {
      const double seconds = run(iterations);
      if (seconds < 0) throw std::runtime_error("a run failed");
      return seconds;
    });
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "metg: %s\n", error.what());
    return 1;
  }
}
}
