#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "array/lower.hpp"
#include "simulate/forecast.hpp"

/// What products of matrices move from host to host.
namespace ashlar::simulate {
namespace {

struct Size {
  std::int64_t m, n, k;
};

/// The graph that the array library makes of a product of two random matrices.
Program product(Size size, double seconds = 6e-3) {
  const Array a = random::uniform({size.m, size.k}, {.chunks = {256, 256}, .seed = 1});
  const Array b = random::uniform({size.k, size.n}, {.chunks = {256, 256}, .seed = 2});
  const Array c = matmul(a, b);
  Program program{*array::lower({&c, 1}, {.matmul_task_seconds = 1e-4}).graph, {}};
  program.task_seconds.assign(program.graph.task_count(), seconds);
  return program;
}

Forecast run(const Program& program, std::uint32_t hosts) {
  return forecast({.program = std::make_shared<const Program>(program),
                   .machine = std::make_shared<const Machine>(
                       Machine{.speeds = std::vector<double>(hosts, 1.0)})});
}

double over_bound(const Program& program, const Forecast& found, std::uint32_t hosts) {
  return static_cast<double>(found.moved_bytes) /
         graph::least_moved_bytes(program.graph.products.at(0), hosts);
}

TEST(Volume, ProductsMoveLittleMoreThanTheBound) {
  for (const Size size : {Size{4096, 4096, 4096}, Size{8192, 2048, 4096}, Size{4096, 4096, 1024}}) {
    for (const std::uint32_t hosts : {4u, 8u}) {
      const Program program = product(size);
      const Forecast found = run(program, hosts);
      ASSERT_EQ(found.error, "");
      EXPECT_LE(over_bound(program, found, hosts), 1.25) << size.m << " " << hosts << " hosts";
      EXPECT_LE(found.makespan_seconds / found.bound_seconds, 1.3);
    }
  }
}

TEST(Volume, ShortTasksAreNotHandedOn) {
  const Program program = product({4096, 4096, 4096}, 2e-3);
  const Forecast found = run(program, 8);
  EXPECT_LE(over_bound(program, found, 8), 1.5);
  EXPECT_LE(found.makespan_seconds / found.bound_seconds, 1.1);
}

/// The same graph, placed without knowing of the product.
Program unmarked(Program program) {
  program.graph.products.clear();
  program.graph.cell.clear();
  return program;
}

TEST(Volume, ProductsOfAnySizeRunOnAnyNumberOfHosts) {
  // Sides that are no multiples of the chunks, and of each other; as many hosts as have a grid of
  // one side only, or none.
  for (const Size size : {Size{1000, 700, 1300}, Size{300, 2900, 1100}, Size{260, 300, 4000}}) {
    const Program program = product(size);
    ASSERT_EQ(graph::validate(program.graph), "");
    for (const std::uint32_t hosts : {1u, 2u, 3u, 5u, 7u, 13u}) {
      const Forecast found = run(program, hosts);
      EXPECT_EQ(found.error, "");
      // A task that was taken from a worker may have begun there.
      EXPECT_GE(found.history.tasks.size(), program.graph.task_count());
      EXPECT_LE(found.history.tasks.size(), program.graph.task_count() * 104 / 100);
      EXPECT_LE(found.makespan_seconds, 1.5 * run(unmarked(program), hosts).makespan_seconds)
          << size.m << " x " << size.n << " x " << size.k << " on " << hosts << " hosts";
    }
  }
}

TEST(Volume, WithoutTheHintMuchMoreMoves) {
  const Program program = product({4096, 4096, 4096});
  EXPECT_GT(run(unmarked(program), 4).moved_bytes, 2 * run(program, 4).moved_bytes);
}

TEST(Volume, OnOneHostTheHintChangesNothing) {
  const Program program = product({2048, 2048, 2048});
  EXPECT_EQ(run(unmarked(program), 1).makespan_seconds, run(program, 1).makespan_seconds);
}

TEST(Volume, ALostHostsShareIsDoneByOthers) {
  const Program program = product({2048, 2048, 2048});
  Machine machine{.speeds = std::vector<double>(4, 1.0)};
  machine.vanishes_after = Duration::milliseconds(200);
  const Forecast found = forecast({.program = std::make_shared<const Program>(program),
                                   .machine = std::make_shared<const Machine>(machine)});
  EXPECT_EQ(found.error, "");
  EXPECT_LT(found.makespan_seconds, 2 * found.bound_seconds);
}

TEST(Volume, ASlowHostsShareIsDoneByOthers) {
  const Program program = product({2048, 2048, 2048});
  Machine machine{.speeds = {1, 1, 1, 0.2}};  // nobody knows that yet
  const Forecast found = forecast({.program = std::make_shared<const Program>(program),
                                   .machine = std::make_shared<const Machine>(machine)});
  EXPECT_EQ(found.error, "");
  EXPECT_LT(found.makespan_seconds, 1.35 * found.bound_seconds);
}

}  // namespace
}  // namespace ashlar::simulate
