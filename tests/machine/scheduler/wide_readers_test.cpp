#include "scheduler/placement/wide_readers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "order_case.hpp"

namespace ashlar::scheduler::placement {
namespace {

// A datum of a megabyte takes a millisecond from host to host.
constexpr std::int64_t short_us = 100, long_us = 100'000;

/// So many tasks that make a datum for each of so many others.
void shuffle(Case& c, std::uint32_t makers, std::uint32_t readers, std::int64_t task_us,
             std::int64_t reader_us = short_us) {
  std::vector<std::vector<std::uint32_t>> read(readers);
  for (std::uint32_t n = 0; n < makers; ++n) {
    const std::uint32_t first = c.add(task_us, {}, readers);
    for (std::uint32_t r = 0; r < readers; ++r) read[r].push_back(first + r);
  }
  for (const auto& inputs : read) c.add(reader_us, inputs);
}

std::map<std::uint32_t, std::uint32_t> count(const TaskOrder& order) {
  std::map<std::uint32_t, std::uint32_t> tasks;
  for (const std::uint32_t owner : order.owners) {
    if (owner != no_host) ++tasks[owner];
  }
  return tasks;
}

std::vector<std::uint32_t> shares(const TaskOrder& order) {
  std::vector<std::uint32_t> numbers;
  for (const auto& [owner, number] : count(order)) numbers.push_back(number);
  return numbers;
}

TEST(WideReaders, AreSharedOutAmongTheHosts) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  shuffle(c, 40, 12, short_us);
  const TaskOrder order = c.order();
  EXPECT_TRUE(order.prefetches);
  EXPECT_EQ(shares(order), (std::vector<std::uint32_t>{3, 3, 3, 3}));
  for (std::uint32_t t = 0; t < 40; ++t) EXPECT_EQ(order.owners[t], no_host) << t;
}

TEST(WideReaders, AreAsManyOnAFasterHostWhereItsLinkIsTheLimit) {
  Case c{1};
  c.add_host(3);
  shuffle(c, 40, 12, short_us);
  EXPECT_EQ(shares(c.order()), (std::vector<std::uint32_t>{6, 6}));
}

TEST(WideReaders, AreFewerOnASlowerHostWhereItsSlotsAreTheLimit) {
  Case c{1};
  c.add_host(3);
  shuffle(c, 40, 12, 10'000, 60'000);  // a reader's data are 40 ms on a link
  EXPECT_EQ(shares(c.order()), (std::vector<std::uint32_t>{5, 7}));
}

TEST(WideReaders, NobodyOwnsAnyWhereMovingDataIsLittle) {
  Case c{1};
  c.add_host(1);
  shuffle(c, 40, 12, 20 * long_us);
  const TaskOrder order = c.order();
  EXPECT_TRUE(order.owners.empty());
  EXPECT_FALSE(order.prefetches);
}

TEST(WideReaders, AreNoneOfThoseWithFewInputs) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  shuffle(c, 15, 12, short_us);
  EXPECT_TRUE(count(c.order()).empty());
}

TEST(WideReaders, AreNoneOfThoseThatReadWhatOthersReadToo) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  std::vector<std::uint32_t> all;
  for (int n = 0; n < 40; ++n) all.push_back(c.add(short_us, {}));
  for (int n = 0; n < 12; ++n) c.add(short_us, all);
  EXPECT_TRUE(count(c.order()).empty()) << "together on a host they would read it once";
}

TEST(WideReaders, AreNoneOfThoseWhoseInputsCouldBeMadeWhereTheyRun) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  for (int n = 0; n < 12; ++n) {
    std::vector<std::uint32_t> own;
    for (int k = 0; k < 40; ++k) own.push_back(c.add(4 * short_us, {}));
    c.add(4 * short_us, own);
  }
  EXPECT_FALSE(c.order().prefetches);
}

TEST(WideReaders, MayReadPiecesThatOthersCutOut) {
  Case c{1};
  for (int n = 1; n < 4; ++n) c.add_host(1);
  std::vector<std::vector<std::uint32_t>> read(12);
  for (int n = 0; n < 40; ++n) {
    const std::uint32_t made = c.add(short_us, {});
    for (auto& inputs : read) inputs.push_back(c.add(short_us, {made}));
  }
  for (const auto& inputs : read) c.add(short_us, inputs);
  const TaskOrder order = c.order();
  EXPECT_TRUE(order.prefetches);
  EXPECT_EQ(shares(order), (std::vector<std::uint32_t>{3, 3, 3, 3}));
  for (std::uint32_t made = 0; made < 40; ++made) {
    for (std::uint32_t piece = 1; piece <= 12; ++piece) {
      EXPECT_LE(order.ranks[13 * made + piece], order.ranks[13 * made] + 12) << "cut at once";
    }
  }
}

TEST(WideReaders, OneHostHasNoUseForThem) {
  Case c{2};
  c.add_neighbour(2);
  shuffle(c, 40, 12, short_us);
  EXPECT_TRUE(c.order().owners.empty());
}

TEST(WideReaders, OfUnknownSizesNothingIsSaid) {
  Case c{1};
  c.add_host(1);
  shuffle(c, 40, 12, short_us);
  c.make_bytes(std::vector<std::uint64_t>(40 * 12 + 12, 1'000'000));
  EXPECT_TRUE(c.order().owners.empty());
}

}  // namespace
}  // namespace ashlar::scheduler::placement
