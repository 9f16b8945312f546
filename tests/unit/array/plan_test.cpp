#include <ashlar/plan.hpp>

#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

namespace ashlar {
namespace {

TEST(Plan, counts_tasks_flops_and_bytes) {
  const auto a = from_host(HostArray::zeros<double>({2048, 2048}), {.chunks = {512, 512}});
  const auto plan = matmul(a, a).plan({.workers = 2, .slots_per_worker = 2});
  EXPECT_EQ(plan.tasks, 64u);
  EXPECT_NEAR(plan.flops, 2.0 * 2048 * 2048 * 2048, 1e6);
  EXPECT_EQ(plan.input_bytes, 2048u * 2048 * 8);
  EXPECT_EQ(plan.output_bytes, 2048u * 2048 * 8);
  EXPECT_EQ(plan.slots, 4u);
  EXPECT_NEAR(plan.total_seconds, plan.flops / 50e9, 0.02 * plan.total_seconds);
  EXPECT_NEAR(plan.critical_path_seconds, plan.total_seconds / 16, 1e-3);
  EXPECT_DOUBLE_EQ(plan.lower_bound_seconds, plan.total_seconds / 4);
}

TEST(Plan, accumulation_in_place_needs_no_second_buffer) {
  const auto a = from_host(HostArray::zeros<double>({2048, 2048}), {.chunks = {512, 512}});
  EXPECT_EQ(matmul(a, a).plan().memory_peak_bytes_per_worker, 2048u * 2048 * 8);
}

TEST(Plan, a_sum_of_many_chunks_needs_few_at_once) {
  const auto x = random::uniform({1024, 1024}, {.chunks = {64, 64}});
  const auto plan = sum(x).plan();
  EXPECT_LT(plan.memory_peak_bytes_per_worker, 1024u * 1024 * 8 / 4);
  EXPECT_GE(plan.memory_peak_bytes_per_worker, 64u * 64 * 8);
}

TEST(Plan, says_how_a_product_is_spread_over_hosts) {
  const auto a = random::uniform({2048, 2048}, {.chunks = {128, 128}});
  const auto plan = matmul(a, a).plan({.workers = 4, .hosts = 4});
  ASSERT_EQ(plan.products.size(), 1u);
  EXPECT_EQ(plan.products[0].grid_rows, 2u);
  EXPECT_EQ(plan.products[0].grid_columns, 2u);
  EXPECT_EQ(plan.products[0].grid_layers, 1u);
  EXPECT_DOUBLE_EQ(plan.products[0].moved_bytes, 2.0 * 2048 * 2048 * 8);
  EXPECT_LE(plan.products[0].least_moved_bytes, plan.products[0].moved_bytes);
  const std::string text = to_string(plan);
  EXPECT_NE(text.find("2048 x 2048 x 2048 on 4 hosts as 2 x 2 x 1, moves 67.1 MB, lower bound "),
            std::string::npos)
      << text;
  EXPECT_TRUE(matmul(a, a).plan().products.empty());
  EXPECT_THROW(matmul(a, a).plan({.hosts = 0}), BadInput);
}

TEST(Plan, says_so_when_no_grid_of_the_hosts_fits) {
  const auto a = random::uniform({500, 300}, {.chunks = {128, 128}});
  const auto b = random::uniform({300, 700}, {.chunks = {128, 128}});
  const auto plan = matmul(a, b).plan({.workers = 22, .hosts = 11});
  ASSERT_EQ(plan.products.size(), 1u);
  EXPECT_EQ(plan.products[0].grid_rows, 0u);
  EXPECT_EQ(plan.products[0].moved_bytes, 0);
  EXPECT_GT(plan.products[0].least_moved_bytes, 0);
  const std::string text = to_string(plan);
  EXPECT_NE(text.find("500 x 700 x 300 on 11 hosts, no grid fits, lower bound "), std::string::npos)
      << text;
}

TEST(Plan, little_memory_asks_for_more_to_be_moved) {
  const auto a = random::uniform({4096, 4096}, {.chunks = {128, 128}});
  const double all = 3.0 * 4096 * 4096 * 8;
  const auto enough = matmul(a, a).plan({.workers = 8, .hosts = 8});
  const auto little =
      matmul(a, a).plan({.workers = 8, .hosts = 8, .memory_bytes_per_host = all / 6});
  EXPECT_EQ(enough.products.at(0).grid_layers, 2u);
  EXPECT_GE(little.products.at(0).least_moved_bytes, enough.products.at(0).least_moved_bytes);
  EXPECT_THROW(matmul(a, a).plan({.hosts = 8, .memory_bytes_per_host = -1}), BadInput);
}

TEST(Plan, reads_well) {
  const auto text = to_string(matmul(random::uniform({1000, 1000}, {.chunks = {100, 100}}),
                                     eye(1000, {.chunks = {100, 100}}))
                                  .plan({.workers = 2}));
  EXPECT_NE(text.find("tasks                  300"), std::string::npos) << text;
  EXPECT_NE(text.find("2.1 Gflop"), std::string::npos) << text;
  EXPECT_NE(text.find("8 MB"), std::string::npos) << text;
  EXPECT_NE(text.find("on 2 slots"), std::string::npos) << text;
}

TEST(Plan, impossible_machines_are_refused) {
  EXPECT_THROW(zeros({1}).plan({.workers = 0}), BadInput);
  EXPECT_THROW(zeros({1}).plan({.flops_per_second = 0}), BadInput);
}

}  // namespace
}  // namespace ashlar
