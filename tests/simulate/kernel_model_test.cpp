#include "simulate/kernel_model.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.hpp"

namespace ashlar::simulate {
namespace {

TEST(KernelModel, FindsOutWhatTimesAreMadeOf) {
  const KernelModel truth{.fixed_seconds = 5e-6, .seconds_per_flop = 2e-11,
                          .seconds_per_byte = 1e-10};
  std::vector<MeasuredCall> calls;
  for (const double flops : {1e5, 1e6, 1e7}) {
    for (const double bytes : {1e4, 1e6}) {
      calls.push_back({flops, bytes, truth.seconds(flops, bytes)});
    }
  }
  const KernelModel found = fit_model(calls);
  EXPECT_NEAR(found.fixed_seconds, truth.fixed_seconds, 1e-9);
  EXPECT_NEAR(found.seconds_per_flop, truth.seconds_per_flop, 1e-15);
  EXPECT_NEAR(found.seconds_per_byte, truth.seconds_per_byte, 1e-14);
}

TEST(KernelModel, OneSizeGivesARate) {
  const std::vector<MeasuredCall> calls = {{1e9, 1e6, 0.1}};
  EXPECT_EQ(fit_model(calls), (KernelModel{.seconds_per_flop = 1e-10}));
}

TEST(KernelModel, WithoutEstimatesATimeIsAllThereIs) {
  const std::vector<MeasuredCall> calls = {{0, 0, 0.1}, {0, 0, 0.3}, {0, 0, 0.2}};
  EXPECT_DOUBLE_EQ(fit_model(calls).fixed_seconds, 0.2);
  EXPECT_DOUBLE_EQ(fit_model(calls).seconds(1, 1), 0.2);
  EXPECT_EQ(fit_model({}), KernelModel{});
  const std::vector<MeasuredCall> nothing = {{1, 1, 0}};
  EXPECT_EQ(fit_model(nothing), KernelModel{});
}

TEST(KernelModel, OneBadCallChangesNothing) {
  std::vector<MeasuredCall> calls(20, {1e9, 0, 0.1});
  calls.push_back({1e9, 0, 50});
  EXPECT_NEAR(fit_model(calls).seconds_per_flop, 1e-10, 1e-16);
}

TEST(KernelModel, NoTermIsNegative) {
  // The large call is faster than the small one suggests: a line through both begins below 0.
  const std::vector<MeasuredCall> calls = {{1e6, 1e6, 1e-3}, {1e7, 1e7, 20e-3}};
  const KernelModel found = fit_model(calls);
  EXPECT_GE(found.fixed_seconds, 0);
  EXPECT_GE(found.seconds_per_flop, 0);
  EXPECT_GE(found.seconds_per_byte, 0);
  EXPECT_NEAR(found.seconds(1e7, 1e7), 20e-3, 10e-3);
}

TEST(KernelModel, NoiseDoesNotInventTerms) {
  SplitMix64 random(1);
  std::vector<MeasuredCall> calls;
  for (const double flops : {1e6, 4e6, 1.6e7}) {
    for (int i = 0; i < 51; ++i) {
      calls.push_back({flops, std::sqrt(flops), 1e-9 * flops * (0.95 + 0.1 * random.uniform())});
    }
  }
  const KernelModel found = fit_model(calls);
  EXPECT_NEAR(found.seconds(8e6, std::sqrt(8e6)), 8e-3, 4e-4);
}

}  // namespace
}  // namespace ashlar::simulate
