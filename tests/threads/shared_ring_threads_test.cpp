#include "net/shared_ring.hpp"

#include <gtest/gtest.h>

#include <semaphore>
#include <thread>
#include <vector>

#include "base/random.hpp"

namespace ashlar::net {
namespace {

/// One side: moves bytes, and sleeps when it can do nothing, until the other side wakes it.
struct Side {
  SharedRing& ring;
  std::counting_semaphore<>& own_bell;
  std::counting_semaphore<>& peers_bell;
  std::uint64_t sleeps = 0;

  void ring_if(bool wakes_peer) {
    if (wakes_peer) peers_bell.release();
  }

  void send(std::size_t total, std::uint64_t seed) {
    SplitMix64 random(seed);
    std::size_t sent = 0;
    std::vector<std::byte> bytes;
    while (sent < total) {
      if (bytes.empty()) {
        bytes.resize(std::min<std::size_t>(total - sent, 1 + random.below(300)));
        for (std::size_t i = 0; i < bytes.size(); ++i) {
          bytes[i] = static_cast<std::byte>((sent + i) * 31);
        }
      }
      const std::span<const std::byte> parts[] = {bytes};
      const auto moved = ring.write(parts);
      ring_if(moved.wakes_peer);
      sent += moved.bytes;
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<long>(moved.bytes));
      if (moved.bytes == 0 && !ring.await_room()) {
        own_bell.acquire();
        ++sleeps;
      }
    }
  }

  void receive(std::size_t total, std::uint64_t seed) {
    SplitMix64 random(seed);
    std::vector<std::byte> place(300);
    for (std::size_t received = 0; received < total;) {
      const auto moved =
          ring.read({std::span(place).first(1 + random.below(place.size())), {}});
      ring_if(moved.wakes_peer);
      for (std::size_t i = 0; i < moved.bytes; ++i) {
        ASSERT_EQ(place[i], static_cast<std::byte>((received + i) * 31));
      }
      received += moved.bytes;
      if (moved.bytes == 0 && !ring.await_bytes()) {
        own_bell.acquire();
        ++sleeps;
      }
    }
  }
};

/// Would hang if one wake-up were lost: a bell rung for a moment that has passed is harmless, one
/// not rung is not.
TEST(SharedRingThreads, NoWakeUpIsLost) {
  constexpr std::size_t total = 2'000'000;
  auto maker = SharedRing::create(256);
  auto taker = SharedRing::open(maker->take_descriptor(), 256);
  std::counting_semaphore<> sender_bell(0), receiver_bell(0);
  Side sender{*maker, sender_bell, receiver_bell};
  Side receiver{*taker, receiver_bell, sender_bell};
  std::thread thread([&] { sender.send(total, 1); });
  receiver.receive(total, 2);
  thread.join();
  EXPECT_GT(sender.sleeps + receiver.sleeps, 10u);
  EXPECT_FALSE(taker->has_bytes());
}

}  // namespace
}  // namespace ashlar::net
