#include "net/shared_ring.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace ashlar::net {
namespace {

using Bytes = std::vector<std::byte>;

struct Ends {
  std::unique_ptr<SharedRing> maker;
  std::unique_ptr<SharedRing> taker;
};

Ends ends(std::size_t bytes) {
  Ends out;
  out.maker = SharedRing::create(bytes);
  out.taker = SharedRing::open(out.maker->take_descriptor(), bytes);
  return out;
}

SharedRing::Moved write(SharedRing& ring, std::span<const std::byte> bytes) {
  const std::span<const std::byte> parts[] = {bytes.first(bytes.size() / 3), {},
                                              bytes.subspan(bytes.size() / 3)};
  return ring.write(parts);
}

TEST(SharedRing, CarriesBytesBothWaysInOrder) {
  const Ends e = ends(1024);
  ASSERT_TRUE(e.maker && e.taker);
  for (const bool is_forth : {true, false}) {
    SharedRing& from = is_forth ? *e.maker : *e.taker;
    SharedRing& to = is_forth ? *e.taker : *e.maker;
    SplitMix64 random(is_forth ? 1 : 2);
    std::deque<std::byte> under_way;
    std::size_t full = 0, empty = 0;
    for (int step = 0; step < 20'000; ++step) {
      Bytes bytes(1 + random.below(700));
      for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
      const std::size_t written = write(from, bytes).bytes;
      ASSERT_EQ(written, std::min(bytes.size(), 1024 - under_way.size()));
      under_way.insert(under_way.end(), bytes.begin(), bytes.begin() + static_cast<long>(written));
      full += from.has_room() ? 0 : 1;
      Bytes first(random.below(300)), second(1 + random.below(700));
      const std::size_t read = to.read({std::span(first), std::span(second)}).bytes;
      ASSERT_EQ(read, std::min(first.size() + second.size(), under_way.size()));
      first.insert(first.end(), second.begin(), second.end());
      for (std::size_t i = 0; i < read; ++i) {
        ASSERT_EQ(first[i], under_way.front());
        under_way.pop_front();
      }
      empty += to.has_bytes() ? 0 : 1;
    }
    EXPECT_GT(full, 100u);
    EXPECT_GT(empty, 100u);
    EXPECT_FALSE(from.is_broken() || to.is_broken());
  }
}

TEST(SharedRing, SaysWhenThePeerSleepsAndOnlyThen) {
  const Ends e = ends(64);
  const Bytes bytes(40);
  Bytes place(100);
  EXPECT_FALSE(write(*e.maker, bytes).wakes_peer);
  EXPECT_TRUE(e.taker->await_bytes()) << "there are bytes already";
  EXPECT_EQ(e.taker->read({std::span(place), {}}).bytes, 40u);
  EXPECT_FALSE(e.taker->await_bytes());
  EXPECT_TRUE(write(*e.maker, bytes).wakes_peer);
  EXPECT_FALSE(write(*e.maker, bytes).wakes_peer) << "it has been woken";
  EXPECT_FALSE(e.maker->has_room());
  EXPECT_EQ(write(*e.maker, bytes).bytes, 0u);
  EXPECT_FALSE(e.maker->await_room());
  EXPECT_TRUE(e.taker->read({std::span(place).first(1), {}}).wakes_peer);
  EXPECT_FALSE(e.taker->read({std::span(place).first(1), {}}).wakes_peer);
  EXPECT_TRUE(e.maker->await_room()) << "there is room already";
  EXPECT_TRUE(e.taker->skip().wakes_peer);
  EXPECT_FALSE(e.taker->await_bytes());
  e.taker->look_for_bytes();
  EXPECT_FALSE(write(*e.maker, bytes).wakes_peer) << "it looks by itself";
}

TEST(SharedRing, TakesNoOtherMemory) {
  EXPECT_FALSE(SharedRing::create(1000)) << "no power of two";
  EXPECT_FALSE(SharedRing::create(std::size_t{1} << 40));
  EXPECT_FALSE(SharedRing::open(Descriptor(), 1024));
  EXPECT_FALSE(SharedRing::open(Descriptor(::open("/dev/zero", O_RDWR)), 1024));
  Descriptor unsealed(::memfd_create("unsealed", MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 1 << 20), 0);
  EXPECT_FALSE(SharedRing::open(std::move(unsealed), 1024)) << "it could shrink";
  auto ring = SharedRing::create(1024);
  EXPECT_FALSE(SharedRing::open(ring->take_descriptor(), 2048)) << "smaller than it says";
  ring = SharedRing::create(1024);
  EXPECT_FALSE(SharedRing::open(ring->take_descriptor(), 0));
}

TEST(SharedRing, NoticesImpossiblePositions) {
  auto ring = SharedRing::create(1024);
  const Descriptor descriptor = ring->take_descriptor();
  // What a hostile peer can reach: every position, written and read, of both directions.
  auto* head = static_cast<std::uint64_t*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0));
  ASSERT_NE(head, MAP_FAILED);
  Bytes place(5000);
  SplitMix64 random(3);
  int broken = 0;
  for (int step = 0; step < 2000; ++step) {
    for (std::size_t i = 0; i < 512; i += 8) {
      if (random.below(4) == 0) std::atomic_ref(head[i]).store(random.next() >> random.below(64));
    }
    broken += ring->is_broken() ? 1 : 0;
    EXPECT_LE(write(*ring, std::span(place).first(random.below(3000))).bytes, 1024u);
    EXPECT_LE(ring->read({std::span(place).first(random.below(3000)), {}}).bytes, 1024u);
  }
  EXPECT_GT(broken, 100);
  ::munmap(head, 4096);
}

}  // namespace
}  // namespace ashlar::net
