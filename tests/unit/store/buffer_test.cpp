#include "store/buffer.hpp"

#include <gtest/gtest.h>

#include <memory>

#include <ashlar/error.hpp>
#include "store/result_memory.hpp"

namespace ashlar::store {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

TEST(Buffer, GivesItsBlockBackWithTheLastHandle) {
  auto arena = std::make_shared<Arena>(16 * mib);
  Buffer a = Buffer::allocate(arena, 1000);
  EXPECT_TRUE(a.is_own());
  EXPECT_TRUE(a.is_unshared());
  a.writable()[999] = std::byte{5};
  {
    const Buffer b = a;
    EXPECT_FALSE(a.is_unshared());
    a = Buffer();
    EXPECT_EQ(b.bytes()[999], std::byte{5});
    EXPECT_GE(arena->allocated_bytes(), 1000u);
  }
  EXPECT_EQ(arena->allocated_bytes(), 0u);
  EXPECT_FALSE(a);
}

TEST(Buffer, EmptyDataAreBuffersToo) {
  auto arena = std::make_shared<Arena>(mib);
  const Buffer empty = Buffer::allocate(arena, 0);
  EXPECT_TRUE(empty);
  EXPECT_EQ(empty.size(), 0u);
}

TEST(Buffer, KeepsItsArena) {
  auto arena = std::make_shared<Arena>(mib);
  const Buffer a = Buffer::allocate(arena, 8);
  const std::weak_ptr<Arena> watch = arena;
  arena.reset();
  EXPECT_FALSE(watch.expired());
  a.writable()[0] = std::byte{1};
}

TEST(Buffer, ALeaseEndsOnce) {
  Arena arena(mib);
  auto mapped = std::make_shared<const MappedArena>(arena.descriptor().duplicate(), mib);
  int released = 0;
  Buffer a = Buffer::leased(mapped, mapped->at(64, 128), [&] { ++released; });
  EXPECT_FALSE(a.is_own());
  EXPECT_EQ(a.size(), 128u);
  Buffer b = a;
  a = Buffer();
  EXPECT_EQ(released, 0);
  b = Buffer();
  EXPECT_EQ(released, 1);
}

TEST(BufferDeathTest, LeasesAreReadOnly) {
  Arena arena(mib);
  auto mapped = std::make_shared<const MappedArena>(arena.descriptor().duplicate(), mib);
  const Buffer a = Buffer::leased(mapped, mapped->at(0, 64), {});
  EXPECT_DEATH(a.writable(), "read-only");
}

TEST(ResultPool, LargeBlocksAreAlignedAndReused) {
  ResultPool pool;
  auto a = pool.allocate_result(8'000'000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.get()) % (2 * mib), 0u);
  a.get()[7'999'999] = std::byte{1};
  const std::byte* address = a.get();
  a.reset();
  EXPECT_EQ(pool.cached_bytes(), 8 * mib);
  a = pool.allocate_result(7'000'000);
  EXPECT_EQ(a.get(), address);
  EXPECT_EQ(pool.cached_bytes(), 0u);
}

TEST(ResultPool, SmallAndHugeOnesAreNotKept) {
  ResultPool pool({.cached_bytes_max = 8 * mib});
  auto small = pool.allocate_result(100);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(small.get()) % 64, 0u);
  EXPECT_NE(pool.allocate_result(0), nullptr);
  small.reset();
  pool.allocate_result(10 * mib);
  EXPECT_EQ(pool.cached_bytes(), 0u);
  {
    auto a = pool.allocate_result(4 * mib);
    auto b = pool.allocate_result(6 * mib);
  }
  EXPECT_LE(pool.cached_bytes(), 8 * mib);
  EXPECT_GT(pool.cached_bytes(), 0u);
}

TEST(ResultPool, BlocksOutliveThePool) {
  std::shared_ptr<std::byte> block;
  {
    ResultPool pool;
    block = pool.allocate_result(4 * mib);
  }
  block.get()[0] = std::byte{1};
}

TEST(ResultPool, TooMuchIsAnError) {
  ResultPool pool;
  EXPECT_THROW(pool.allocate_result(~std::size_t{0}), Overloaded);
  EXPECT_THROW(pool.allocate_result(std::size_t{1} << 60), Overloaded);
}

}  // namespace
}  // namespace ashlar::store
