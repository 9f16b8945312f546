#include "kernels/registry.hpp"

#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

TEST(Registry, FindsByNameInOrderOfAddition) {
  Registry registry;
  EXPECT_EQ(registry.find("a"), -1);
  const CpuFunction nothing = [](const Call&) {};
  registry.add({"a", nothing, {}, {}});
  registry.add({"b", {}, [](const Call&, void*) {}, {}});
  EXPECT_EQ(registry.find("b"), 1);
  EXPECT_EQ(registry.at(0).name, "a");
  EXPECT_EQ(registry.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_NE(bad_input_text([&] {
              registry.add({"a", nothing, {}, {}});
            }).find("\"a\""),
            std::string::npos);
  EXPECT_THROW(registry.add({"", nothing, {}, {}}), BadInput);
  EXPECT_THROW(registry.add({"c", {}, {}, {}}), BadInput);
}

TEST(BuiltinRegistry, HasEveryOperation) {
  for (const auto name : {FillParams::kernel, EyeParams::kernel, ArangeParams::kernel,
                          RandomParams::kernel, ElementwiseParams::kernel, ReduceParams::kernel,
                          CombineParams::kernel, MatmulParams::kernel, PermuteParams::kernel,
                          AssembleParams::kernel, NpyReadParams::kernel, NpyWriteParams::kernel}) {
    ASSERT_GE(registry().find(name), 0) << name;
    EXPECT_TRUE(registry().at(static_cast<std::size_t>(registry().find(name))).cost);
  }
}

TEST(BuiltinRegistry, CostsAreThoseOfTheOperation) {
  const MatmulParams params{.m = 10, .n = 20, .k = {30, 40}};
  const auto& kernel = registry().at(static_cast<std::size_t>(registry().find("ashlar.matmul")));
  EXPECT_EQ(kernel.cost(encode(params), {}).flops, 2.0 * 10 * 20 * 70);
}

const MatmulParams matmul{.m = 2, .n = 2, .k = {2}};
const std::vector<std::byte> block(32);

TEST(HostileCalls, WrongBuffersAreRefusedByName) {
  const auto refused = [](const std::vector<std::vector<std::byte>>& inputs) {
    const std::string text = bad_input_text([&] { run(matmul, inputs); });
    EXPECT_NE(text.find("ashlar.matmul"), std::string::npos) << text;
  };
  refused({});
  refused({block});
  refused({block, block, block});
  refused({block, std::vector<std::byte>(31)});
  refused({block, std::vector<std::byte>(33)});
  refused({block, {}});
}

TEST(HostileCalls, WrongOutputsAreRefused) {
  const auto encoded = encode(matmul);
  EXPECT_THROW(run_bytes("ashlar.matmul", encoded, {block, block}, 31), BadInput);
  EXPECT_THROW(run_bytes("ashlar.matmul", encoded, {block, block}, 0), BadInput);
  Outputs outputs;
  const std::span<const std::byte> inputs[] = {block, block};
  const auto& kernel = registry().at(static_cast<std::size_t>(registry().find("ashlar.matmul")));
  EXPECT_THROW(kernel.cpu({encoded, inputs, {}, outputs, graph::TaskGraph::no_input}), BadInput);
}

TEST(HostileCalls, OnlyFitBuffersAreTakenOver) {
  for (const std::uint32_t reused : {0u, 1u, 2u}) {
    EXPECT_NE(bad_input_text([&] { run(matmul, {block, block}, reused); }), "");
  }
  const ReduceParams reduce{.input_extents = {4}, .axes = {}};
  EXPECT_THROW(run(reduce, {block}, 0), BadInput);
  const ElementwiseParams broadcast{.dtype = DType::float64,
                                    .extents = {4},
                                    .inputs = {{DType::float64, {1}, {0}}},
                                    .constants = {},
                                    .program = {{ElementOp::load, 0}}};
  EXPECT_THROW(run(broadcast, {std::vector<std::byte>(8)}, 0), BadInput);
}

// Damaged parameters run or are refused, but touch nothing outside their buffers.
template <class Params>
void damage(const Params& params, std::uint64_t seed) {
  SplitMix64 random(seed);
  const auto sound = encode(params);
  std::vector<std::vector<std::byte>> inputs;
  for (const std::uint64_t bytes : input_bytes(params)) inputs.emplace_back(bytes);
  for (int round = 0; round < 3000; ++round) {
    auto bytes = sound;
    for (std::uint64_t n = random.below(3) + 1; n > 0; --n) {
      bytes[random.below(bytes.size())] =
          static_cast<std::byte>(random.below(2) == 0 ? random.below(4) : random.below(256));
    }
    if (random.below(8) == 0) bytes.resize(random.below(bytes.size() + 1));
    if (random.below(8) == 0) bytes.push_back(std::byte{1});
    try {
      // The announced size keeps outputs small, as a worker does.
      run_bytes(Params::kernel, bytes, inputs, output_bytes(params),
                random.below(3) == 0 ? 0 : graph::TaskGraph::no_input);
    } catch (const Error&) {
    }
  }
}

TEST(HostileCalls, DamagedParametersStayInBounds) {
  damage(FillParams{{3, 4}, {DType::float64, 1, 0}}, 1);
  damage(EyeParams{DType::float64, {3, 4}, 1, 2, 0}, 2);
  damage(ArangeParams{.count = 9, .first = 3, .start = {}, .step = {}, .last_index = 4, .last = {}},
         3);
  damage(RandomParams{.global_shape = {9, 9}, .start = {1, 2}, .extents = {3, 4}}, 4);
  damage(
      ElementwiseParams{.dtype = DType::float64,
                        .extents = {3, 4},
                        .inputs = {{DType::float64, {3, 4}, {4, 1}}, {DType::float64, {4}, {0, 1}}},
                        .constants = {{DType::float64, 2, 0}},
                        .program = {{ElementOp::load, 0},
                                    {ElementOp::load, 1},
                                    {ElementOp::add, 0},
                                    {ElementOp::constant, 0},
                                    {ElementOp::multiply, 0}}},
      5);
  damage(ReduceParams{.input_extents = {3, 4, 5}, .axes = {0, 2}}, 6);
  damage(CombineParams{.count = 6, .inputs = 3}, 7);
  damage(MatmulParams{.m = 3, .n = 4, .k = {2, 5}, .accumulates = true}, 8);
  damage(PermuteParams{DType::float64, {3, 4, 5}, {2, 0, 1}}, 9);
  damage(AssembleParams{DType::float64,
                        {4, 3},
                        2,
                        {{0, {5, 3}, {4, 0}, {-2, 1}, {0, 0}, {2, 3}},
                         {1, {2, 3}, {0, 0}, {1, 1}, {2, 0}, {2, 3}}}},
         10);
}

}  // namespace
}  // namespace ashlar::kernels::testing
