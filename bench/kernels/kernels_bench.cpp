#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "array/operations.hpp"
#include "graph/task_graph.hpp"
#include "kernels/blas.hpp"
#include "kernels/compute_slots.hpp"
#include "kernels/registry.hpp"
#include "store/buffer.hpp"
#include "store/result_memory.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::array;

// One kernel call into one buffer, as often as wanted.
class Runner final : public kernels::OutputBuffers {
 public:
  template <class Params>
  Runner(const Params& params, std::size_t inputs)
      : params_(encode(params)), announced_(output_bytes(params)), output_(announced_ / 8 + 1) {
    const auto sizes = input_bytes(params);
    for (std::size_t i = 0; i < inputs; ++i) memory_.emplace_back(sizes[i] / 8 + 1, 1.25);
    for (std::size_t i = 0; i < inputs; ++i) {
      spans_.push_back(std::as_bytes(std::span(memory_[i])).first(sizes[i]));
    }
    function_ = registry_.at(static_cast<std::size_t>(registry_.find(Params::kernel))).cpu;
  }

  std::span<std::byte> allocate(std::size_t, std::size_t bytes) override {
    return std::as_writable_bytes(std::span(output_)).first(bytes);
  }

  void run() {
    function_({params_, spans_, {&announced_, 1}, *this, graph::TaskGraph::no_input});
    benchmark::ClobberMemory();
  }

 private:
  kernels::Registry registry_ = kernels::builtin_registry();
  std::vector<std::byte> params_;
  std::uint64_t announced_;
  std::vector<double> output_;
  std::vector<std::vector<double>> memory_;
  std::vector<std::span<const std::byte>> spans_;
  kernels::CpuFunction function_;
};

void set_gigabytes(benchmark::State& state, double bytes) {
  state.counters["GB/s"] = benchmark::Counter(
      bytes * static_cast<double>(state.iterations()) * 1e-9, benchmark::Counter::kIsRate);
}

void matmul(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  Runner runner(MatmulParams{.m = n, .n = n, .k = {n}}, 2);
  for (auto _ : state) runner.run();
  const auto flops = 2e-9 * static_cast<double>(n * n * n);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
}
BENCHMARK(matmul)->Arg(100)->Arg(512)->Arg(1024);

void blas_alone(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const std::vector<double> a(static_cast<std::size_t>(n * n), 1.25);
  std::vector<double> c(a.size());
  for (auto _ : state) {
    kernels::blas_dgemm({.m = n, .n = n, .k = n}, a.data(), a.data(), false, c.data());
  }
  const auto flops = 2e-9 * static_cast<double>(n * n * n);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
}
BENCHMARK(blas_alone)->Arg(100)->Arg(512)->Arg(1024);

// a * 3 + b, moved bytes counted: two operands read, one result written.
void elementwise(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const ElementwiseInput input{DType::float64, {count}, {1}};
  Runner runner(ElementwiseParams{.dtype = DType::float64,
                                  .extents = {count},
                                  .inputs = {input, input},
                                  .constants = {{DType::float64, 3, 0}},
                                  .program = {{ElementOp::load, 0},
                                              {ElementOp::constant, 0},
                                              {ElementOp::multiply, 0},
                                              {ElementOp::load, 1},
                                              {ElementOp::add, 0}}},
                2);
  for (auto _ : state) runner.run();
  set_gigabytes(state, 24.0 * static_cast<double>(count));
}
BENCHMARK(elementwise)->Arg(16 << 10)->Arg(1 << 20)->Arg(8 << 20);

void exponential(benchmark::State& state) {
  const std::int64_t count = 1 << 20;
  Runner runner(ElementwiseParams{.dtype = DType::float64,
                                  .extents = {count},
                                  .inputs = {{DType::float64, {count}, {1}}},
                                  .constants = {},
                                  .program = {{ElementOp::load, 0}, {ElementOp::exp, 0}}},
                1);
  for (auto _ : state) runner.run();
  set_gigabytes(state, 16.0 * static_cast<double>(count));
}
BENCHMARK(exponential);

void reduce(benchmark::State& state) {
  const auto axis = static_cast<std::uint8_t>(state.range(0));
  Runner runner(ReduceParams{.input_extents = {1024, 1024}, .axes = {axis}}, 1);
  for (auto _ : state) runner.run();
  set_gigabytes(state, 8.0 * 1024 * 1024);
}
BENCHMARK(reduce)->Arg(0)->Arg(1);

void transpose(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  Runner runner(PermuteParams{DType::float64, {n, n}, {1, 0}}, 1);
  for (auto _ : state) runner.run();
  set_gigabytes(state, 16.0 * static_cast<double>(n * n));
}
BENCHMARK(transpose)->Arg(1000)->Arg(1024)->Arg(2048);

void random(benchmark::State& state) {
  Runner runner(
      RandomParams{.distribution = Distribution{static_cast<std::uint8_t>(state.range(0))},
                   .seed = 1,
                   .global_shape = {8192, 8192},
                   .start = {1024, 1024},
                   .extents = {1024, 1024}},
      0);
  for (auto _ : state) runner.run();
  set_gigabytes(state, 8.0 * 1024 * 1024);
}
BENCHMARK(random)->Arg(0)->Arg(1);

void arena_allocate_free(benchmark::State& state) {
  store::Arena arena(std::size_t{1} << 30);
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const auto keep = arena.allocate(bytes);
  for (auto _ : state) {
    const auto block = arena.allocate(bytes);
    benchmark::DoNotOptimize(block.data());
    arena.free(block);
  }
  arena.free(keep);
}
BENCHMARK(arena_allocate_free)->Arg(8)->Arg(4096)->Arg(80000)->Arg(8 << 20);

void buffer_allocate_drop(benchmark::State& state) {
  const auto arena = std::make_shared<store::Arena>(std::size_t{1} << 30);
  for (auto _ : state) {
    const auto buffer = store::Buffer::allocate(arena, static_cast<std::size_t>(state.range(0)));
    benchmark::DoNotOptimize(buffer.bytes().data());
  }
}
BENCHMARK(buffer_allocate_drop)->Arg(8)->Arg(8 << 20);

// Writing 8 MB of result memory that was used before.
void result_reused(benchmark::State& state) {
  store::ResultPool pool;
  for (auto _ : state) {
    const auto block = pool.allocate_result(8'000'000);
    std::fill_n(reinterpret_cast<double*>(block.get()), 1'000'000, 1.0);
    benchmark::ClobberMemory();
  }
  set_gigabytes(state, 8e6);
}
BENCHMARK(result_reused);

// Empty jobs through one slot, submitted in batches of 64.
void slot_jobs(benchmark::State& state) {
  std::atomic<std::uint64_t> done = 0;
  kernels::ComputeSlots slots(
      {.slots = 1, .spin = Duration::microseconds(50)},
      {.run = [&](std::uint32_t) { done.fetch_add(1); }, .completed = [] {}});
  const std::vector<std::uint32_t> jobs(64);
  std::vector<std::uint32_t> taken;
  std::uint64_t wanted = 0;
  for (auto _ : state) {
    slots.submit(jobs);
    wanted += jobs.size();
    while (done.load() < wanted) {
    }
    taken.clear();
    slots.take_completed(taken);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(wanted));
}
BENCHMARK(slot_jobs);

}  // namespace

int main(int argc, char** argv) {
  ashlar::kernels::blas_use_one_thread();
  benchmark::AddCustomContext("blas", ashlar::kernels::blas_name());
  benchmark::AddCustomContext("fma_peak_gflops",
                              std::to_string(ashlar::kernels::measure_fma_peak_gflops()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
