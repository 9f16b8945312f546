#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.hpp"
#include "scheduler/data_table.hpp"
#include "scheduler/indexed_heap.hpp"
#include "scheduler/rank_set.hpp"
#include "scheduler/task_table.hpp"

namespace ashlar::scheduler {
namespace {

TEST(RankSet, AgreesWithASet) {
  for (const std::uint32_t size : {1u, 64u, 65u, 5000u}) {
    SplitMix64 random{size};
    RankSet ranks{size};
    std::set<std::uint32_t> model;
    EXPECT_EQ(ranks.min(), RankSet::none);
    for (int i = 0; i < 4000; ++i) {
      const auto value = static_cast<std::uint32_t>(random.below(size));
      if (random.below(2) == 0) {
        ranks.insert(value);
        model.insert(value);
      } else {
        ranks.erase(value);
        model.erase(value);
      }
      ASSERT_EQ(ranks.contains(value), model.contains(value));
      ASSERT_EQ(ranks.min(), model.empty() ? RankSet::none : *model.begin());
    }
  }
  EXPECT_EQ(RankSet{0}.min(), RankSet::none);
}

TEST(IndexedHeap, AgreesWithAMap) {
  SplitMix64 random{1};
  IndexedHeap heap;
  std::map<std::uint32_t, std::int64_t> model;
  for (int i = 0; i < 5000; ++i) {
    const auto index = static_cast<std::uint32_t>(random.below(50));
    if (random.below(3) != 0) {
      model[index] = static_cast<std::int64_t>(random.below(20));
      heap.set(index, model[index]);
    } else {
      model.erase(index);
      heap.erase(index);
    }
    ASSERT_EQ(heap.size(), model.size());
    if (model.empty()) continue;
    auto least = model.begin();
    for (auto at = model.begin(); at != model.end(); ++at) {
      if (at->second < least->second) least = at;
    }
    ASSERT_EQ(heap.top(), least->first);
  }
}

TEST(TaskTable, OnlyAllowedMoves) {
  using enum TaskState;
  EXPECT_TRUE(TaskTable::is_allowed(waiting, assignable));
  EXPECT_TRUE(TaskTable::is_allowed(assigned, waiting));
  EXPECT_TRUE(TaskTable::is_allowed(done, waiting));
  EXPECT_FALSE(TaskTable::is_allowed(waiting, assigned));
  EXPECT_FALSE(TaskTable::is_allowed(waiting, done));
  EXPECT_FALSE(TaskTable::is_allowed(cancelled, waiting));
  EXPECT_FALSE(TaskTable::is_allowed(failed, done));
  TaskTable table{1, {0}, {0}};
  table.classes().push_back({0, 0, 0, RankSet{1}});
  table.join_class(0, 0);
  table.transition(0, assignable);
  EXPECT_EQ(table.classes()[0].ready.min(), 0u);
  table.transition(0, assigned);
  table.transition(0, done);
  EXPECT_EQ(table.unfinished(), 0u);
  EXPECT_EQ(table.classes()[0].unfinished, 0u);
  table.check_invariants();
  EXPECT_DEATH(table.transition(0, cancelled), "done -> cancelled");
}

TEST(ReplicaPool, AddsFindsAndRemoves) {
  ReplicaPool pool;
  Datum a, b;
  pool.add(a, 1);
  pool.add(a, 2);
  pool.add(b, 1);
  EXPECT_FALSE(pool.find(a, 1)->is_actual);
  EXPECT_TRUE(pool.remove(a, 1));
  EXPECT_FALSE(pool.remove(a, 1));
  EXPECT_EQ(pool.find(a, 1), nullptr);
  EXPECT_NE(pool.find(b, 1), nullptr);
  pool.clear(a);
  pool.clear(b);
  EXPECT_EQ(pool.size(), 0u);
}

TEST(ReplicaPool, CountsWhatIsUnderWayUntilItIsThereOrGivenUp) {
  ReplicaPool pool;
  Datum a, b;
  pool.add_coming(a, 1, 2, 100, Instant{});
  pool.add_coming(b, 1, 3, 10, Instant{});
  EXPECT_EQ(pool.incoming(1), 110u);
  EXPECT_EQ(pool.outgoing(2), 100u);
  pool.arrive(*pool.find(a, 1));
  EXPECT_TRUE(pool.find(a, 1)->is_actual);
  EXPECT_EQ(pool.incoming(1), 10u);
  EXPECT_EQ(pool.outgoing(2), 0u);
  pool.clear(a);
  pool.clear(b);
  EXPECT_EQ(pool.incoming(1), 0u);
  EXPECT_EQ(pool.outgoing(3), 0u);
}

}  // namespace
}  // namespace ashlar::scheduler
