#include "worker/fair_turns.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace ashlar::worker {
namespace {

/// The next ones in order, each with a turn of so many bytes.
std::string take(FairTurns<char>& turns, const std::map<char, std::uint64_t>& bytes, int count) {
  std::string taken;
  for (int i = 0; i < count; ++i) {
    const char key = turns.order().front().key;
    turns.take(key, bytes.at(key));
    taken += key;
  }
  return taken;
}

TEST(FairTurns, GiveEquallyManyBytes) {
  FairTurns<char> turns;
  for (const char key : {'a', 'b', 'c'}) turns.enter(key);
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}, {'c', 10}}, 6), "abcabc");
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 30}, {'c', 10}}, 10), "abcacacabc");
}

TEST(FairTurns, WhatTakesNoBytesIsATurn) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.enter('b');
  EXPECT_EQ(take(turns, {{'a', 0}, {'b', 0}}, 4), "abab");
}

TEST(FairTurns, WhoComesLaterBeginsWhereTheOthersAre) {
  FairTurns<char> turns;
  turns.enter('a');
  take(turns, {{'a', 10}}, 100);
  turns.enter('b');
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}}, 6), "bababa");
}

TEST(FairTurns, WhoLeavesAndComesBackHasNoClaim) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.enter('b');
  take(turns, {{'a', 10}, {'b', 10}}, 2);
  turns.leave('b');
  take(turns, {{'a', 10}}, 100);
  turns.enter('b');
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}}, 6), "bababa");
}

TEST(FairTurns, WhoHasHadMuchWaitsForTheOthersAlsoIfItLeftMeanwhile) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.enter('b');
  turns.take('a', 35);
  turns.leave('a');
  take(turns, {{'b', 10}}, 1);
  turns.enter('a');
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}}, 5), "bbbab");
}

TEST(FairTurns, OnceNobodyWaitsAllIsForgotten) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.enter('b');
  turns.take('a', 1000);
  turns.leave('a');
  turns.leave('b');
  turns.enter('b');
  turns.enter('a');
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}}, 4), "abab");
}

TEST(FairTurns, WhoCannotUseATurnLosesIt) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.enter('b');
  for (int i = 0; i < 100; ++i) turns.take('b', 10);
  EXPECT_EQ(take(turns, {{'a', 10}, {'b', 10}}, 6), "aababa");
}

TEST(FairTurns, EnteringTwiceIsEnteringOnce) {
  FairTurns<char> turns;
  turns.enter('a');
  turns.take('a', 10);
  turns.enter('a');
  ASSERT_EQ(turns.order().size(), 1u);
  EXPECT_EQ(turns.order().front().served, 10u);
}

}  // namespace
}  // namespace ashlar::worker
