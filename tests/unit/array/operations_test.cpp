// Parameters as bytes: what goes in comes out, and hostile bytes are refused.
#include "array/operations.hpp"

#include <ashlar/array.hpp>
#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "array/lower.hpp"
#include "base/random.hpp"
#include "expressions.hpp"

namespace ashlar::array {
namespace {

template <class Params>
void expect_round_trip(const Params& params) {
  const auto bytes = encode(params);
  EXPECT_EQ(decode<Params>(bytes), params);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(decode<Params>({bytes.data(), size}), BadInput) << "cut to " << size;
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THROW(decode<Params>(longer), BadInput);
}

template <class Params>
void expect_refused(const Params& params) {
  EXPECT_THROW(decode<Params>(encode(params)), BadInput);
}

ElementwiseParams sum_of_two() {
  return {.dtype = DType::float64,
          .extents = {2, 3},
          .inputs = {{DType::float64, {2, 3}, {3, 1}}, {DType::float64, {3}, {0, 1}}},
          .program = {{ElementOp::load, 0}, {ElementOp::load, 1}, {ElementOp::add}}};
}

AssembleParams two_pieces() {
  return {.dtype = DType::int32,
          .extents = {3},
          .inputs = 2,
          .pieces = {{0, {4}, {3}, {-2}, {0}, {2}}, {1, {1}, {0}, {1}, {2}, {1}}}};
}

TEST(Operations, come_back_from_bytes) {
  expect_round_trip(FillParams{{2, 3}, {DType::int32, 0, -5}});
  expect_round_trip(EyeParams{DType::float32, {2, 3}, 4, 5, -6});
  expect_round_trip(ArangeParams{.count = 3,
                                 .first = 9,
                                 .start = {DType::float64, 0.5},
                                 .step = {DType::float64, 2},
                                 .last_index = 11,
                                 .last = {DType::float64, 7}});
  expect_round_trip(RandomParams{
      DType::float32, Distribution::normal, 1, 2, ~std::uint64_t{0}, {8, 8}, {4, 0}, {4, 8}});
  expect_round_trip(sum_of_two());
  expect_round_trip(ReduceParams{Reduction::max, DType::uint8, DType::uint8, {2, 3, 4}, {0, 2}, 1});
  expect_round_trip(CombineParams{Reduction::sum, DType::float64, 10, 3, 4});
  expect_round_trip(MatmulParams{DType::float32, 2, 3, {4, 5}, true, false, true});
  expect_round_trip(PermuteParams{DType::boolean, {2, 3, 4}, {2, 0, 1}});
  expect_round_trip(two_pieces());
  const NpyFile file{"/data/a.npy", DType::int64, {4, 4}, true, 128};
  expect_round_trip(NpyReadParams{file, {2, 0}, {2, 4}});
  expect_round_trip(NpyWriteParams{file, {0, 0}, {4, 4}});
}

TEST(Operations, know_their_sizes_and_costs) {
  const MatmulParams matmul{DType::float32, 2, 3, {4, 5}, true};
  EXPECT_EQ(input_bytes(matmul), (std::vector<std::uint64_t>{24, 32, 48, 40, 60}));
  EXPECT_EQ(output_bytes(matmul), 24u);
  EXPECT_EQ(effort(matmul).flops, 2 * 2 * 3 * 9);
  EXPECT_EQ(effort(matmul).moved_bytes, 24 + 32 + 48 + 40 + 60 + 24);
  EXPECT_EQ(input_bytes(sum_of_two()), (std::vector<std::uint64_t>{48, 24}));
  EXPECT_EQ(input_bytes(two_pieces()), (std::vector<std::uint64_t>{16, 4}));
  EXPECT_EQ(output_bytes(ReduceParams{.input_extents = {2, 3, 4}, .axes = {1}}), 64u);
  EXPECT_EQ(output_bytes(NpyWriteParams{}), 8u);
}

TEST(Operations, aligned_inputs_are_known) {
  EXPECT_TRUE(is_aligned(sum_of_two(), 0));
  EXPECT_FALSE(is_aligned(sum_of_two(), 1));
}

TEST(Operations, unsound_programs_are_refused) {
  auto wrong = sum_of_two();
  wrong.inputs[0].strides = {4, 1};
  expect_refused(wrong);
  wrong.inputs[0].strides = {std::numeric_limits<std::int64_t>::max(), 1};
  expect_refused(wrong);
  wrong.inputs[0].strides = {-1, 1};
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.program.pop_back();
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.program[1].operand = 2;
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.program = {{ElementOp::add}};
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.inputs[1].dtype = DType::float32;
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.dtype = DType::boolean;
  expect_refused(wrong);
  wrong = sum_of_two();
  wrong.program.push_back({ElementOp::cast, dtype_count});
  expect_refused(wrong);
  wrong = sum_of_two();
  for (int i = 0; i < 40; ++i) wrong.program.insert(wrong.program.begin(), {ElementOp::load, 0});
  for (int i = 0; i < 40; ++i) wrong.program.push_back({ElementOp::add});
  expect_refused(wrong);
}

TEST(Operations, unsound_pieces_are_refused) {
  const auto with = [](auto change) {
    auto params = two_pieces();
    change(params);
    return params;
  };
  expect_refused(with([](auto& p) { p.pieces[0].source_start = {4}; }));
  expect_refused(with([](auto& p) { p.pieces[0].source_start = {1}; }));
  expect_refused(with([](auto& p) { p.pieces[0].source_step = {0}; }));
  expect_refused(with([](auto& p) { p.pieces[0].destination_start = {2}; }));
  expect_refused(with([](auto& p) { p.pieces[0].destination_start = {-1}; }));
  expect_refused(with([](auto& p) { p.pieces[0].count = {1}; }));
  expect_refused(with([](auto& p) { p.pieces[0].count = {0}; }));
  expect_refused(with([](auto& p) { p.pieces[1].input = 2; }));
  expect_refused(with([](auto& p) { p.pieces[1].input = 0; }));
  expect_refused(with([](auto& p) { p.inputs = 3; }));
  expect_refused(with([](auto& p) { p.pieces.pop_back(); }));
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  expect_refused(with([](auto& p) { p.pieces[0].source_step = {least}; }));
}

TEST(Operations, other_unsound_parameters_are_refused) {
  expect_refused(FillParams{{-1}, {}});
  expect_refused(FillParams{{std::int64_t{1} << 40, std::int64_t{1} << 40}, {}});
  expect_refused(EyeParams{.extents = {2}});
  expect_refused(RandomParams{.global_shape = {4}, .start = {3}, .extents = {2}});
  expect_refused(RandomParams{.dtype = DType::int32});
  expect_refused(ReduceParams{.input_extents = {2, 2}, .axes = {1, 0}});
  expect_refused(ReduceParams{.input_extents = {2}, .axes = {1}});
  expect_refused(ReduceParams{.reduction = Reduction::min, .input_extents = {0}, .axes = {0}});
  expect_refused(ReduceParams{.dtype = DType::int64, .divisor = 2});
  expect_refused(CombineParams{.count = 1, .inputs = 0});
  expect_refused(MatmulParams{.m = 1, .n = 1});
  expect_refused(MatmulParams{.dtype = DType::boolean, .m = 1, .n = 1, .k = {1}});
  expect_refused(PermuteParams{.input_extents = {2, 2}, .axes = {0, 0}});
  expect_refused(NpyReadParams{.file = {.path = "a", .shape = {2}}, .start = {0}, .extents = {3}});
  expect_refused(NpyReadParams{.file = {.shape = {2}}, .start = {0}, .extents = {2}});
}

/// Damaged parameters are refused or decode to parameters that keep their promises: the naive
/// kernels, which check nothing themselves, then stay within their buffers.
TEST(Operations, damaged_bytes_do_no_harm) {
  SplitMix64 random(7);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const auto x = test::random_expression(seed, 4);
    const auto lowered = lower({&x.array, 1});
    const auto& graph = *lowered.graph;
    for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
      const auto params = graph.params_of(task);
      std::vector<std::byte> bytes(params.begin(), params.end());
      for (int damage = 0; damage < 3; ++damage) {
        bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
      }
      try {
        const auto kernel = graph.kernels[graph.kernel[task]];
        if (kernel == AssembleParams::kernel) input_bytes(decode<AssembleParams>(bytes));
        if (kernel == ElementwiseParams::kernel) input_bytes(decode<ElementwiseParams>(bytes));
        if (kernel == ReduceParams::kernel) output_bytes(decode<ReduceParams>(bytes));
        if (kernel == MatmulParams::kernel) input_bytes(decode<MatmulParams>(bytes));
        if (kernel == PermuteParams::kernel) input_bytes(decode<PermuteParams>(bytes));
      } catch (const BadInput& error) {
        EXPECT_NE(std::string(error.what()).find("ashlar."), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace ashlar::array
