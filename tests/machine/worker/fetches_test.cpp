#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "machine/worker/rig.hpp"

namespace ashlar::worker {
namespace {

TEST(WorkerFetches, GoByPriorityThenTheAgeOfTheRunThenRank) {
  Rig rig(1, 1000, {.fetches = 1});
  rig.told(peer_info(2, "there"));
  EXPECT_EQ(rig.told(assignment({{0, {{9, 2}}, {}, 1, 3}})), "fetch 9@2");
  rig.told(assignment({{0, {{20, 2}}, {}, 1, 0}}, 2));
  rig.told(assignment({{1, {{11, 2}}, {}, 1, 5}, {2, {{10, 2}}, {}, 1, 4}}));
  protocol::AssignTasks urgent =
      assignment({{0, {{31, 2}}, {}, 1, 0}, {1, {{30, 2}}, {}, 1, 7}}, 3);
  urgent.priority = {0, 1};
  rig.told(urgent);
  EXPECT_EQ(rig({FetchDone{datum(9), 10}}), "start 0; fetch 30@2; acquired 9 local 0 remote 10");
  const auto& start = std::get<StartFetch>(rig.actions.at(1));
  EXPECT_EQ(start.urgency, (protocol::Urgency{.priority = 1, .run = 3, .rank = 7}));
  EXPECT_EQ(rig({FetchFailed{datum(30, 3), PeerId{2}}}), "fetch 10@2; missing 30@2");
  EXPECT_EQ(rig({FetchFailed{datum(10), PeerId{2}}}), "fetch 11@2; missing 10@2");
  EXPECT_EQ(rig({FetchFailed{datum(11), PeerId{2}}}), "fetch 20@2; missing 11@2");
  EXPECT_EQ(rig({FetchFailed{datum(20, 2), PeerId{2}}}), "fetch 31@2; missing 20@2");
}

/// The fetches of a worker that gets one datum at a time, until none is left.
std::string fetched_in_turn(Rig& rig) {
  std::string order;
  while (true) {
    std::optional<StartFetch> fetch;
    for (const Action& action : rig.actions) {
      if (const auto* start = std::get_if<StartFetch>(&action)) fetch = *start;
    }
    if (!fetch) return order;
    order += ' ';
    order += std::to_string(fetch->datum.run.session.value);
    order += ':';
    order += std::to_string(fetch->datum.index);
    rig({FetchFailed{fetch->datum, fetch->peer}});
  }
}

TEST(WorkerFetches, SessionsFetchEquallyManyBytes) {
  Rig rig(1, 1000, {.fetches = 1});
  rig.told(peer_info(2, "there"));
  std::vector<Assigned> many, few;
  for (std::uint32_t i = 0; i < 6; ++i) many.push_back({i, {{i, 2}}, {}, 1, i});
  for (std::uint32_t i = 0; i < 2; ++i) few.push_back({i, {{i, 3}}, {}, 1, 100 + i});
  for (Assigned& task : few) task.input_bytes = 20;
  rig.told(assignment(many));
  const Actions first = rig.actions;
  rig.told(assignment(few, 1, 2));
  rig.actions = first;
  EXPECT_EQ(fetched_in_turn(rig), " 1:0 2:0 1:1 1:2 2:1 1:3 1:4 1:5");
}

TEST(WorkerFetches, ASessionWhosePeerIsBusyDoesNotHoldUpOthers) {
  Rig rig(1, 1000, {.fetches = 4, .fetches_per_peer = 1});
  rig.told(peer_info(2, "there"));
  rig.told(peer_info(3, "there"));
  EXPECT_EQ(rig.told(assignment({{0, {{0, 2}}, {}}, {1, {{1, 2}}, {}}})), "fetch 0@2");
  EXPECT_EQ(rig.told(assignment({{0, {{10, 3}}, {}}, {1, {{11, 3}}, {}}}, 1, 2)), "fetch 10@3");
  EXPECT_EQ(rig({FetchFailed{datum(10, 1, 2), PeerId{3}}}), "fetch 11@3; missing 10@3");
}

TEST(WorkerFetches, WithoutRoomForTheSessionWhoseTurnItIsTheFirstByUseIsFetched) {
  Rig rig(1, 40, {.fetches = 1});
  rig.told(peer_info(2, "there"));
  // Session 1 has a part of what its task reads, and goes first in the memory.
  EXPECT_EQ(rig.told(assignment({{0, {{0, 2}, {1, 2}}, {}, 1, 0}})), "fetch 0@2");
  std::vector<Assigned> large = {{0, {{5, 2}}, {}, 1, 1}};
  large[0].input_bytes = 35;
  rig.told(assignment(large, 1, 2));
  EXPECT_EQ(rig({FetchDone{datum(0), 10}}), "fetch 1@2; acquired 0 local 0 remote 10");
}

TEST(WorkerFetches, AnswersCarryTheUrgencyOfTheRequest) {
  Rig rig;
  const protocol::Urgency urgency{.priority = 2, .run = 4, .rank = 8};
  rig.told(assignment({{0, {}, {0}}}));
  rig({FetchAsked{PeerId{2}, 7, datum(0), urgency}});
  EXPECT_EQ(rig.ended(0), "answer 0 to 2#7; done 0");
  EXPECT_EQ(std::get<AnswerFetch>(rig.actions.at(0)).urgency, urgency);
  rig({FetchAsked{PeerId{3}, 8, datum(0), urgency}});
  EXPECT_EQ(std::get<AnswerFetch>(rig.actions.at(0)).urgency, urgency);
}

}  // namespace
}  // namespace ashlar::worker
