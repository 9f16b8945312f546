#include "scheduler/cost_model.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace ashlar::scheduler {
namespace {

constexpr CostModel::Rates rates{1e9, 1e9};
constexpr std::uint32_t kernel = 3;
constexpr std::int64_t usual_ns = 1'000'000;

/// 900 to 1100 us.
std::int64_t about_usual(SplitMix64& random) {
  return usual_ns * 9 / 10 + static_cast<std::int64_t>(random.below(usual_ns / 5));
}

double predicted(const CostModel& model) {
  return static_cast<double>(model.predict(kernel, 0, 0)) / usual_ns;
}

TEST(CostModel, LearnsFromTheFirstCallAndScalesWithFlops) {
  CostModel model{rates};
  EXPECT_NEAR(static_cast<double>(model.predict(kernel, 1e6, 0)), 1.001e6, 1);
  model.observe(kernel, 1e6, 0, 2'002'000);
  EXPECT_NEAR(static_cast<double>(model.predict(kernel, 1e6, 0)), 2.002e6, 10);
  EXPECT_NEAR(static_cast<double>(model.predict(kernel, 2e6, 0)), 4.002e6, 10);
  EXPECT_EQ(model.predict(4, 0, 0), 1000);
}

TEST(CostModel, OneCallAThousandTimesTooLongPoisonsNothingWheneverItComes) {
  for (const int outlier_at : {0, 1, 2, 4, 5, 20, 200}) {
    SplitMix64 random{7};
    CostModel model{rates};
    for (int call = 0; call < 300; ++call) {
      const std::int64_t ns = about_usual(random);
      model.observe(kernel, 0, 0, call == outlier_at ? 1000 * ns : ns);
      if (call == 0) continue;
      EXPECT_GT(predicted(model), 0.85) << "outlier at " << outlier_at << ", call " << call;
      EXPECT_LT(predicted(model), outlier_at < 10 ? 1.25 : 1.12)
          << "outlier at " << outlier_at << ", call " << call;
    }
  }
}

TEST(CostModel, OneCallThatTookNothingPoisonsNothingEither) {
  SplitMix64 random{7};
  CostModel model{rates};
  for (int call = 0; call < 100; ++call) {
    const std::int64_t ns = about_usual(random);
    model.observe(kernel, 0, 0, call == 50 ? 0 : ns);
    if (call < 10) continue;
    EXPECT_NEAR(predicted(model), 1, 0.1) << call;
  }
}

TEST(CostModel, AChangeForGoodIsBelievedAfterFiveCalls) {
  for (const double factor : {20.0, 0.05}) {
    SplitMix64 random{7};
    CostModel model{rates};
    for (int call = 0; call < 100; ++call) model.observe(kernel, 0, 0, about_usual(random));
    for (int call = 0; call < 5; ++call) {
      const auto ns = static_cast<double>(about_usual(random));
      model.observe(kernel, 0, 0, static_cast<std::int64_t>(factor * ns));
    }
    EXPECT_NEAR(predicted(model), factor, 0.15 * factor);
  }
}

TEST(CostModel, TheMeanOfUnevenCallsIsKept) {
  // Queues add times up, so that it is the mean that counts.
  CostModel model{rates};
  for (int call = 0; call < 400; ++call) {
    model.observe(kernel, 0, 0, call % 4 == 0 ? 4 * usual_ns : usual_ns);
  }
  EXPECT_NEAR(predicted(model), 1.75, 0.2);
}

TEST(CostModel, ConfidenceGrowsWithCallsAndFallsWithSpread) {
  SplitMix64 random{7};
  CostModel steady{rates}, erratic{rates};
  EXPECT_EQ(steady.learned(kernel).calls, 0u);
  double before = 0;
  for (const int calls : {1, 5, 20, 100}) {
    while (steady.learned(kernel).calls < static_cast<std::uint64_t>(calls)) {
      steady.observe(kernel, 0, 0, about_usual(random));
      erratic.observe(kernel, 0, 0, usual_ns / 5 * static_cast<int>(1 + random.below(9)));
    }
    EXPECT_GT(steady.learned(kernel).confidence, before) << calls;
    before = steady.learned(kernel).confidence;
  }
  EXPECT_GT(before, 0.95);
  EXPECT_LT(erratic.learned(kernel).confidence, before);
  EXPECT_NEAR(steady.learned(kernel).spread, 0.05, 0.03);
  EXPECT_GT(erratic.learned(kernel).spread, 0.2);
  EXPECT_NEAR(steady.learned(kernel).predicted_ns, usual_ns, 0.1 * usual_ns);
}

TEST(CostModel, ClassesOfWorkersAreToldApartAndKnowNothingAtFirst) {
  CostModel model{rates};
  for (int call = 0; call < 20; ++call) {
    model.observe(kernel, 0, 0, usual_ns, 0);
    model.observe(kernel, 0, 0, usual_ns / 10, 1);
  }
  EXPECT_NEAR(static_cast<double>(model.predict(kernel, 0, 0, 0)), usual_ns, 0.1 * usual_ns);
  EXPECT_NEAR(static_cast<double>(model.predict(kernel, 0, 0, 1)), usual_ns / 10,
              0.1 * usual_ns);
  EXPECT_EQ(model.predict(kernel, 0, 0, 2), model.predict(kernel, 0, 0));
  EXPECT_EQ(model.learned(kernel, 1).calls, 20u);
  EXPECT_EQ(model.learned(kernel, 2).calls, 0u);
}

TEST(CostModel, CanForget) {
  CostModel model{rates};
  model.observe(kernel, 0, 0, usual_ns, 0);
  model.forget();
  EXPECT_FALSE(model.has_seen(kernel));
  EXPECT_EQ(model.predict(kernel, 0, 0), 1000);
  EXPECT_EQ(model.learned(kernel, 0).calls, 0u);
}

}  // namespace
}  // namespace ashlar::scheduler
