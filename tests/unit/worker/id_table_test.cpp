#include "worker/id_table.hpp"

#include <gtest/gtest.h>

#include <map>

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
      const DatumId id = datum(static_cast<std::uint32_t>(random.below(3)),
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
