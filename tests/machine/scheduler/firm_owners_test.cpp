#include <gtest/gtest.h>

#include "template_rig.hpp"

// Hosts that own chains of a graph (placement/chains.hpp) cannot always run them.

namespace ashlar::scheduler {
namespace {

/// By tiles of a megabyte; see chains_test.cpp.
std::shared_ptr<const graph::TaskGraph> factorisation(std::uint32_t n) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels = {"k"};
  std::vector<std::uint32_t> tile(n * n);
  const auto update = [&](std::uint32_t at, std::initializer_list<std::uint32_t> inputs) {
    graph->kernel.push_back(0);
    graph->inputs.insert(graph->inputs.end(), inputs.begin(), inputs.end());
    graph->input_offsets.push_back(static_cast<std::uint32_t>(graph->inputs.size()));
    tile[at] = graph->output_count();
    graph->output_bytes.push_back(1'000'000);
    graph->output_offsets.push_back(graph->output_count());
    graph->param_offsets.push_back(0);
  };
  for (std::uint32_t t = 0; t < n * n; ++t) {
    if (t % n <= t / n) update(t, {});
  }
  for (std::uint32_t k = 0; k < n; ++k) {
    update(k * n + k, {tile[k * n + k]});
    for (std::uint32_t i = k + 1; i < n; ++i) {
      update(i * n + k, {tile[i * n + k], tile[k * n + k]});
    }
    for (std::uint32_t i = k + 1; i < n; ++i) {
      for (std::uint32_t j = k + 1; j <= i; ++j) {
        update(i * n + j, {tile[i * n + j], tile[i * n + k], tile[j * n + k]});
      }
    }
  }
  graph->wanted = {tile[n * n - 1]};
  graph->flops.assign(graph->task_count(), 1e7);  // half a millisecond
  return graph;
}

class FirmOwners : public Templates {
 protected:
  static constexpr std::uint32_t n = 10;

  void join_host(std::uint32_t id, std::uint64_t memory_limit = 0) {
    workers_[PeerId{id}].id = PeerId{id};
    protocol::Hello hello;
    hello.name = std::to_string(id);
    hello.kernels = {"k"};
    hello.slots = 2;
    hello.memory_limit = memory_limit;
    hello.endpoint.host_identity = hello.name;
    step(WorkerJoined{PeerId{id}, hello});
  }
  void submit_factorisation() { submit(0, {.graph = factorisation(n), .externals = {}}); }
  void begin_on_four_hosts() {
    for (const std::uint32_t id : {1u, 2u, 3u, 4u}) join_host(id);
    open(0);
    submit_factorisation();
    while (engine_.counters().tasks_done < 60) {
      for (auto& [id, worker] : workers_) work(worker);
    }
  }
  void expect_all_ran() {
    EXPECT_EQ(ran_.size(), factorisation(n)->task_count());
    expect_done(0);
  }
  std::uint32_t count(std::uint32_t id) const {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(ran_, [id](const auto& ran) { return ran.second == PeerId{id}; }));
  }
};

TEST_F(FirmOwners, EachHostRunsWhatItOwns) {
  for (const std::uint32_t id : {1u, 2u, 3u, 4u}) join_host(id);
  open(0);
  submit_factorisation();
  play();
  expect_all_ran();
  for (const std::uint32_t id : {1u, 2u, 3u, 4u}) EXPECT_GT(count(id), 50u) << id;
  const auto graph = factorisation(n);
  std::vector<std::uint32_t> first(graph->task_count());  // of the tile, by task
  for (std::uint32_t t = 0; t < first.size(); ++t) {
    const auto inputs = graph->inputs_of(t);
    first[t] = inputs.empty() ? t : first[inputs[0]];
    EXPECT_EQ(ran_.at(t), ran_.at(first[t])) << "task " << t;
  }
}

TEST_F(FirmOwners, WhatTheOwnerCannotHoldGoesElsewhere) {
  join_host(1, 500'000);  // half a tile
  for (const std::uint32_t id : {2u, 3u, 4u}) join_host(id);
  open(0);
  submit_factorisation();
  play();
  expect_all_ran();
  EXPECT_EQ(count(1), 0u);
}

TEST_F(FirmOwners, WhoJoinsLaterHelps) {
  begin_on_four_hosts();
  join_host(5);
  play();
  expect_all_ran();
  EXPECT_GT(count(5), 0u);
}

TEST_F(FirmOwners, WhenAHostIsLostOthersGoOn) {
  begin_on_four_hosts();
  lose(2);
  play();
  expect_all_ran();
}

}  // namespace
}  // namespace ashlar::scheduler
