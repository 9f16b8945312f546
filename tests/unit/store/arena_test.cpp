#include "store/arena.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ashlar/error.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "broken_system.hpp"

namespace ashlar::store {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

void fill(std::span<std::byte> block, std::uint64_t mark) {
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(mark + i / 64);
}

bool holds(std::span<const std::byte> block, std::uint64_t mark) {
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (block[i] != static_cast<std::byte>(mark + i / 64)) return false;
  }
  return true;
}

TEST(Arena, BlocksAreAlignedAndCounted) {
  Arena arena(64 * mib);
  EXPECT_EQ(arena.allocated_bytes(), 0u);
  EXPECT_TRUE(arena.allocate(0).empty());
  arena.free({});
  for (const std::size_t bytes : {1u, 8u, 64u, 65u, 4096u, 4097u, 1000000u}) {
    const auto block = arena.allocate(bytes);
    EXPECT_EQ(block.size(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % 64, 0u);
    EXPECT_GE(arena.allocated_bytes(), bytes);
    EXPECT_GE(arena.touched_bytes(), bytes);
    arena.check_invariants();
    arena.free(block);
    EXPECT_EQ(arena.allocated_bytes(), 0u);
  }
  arena.check_invariants();
}

TEST(Arena, ReusesTouchedMemory) {
  Arena arena(256 * mib);
  for (int round = 0; round < 100; ++round) {
    const auto a = arena.allocate(8 * mib);
    const auto b = arena.allocate(3 * mib + 17);
    arena.free(a);
    const auto c = arena.allocate(7 * mib);
    arena.free(b);
    arena.free(c);
  }
  EXPECT_LE(arena.touched_bytes(), 14 * mib);
}

TEST(Arena, FullSaysSoAndRecovers) {
  Arena arena(16 * mib);
  const auto all = arena.allocate(16 * mib);
  try {
    arena.allocate(5000);
    FAIL() << "no Overloaded";
  } catch (const Overloaded& error) {
    EXPECT_NE(std::string(error.what()).find("8192 bytes"), std::string::npos) << error.what();
  }
  EXPECT_THROW(arena.allocate(8), Overloaded);
  EXPECT_THROW(arena.allocate(~std::size_t{0}), Overloaded);
  arena.free(all);
  arena.check_invariants();
  arena.free(arena.allocate(16 * mib));
}

TEST(Arena, FreesMergeWithTheirNeighbours) {
  Arena arena(8 * mib);
  std::vector<std::span<std::byte>> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(arena.allocate(mib));
  for (const int i : {1, 3, 5, 7, 0, 2, 6, 4}) arena.free(blocks[static_cast<std::size_t>(i)]);
  arena.check_invariants();
  EXPECT_EQ(arena.allocate(8 * mib).size(), 8 * mib);
}

TEST(Arena, RandomTrafficNeverOverlaps) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SplitMix64 random(seed);
    Arena arena(32 * mib);
    struct Live {
      std::span<std::byte> block;
      std::uint64_t mark;
    };
    std::vector<Live> live;
    for (int step = 0; step < 4000; ++step) {
      if (live.empty() || random.below(100) < 55) {
        const std::uint64_t magnitude = random.below(20);
        const std::size_t bytes = 1 + random.below(std::uint64_t{1} << magnitude);
        try {
          const auto block = arena.allocate(bytes);
          live.push_back({block, random.next()});
          fill(block, live.back().mark);
        } catch (const Overloaded&) {
          EXPECT_GT(arena.allocated_bytes(), 8 * mib) << "seed " << seed;
        }
      } else {
        const std::size_t i = random.below(live.size());
        ASSERT_TRUE(holds(live[i].block, live[i].mark)) << "seed " << seed << " step " << step;
        arena.free(live[i].block);
        live[i] = live.back();
        live.pop_back();
      }
      if (step % 100 == 0) arena.check_invariants();
    }
    for (const auto& l : live) {
      ASSERT_TRUE(holds(l.block, l.mark)) << "seed " << seed;
      arena.free(l.block);
    }
    arena.check_invariants();
    EXPECT_EQ(arena.allocated_bytes(), 0u);
  }
}

TEST(ArenaDeathTest, ForeignFreesAbort) {
  Arena arena(16 * mib);
  const auto block = arena.allocate(2 * mib);
  EXPECT_DEATH(arena.free(block.subspan(mib)), "not allocated");
  std::byte stranger[8];
  EXPECT_DEATH(arena.free(stranger), "outside");
  const auto small = arena.allocate(8);
  const auto other = arena.allocate(8);
  arena.free(small);
  EXPECT_DEATH((arena.free(small), arena.check_invariants()), "twice");
  arena.free(other);
}

TEST(Arena, OnlyTouchedPagesCost) {
  // As much as sanitizers leave room for at once, in every layout of the address space.
  Arena arena(std::size_t{64} << 30);
  arena.free(arena.allocate(100));
  EXPECT_LE(arena.touched_bytes(), 2 * mib);
}

TEST(Arena, SaysWhatABlockTakes) {
  Arena arena(16 * mib);
  for (const std::size_t bytes : {0u, 1u, 64u, 65u, 4096u, 4097u, 80000u}) {
    const auto block = arena.allocate(bytes);
    EXPECT_EQ(arena.allocated_bytes(), Arena::block_bytes(bytes)) << bytes;
    arena.free(block);
  }
  EXPECT_EQ(Arena::block_bytes(80000), 81920u);
  EXPECT_GT(Arena::block_bytes(~std::uint64_t{0} - 1), std::uint64_t{1} << 63) << "no overflow";
}

