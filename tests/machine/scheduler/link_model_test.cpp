#include "scheduler/link_model.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace ashlar::scheduler {
namespace {

constexpr std::uint64_t chunk = 1 << 20;

/// Lets peer `to` get chunks from `from`, one after the other, at so many bytes a second.
void fetch(LinkModel& links, PeerIndex from, PeerIndex to, double rate, int times, Instant& now) {
  for (int n = 0; n < times; ++n) {
    const Instant began = now;
    links.begin(from, to, began);
    now = now + Duration::microseconds(100) + Duration::seconds(chunk / rate);
    links.end(from, to, {chunk, began}, now);
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
  for (int n = 0; n < 10; ++n) {
    const Instant began = now;
    for (int k = 0; k < 4; ++k) links.begin(1, 2, began);
    now = now + Duration::microseconds(100) + Duration::seconds(4 * chunk / 2e8);
    for (int k = 0; k < 4; ++k) links.end(1, 2, {chunk, began}, now);
  }
  EXPECT_NEAR(links.receiving(2), 2e8, 2e7) << "not a quarter of it";
}

TEST(LinkModel, ASenderIsCreditedWithWhatItSendsToAll) {
  LinkModel links{1e9};
  Instant now;
  for (int n = 0; n < 20; ++n) {
    const Instant began = now;
    for (PeerIndex to = 2; to < 6; ++to) links.begin(1, to, began);
    now = now + Duration::microseconds(100) + Duration::seconds(4 * chunk / 2e8);
    for (PeerIndex to = 2; to < 6; ++to) links.end(1, to, {chunk, began}, now);
  }
  EXPECT_NEAR(links.sending(1), 2e8, 2e7);
}

TEST(LinkModel, AReceiverIsNotTakenForSlowBecauseItsSenderHasOthersToServe) {
  LinkModel links{1e9};
  Instant now;
  fetch(links, 9, 2, 2e8, 20, now);
  for (int n = 0; n < 40; ++n) {
    const Instant began = now;
    for (PeerIndex to = 2; to < 10; ++to) links.begin(1, to, began);
    now = now + Duration::microseconds(100) + Duration::seconds(8 * chunk / 2e8);
    for (PeerIndex to = 2; to < 10; ++to) links.end(1, to, {chunk, began}, now);
  }
  EXPECT_GT(links.receiving(2), 1.2e8) << "an eighth of it came";
}

TEST(LinkModel, NorIsOneThatIsNewToItWhereTheUsualIsKnown) {
  LinkModel links{1e9};
  Instant now;
  fetch(links, 1, 9, 2e8, 20, now);
  const Instant began = now;
  for (PeerIndex to = 2; to < 9; ++to) links.begin(1, to, began);
  // They come one after the other: the last one has waited for all.
  for (PeerIndex to = 2; to < 9; ++to) {
    now = now + Duration::seconds(chunk / 2e8);
    links.end(1, to, {chunk, began}, now);
  }
  for (PeerIndex to = 2; to < 8; ++to) EXPECT_GT(links.receiving(to), 1.8e8) << to;
}

TEST(LinkModel, WhatCameBeforeASampleIsNotCountedInIt) {
  LinkModel links{1e9};
  Instant now;
  // At any time two are under way, each at half the rate, so that the link is never free.
  const Duration half = Duration::seconds(chunk / 1e8);
  Instant earlier = now;
  links.begin(1, 2, earlier);
  for (int n = 1; n < 200; ++n) {
    const Instant began = now;
    links.begin(1, 2, began);
    now = now + half;
    links.end(1, 2, {chunk, std::exchange(earlier, began)}, now);
  }
  EXPECT_LE(links.receiving(2), 1.02e8);
  EXPECT_GT(links.receiving(2), 0.7e8);
}

TEST(LinkModel, ManySmallDataAtOnceSayWhatTheyTakeTogether) {
  LinkModel links{1e9};
  Instant now;
  constexpr std::uint64_t piece = 10'000;
  for (int n = 0; n < 10; ++n) {
    const Instant began = now;
    for (int k = 0; k < 400; ++k) links.begin(1 + 2 * (k % 4), 2, began);
    for (int k = 0; k < 400; ++k) {
      now = now + Duration::seconds(piece / 1e8);
      links.end(1 + 2 * (k % 4), 2, {piece, began}, now);
    }
  }
  EXPECT_NEAR(links.receiving(2), 1e8, 1e7);
}

TEST(LinkModel, SmallDataSayNothingOfTheRate) {
  LinkModel links{1e9};
  links.begin(1, 2, {});
  links.end(1, 2, {100, {}}, Instant{} + Duration::seconds(1));
  EXPECT_EQ(links.receiving(2), 1e9);
}

TEST(LinkModel, ATransferThatNeverEndsIsWatchedNoLonger) {
  LinkModel links{1e9};
  Instant now;
  links.begin(1, 2, now);
  now = now + Duration::seconds(11);
  fetch(links, 1, 2, 1e8, 20, now);
  EXPECT_NEAR(links.receiving(2), 1e8, 1e7);
}

}  // namespace
}  // namespace ashlar::scheduler
