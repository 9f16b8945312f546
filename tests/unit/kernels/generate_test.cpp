#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

TEST(Fill, EveryType) {
  EXPECT_EQ(run_as<double>(FillParams{{2, 3}, {DType::float64, 1.5, 0}}),
            std::vector<double>(6, 1.5));
  EXPECT_EQ(run_as<float>(FillParams{{3}, {DType::float32, -2.5, 0}}),
            std::vector<float>(3, -2.5f));
  EXPECT_EQ(run_as<std::int64_t>(FillParams{{}, {DType::int64, 0, -7}}),
            std::vector<std::int64_t>{-7});
  EXPECT_EQ(run_as<std::int32_t>(FillParams{{2}, {DType::int32, 0, 9}}),
            std::vector<std::int32_t>(2, 9));
  EXPECT_EQ(run_as<std::uint8_t>(FillParams{{5}, {DType::uint8, 0, 200}}),
            std::vector<std::uint8_t>(5, 200));
  EXPECT_EQ(run_as<std::uint8_t>(FillParams{{2}, {DType::boolean, 0, 1}}),
            std::vector<std::uint8_t>(2, 1));
  EXPECT_TRUE(run(FillParams{{0, 4}, {DType::float64, 1, 0}}).empty());
}

TEST(Eye, ChunksOfOneMatrix) {
  for (const std::int64_t diagonal : {-3, 0, 2}) {
    for (const std::int64_t row : {0, 4}) {
      for (const std::int64_t column : {0, 3}) {
        const auto out = run_as<double>(EyeParams{DType::float64, {4, 5}, row, column, diagonal});
        for (std::int64_t i = 0; i < 4; ++i) {
          for (std::int64_t j = 0; j < 5; ++j) {
            EXPECT_EQ(out[static_cast<std::size_t>(i * 5 + j)],
                      column + j - row - i == diagonal ? 1 : 0);
          }
        }
      }
    }
  }
}

TEST(Arange, CountsOnFromItsPositionAndEndsExactly) {
  ArangeParams params{.count = 4,
                      .first = 3,
                      .start = {DType::float64, 1, 0},
                      .step = {DType::float64, 0.1, 0},
                      .last_index = 6,
                      .last = {DType::float64, 42, 0}};
  EXPECT_EQ(run_as<double>(params), (std::vector<double>{1 + 3 * 0.1, 1 + 4 * 0.1, 1.5, 42}));
  params = {.count = 3,
            .first = 1,
            .start = {DType::int32, 0, 10},
            .step = {DType::int32, 0, -4},
            .last_index = -1,
            .last = {DType::int32, 0, 0}};
  EXPECT_EQ(run_as<std::int32_t>(params), (std::vector<std::int32_t>{6, 2, -2}));
}

RandomParams random_params(Distribution distribution, Shape start, Shape extents) {
  return {.dtype = DType::float64,
          .distribution = distribution,
          .a = 0,
          .b = 1,
          .seed = 77,
          .global_shape = {60, 50},
          .start = std::move(start),
          .extents = std::move(extents)};
}

TEST(Random, FollowsItsDefinition) {
  const auto out = run_as<double>(random_params(Distribution::uniform, {2, 3}, {1, 2}));
  for (std::uint32_t i = 0; i < 2; ++i) {
    const auto words = philox4x32({2 * 50 + 3 + i, 0, 0, 0}, {77, 0});
    const std::uint64_t bits = (std::uint64_t{words[0]} << 32 | words[1]) >> 11;
    EXPECT_EQ(out[i], static_cast<double>(bits) * 0x1p-53);
  }
}

TEST(Random, DoesNotDependOnChunking) {
  for (const auto distribution : {Distribution::uniform, Distribution::normal}) {
    const auto whole = run_as<double>(random_params(distribution, {0, 0}, {60, 50}));
    const auto part = run_as<double>(random_params(distribution, {7, 11}, {13, 17}));
    for (std::size_t i = 0; i < 13; ++i) {
      for (std::size_t j = 0; j < 17; ++j) {
        EXPECT_EQ(part[i * 17 + j], whole[(7 + i) * 50 + 11 + j]);
      }
    }
  }
}

TEST(Random, HasTheMomentsItShould) {
  double sum = 0;
  double squares = 0;
  for (const double x : run_as<double>(random_params(Distribution::normal, {0, 0}, {60, 50}))) {
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / 3000, 0, 0.08);
  EXPECT_NEAR(squares / 3000, 1, 0.12);
  auto params = random_params(Distribution::uniform, {0, 0}, {60, 50});
  params.a = 2;
  params.b = 4;
  sum = 0;
  for (const double x : run_as<double>(params)) {
    EXPECT_GE(x, 2);
    EXPECT_LT(x, 4);
    sum += x;
  }
  EXPECT_NEAR(sum / 3000, 3, 0.05);
}

}  // namespace
}  // namespace ashlar::kernels::testing
