#include "graph/task_graph.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/random.hpp"

namespace ashlar::graph {
namespace {

void add_task(TaskGraph& graph, std::vector<std::uint32_t> inputs, std::uint32_t outputs = 1) {
  if (graph.kernels.empty()) graph.kernels = {"k"};
  graph.kernel.push_back(0);
  graph.inputs.insert(graph.inputs.end(), inputs.begin(), inputs.end());
  graph.input_offsets.push_back(static_cast<std::uint32_t>(graph.inputs.size()));
  graph.output_bytes.resize(graph.output_bytes.size() + outputs, 8);
  graph.output_offsets.push_back(static_cast<std::uint32_t>(graph.output_bytes.size()));
  graph.param_offsets.push_back(0);
}

/// 0 and 1 feed 2; 2 feeds 3 and 4.
TaskGraph diamond() {
  TaskGraph graph;
  add_task(graph, {5});
  add_task(graph, {});
  add_task(graph, {0, 1});
  add_task(graph, {2, 2});
  add_task(graph, {2});
  graph.external_bytes = {64};
  graph.wanted = {3, 4};
  return graph;
}

struct Spoilt {
  std::uint32_t columns = 2, inner = 3;
  std::uint64_t m = 10;
  std::uint32_t element_bytes = 8;
};
Product product(Spoilt with = {}) {
  return {.rows = 2,
          .columns = with.columns,
          .inner = with.inner,
          .m = with.m,
          .n = 20,
          .k = 30,
          .element_bytes = with.element_bytes};
}
/// Of which there may be one in a graph.
Product many_cells() {
  return {.rows = 60000, .columns = 60000, .inner = 1, .m = 60000, .n = 60000, .k = 1};
}

TEST(TaskGraph, AcceptsSoundGraphs) {
  EXPECT_EQ(validate(TaskGraph{}), "");
  EXPECT_EQ(validate(diamond()), "");
  TaskGraph graph = diamond();
  graph.products = {product(), many_cells()};
  graph.cell = {0, 11, 12, TaskGraph::no_cell, 12 + 3'599'999'999};
  EXPECT_EQ(validate(graph), "");
}

TEST(TaskGraph, NamesWhatIsWrong) {
  struct Case {
    std::function<void(TaskGraph&)> spoil;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {[](TaskGraph& g) { g.kernel[3] = 7; }, "task 3: kernel 7 of 1"},
      {[](TaskGraph& g) { g.inputs[1] = 9; }, "task 2 (kernel \"k\"): input datum 9 of 6"},
      {[](TaskGraph& g) { g.input_offsets.pop_back(); }, "input offsets of the graph: expected 6"},
      {[](TaskGraph& g) { g.input_offsets[2] = 4; }, "task 2: input offsets go down from 4 to 3"},
      {[](TaskGraph& g) { g.input_offsets[0] = 1; }, "input offsets of the graph start at 1"},
      {[](TaskGraph& g) { g.output_bytes.pop_back(); }, "output offsets of the graph, last"},
      {[](TaskGraph& g) { g.params.resize(3); }, "parameter offsets of the graph, last"},
      {[](TaskGraph& g) { g.flops = {1.0f}; }, "flops of the graph: expected 5, got 1"},
      {[](TaskGraph& g) { g.flops.assign(5, -1.0f); }, "negative or undefined cost"},
      {[](TaskGraph& g) { g.priority = {1}; }, "priorities of the graph"},
      {[](TaskGraph& g) {
         g.constraints.resize(1);
         g.constraint = {0, 0, 0, 0, 3};
       },
       "task 4 (kernel \"k\"): constraint 3 of 1"},
      {[](TaskGraph& g) {
         g.constraints = {{{{"gpu", -1.0}}}};
       },
       "resource \"gpu\""},
      {[](TaskGraph& g) {
         g.reuse_input = {~0u, ~0u, 2, ~0u, ~0u};
       },
       "reuses input 2 of 2"},
      {[](TaskGraph& g) { g.wanted = {5}; }, "wanted datum 5 is none of the 5 outputs"},
      {[](TaskGraph& g) {
         g.wanted = {4, 3};
       },
       "wanted datum 3 is listed after 4"},
      {[](TaskGraph& g) {
         g.wanted = {3, 3};
       },
       "wanted datum 3 is listed after 3"},
      {[](TaskGraph& g) { g.cell = {0}; }, "cells of the graph: expected 5, got 1"},
      {[](TaskGraph& g) {
         g.products = {product()};
         g.cell = {~0u, ~0u, 11, 12, ~0u};
       },
       "task 3 (kernel \"k\"): cell 12 of 12"},
      {[](TaskGraph& g) { g.cell.assign(5, 0); }, "task 0 (kernel \"k\"): cell 0 of 0"},
      {[](TaskGraph& g) { g.products.assign(6, product()); }, "more products than tasks: 6"},
      {[](TaskGraph& g) { g.products = {product({.inner = 0})}; },
       "product 0 of the graph: 30 elements in 0 chunks along k"},
      {[](TaskGraph& g) {
         g.products = {product(), product({.columns = 21})};
       },
       "product 1 of the graph: 20 elements in 21 chunks along n"},
      {[](TaskGraph& g) { g.products = {product({.m = ~std::uint64_t{0}})}; },
       "product 0 of the graph: 18446744073709551615 elements in 2 chunks along m"},
      {[](TaskGraph& g) { g.products = {product({.element_bytes = 0})}; }, "elements of no bytes"},
      {[](TaskGraph& g) { g.products.assign(2, many_cells()); },
       "product 1 of the graph: too many cells"},
      {[](TaskGraph& g) {
         g.products = {product()};
         g.inputs[0] = 3;
       },
       "task 0 (kernel \"k\") reads from itself or a later task"},
      {[](TaskGraph& g) { g.inputs[0] = 2; }, "is on a cycle"},
      {[](TaskGraph& g) { g.inputs[0] = 0; }, "task 0 (kernel \"k\") is on a cycle"},
  };
  for (const Case& c : cases) {
    TaskGraph graph = diamond();
    c.spoil(graph);
    const std::string wrong = validate(graph);
    EXPECT_NE(wrong.find(c.expected), std::string::npos)
        << "got: " << wrong << "\nexpected: " << c.expected;
  }
}

TEST(TaskGraph, NamesTheSourceLine) {
  TaskGraph graph = diamond();
  graph.sources = {"main.cpp:7 main"};
  graph.source.assign(5, 0);
  graph.inputs[0] = 99;
  EXPECT_NE(validate(graph).find("main.cpp:7 main"), std::string::npos);
}

TEST(TaskGraph, ProducersAndConsumers) {
  TaskGraph graph = diamond();
  EXPECT_EQ(producers(graph), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
  const Consumers users = consumers(graph);
  const auto of = [&](std::uint32_t datum) {
    return std::vector<std::uint32_t>(users.of(datum).begin(), users.of(datum).end());
  };
  EXPECT_EQ(of(0), (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(of(2), (std::vector<std::uint32_t>{3, 3, 4}));
  EXPECT_EQ(of(4), (std::vector<std::uint32_t>{}));
  EXPECT_EQ(of(5), (std::vector<std::uint32_t>{0}));
}

/// Tasks read outputs of tasks before them in a shuffled order, so indices say nothing.
TaskGraph random_graph(std::uint64_t seed) {
  SplitMix64 random{seed};
  const auto count = static_cast<std::uint32_t>(1 + random.below(60));
  std::vector<std::uint32_t> order(count);
  for (std::uint32_t i = 0; i < count; ++i) order[i] = i;
  for (std::uint32_t i = count; i-- > 1;) std::swap(order[i], order[random.below(i + 1)]);
  std::vector<std::uint32_t> place(count);
  for (std::uint32_t i = 0; i < count; ++i) place[order[i]] = i;
  TaskGraph graph;
  for (std::uint32_t t = 0; t < count; ++t) {
    std::vector<std::uint32_t> inputs;
    for (std::uint64_t i = random.below(4); i-- > 0 && place[t] > 0;) {
      inputs.push_back(order[random.below(place[t])]);
    }
    add_task(graph, inputs);
  }
  return graph;
}

TEST(DepthFirstRanks, ArePermutationsThatRespectDependencies) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const TaskGraph graph = random_graph(seed);
    ASSERT_EQ(validate(graph), "");
    const auto ranks = depth_first_ranks(graph);
    std::vector<std::uint32_t> sorted = ranks;
    std::ranges::sort(sorted);
    for (std::uint32_t i = 0; i < graph.task_count(); ++i) ASSERT_EQ(sorted[i], i);
    for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
      for (const std::uint32_t datum : graph.inputs_of(t)) {
        ASSERT_LT(ranks[datum], ranks[t]) << "seed " << seed;
      }
    }
  }
}

TEST(DepthFirstRanks, FinishOneChainBeforeTheNext) {
  TaskGraph graph;  // four loads, four uses, numbered breadth first
  for (int i = 0; i < 4; ++i) add_task(graph, {});
  for (std::uint32_t i = 0; i < 4; ++i) add_task(graph, {i});
  EXPECT_EQ(depth_first_ranks(graph), (std::vector<std::uint32_t>{0, 2, 4, 6, 1, 3, 5, 7}));
}

TEST(Bounds, TotalAndCriticalPath) {
  const std::vector<double> seconds = {1, 5, 1, 2, 4};
  const Bounds result = bounds(diamond(), seconds);
  EXPECT_DOUBLE_EQ(result.total_seconds, 13);
  EXPECT_DOUBLE_EQ(result.critical_path_seconds, 10);
  EXPECT_DOUBLE_EQ(result.lower_bound(1), 13);
  EXPECT_DOUBLE_EQ(result.lower_bound(2), 10);
}

TEST(Ways, AreTheLongestChainsBeforeAndAfterEachTask) {
  const std::vector<double> seconds = {1, 5, 1, 2, 4};
  const Ways result = ways(diamond(), seconds);
  EXPECT_EQ(result.before, (std::vector<double>{0, 0, 5, 6, 6}));
  EXPECT_EQ(result.after, (std::vector<double>{5, 5, 4, 0, 0}));
}

}  // namespace
}  // namespace ashlar::graph
