#include "scheduler/link_model.hpp"

#include <gtest/gtest.h>

namespace ashlar::scheduler {
namespace {

constexpr std::uint64_t chunk = 1 << 20;

/// Lets peer `to` get chunks from `from`, one after the other, at so many bytes a second.
void fetch(LinkModel& links, PeerIndex from, PeerIndex to, double rate, int times, Instant& now) {
  for (int n = 0; n < times; ++n) {
    const DataRef datum{0, static_cast<std::uint32_t>(n)};
    links.begin({datum, from, to}, now);
    now = now + Duration::microseconds(100) + Duration::seconds(chunk / rate);
    links.arrived(to, chunk);
    links.end(to, datum, now);
  }
}

TEST(LinkModel, LearnsWhatEachEndCanDo) {
  LinkModel links{1e9};
  Instant now;
  EXPECT_EQ(links.receiving(7), 1e9) << "assumed";
  fetch(links, 1, 2, 1e8, 20, now);
  EXPECT_NEAR(links.receiving(2), 1e8, 1e7);
  EXPECT_NEAR(links.sending(1), 1e8, 1e7);
  EXPECT_NEAR(links.receiving(7), 1e8, 1e7) << "of others the usual is expected";
  fetch(links, 3, 4, 1e9, 20, now);
  EXPECT_NEAR(links.receiving(4), 1e9, 1e8);
  EXPECT_NEAR(links.receiving(2), 1e8, 1e7);
}

TEST(LinkModel, ForgetsWhatItLearnt) {
  LinkModel links{1e9};
  Instant now;
  fetch(links, 1, 2, 1e8, 20, now);
  links.forget();
  EXPECT_EQ(links.receiving(2), 1e9);
  EXPECT_EQ(links.sending(1), 1e9);
}

TEST(LinkModel, OneBadSampleDoesNotPoisonIt) {
  LinkModel links{1e9};
  Instant now;
  fetch(links, 1, 2, 1e9, 20, now);
  fetch(links, 1, 2, 1e5, 1, now);
  EXPECT_GT(links.receiving(2), 0.9e9) << "it waited for something else";
  fetch(links, 1, 2, 1e13, 1, now);
  EXPECT_LT(links.receiving(2), 1.3e9);
}

TEST(LinkModel, WhatSharesTheLinkIsCounted) {
  LinkModel links{1e9};
  Instant now;
  for (std::uint32_t n = 0; n < 10; ++n) {
    for (std::uint32_t k = 0; k < 4; ++k) links.begin({{0, 4 * n + k}, 1, 2}, now);
    now = now + Duration::microseconds(100) + Duration::seconds(4 * chunk / 2e8);
    links.arrived(2, 4 * chunk);
    for (std::uint32_t k = 0; k < 4; ++k) links.end(2, {0, 4 * n + k}, now);
  }
  EXPECT_NEAR(links.receiving(2), 2e8, 2e7) << "not a quarter of it";
}

TEST(LinkModel, SmallDataSayNothingOfTheRate) {
  LinkModel links{1e9};
  links.begin({{0, 1}, 1, 2}, {});
  links.arrived(2, 100);
  links.end(2, {0, 1}, Instant{} + Duration::seconds(1));
  EXPECT_EQ(links.receiving(2), 1e9);
}

TEST(LinkModel, ATransferThatNeverEndsIsWatchedNoLonger) {
  LinkModel links{1e9};
  Instant now;
  links.begin({{9, 9}, 1, 2}, now);
  now = now + Duration::seconds(11);
  fetch(links, 1, 2, 1e8, 20, now);
  EXPECT_NEAR(links.receiving(2), 1e8, 1e7);
}

}  // namespace
}  // namespace ashlar::scheduler
