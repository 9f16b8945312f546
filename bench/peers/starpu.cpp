// StarPU: one dgemm task per tile triple, CPU workers in one process, scheduler lws unless
// STARPU_SCHED says otherwise. Small job: tiles of row-major matrices, registered and given back
// within the time. Large job: contiguous tiles, registered beforehand, left with StarPU.
#include <starpu.h>

#include "peer.hpp"

namespace {

void multiply_tile(void** buffers, void* argument) {
  const auto* a = static_cast<starpu_matrix_interface*>(buffers[0]);
  const auto* b = static_cast<starpu_matrix_interface*>(buffers[1]);
  const auto* c = static_cast<starpu_matrix_interface*>(buffers[2]);
  // In StarPU nx counts along contiguous elements: columns, row-major.
  peer::gemm(int(c->ny), int(c->nx), int(a->nx), reinterpret_cast<double*>(a->ptr), int(a->ld),
             reinterpret_cast<double*>(b->ptr), int(b->ld), argument ? 1 : 0,
             reinterpret_cast<double*>(c->ptr), int(c->ld));
}

starpu_codelet codelet(starpu_data_access_mode output_mode, const char* name) {
  starpu_codelet result;
  starpu_codelet_init(&result);
  result.cpu_funcs[0] = multiply_tile;
  result.nbuffers = 3;
  result.modes[0] = STARPU_R;
  result.modes[1] = STARPU_R;
  result.modes[2] = output_mode;
  result.name = name;
  return result;
}

using Handles = std::vector<starpu_data_handle_t>;

Handles register_tiles(const peer::Options& o, const peer::Layout& layout, double* values) {
  Handles handles(std::size_t(o.tiles()) * o.tiles());
  for (int i = 0; i < o.tiles(); ++i) {
    for (int j = 0; j < o.tiles(); ++j) {
      starpu_matrix_data_register(&handles[std::size_t(i * o.tiles() + j)], STARPU_MAIN_RAM,
                                  reinterpret_cast<uintptr_t>(values + layout.tile(i, j)),
                                  unsigned(layout.row_stride), unsigned(o.extent(j)),
                                  unsigned(o.extent(i)), sizeof(double));
    }
  }
  return handles;
}

void unregister_tiles(const Handles& handles) {
  for (auto handle : handles) starpu_data_unregister(handle);
}

void multiply(const peer::Options& o, const Handles& a, const Handles& b, const Handles& c) {
  static starpu_codelet first = codelet(STARPU_W, "first");
  static starpu_codelet further = codelet(STARPU_RW, "further");
  const int tiles = o.tiles();
  for (int i = 0; i < tiles; ++i) {
    for (int j = 0; j < tiles; ++j) {
      for (int k = 0; k < tiles; ++k) {
        starpu_task* task = starpu_task_create();
        task->cl = k == 0 ? &first : &further;
        task->handles[0] = a[std::size_t(i * tiles + k)];
        task->handles[1] = b[std::size_t(k * tiles + j)];
        task->handles[2] = c[std::size_t(i * tiles + j)];
        task->cl_arg = k == 0 ? nullptr : &further;  // non-null: add to the output
        if (starpu_task_submit(task) != 0) peer::fail("StarPU refused a task");
      }
    }
  }
  starpu_task_wait_for_all();
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Options options = peer::parse(argc, argv);
  starpu_conf conf;
  starpu_conf_init(&conf);
  conf.ncpus = options.workers;
  conf.ncuda = 0;
  conf.nopencl = 0;
  if (!std::getenv("STARPU_SCHED")) conf.sched_policy_name = "lws";
  if (starpu_init(&conf) != 0) peer::fail("StarPU does not start");

  const auto layout =
      options.is_small() ? peer::Layout::row_major(options) : peer::Layout::tiled(options);
  std::vector<double> a(layout.count(options)), b(a.size()), c(a.size());
  peer::fill(options, layout, 0, a.data());
  peer::fill(options, layout, 1, b.data());
  Handles left, right, product;
  const auto register_all = [&] {
    left = register_tiles(options, layout, a.data());
    right = register_tiles(options, layout, b.data());
    product = register_tiles(options, layout, c.data());
  };
  const auto unregister_all = [&] {
    for (const auto& handles : {left, right, product}) unregister_tiles(handles);
  };

  if (!options.is_small()) register_all();
  const auto seconds = peer::measure(options, [&] {
    if (options.is_small()) register_all();
    multiply(options, left, right, product);
    if (options.is_small()) unregister_all();
  });
  if (!options.is_small()) unregister_all();
  starpu_shutdown();
  peer::check(options, layout, c.data());
  peer::print("starpu", options, seconds);
}
