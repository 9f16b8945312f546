#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "machine/worker/rig.hpp"

/// Data that come before the tasks that read them.
namespace ashlar::worker {
namespace {

/// Of the first run; from peer 2, on another host.
protocol::Prefetch prefetch(std::vector<std::uint32_t> data, std::uint64_t bytes = 10,
                            std::uint32_t holder = 2) {
  protocol::Prefetch message;
  message.run = datum(0).run;
  message.datum = std::move(data);
  message.bytes.assign(message.datum.size(), bytes);
  message.holder.assign(message.datum.size(), PeerId{holder});
  for (const std::uint32_t index : message.datum) message.rank.push_back(index);
  return message;
}

class Early : public testing::Test {
 protected:
  void SetUp() override { rig_.told(peer_info(2, "there")); }
  void TearDown() override { rig_.engine.check_invariants(); }

  static constexpr Limits limits() { return {.can_spill = true}; }

  Rig rig_{1, 1000, limits()};
};

TEST_F(Early, ADatumComesAndWaitsForItsReader) {
  EXPECT_EQ(rig_.told(prefetch({5})), "fetch 5@2");
  EXPECT_EQ(rig_({FetchDone{datum(5), 10}}), "acquired 5 local 0 remote 10");
  EXPECT_EQ(rig_.told(assignment({{0, {{5, 1}}, {6}}})), "start 0");
  EXPECT_EQ(rig_.ended(0), "done 0");
  EXPECT_EQ(rig_.told(protocol::FreeData{{datum(5), datum(6)}}), "drop 5; drop 6");
  EXPECT_TRUE(rig_.engine.is_empty());
}

TEST_F(Early, AReaderThatComesMeanwhileDoesNotAskAgain) {
  EXPECT_EQ(rig_.told(prefetch({5})), "fetch 5@2");
  EXPECT_EQ(rig_.told(assignment({{0, {{5, 2}}, {6}}})), "");
  EXPECT_EQ(rig_({FetchDone{datum(5), 10}}), "start 0; acquired 5 local 0 remote 10");
}

TEST_F(Early, ItGoesOnComingWhenItsReaderIsTakenBack) {
  rig_.told(prefetch({5}));
  rig_.told(assignment({{0, {{5, 2}}, {6}}}));
  EXPECT_EQ(rig_.told(protocol::RevokeTasks{datum(0).run, {0}, {1}}), "");
  EXPECT_EQ(rig_({FetchDone{datum(5), 10}}), "acquired 5 local 0 remote 10");
}

TEST_F(Early, WhatIsHereOrMadeHereOrComesAlreadyIsNotAskedFor) {
  rig_.told(assignment({{0, {{5, 2}}, {6}}}));
  EXPECT_EQ(rig_.told(prefetch({5, 6})), "");
  rig_({FetchDone{datum(5), 10}});
  EXPECT_EQ(rig_.told(prefetch({5})), "");
  EXPECT_EQ(rig_.told(prefetch({7}, 10, 1)), "") << "the worker itself has it";
}

TEST_F(Early, WhatIsFreedIsAbandoned) {
  rig_.told(prefetch({5}));
  EXPECT_EQ(rig_.told(protocol::FreeData{{datum(5)}}), "abandon 5");
  EXPECT_TRUE(rig_.engine.is_empty());
  EXPECT_EQ(rig_({FetchDone{datum(5), 10}}), "drop 5") << "it came nevertheless";
}

TEST_F(Early, WhatTakesMoreThanHalfOfTheMemoryIsDeclined) {
  EXPECT_EQ(rig_.told(prefetch({1, 2, 3}, 200)), "fetch 1@2; fetch 2@2; missing 3@1");
  EXPECT_EQ(rig_.told(assignment(
                {{0, {{3, 2}}, {6}, 1, 0, 10, 0, graph::TaskGraph::no_input, false, 200}})),
            "fetch 3@2")
      << "it comes with a reader";
}

TEST_F(Early, WithoutADiskAllIsDeclined) {
  Rig rig;
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(prefetch({1})), "missing 1@1");
  EXPECT_TRUE(rig.engine.is_empty());
}

TEST_F(Early, WhatItsHolderLacksIsSoughtWhereTheSchedulerSays) {
  rig_.told(peer_info(3, "elsewhere"));
  rig_.told(prefetch({5}));
  EXPECT_EQ(rig_({FetchFailed{datum(5), PeerId{2}}}), "missing 5@2");
  EXPECT_EQ(rig_.told(protocol::Relocate{{datum(5)}, {PeerId{3}}}), "fetch 5@3");
  EXPECT_EQ(rig_.told(protocol::PeerGone{PeerId{3}, ""}), "forget 3; abandon 5; missing 5@3");
  EXPECT_EQ(rig_.told(protocol::FreeData{{datum(5)}}), "");
  EXPECT_TRUE(rig_.engine.is_empty());
}

TEST_F(Early, WhatIsReadSoonerComesSooner) {
  Limits one_at_a_time = limits();
  one_at_a_time.fetches = 1;
  Rig rig(1, 1000, one_at_a_time);
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(prefetch({1, 9})), "fetch 1@2");
  rig.told(assignment({{0, {{5, 2}}, {6}, 1, 5}}));
  EXPECT_EQ(rig({FetchDone{datum(1), 10}}), "fetch 5@2; acquired 1 local 0 remote 10");
  EXPECT_EQ(rig({FetchDone{datum(5), 10}}), "start 0; fetch 9@2; acquired 5 local 0 remote 10");
}

TEST_F(Early, NothingComesEarlyToAWorkerThatLeaves) {
  rig_.told(prefetch({5}));
  EXPECT_EQ(rig_.told(protocol::Shutdown{"for a test"}), "abandon 5; exit");
  EXPECT_EQ(rig_.told(prefetch({6})), "");
  EXPECT_TRUE(rig_.engine.is_empty());
}

TEST_F(Early, OddMessagesAreIgnored) {
  protocol::Prefetch odd = prefetch({5});
  odd.rank.clear();
  EXPECT_EQ(rig_.told(odd), "");
  EXPECT_EQ(rig_.engine.counters().odd_messages, 1u);
}

}  // namespace
}  // namespace ashlar::worker
