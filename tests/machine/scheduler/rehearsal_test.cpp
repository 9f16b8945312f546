#include "scheduler/placement/rehearsal.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

constexpr std::int64_t task_ns = 1'000'000;  // of each task
constexpr auto anywhere = Rehearsal::anywhere;

struct Hosts : Case {
  explicit Hosts(std::uint32_t hosts, std::uint32_t slots = 1) : Case(slots) {
    for (std::uint32_t host = 1; host < hosts; ++host) add_host(slots);
  }
  std::uint32_t task(std::initializer_list<std::uint32_t> inputs = {}) { return add(1000, inputs); }
};

TEST(Rehearsal, SlotsRunOneTaskAfterTheOther) {
  Hosts c{1, 2};
  for (int t = 0; t < 5; ++t) c.task();
  EXPECT_EQ(c.rehearsed_ns(std::vector<std::uint32_t>(5, 0)), 3 * task_ns);
}

TEST(Rehearsal, SlowHostsTakeLonger) {
  Hosts c{2};
  c.slow_down(0, 4);
  c.task();
  c.task();
  EXPECT_EQ(c.rehearsed_ns({0, 1}), 4 * task_ns);
  EXPECT_EQ(c.rehearsed_ns({anywhere, anywhere}), 2 * task_ns);
}

TEST(Rehearsal, DataMoveBetweenHosts) {
  Hosts c{2};
  c.task({c.task()});
  EXPECT_EQ(c.rehearsed_ns({0, 0}), 2 * task_ns);
  EXPECT_EQ(c.rehearsed_ns({0, 1}), 2 * task_ns + c.megabyte_ns());
}

TEST(Rehearsal, ALinkMovesOneDatumAtATimeEachWay) {
  Hosts c{3, 2};
  const std::uint32_t first = c.task(), second = c.task();
  c.task({first, second});
  EXPECT_EQ(c.rehearsed_ns({0, 0, 1}), 2 * task_ns + 2 * c.megabyte_ns()) << "from one host";
  EXPECT_EQ(c.rehearsed_ns({0, 1, 2}), 2 * task_ns + 2 * c.megabyte_ns()) << "to one host";
  EXPECT_EQ(c.rehearsed_ns({0, 1, 1}), 2 * task_ns + c.megabyte_ns());
}

TEST(Rehearsal, WhatIsNeededFirstComesFirst) {
  Hosts c{2, 2};
  const std::uint32_t later = c.task(), sooner = c.task();
  c.task({c.task({c.task({sooner})})});
  c.task({later});
  EXPECT_EQ(c.rehearsed_ns({0, 0, 1, 1, 1, 1}), 4 * task_ns + c.megabyte_ns());
}

TEST(Rehearsal, WhoHasADatumPassesItOn) {
  Hosts c{4};
  const std::uint32_t datum = c.task();
  for (int reader = 0; reader < 3; ++reader) c.task({datum});
  EXPECT_EQ(c.rehearsed_ns({0, 1, 2, 3}), 2 * task_ns + 2 * c.megabyte_ns());
}

TEST(Rehearsal, WhatOtherGraphsMadeIsThereAlready) {
  Hosts c{2};
  c.task({1});
  c.add_externals({1});
  EXPECT_EQ(c.rehearsed_ns({1}), task_ns);
  EXPECT_EQ(c.rehearsed_ns({0}), task_ns + c.megabyte_ns());
  EXPECT_EQ(c.rehearsed_ns({anywhere}), task_ns) << "where it is";
  c.add_externals({no_host});
  EXPECT_EQ(c.rehearsed_ns({0}), task_ns) << "nobody knows where";
}

TEST(Rehearsal, GivesUpAfterSoManyLooks) {
  Hosts c{2};
  for (int t = 0; t < 100; ++t) c.task();
  const std::vector<std::uint32_t> where(100, 0);
  EXPECT_EQ(c.rehearsed_ns(where, 1000), 100 * task_ns);
  EXPECT_EQ(c.rehearsed_ns(where, 200), Rehearsal::given_up);
}

TEST(Rehearsal, WhatIsFreeGoesWhereItIsDoneFirst) {
  Hosts c{2};
  c.task({c.task()});
  EXPECT_EQ(c.rehearsed_ns({0, anywhere}), 2 * task_ns) << "where its input is";
  c.task();
  EXPECT_EQ(c.rehearsed_ns({0, anywhere, anywhere}), 2 * task_ns) << "to who is idle";
}

}  // namespace
}  // namespace ashlar::scheduler::placement
