#include "worker/id_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "base/random.hpp"

namespace ashlar::worker {
namespace {

DatumId datum(std::uint32_t run, std::uint32_t index) { return {{SessionId{1}, run}, index}; }

TEST(IdTable, AgreesWithAMapUnderRandomUse) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SplitMix64 random(seed);
    IdTable table;
    std::map<DatumId, std::uint32_t> model;
    for (int i = 0; i < 4000; ++i) {
      const DatumId id =
          datum(static_cast<std::uint32_t>(random.below(3)),
                static_cast<std::uint32_t>(random.below(300) << (10 * random.below(2))));
      const auto known = model.find(id);
      ASSERT_EQ(table.find(id), known == model.end() ? no_slot : known->second);
      if (known == model.end()) {
        const auto slot = static_cast<std::uint32_t>(random.below(1000));
        model.emplace(id, slot);
        table.insert(id, slot);
      } else if (random.below(3) > 0) {
        model.erase(known);
        table.erase(id);
      }
      ASSERT_EQ(table.size(), model.size());
    }
    for (const auto& [id, slot] : model) ASSERT_EQ(table.find(id), slot);
  }
}

TEST(RecentIds, RemembersTheLastOnes) {
  constexpr std::uint32_t count = 256;
  RecentIds recent(count);
  for (std::uint32_t i = 0; i < 100 * count; ++i) {
    EXPECT_FALSE(recent.has(datum(1, i)));
    recent.note(datum(1, i));
    EXPECT_TRUE(recent.has(datum(1, i)));
  }
  std::uint32_t known = 0;
  for (std::uint32_t i = 0; i < 100 * count; ++i) known += recent.has(datum(1, i)) ? 1 : 0;
  EXPECT_LE(known, count);
  EXPECT_GT(known, count / 2);
  std::uint32_t of_last = 0;
  for (std::uint32_t i = 99 * count; i < 100 * count; ++i) {
    of_last += recent.has(datum(1, i)) ? 1 : 0;
    recent.forget(datum(1, i));
    EXPECT_FALSE(recent.has(datum(1, i)));
  }
  EXPECT_GT(of_last, count / 3);
}

TEST(RecentIds, NoneAreRememberedWhereNoneAreToBe) {
  RecentIds none(0);
  none.note(datum(1, 2));
  EXPECT_FALSE(none.has(datum(1, 2)));
}

TEST(IdMap, AgreesWithAMapUnderRandomUse) {
  SplitMix64 random(1);
  IdMap<std::string> map;
  std::map<DatumId, std::string> model;
  for (int i = 0; i < 4000; ++i) {
    const DatumId id = datum(1, static_cast<std::uint32_t>(random.below(100)));
    if (random.below(2) == 0) {
      map.set(id, std::to_string(i));
      model[id] = std::to_string(i);
    } else {
      const auto known = model.extract(id);
      EXPECT_EQ(map.take(id), known ? std::optional(known.mapped()) : std::nullopt);
      EXPECT_EQ(map.find(id), nullptr);
    }
    ASSERT_EQ(map.size(), model.size());
  }
  std::map<DatumId, std::string> visited;
  map.visit([&](const DatumId& id, const std::string& value) { visited.emplace(id, value); });
  EXPECT_EQ(visited, model);
  for (const auto& [id, value] : model) EXPECT_EQ(*map.find(id), value);
}

TEST(IdMap, WhatItSaysTheIdIsMayBeTaken) {
  IdMap<int> map;
  map.set(datum(1, 2), 3);
  const DatumId* own = nullptr;
  map.visit([&](const DatumId& id, int) { own = &id; });
  EXPECT_EQ(map.take(*own), 3);
  EXPECT_EQ(map.size(), 0u);
}

struct Record {
  bool is_used = false;
  int value = 0;
};

TEST(Pool, GivesCleanRecordsAgain) {
  Pool<Record> pool;
  const std::uint32_t first = pool.add();
  pool[first].value = 7;
  pool.remove(first);
  EXPECT_FALSE(pool.has(first));
  EXPECT_EQ(pool.add(), first);
  EXPECT_EQ(pool[first].value, 0);
  EXPECT_EQ(pool.size(), 1u);
}

}  // namespace
}  // namespace ashlar::worker