TEST(Arena, GapsCostAddressesAndNoMemory) {
  Arena arena({.capacity = 48 * mib, .memory = 16 * mib});
  std::vector<std::span<std::byte>> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(arena.allocate(mib));
  for (std::size_t i = 0; i < 16; i += 2) arena.free(blocks[i]);
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(arena.allocate(2 * mib));
    fill(blocks.back(), 3);
  }
  EXPECT_LE(arena.resident_bytes(), 16 * mib);
  EXPECT_TRUE(holds(blocks.back(), 3));
  for (std::size_t i = 16; i < 20; ++i) arena.free(blocks[i]);
  for (std::size_t i = 0; i < 16; i += 2) {
    blocks[i] = arena.allocate(mib);
    fill(blocks[i], 5);
  }
  EXPECT_LE(arena.resident_bytes(), 16 * mib);
  arena.check_invariants();
}

/// What an arena says that cannot be made in a process in which `f` was done.
template <class Error>
void expect_no_arena(const std::function<bool()>& f, const std::string& expected) {
  testing::in_a_child([&] {
    if (!f()) return testing::skipped;
    try {
      Arena arena(mib);
      ADD_FAILURE() << "there is one";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
    return 0;
  });
}

TEST(ArenaFaults, ASystemWithoutSharedMemoryIsNamed) {
  for (const int error : {ENOSYS, EPERM}) {
    expect_no_arena<Unsupported>([&] { return testing::deny_call(SYS_memfd_create, error); },
                                 std::string("memfd_create: ").append(std::strerror(error)));
  }
  expect_no_arena<Overloaded>([] { return testing::deny_call(SYS_memfd_create, ENOMEM); },
                              "Cannot allocate memory");
}

TEST(ArenaFaults, LimitsOfTheProcessAreNamed) {
  const auto lower = [](auto resource) {
    const rlimit none = {0, 0};
    return ::setrlimit(resource, &none) == 0;
  };
  expect_no_arena<Overloaded>([&] { return lower(RLIMIT_NOFILE); }, "ulimit -n");
  expect_no_arena<Overloaded>([&] { return lower(RLIMIT_FSIZE); }, "ulimit -f");
}

TEST(ArenaFaults, MemoryThatTheSystemRefusesIsAnErrorAndLeavesNothing) {
  testing::in_a_child([] {
    Arena arena(16 * mib);
    if (!testing::deny_call(SYS_madvise, ENOMEM)) return testing::skipped;
    EXPECT_THROW(arena.allocate(3 * mib), Overloaded);
    EXPECT_EQ(arena.allocated_bytes(), 0u);
    arena.check_invariants();
    return 0;
  });
}

TEST(ArenaFaults, WithoutAdviceOnPagesBlocksAreAsGood) {
  testing::in_a_child([] {
    if (!testing::deny_call(SYS_madvise, EINVAL)) return testing::skipped;
    Arena arena({.capacity = 16 * mib, .memory = 4 * mib});
    for (int round = 0; round < 3; ++round) {
      const auto block = arena.allocate(3 * mib), small = arena.allocate(100);
      fill(block, 7);
      fill(small, 8);
      EXPECT_TRUE(holds(block, 7) && holds(small, 8));
      arena.free(block);
      arena.free(small);
    }
    arena.check_invariants();
    return 0;
  });
}

TEST(MappedArena, SeesTheOwnersBytes) {
  Arena arena(16 * mib);
  const auto block = arena.allocate(3 * mib);
  fill(block, 7);
  const MappedArena mapped(arena.descriptor().duplicate(), arena.capacity());
  EXPECT_TRUE(holds(mapped.at(arena.offset_of(block.data()), block.size()), 7));
  fill(block, 8);
  EXPECT_TRUE(holds(mapped.at(arena.offset_of(block.data()), block.size()), 8));
}

TEST(MappedArena, RefusesRangesOutside) {
  Arena arena(mib);
  const MappedArena mapped(arena.descriptor().duplicate(), arena.capacity());
  EXPECT_EQ(mapped.at(mib, 0).size(), 0u);
  EXPECT_THROW(mapped.at(mib, 1), BadInput);
  EXPECT_THROW(mapped.at(mib - 1, 2), BadInput);
  EXPECT_THROW(mapped.at(8, ~std::size_t{0} - 4), BadInput);
  EXPECT_THROW(mapped.at(~std::size_t{0}, 1), BadInput);
}

TEST(MappedArena, RefusesWhatIsNoArena) {
  Arena arena(mib);
  EXPECT_THROW(MappedArena(arena.descriptor().duplicate(), 2 * mib), BadInput);
  EXPECT_THROW(MappedArena(arena.descriptor().duplicate(), 0), BadInput);
  EXPECT_THROW(MappedArena(FileDescriptor(::open("/dev/zero", O_RDONLY)), mib), BadInput);
  EXPECT_THROW(MappedArena(FileDescriptor(), mib), BadInput);
  FileDescriptor unsealed(::memfd_create("unsealed", MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), mib), 0);
  EXPECT_THROW(MappedArena(std::move(unsealed), mib), BadInput);
}

TEST(Arena, CannotBeResizedByItsReaders) {
  Arena arena(mib);
  EXPECT_NE(::ftruncate(arena.descriptor().get(), 0), 0);
  EXPECT_NE(::ftruncate(arena.descriptor().get(), 2 * mib), 0);
}

TEST(FileDescriptor, OwnsItsNumber) {
  FileDescriptor a(::open("/dev/null", O_RDONLY));
  const int number = a.get();
  FileDescriptor b = std::move(a);
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(b.get(), number);
  b = b.duplicate();
  EXPECT_NE(b.get(), number);
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_THROW(FileDescriptor().duplicate(), Overloaded);
}

}  // namespace
}  // namespace ashlar::store
