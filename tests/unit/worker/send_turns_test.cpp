#include "worker/send_turns.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ashlar::worker {
namespace {

using Turns = SendTurns<int>;
constexpr Instant start{};
constexpr PeerId peer{1};
constexpr SessionId one{1}, two{2};

protocol::Urgency rank(std::uint32_t number) { return {.rank = number}; }

/// What is begun when each is sent before the next one.
std::vector<int> sent_one_by_one(Turns& turns, int count) {
  std::vector<int> sent;
  for (int i = 0; i < count; ++i) {
    const auto next = turns.begin_next(start);
    if (!next) break;
    sent.push_back(*next);
    for (std::uint32_t p = 0; p < 4; ++p) turns.end_all(PeerId{p});
  }
  return sent;
}

TEST(SendTurns, FewAreUnderWayInTheOrderOfAsking) {
  Turns turns;
  constexpr int count = Turns::most + 2;
  for (int i = 0; i < count; ++i) turns.wait({PeerId{static_cast<std::uint32_t>(i % 2)}, one}, i);
  for (int i = 0; i < count; ++i) {
    if (i >= static_cast<int>(Turns::most)) {
      EXPECT_EQ(turns.begin_next(start), std::nullopt);
      turns.end(PeerId{static_cast<std::uint32_t>(i % 2)});
    }
    EXPECT_EQ(turns.begin_next(start), i);
  }
}

TEST(SendTurns, TheMostUrgentOfASessionGoesFirstWhoeverAsks) {
  Turns turns;
  turns.wait({PeerId{1}, one, rank(3)}, 3);
  turns.wait({PeerId{1}, one, rank(1)}, 1);
  turns.wait({PeerId{2}, one, rank(2)}, 2);
  turns.wait({PeerId{3}, one, rank(0)}, 0);
  turns.wait({PeerId{3}, one, {.run = 1, .rank = 0}}, 4);
  turns.wait({PeerId{2}, one, {.priority = 1, .run = 2, .rank = 9}}, -1);
  EXPECT_EQ(sent_one_by_one(turns, 9), (std::vector{-1, 0, 1, 2, 3, 4}));
}

TEST(SendTurns, EquallyUrgentOnesGoInTheOrderOfAsking) {
  Turns turns;
  for (int i = 0; i < 5; ++i) {
    turns.wait({PeerId{static_cast<std::uint32_t>(5 - i)}, one, rank(7)}, i);
  }
  EXPECT_EQ(sent_one_by_one(turns, 3), (std::vector{0, 1, 2}));
}

TEST(SendTurns, SessionsGetEquallyManyBytes) {
  Turns turns;
  for (int i = 0; i < 20; ++i) turns.wait({peer, one, rank(0), 1000}, 1);
  for (int i = 0; i < 20; ++i) turns.wait({peer, two, rank(9), 4000}, 2);
  EXPECT_EQ(sent_one_by_one(turns, 11), (std::vector{1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1}));
}

TEST(SendTurns, ASessionThatComesLaterNeitherStarvesNorHasAClaim) {
  Turns turns;
  for (int i = 0; i < 40; ++i) turns.wait({peer, one, rank(0), 1000}, 1);
  sent_one_by_one(turns, 20);
  for (int i = 0; i < 20; ++i) turns.wait({peer, two, rank(9), 1000}, 2);
  EXPECT_EQ(sent_one_by_one(turns, 6), (std::vector{2, 1, 2, 1, 2, 1}));
}

TEST(SendTurns, ASessionWithNothingUnderWayMayHaveOneMore) {
  Turns turns;
  for (int i = 0; i < 9; ++i) turns.wait({peer, one, rank(0), 1000}, 1);
  for (std::size_t i = 0; i < Turns::most; ++i) EXPECT_EQ(turns.begin_next(start), 1);
  EXPECT_FALSE(turns.begin_next(start));
  for (int i = 0; i < 2; ++i) turns.wait({peer, two, rank(9), 1000}, 2);
  turns.wait({peer, SessionId{3}, rank(9), 1000}, 3);
  EXPECT_EQ(turns.begin_next(start), 2);
  EXPECT_FALSE(turns.begin_next(start)) << "one more in all";
  turns.end(peer);
  EXPECT_EQ(turns.begin_next(start), 3);
  turns.end(peer);
  EXPECT_FALSE(turns.begin_next(start)) << "of sessions with nothing under way";
}

TEST(SendTurns, WhatIsAskedForWithoutUrgencyGetsAsManyBytesOfItsSession) {
  Turns turns;
  for (int i = 0; i < 20; ++i) turns.wait({peer, one, rank(0), 1000}, 0);
  for (int i = 1; i < 5; ++i) turns.wait({PeerId{2}, one, {}, 2000}, i);
  EXPECT_EQ(sent_one_by_one(turns, 9), (std::vector{0, 1, 0, 0, 2, 0, 0, 3, 0}));
}

TEST(SendTurns, OneThatDoesNotReadHoldsUpOthersForAWhile) {
  Turns turns;
  for (int i = 0; i < 3; ++i) turns.wait({PeerId{0}, one}, i);
  for (int i = 3; i < 6; ++i) turns.wait({PeerId{1}, one}, i);
  for (std::size_t i = 0; i < Turns::most; ++i) EXPECT_TRUE(turns.begin_next(start));
  EXPECT_FALSE(turns.begin_next(start + Duration{Turns::patience.ns - 1}));
  EXPECT_TRUE(turns.begin_next(start + Turns::patience));
}

TEST(SendTurns, WhatIsForgottenIsNotSent) {
  Turns turns;
  turns.wait({PeerId{1}, one}, 1);
  turns.wait({PeerId{1}, one}, 2);
  turns.wait({PeerId{2}, one}, 1);
  turns.wait({PeerId{1}, two}, 1);
  turns.wait({PeerId{1}, two, rank(3)}, 1);
  turns.forget_if([](PeerId who, int item) { return who == PeerId{1} && item == 1; });
  EXPECT_EQ(turns.begin_next(start), 2);
  EXPECT_EQ(turns.begin_next(start), 1);
  EXPECT_EQ(turns.begin_next(start), std::nullopt);
}

TEST(SendTurns, APeerThatIsGoneHasNoTurn) {
  Turns turns;
  for (std::size_t i = 0; i < Turns::most; ++i) turns.wait({PeerId{1}, one}, 1);
  turns.wait({PeerId{2}, one}, 2);
  while (turns.begin_next(start)) {
  }
  turns.end(PeerId{3});
  EXPECT_FALSE(turns.begin_next(start));
  turns.end_all(PeerId{1});
  EXPECT_EQ(turns.begin_next(start), 2);
}

}  // namespace
}  // namespace ashlar::worker
