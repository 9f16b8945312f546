#include <gtest/gtest.h>

#include <ashlar/error.hpp>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "store/buffer.hpp"
#include "store/result_memory.hpp"

namespace ashlar::store {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

TEST(ArenaThreads, BlocksOfDifferentThreadsNeverOverlap) {
  Arena arena(256 * mib);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&arena, t] {
      SplitMix64 random(t);
      std::vector<std::span<std::byte>> live;
      const auto mark = static_cast<int>(t);
      for (int step = 0; step < 3000; ++step) {
        if (live.size() < 20 && random.below(2) == 0) {
          live.push_back(arena.allocate(1 + random.below(std::uint64_t{1} << random.below(18))));
          std::memset(live.back().data(), mark, live.back().size());
        } else if (!live.empty()) {
          const std::size_t i = random.below(live.size());
          for (const std::byte b : live[i]) ASSERT_EQ(b, static_cast<std::byte>(mark));
          arena.free(live[i]);
          live[i] = live.back();
          live.pop_back();
        }
      }
      for (const auto block : live) arena.free(block);
    });
  }
  for (auto& thread : threads) thread.join();
  arena.check_invariants();
  EXPECT_EQ(arena.allocated_bytes(), 0u);
}

TEST(ArenaThreads, BuffersMayBeDroppedElsewhere) {
  auto arena = std::make_shared<Arena>(64 * mib);
  for (int round = 0; round < 50; ++round) {
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < 100; ++i) buffers.push_back(Buffer::allocate(arena, 8 * i));
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([copies = buffers]() mutable { copies.clear(); });
    buffers.clear();
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(arena->allocated_bytes(), 0u);
  arena->check_invariants();
}

TEST(ArenaThreads, ResultsOfSeveralThreads) {
  ResultPool pool({.cached_bytes_max = 16 * mib});
  std::vector<std::thread> threads;
  for (int t = 1; t <= 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int round = 0; round < 50; ++round) {
        const std::size_t bytes = (2 + static_cast<std::size_t>(round % 4)) * mib;
        const auto block = pool.allocate_result(bytes);
        block.get()[0] = block.get()[bytes - 1] = static_cast<std::byte>(t);
        ASSERT_EQ(block.get()[0], static_cast<std::byte>(t));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(pool.cached_bytes(), 16 * mib);
}

}  // namespace
}  // namespace ashlar::store
