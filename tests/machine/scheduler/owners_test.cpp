#include "scheduler/owners.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace ashlar::scheduler {
namespace {

using graph::TaskGraph;

/// A product of n by n chunks of 8 KB, whose operands are made by tasks.
class Matmul {
 public:
  explicit Matmul(std::uint32_t n) : n_(n) {
    graph_.kernels = {"k"};
    graph_.products.push_back({n, n, n, n * 32ul, n * 32ul, n * 32ul, 8});
    for (std::uint32_t t = 0; t < 2 * n * n; ++t) add({}, TaskGraph::no_cell, false);
    for (std::uint32_t cell = 0; cell < n * n * n; ++cell) {
      const std::uint32_t i = cell % n, column = cell / n % n, row = cell / n / n;
      const std::uint32_t a = row * n + i, b = n * n + i * n + column;
      const std::uint32_t last = graph_.task_count() - 1;
      if (i == 0) {
        add({a, b}, cell, false);
      } else {
        add({last, a, b}, cell, true);
      }
    }
    consumers_ = graph::consumers(graph_);
    is_done_.assign(graph_.task_count(), false);
  }

  std::vector<std::uint32_t> owners(const EqualHosts& on) {
    auto owners = owners_of(graph_, consumers_, on);
    level(owners, on.hosts);
    return owners;
  }

  void level(std::vector<std::uint32_t>& owners, const std::vector<std::uint32_t>& hosts) {
    const auto is_to_do = [this](std::uint32_t task) { return !is_done_[task]; };
    const auto heir_of = [this](std::uint32_t task) -> std::optional<std::uint32_t> {
      if (task < first_cell() || (task - first_cell()) % n_ == n_ - 1) return std::nullopt;
      return task + 1;
    };
    level_owners(owners, {graph_, is_to_do, heir_of}, hosts);
  }

  std::size_t cells_of(const std::vector<std::uint32_t>& owners, std::uint32_t host) const {
    return static_cast<std::size_t>(std::count(owners.begin() + first_cell(), owners.end(), host));
  }

  /// How many hosts work on the chunk of C in turn.
  std::size_t hosts_of_chunk(const std::vector<std::uint32_t>& owners, std::uint32_t chunk) const {
    const auto first = owners.begin() + first_cell() + chunk * n_;
    return std::set<std::uint32_t>(first, first + n_).size();
  }

  void finish_cells(std::uint32_t count) {
    for (std::uint32_t t = 0; t < first_cell() + count; ++t) is_done_[t] = true;
  }

  std::uint32_t first_cell() const { return 2 * n_ * n_; }

 private:
  void add(const std::vector<std::uint32_t>& inputs, std::uint32_t cell, bool takes_over) {
    graph_.kernel.push_back(0);
    graph_.inputs.insert(graph_.inputs.end(), inputs.begin(), inputs.end());
    graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
    graph_.output_bytes.push_back(8192);
    graph_.output_offsets.push_back(graph_.output_count());
    graph_.param_offsets.push_back(0);
    graph_.reuse_input.push_back(takes_over ? 0 : TaskGraph::no_input);
    graph_.cell.push_back(cell);
  }

  std::uint32_t n_;
  TaskGraph graph_;
  graph::Consumers consumers_;
  std::vector<bool> is_done_;
};

TEST(Owners, AProductThatDoesNotDivideIsSharedEvenlyInWholeChunks) {
  Matmul matmul(5);
  const auto owners = matmul.owners({.hosts = {3, 7}});
  EXPECT_EQ(matmul.cells_of(owners, 3) + matmul.cells_of(owners, 7), 125u);
  EXPECT_LE(matmul.cells_of(owners, 3), 65u);
  EXPECT_LE(matmul.cells_of(owners, 7), 65u);
  for (std::uint32_t chunk = 0; chunk < 25; ++chunk) {
    EXPECT_EQ(matmul.hosts_of_chunk(owners, chunk), 1u);
  }
}

TEST(Owners, AProductThatDividesStaysOnItsGrid) {
  Matmul matmul(8);
  const EqualHosts on{.hosts = {0, 1, 2, 3}};
  auto owners = matmul.owners(on);
  for (const std::uint32_t host : on.hosts) EXPECT_EQ(matmul.cells_of(owners, host), 128u);
  const auto before = owners;
  matmul.level(owners, on.hosts);
  EXPECT_EQ(owners, before);
}

TEST(Owners, WhatAHostThatIsGoneHadToDoIsSharedOut) {
  Matmul matmul(8);
  auto owners = matmul.owners({.hosts = {0, 1, 2, 3}});
  matmul.level(owners, {0, 1, 3});
  EXPECT_EQ(std::ranges::count(owners, 2u), 0);
  for (const std::uint32_t host : {0u, 1u, 3u}) {
    EXPECT_NEAR(static_cast<double>(matmul.cells_of(owners, host)), 512.0 / 3, 8);
  }
}

TEST(Owners, AHostThatJoinsGetsItsShareOfWhatIsLeft) {
  Matmul matmul(8);
  auto owners = matmul.owners({.hosts = {0, 1}});
  matmul.finish_cells(256);
  matmul.level(owners, {0, 1, 2});
  EXPECT_NEAR(static_cast<double>(matmul.cells_of(owners, 2)), 256.0 / 3, 8);
}

TEST(Owners, WithoutHostsNobodyOwnsAnything) {
  Matmul matmul(4);
  auto owners = matmul.owners({.hosts = {0, 1}});
  matmul.level(owners, {});
  EXPECT_EQ(std::ranges::count(owners, no_host), static_cast<std::ptrdiff_t>(owners.size()));
}

TEST(Owners, LayersHandChunksOnWhereThatPays) {
  const std::vector<std::uint32_t> hosts{0, 1, 2, 3, 4, 5, 6, 7};
  const auto layers = [&](std::uint32_t n, const EqualHosts& on) {
    Matmul matmul(n);
    return matmul.hosts_of_chunk(matmul.owners(on), 0);
  };
  constexpr std::int64_t cell_ns = 10'000'000;
  constexpr double slow = 1e4, fast = 1e9;  // 8 KB in 0.8 s, or in 8 us
  EXPECT_EQ(layers(8, {hosts, 2, 0, cell_ns, fast}), 1u) << "few turns, and next to no moving";
  EXPECT_EQ(layers(8, {hosts, 2, 0, cell_ns, slow}), 2u) << "mostly moving";
  EXPECT_EQ(layers(16, {hosts, 2, 0, cell_ns, fast}), 2u) << "many turns";
  EXPECT_EQ(layers(16, {hosts, 2, 0, 0, slow}), 1u) << "short tasks";
}

}  // namespace
}  // namespace ashlar::scheduler
