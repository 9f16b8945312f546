#include "base/check.hpp"

#include <gtest/gtest.h>

namespace ashlar {
namespace {

TEST(Check, AHeldConditionCostsNoText) {
  bool was_built = false;
  const auto story = [&] {
    was_built = true;
    return "story";
  };
  ASHLAR_CHECK(1 + 1 == 2, story());
  EXPECT_FALSE(was_built);
}

TEST(CheckDeathTest, ABrokenConditionNamesItselfAndItsStory) {
  EXPECT_DEATH(ASHLAR_CHECK(1 + 1 == 3, "task 7 was ready twice"),
               "check_test.cpp:.*1 \\+ 1 == 3 does not hold\ntask 7 was ready twice");
}

}  // namespace
}  // namespace ashlar
