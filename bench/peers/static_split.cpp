// The limit for any runtime with worker processes: processes that share memory, each multiplying
// the tiles of its share of the output, which is fixed beforehand. Nothing is scheduled, nothing
// is moved. Small job: tiles are read and written in place in row-major matrices (the driver's
// memory). Large job: every tile is contiguous (a chunk on a worker).
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "peer.hpp"

namespace {

struct Control {
  pthread_barrier_t start;
  pthread_barrier_t end;
};

void* shared_memory(std::size_t bytes) {
  const int file = memfd_create("static_split", 0);
  if (file < 0 || ftruncate(file, off_t(bytes)) != 0) peer::fail("no shared memory");
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) peer::fail("no shared memory");
  close(file);
  return memory;
}

void multiply_share(const peer::Options& o, const peer::Layout& layout, int worker, const double* a,
                    const double* b, double* c) {
  const int tiles = o.tiles(), outputs = tiles * tiles, ld = layout.row_stride;
  for (int out = outputs * worker / o.workers; out < outputs * (worker + 1) / o.workers; ++out) {
    const int i = out / tiles, j = out % tiles;
    for (int k = 0; k < tiles; ++k) {
      peer::gemm(o.extent(i), o.extent(j), o.extent(k), a + layout.tile(i, k), ld,
                 b + layout.tile(k, j), ld, k == 0 ? 0 : 1, c + layout.tile(i, j), ld);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const peer::Options options = peer::parse(argc, argv);
  const auto layout =
      options.is_small() ? peer::Layout::row_major(options) : peer::Layout::tiled(options);
  const std::size_t bytes = layout.count(options) * sizeof(double);
  auto* a = static_cast<double*>(shared_memory(bytes));
  auto* b = static_cast<double*>(shared_memory(bytes));
  auto* c = static_cast<double*>(shared_memory(bytes));
  peer::fill(options, layout, 0, a);
  peer::fill(options, layout, 1, b);

  auto* control = static_cast<Control*>(shared_memory(sizeof(Control)));
  pthread_barrierattr_t attributes;
  pthread_barrierattr_init(&attributes);
  pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&control->start, &attributes, unsigned(options.workers + 1));
  pthread_barrier_init(&control->end, &attributes, unsigned(options.workers + 1));

  const int rounds = options.warmups + options.repeats;
  for (int worker = 0; worker < options.workers; ++worker) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int round = 0; round < rounds; ++round) {
      pthread_barrier_wait(&control->start);
      multiply_share(options, layout, worker, a, b, c);
      pthread_barrier_wait(&control->end);
    }
    _exit(0);
  }
  const auto seconds = peer::measure(options, [&] {
    pthread_barrier_wait(&control->start);
    pthread_barrier_wait(&control->end);
  });
  while (wait(nullptr) > 0) {
  }
  peer::check(options, layout, c);
  peer::print("static split", options, seconds);
}
