#include <gtest/gtest.h>

#include "machine/worker/rig.hpp"

/// Links to peers that cannot be made, or are cut.
namespace ashlar::worker {
namespace {

class Links : public testing::Test {
 protected:
  Links() {
    rig.told(peer_info(2, "there"));
    rig.told(peer_info(3, "elsewhere"));
  }

  std::string fail(std::uint32_t index = 0, std::uint32_t peer = 2) {
    return rig({FetchFailed{datum(index), PeerId{peer}, "refused"}});
  }

  /// The link to peer 2 fails until that is told; returns how often it was tried.
  int fail_until_told(std::string& told) {
    int tries = 0;
    const Instant end = rig.now + Duration::seconds(10);
    std::string said = "fetch 0@2";
    while (told.empty() && rig.now < end) {
      if (said == "fetch 0@2") {
        ++tries;
        said = fail();
      }
      if (said.starts_with("missing")) told = said;
      if (said != "fetch 0@2") said = rig.later(Duration::milliseconds(10));
    }
    return tries;
  }

  Rig rig;
};

TEST_F(Links, OneThatIsCutIsMadeAgainAtOnce) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}, {1, 2}}, {10}}})), "fetch 0@2; fetch 1@2");
  rig.now = rig.now + Duration::milliseconds(1);
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}, "cut"}, FetchFailed{datum(1), PeerId{2}, "cut"}}),
            "fetch 0@2; fetch 1@2")
      << "both were on one link";
  EXPECT_EQ(rig({FetchDone{datum(0), 10}, FetchDone{datum(1), 10}}),
            "start 0; acquired 0 1 local 0 remote 20")
      << "and nobody need know";
}

TEST_F(Links, OneThatFailsAgainIsTriedMoreAndMoreSeldom) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(fail(), "fetch 0@2");
  EXPECT_EQ(fail(), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(49)), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(1)), "fetch 0@2");
  EXPECT_EQ(fail(), "");
  EXPECT_EQ(rig.later(Duration::milliseconds(99)), "");
  EXPECT_EQ(rig.told(assignment({{6, {{1, 2}, {2, 3}}, {11}}})), "fetch 2@3")
      << "others are asked meanwhile";
  EXPECT_EQ(rig.later(Duration::milliseconds(1)), "fetch 0@2; fetch 1@2");
}

TEST_F(Links, OneThatFailsIsNotTriedBeforeItsTimeWhenMemoryIsShortEither) {
  Rig small(1, 100);
  small.told(peer_info(2, "there"));
  small.told(peer_info(3, "elsewhere"));
  EXPECT_EQ(small.told(assignment({{5, {{0, 2}}, {}}})), "fetch 0@2");
  EXPECT_EQ(small({FetchFailed{datum(0), PeerId{2}, "refused"}}), "fetch 0@2");
  EXPECT_EQ(small({FetchFailed{datum(0), PeerId{2}, "refused"}}), "");
  Assigned large{6, {{1, 3}, {2, 3}}, {}, 1, 1};
  large.input_bytes = 45;
  EXPECT_EQ(small.told(assignment({large})), "fetch 1@3") << "there is no room for the other input";
}

TEST_F(Links, OneThatGoesOnFailingIsToldOnce) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  std::string told;
  const int tries = fail_until_told(told);
  EXPECT_EQ(told, "missing 0@2 broken 2 (refused)");
  EXPECT_GE(tries, 4);
  EXPECT_LE(tries, 7);
  EXPECT_GE(rig.now, Instant{} + Duration::seconds(1)) << "a peer may be about to die";
  EXPECT_LE(rig.now, Instant{} + Duration::seconds(2));
  EXPECT_EQ(rig.later(Duration::seconds(60)), "") << "it is for the scheduler to say where";
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{3}}}), "fetch 0@3");
}

TEST_F(Links, WhatElseWasToComeOverItIsToldWithIt) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  fail();
  fail();
  EXPECT_EQ(rig.told(assignment({{6, {{1, 2}}, {11}}})), "");
  std::string told;
  rig.later(Duration::seconds(2));
  EXPECT_EQ(fail(), "missing 0@2 broken 2 (refused)");
  EXPECT_EQ(fail(1), "missing 1@2 broken 2 (refused)") << "it was under way";
}

TEST_F(Links, OneThatIsBrokenIsToldAfterEachTryAndWhenItWorksAgain) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  std::string told;
  fail_until_told(told);
  rig.later(Duration::seconds(30));
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "fetch 0@2");
  EXPECT_EQ(fail(), "missing 0@2 broken 2 (refused)");
  rig.later(Duration::seconds(60));
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "fetch 0@2");
  EXPECT_EQ(rig({FetchDone{datum(0), 10}}),
            "start 0; acquired 0 local 0 remote 10; missing reached 2");
  EXPECT_EQ(rig.told(assignment({{6, {{1, 2}}, {11}}})), "fetch 1@2");
  EXPECT_EQ(fail(1), "fetch 1@2") << "as if it had never failed";
}

TEST_F(Links, AnAnswerThatThereIsNoSuchDatumShowsThatItWorks) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  EXPECT_EQ(fail(), "fetch 0@2");
  EXPECT_EQ(rig({FetchFailed{datum(0), PeerId{2}}}), "missing 0@2");
  EXPECT_EQ(rig.told(protocol::Relocate{{datum(0)}, {PeerId{2}}}), "fetch 0@2");
  EXPECT_EQ(fail(), "fetch 0@2");
}

TEST_F(Links, ThatThePeerIsGoneEndsTheTries) {
  EXPECT_EQ(rig.told(assignment({{5, {{0, 2}}, {10}}})), "fetch 0@2");
  fail();
  fail();
  EXPECT_EQ(rig.told(protocol::PeerGone{PeerId{2}, ""}), "forget 2; missing 0@2");
  EXPECT_EQ(rig.later(Duration::seconds(9)), "");
}

}  // namespace
}  // namespace ashlar::worker
