#include <algorithm>
#include <numeric>

#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

std::vector<std::int64_t> strides_of(const Shape& extents) {
  std::vector<std::int64_t> strides(extents.size());
  std::int64_t stride = 1;
  for (std::size_t d = extents.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= extents[d];
  }
  return strides;
}

template <class T>
void check_permute(const PermuteParams& params, std::uint64_t seed) {
  const auto count = static_cast<std::size_t>(element_count(params.input_extents));
  const auto in = random_values<T>(count, seed);
  const auto out = run_as<T>(params, {bytes_of(in)});
  const auto strides = strides_of(params.input_extents);
  for (std::size_t p = 0; p < count; ++p) {
    auto rest = static_cast<std::int64_t>(p);
    std::int64_t from = 0;
    for (std::size_t d = params.axes.size(); d-- > 0;) {
      const std::int64_t extent = params.input_extents[params.axes[d]];
      from += rest % extent * strides[params.axes[d]];
      rest /= extent;
    }
    ASSERT_EQ(out[p], in[static_cast<std::size_t>(from)]);
  }
}

TEST(Permute, AnyAxes) {
  SplitMix64 random(21);
  for (int round = 0; round < 200; ++round) {
    PermuteParams params;
    const std::size_t dimensions = random.below(6);
    for (std::size_t d = 0; d < dimensions; ++d) {
      const std::uint64_t bound = dimensions <= 2 ? 90 : 9;
      params.input_extents.push_back(1 + static_cast<std::int64_t>(random.below(bound)));
      params.axes.push_back(static_cast<std::uint8_t>(d));
    }
    for (std::size_t d = dimensions; d > 1; --d) {
      std::swap(params.axes[d - 1], params.axes[random.below(d)]);
    }
    check_permute<double>(params, random.next());
    params.dtype = DType::int32;
    check_permute<std::int32_t>(params, random.next());
    params.dtype = DType::uint8;
    check_permute<std::uint8_t>(params, random.next());
  }
}

TEST(Permute, Empty) {
  EXPECT_TRUE(run(PermuteParams{DType::float64, {0, 5}, {1, 0}}, {{}}).empty());
}

TEST(Assemble, ReversedAndSteppedSlices) {
  std::vector<std::int64_t> in(20);
  std::iota(in.begin(), in.end(), 0);
  const AssembleParams params{.dtype = DType::int64,
                              .extents = {2, 3},
                              .inputs = 1,
                              .pieces = {{0, {4, 5}, {3, 4}, {-2, -2}, {0, 0}, {2, 3}}}};
  EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(in)}),
            (std::vector<std::int64_t>{19, 17, 15, 9, 7, 5}));
}

TEST(Assemble, ScalarsAndHugeStepsOfSingleElements) {
  const std::vector<float> in = {1, 2, 3};
  const AssembleParams scalar{DType::float32, {}, 1, {{0, {}, {}, {}, {}, {}}}};
  EXPECT_EQ(run_as<float>(scalar, {bytes_of(std::vector<float>{4})}), std::vector<float>{4});
  const std::int64_t huge = std::int64_t{1} << 62;
  const AssembleParams single{DType::float32, {1}, 1, {{0, {3}, {2}, {huge}, {0}, {1}}}};
  EXPECT_EQ(run_as<float>(single, {bytes_of(in)}), std::vector<float>{3});
}

TEST(Assemble, TakesOverAWholeInputOnly) {
  const std::vector<float> in = {1, 2, 3};
  AssembleParams params{DType::float32, {3}, 1, {{0, {3}, {0}, {1}, {0}, {3}}}};
  EXPECT_EQ(run_as<float>(params, {bytes_of(in)}, 0), in);
  params.pieces = {{0, {3}, {2}, {-1}, {0}, {3}}};
  EXPECT_EQ(run_as<float>(params, {bytes_of(in)}), (std::vector<float>{3, 2, 1}));
  EXPECT_THROW(run(params, {bytes_of(in)}, 0), BadInput) << "it would show the input unreversed";
}

// Cuts a random array into a grid, then assembles a random box of it from the chunks.
TEST(Assemble, BoxesOfAGridOfChunks) {
  SplitMix64 random(31);
  for (int round = 0; round < 100; ++round) {
    const std::int64_t rows = 1 + static_cast<std::int64_t>(random.below(30));
    const std::int64_t columns = 1 + static_cast<std::int64_t>(random.below(30));
    const std::int64_t chunk = 1 + static_cast<std::int64_t>(random.below(12));
    const auto row0 = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(rows)));
    const auto column0 =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(columns)));
    const std::int64_t row_step = 1 + static_cast<std::int64_t>(random.below(3));
    AssembleParams params{.dtype = DType::int32, .extents = {}, .inputs = 0, .pieces = {}};
    params.extents = {(rows - row0 + row_step - 1) / row_step, columns - column0};
    std::vector<std::vector<std::byte>> inputs;
    for (std::int64_t r = 0; r < rows; r += chunk) {
      for (std::int64_t c = 0; c < columns; c += chunk) {
        const Shape extents = {std::min(chunk, rows - r), std::min(chunk, columns - c)};
        std::vector<std::int32_t> values;
        for (std::int64_t i = 0; i < extents[0]; ++i) {
          for (std::int64_t j = 0; j < extents[1]; ++j) {
            values.push_back(static_cast<std::int32_t>((r + i) * 1000 + c + j));
          }
        }
        // The first selected row in the chunk, and how many follow.
        const std::int64_t skipped = r <= row0 ? 0 : (r - row0 + row_step - 1) / row_step;
        const std::int64_t first = row0 + skipped * row_step;
        const std::int64_t end = r + extents[0];
        const std::int64_t column = std::max(c, column0);
        if (first >= end || column >= c + extents[1]) continue;
        inputs.push_back(bytes_of(values));
        params.pieces.push_back(
            {static_cast<std::uint32_t>(inputs.size() - 1),
             extents,
             {first - r, column - c},
             {row_step, 1},
             {skipped, column - column0},
             {(end - first + row_step - 1) / row_step, c + extents[1] - column}});
      }
    }
    params.inputs = static_cast<std::uint32_t>(inputs.size());
    const auto out = run_as<std::int32_t>(params, inputs);
    for (std::int64_t i = 0; i < params.extents[0]; ++i) {
      for (std::int64_t j = 0; j < params.extents[1]; ++j) {
        ASSERT_EQ(out[static_cast<std::size_t>(i * params.extents[1] + j)],
                  (row0 + i * row_step) * 1000 + column0 + j)
            << "round " << round;
      }
    }
  }
}

}  // namespace
}  // namespace ashlar::kernels::testing
