#include "worker/send_turns.hpp"

#include <gtest/gtest.h>

namespace ashlar::worker {
namespace {

using Turns = SendTurns<int>;
constexpr Instant start{};

TEST(SendTurns, FewAreUnderWayInTheOrderOfAsking) {
  Turns turns;
  constexpr int count = Turns::most + 2;
  for (int i = 0; i < count; ++i) turns.wait(PeerId{static_cast<std::uint32_t>(i % 2)}, i);
  for (int i = 0; i < count; ++i) {
    if (i >= static_cast<int>(Turns::most)) {
      EXPECT_EQ(turns.begin_next(start), std::nullopt);
      turns.end(PeerId{static_cast<std::uint32_t>(i % 2)});
    }
    EXPECT_EQ(turns.begin_next(start), i);
  }
}

TEST(SendTurns, OneThatDoesNotReadHoldsUpOthersForAWhile) {
  Turns turns;
  for (int i = 0; i < 3; ++i) turns.wait(PeerId{0}, i);
  for (int i = 3; i < 6; ++i) turns.wait(PeerId{1}, i);
  for (std::size_t i = 0; i < Turns::most; ++i) EXPECT_TRUE(turns.begin_next(start));
  EXPECT_FALSE(turns.begin_next(start + Duration{Turns::patience.ns - 1}));
  EXPECT_TRUE(turns.begin_next(start + Turns::patience));
}

TEST(SendTurns, WhatIsForgottenIsNotSent) {
  Turns turns;
  turns.wait(PeerId{1}, 1);
  turns.wait(PeerId{1}, 2);
  turns.wait(PeerId{2}, 1);
  turns.forget_if([](PeerId peer, int item) { return peer == PeerId{1} && item == 1; });
  EXPECT_EQ(turns.begin_next(start), 2);
  EXPECT_EQ(turns.begin_next(start), 1);
  EXPECT_EQ(turns.begin_next(start), std::nullopt);
}

TEST(SendTurns, APeerThatIsGoneHasNoTurn) {
  Turns turns;
  for (std::size_t i = 0; i < Turns::most; ++i) turns.wait(PeerId{1}, 1);
  turns.wait(PeerId{2}, 2);
  while (turns.begin_next(start)) {
  }
  turns.end(PeerId{3});
  EXPECT_FALSE(turns.begin_next(start));
  turns.end_all(PeerId{1});
  EXPECT_EQ(turns.begin_next(start), 2);
}

}  // namespace
}  // namespace ashlar::worker
