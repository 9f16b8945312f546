// What graphs come of expressions: how many tasks of which kind, and which data they share.
#include "array/lower.hpp"

#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "array/operations.hpp"
#include "array/sources.hpp"
#include "naive.hpp"

namespace ashlar::array {
namespace {

using test::Buffer;

Lowered lower_one(const Array& x, const LowerOptions& options = {}) {
  auto lowered = lower({&x, 1}, options);
  EXPECT_EQ(graph::validate(*lowered.graph), "");
  return lowered;
}

using Counts = std::map<std::string, int>;

/// Tasks per kernel, without the common prefix of the names.
Counts count_tasks(const Lowered& lowered) {
  Counts counts;
  for (auto kernel : lowered.graph->kernel) {
    ++counts[lowered.graph->kernels[kernel].substr(std::string("ashlar.").size())];
  }
  return counts;
}

template <class Params>
std::vector<Params> params_of(const Lowered& lowered) {
  std::vector<Params> out;
  for (std::uint32_t task = 0; task < lowered.graph->task_count(); ++task) {
    if (lowered.graph->kernels[lowered.graph->kernel[task]] == Params::kernel) {
      out.push_back(decode<Params>(lowered.graph->params_of(task)));
    }
  }
  return out;
}

Array host_array(const Shape& shape, const Shape& chunks) {
  return from_host(HostArray::zeros<double>(shape), {.chunks = chunks});
}

/// Why lowering an array is refused.
std::string refusal_of(const Array& x) {
  try {
    lower({&x, 1});
  } catch (const BadInput& error) {
    return error.what();
  }
  return "not refused";
}

TEST(Lower, refuses_too_many_chunks_before_it_makes_any) {
  const auto tiny = zeros({std::int64_t{1} << 40}, {.chunks = {1}});
  for (const Array& x : {tiny, tiny + 1.0, sum(tiny), sum(exp(tiny)), tiny.slice({{.step = 2}})}) {
    const std::string text = refusal_of(x);
    EXPECT_NE(text.find("too many tasks"), std::string::npos) << text;
    EXPECT_NE(text.find("in chunks (1,) makes"), std::string::npos) << text;
    EXPECT_NE(text.find("use larger chunks"), std::string::npos) << text;
  }
  EXPECT_NE(refusal_of(tiny).find("shape (1099511627776,)"), std::string::npos);
}

TEST(Lower, refuses_too_many_inputs_before_it_makes_any) {
  const std::int64_t n = 1500;
  const auto dots = random::uniform({n, n}, {.chunks = {1, 1}});
  EXPECT_NE(refusal_of(matmul(dots, dots)).find("reads 6750000000 chunks"), std::string::npos)
      << refusal_of(matmul(dots, dots));
  const std::int64_t m = 1 << 20;
  const auto rows = exp(random::uniform({m, m}, {.chunks = {1, m}}));
  EXPECT_NE(refusal_of(rows.rechunk({m, 1})).find("reads 1099511627776 chunks"), std::string::npos)
      << refusal_of(rows.rechunk({m, 1}));
}

TEST(Lower, refuses_a_graph_of_too_many_tasks) {
  const auto x = random::uniform({8}, {.chunks = {1}});
  const auto y = sum(x, {.axes = {0}});
  EXPECT_NO_THROW(lower({&y, 1}, {.tasks_max = 17}));
  EXPECT_THROW(lower({&y, 1}, {.tasks_max = 16}), BadInput);
  EXPECT_THROW(lower({&y, 1}, {.inputs_max = 15}), BadInput);
}

TEST(Lower, fuses_elementwise_chains) {
  const auto x = random::uniform({8}, {.chunks = {4}});
  const auto y = exp(x * 2.0 + 1.0) / sqrt(x + 3) < 7;
  EXPECT_EQ(count_tasks(lower_one(y)), (Counts{{"random", 2}, {"elementwise", 2}}));
}

TEST(Lower, computes_shared_expressions_once) {
  const auto x = random::uniform({8}, {.chunks = {4}});
  const auto shared = x + 1.0;
  const auto y = shared * shared;
  EXPECT_EQ(count_tasks(lower_one(y)), (Counts{{"random", 2}, {"elementwise", 4}}));
  const std::vector<Array> roots{shared, shared * 2.0};
  EXPECT_EQ(count_tasks(lower(roots)), (Counts{{"random", 2}, {"elementwise", 4}}));
}

TEST(Lower, does_not_fuse_what_is_broadcast) {
  const auto x = random::uniform({8, 1}, {.chunks = {4, 1}});
  const auto y = exp(x) + random::uniform({8, 6}, {.chunks = {4, 3}});
  EXPECT_EQ(count_tasks(lower_one(y)), (Counts{{"random", 6}, {"elementwise", 6}}));
  const auto narrow = exp(x) + random::uniform({8, 6}, {.chunks = {4, 1}});
  EXPECT_EQ(count_tasks(lower_one(narrow)), (Counts{{"random", 14}, {"elementwise", 14}}));
}

TEST(Lower, filled_arrays_become_constants) {
  const auto x = random::uniform({8}, {.chunks = {4}});
  EXPECT_EQ(count_tasks(lower_one(x + ones({8}, {.chunks = {4}}))),
            (Counts{{"random", 2}, {"elementwise", 2}}));
}

TEST(Lower, long_chains_stay_within_the_limits_of_a_program) {
  auto x = random::uniform({8});
  auto y = random::uniform({8});
  for (int i = 0; i < 100; ++i) x = y + (x + y);
  const auto lowered = lower_one(x);
  EXPECT_LT(count_tasks(lowered)["elementwise"], 12);
  for (const auto& params : params_of<ElementwiseParams>(lowered)) {
    EXPECT_LE(params.program.size(), ElementwiseParams::max_instructions);
  }
}

TEST(Lower, whole_chunks_are_not_copied) {
  const auto x = random::uniform({8, 8}, {.chunks = {4, 4}});
  EXPECT_EQ(count_tasks(lower_one(x.slice({{4, 8}, {0, 4}}))), (Counts{{"random", 1}}));
  EXPECT_EQ(count_tasks(lower_one(x.slice({{}, {4, 8}}))), (Counts{{"random", 2}}));
  EXPECT_EQ(count_tasks(lower_one(x.slice({{2, 6}}))), (Counts{{"random", 4}, {"assemble", 2}}));
  EXPECT_EQ(count_tasks(lower_one(expand_dims(x, 0))), (Counts{{"random", 4}}));
}

TEST(Lower, generates_in_the_chunks_of_the_only_consumer) {
  const auto x = random::uniform({8, 8}, {.chunks = {4, 4}});
  EXPECT_EQ(count_tasks(lower_one(x.rechunk({8, 2}))), (Counts{{"random", 4}}));
  const std::vector<Array> roots{x, x.rechunk({8, 2})};
  EXPECT_EQ(count_tasks(lower(roots)), (Counts{{"random", 4}, {"assemble", 4}}));
  const auto host = lower_one(host_array({8, 8}, {4, 4}).rechunk({8, 2}) + 1.0);
  EXPECT_EQ(count_tasks(host), (Counts{{"elementwise", 4}}));
  ASSERT_EQ(host.externals.size(), 4u);
  EXPECT_EQ(std::get<HostRegion>(host.externals[1]).start, (Shape{0, 2}));
  EXPECT_EQ(std::get<HostRegion>(host.externals[1]).extents, (Shape{8, 2}));
}

TEST(Lower, what_no_root_needs_is_not_computed) {
  const auto x = host_array({100, 100}, {10, 10});
  const auto lowered = lower_one(exp(x).slice({{0, 10}, {0, 20}}));
  EXPECT_EQ(count_tasks(lowered), (Counts{{"elementwise", 2}}));
  EXPECT_EQ(lowered.externals.size(), 2u);
}

TEST(Lower, matmul_accumulates_in_place_along_the_inner_dimension) {
  const auto a = host_array({4096, 4096}, {1024, 1024});
  const auto lowered = lower_one(matmul(a, a));
  const auto& graph = *lowered.graph;
  EXPECT_EQ(count_tasks(lowered), (Counts{{"matmul", 64}}));
  int chained = 0;
  for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
    const auto params = decode<MatmulParams>(graph.params_of(task));
    EXPECT_EQ(params.k.size(), 1u);
    EXPECT_EQ(graph.reuse_input[task], params.accumulates ? 0 : graph::TaskGraph::no_input);
    chained += params.accumulates;
    EXPECT_FLOAT_EQ(graph.flops[task], 2.0f * 1024 * 1024 * 1024);
  }
  EXPECT_EQ(chained, 48);
  EXPECT_EQ(graph.wanted.size(), 16u);
}

TEST(Lower, small_multiplies_are_put_together) {
  const auto a = host_array({1000, 1000}, {100, 100});
  const auto lowered = lower_one(matmul(a, a));
  EXPECT_EQ(count_tasks(lowered), (Counts{{"matmul", 100}}));
  for (const auto& params : params_of<MatmulParams>(lowered)) EXPECT_EQ(params.k.size(), 10u);
  // 2 ms at 50 GFLOP/s are 48 multiplies of 102 cubed; 100 of them make three tasks.
  const auto long_a = host_array({1024, 102 * 100}, {102, 102});
  const auto long_b = host_array({102 * 100, 1024}, {102, 102});
  const auto grouped = lower_one(matmul(long_a, long_b));
  for (const auto& params : params_of<MatmulParams>(grouped)) {
    EXPECT_GE(params.k.size(), 32u);
    EXPECT_LE(params.k.size(), 34u);
  }
}

TEST(Lower, few_output_chunks_get_several_chains) {
  const auto a = host_array({512, 512 * 64}, {512, 512});
  const auto lowered = lower_one(matmul(a, a.T()));
  auto counts = count_tasks(lowered);
  EXPECT_EQ(counts["combine"], 1);
  EXPECT_EQ(counts["permute"], 0);
  int chains = 0;
  for (const auto& params : params_of<MatmulParams>(lowered)) {
    chains += !params.accumulates;
    EXPECT_TRUE(params.b_transposed);
  }
  EXPECT_EQ(chains, 16);
}

TEST(Lower, reductions_combine_in_a_tree) {
  const auto x = host_array({1000}, {1});
  const auto lowered = lower_one(sum(x), {.combine_inputs = 10});
  EXPECT_EQ(count_tasks(lowered), (Counts{{"reduce", 1000}, {"combine", 111}}));
  EXPECT_EQ(count_tasks(lower_one(mean(host_array({10}, {10})))), (Counts{{"reduce", 1}}));
}

TEST(Lower, elementwise_may_take_over_an_input) {
  const auto x = host_array({8}, {4});
  const auto lowered = lower_one(x + 1.0);
  EXPECT_EQ(lowered.graph->reuse_input, (std::vector<std::uint32_t>{0, 0}));
  const auto wider = lower_one(x.astype(DType::float32));
  EXPECT_EQ(wider.graph->reuse_input, std::vector<std::uint32_t>(2, graph::TaskGraph::no_input));
  const auto doubled = lower_one(matmul(host_array({2, 2}, {2, 2}), eye(2)) + x.slice({{0, 2}}));
  EXPECT_EQ(doubled.graph->reuse_input.back(), 0u);
}

TEST(Lower, external_results_are_copied_only_if_asked) {
  const auto x = host_array({8}, {4});
  const auto copied = lower_one(x);
  EXPECT_EQ(count_tasks(copied), (Counts{{"assemble", 2}}));
  EXPECT_EQ(copied.graph->reuse_input, (std::vector<std::uint32_t>{0, 0})) << "taken over if away";
  const auto bare = lower_one(x, {.copies_external_results = false});
  EXPECT_EQ(bare.graph->task_count(), 0u);
  EXPECT_EQ(bare.roots[0].data, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_TRUE(bare.graph->wanted.empty());
}

TEST(Lower, externals_come_in_order_of_first_use) {
  const HostArray values(DType::float64, {6, 6});
  const ChunkOptions cut{.chunks = {2, 2}};
  const auto lowered = lower_one(matmul(from_host(values, cut), from_host(values, cut)));
  const auto& graph = *lowered.graph;
  ASSERT_EQ(lowered.externals.size(), 18u);
  std::uint32_t next = graph.output_count();
  for (const std::uint32_t datum : graph.inputs) {
    EXPECT_LE(datum, next);
    if (datum == next) ++next;
  }
  EXPECT_EQ(next, graph.output_count() + 18);
}

TEST(Lower, persisted_data_are_externals) {
  std::vector<DatumRef> data;
  const auto alive = std::make_shared<int>(0);
  for (std::uint32_t i = 0; i < 3; ++i) data.push_back({alive, {.run = {}, .index = i}});
  const auto x = from_data(DType::float32, {10}, {4}, data, std::source_location::current());
  const auto lowered = lower_one(x.slice({{4, 10}}) * 2);
  ASSERT_EQ(lowered.externals.size(), 2u);
  EXPECT_EQ(std::get<DatumRef>(lowered.externals[1]).datum.index, 2u);
  EXPECT_EQ(lowered.graph->external_bytes, (std::vector<std::uint64_t>{16, 8}));

  EXPECT_EQ(count_tasks(lower_one(x)), (Counts{{"assemble", 3}}));
  const auto shared = lower_one(x, {.shares_persisted_results = true});
  EXPECT_EQ(shared.graph->task_count(), 0u);
  EXPECT_TRUE(shared.graph->external_bytes.empty()) << "no task reads them";
  EXPECT_EQ(shared.roots[0].data, (std::vector<std::uint32_t>{0, 1, 2}));
  const auto copied = lower_one(host_array({8}, {4}), {.shares_persisted_results = true});
  EXPECT_EQ(count_tasks(copied), (Counts{{"assemble", 2}}));
}

TEST(Lower, files_are_read_and_written_by_chunk) {
  const NpyFile in{.path = "in.npy", .shape = {6, 4}, .is_fortran = true, .data_offset = 128};
  const NpyFile out{.path = "out.npy", .shape = {6, 4}, .data_offset = 64};
  const auto here = std::source_location::current();
  const auto x = npy_source(in, {4, 4}, here);
  const std::vector<Array> sinks{npy_sink(x + 1.0, out, here)};
  const auto lowered = lower(sinks, {.partial_suffix = ".part"});
  EXPECT_EQ(count_tasks(lowered), (Counts{{"npy_read", 2}, {"elementwise", 2}, {"npy_write", 2}}));
  const auto reads = params_of<NpyReadParams>(lowered);
  EXPECT_EQ(reads[1], (NpyReadParams{in, {4, 0}, {2, 4}}));
  const auto writes = params_of<NpyWriteParams>(lowered);
  NpyFile partial = out;
  partial.path = "out.npy.part0";
  EXPECT_EQ(writes[1], (NpyWriteParams{partial, {4, 0}, {2, 4}}));
  ASSERT_EQ(lowered.files.size(), 1u);
  EXPECT_EQ(lowered.files[0].partial, partial);
  EXPECT_EQ(lowered.files[0].path, "out.npy");
  EXPECT_EQ(lowered.roots[0].grid.shape(), (Shape{2, 1}));
  EXPECT_EQ(lowered.graph->wanted.size(), 2u);
}

TEST(Lower, a_file_is_written_whole_when_a_part_is_wanted) {
  const NpyFile out{.path = "out.npy", .shape = {6, 4}, .data_offset = 64};
  const auto sink =
      npy_sink(ones({6, 4}, {.chunks = {2, 4}}), out, std::source_location::current());
  const auto lowered = lower_one(sink.slice({{0, 1}}));
  EXPECT_EQ(count_tasks(lowered)["npy_write"], 3u);
  EXPECT_EQ(lowered.graph->wanted.size(), 1u);
}

TEST(Lower, tasks_know_their_source_line) {
  const auto x = host_array({8}, {4});
  const auto y = x * 3.0;
  const int line = static_cast<int>(std::source_location::current().line()) - 1;
  const auto lowered = lower_one(y);
  const std::string source = lowered.graph->source_of(0);
  EXPECT_NE(source.find("lower_test.cpp:" + std::to_string(line) + " ("), std::string::npos)
      << source;
}

TEST(Lower, tasks_of_a_product_say_which_cells_they_do) {
  const Array a = host_array({130, 70}, {40, 30}), b = host_array({70, 90}, {30, 40});
  const auto lowered = lower_one(matmul(a, b), {.matmul_task_seconds = 0});
  const graph::TaskGraph& g = *lowered.graph;
  ASSERT_EQ(g.products.size(), 1u);
  EXPECT_EQ(g.products[0], (graph::Product{4, 3, 3, 130, 90, 70, 8}));
  std::map<std::uint32_t, int> tasks;
  for (const std::uint32_t cell : g.cell) ++tasks[cell];
  tasks.erase(graph::TaskGraph::no_cell);
  EXPECT_EQ(tasks.size(), g.products[0].cells());
}

TEST(Lower, products_that_are_not_needed_leave_no_trace) {
  const Array a = host_array({80, 80}, {20, 20});
  const Array first = matmul(a, a), second = matmul(a, a + 1.0);
  const std::vector<Array> none = {first.slice({{0, 0}})};
  const auto nothing = lower(none);
  EXPECT_TRUE(nothing.graph->products.empty());
  EXPECT_TRUE(nothing.graph->cell.empty());
  const std::vector<Array> one = {first.slice({{0, 0}}), second};
  const auto lowered = lower(one);
  EXPECT_EQ(graph::validate(*lowered.graph), "");
  ASSERT_EQ(lowered.graph->products.size(), 1u);
  EXPECT_EQ(std::ranges::count(lowered.graph->cell, 0u), 1);
}

}  // namespace
}  // namespace ashlar::array
