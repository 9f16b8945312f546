#include "worker/send_turns.hpp"

#include <gtest/gtest.h>

namespace ashlar::worker {
namespace {

using Turns = SendTurns<int>;

TEST(SendTurns, FewAreUnderWayInTheOrderOfAsking) {
  Turns turns;
  for (std::uint32_t peer = 0; peer < Turns::most + 2; ++peer) {
    turns.wait(PeerId{peer}, static_cast<int>(peer));
  }
  for (std::size_t i = 0; i < Turns::most; ++i) EXPECT_EQ(turns.begin_next(), static_cast<int>(i));
  EXPECT_EQ(turns.begin_next(), std::nullopt);
  turns.end(PeerId{1});
  EXPECT_EQ(turns.begin_next(), static_cast<int>(Turns::most));
  EXPECT_EQ(turns.begin_next(), std::nullopt);
}

TEST(SendTurns, OneThatDoesNotReadHoldsUpNoOther) {
  Turns turns;
  const PeerId stuck{1}, other{2};
  for (int i = 0; i < 10; ++i) turns.wait(stuck, i);
  for (int i = 10; i < 13; ++i) turns.wait(other, i);
  EXPECT_EQ(turns.begin_next(), 0);
  for (int i = 10; i < 13; ++i) {
    EXPECT_EQ(turns.begin_next(), i);
    EXPECT_EQ(turns.begin_next(), std::nullopt);
    turns.end(other);
  }
}

TEST(SendTurns, WhatIsForgottenIsNotSent) {
  Turns turns;
  turns.wait(PeerId{1}, 1);
  turns.wait(PeerId{1}, 2);
  turns.wait(PeerId{2}, 1);
  turns.forget_if([](PeerId peer, int item) { return peer == PeerId{1} && item == 1; });
  EXPECT_EQ(turns.begin_next(), 2);
  EXPECT_EQ(turns.begin_next(), 1);
  turns.end(PeerId{3});
  EXPECT_EQ(turns.begin_next(), std::nullopt);
}

}  // namespace
}  // namespace ashlar::worker
