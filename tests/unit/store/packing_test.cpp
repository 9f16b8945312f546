#include "store/packing.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.hpp"

namespace ashlar::store {
namespace {

using Bytes = std::vector<std::byte>;

Bytes counting(std::size_t bytes) {
  Bytes out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = i % 8 == 0 ? std::byte(i / 8) : std::byte{};
  return out;
}

Bytes noise(std::size_t bytes) {
  SplitMix64 random(1);
  Bytes out(bytes);
  for (std::byte& b : out) b = static_cast<std::byte>(random.next());
  return out;
}

TEST(Packing, WhatIsUnpackedIsWhatWasPacked) {
  for (const std::size_t bytes : {1'000u, 100'000u, 1u << 20}) {
    const Bytes from = counting(bytes);
    Bytes packed(packed_bytes_max(bytes));
    packed.resize(pack(from, packed));
    ASSERT_GT(packed.size(), 0u);
    ASSERT_LT(packed.size(), bytes);
    Bytes back(bytes);
    EXPECT_TRUE(unpack(packed, back));
    EXPECT_TRUE(back == from);
  }
}

TEST(Packing, WhatWouldNotBecomeSmallerIsNotPacked) {
  Bytes packed(packed_bytes_max(100'000));
  EXPECT_EQ(pack(noise(100'000), packed), 0u);
}

TEST(Packing, BadBytesAreRefused) {
  Bytes packed(packed_bytes_max(10'000));
  packed.resize(pack(counting(10'000), packed));
  Bytes less(9'999), more(10'001), back(10'000);
  EXPECT_FALSE(unpack(packed, less));
  EXPECT_FALSE(unpack(packed, more));
  EXPECT_FALSE(unpack(noise(5'000), back));
  EXPECT_FALSE(unpack({}, back));
}

TEST(Packing, PaysWhereItGoesSlowlyAndCanBeCompressed) {
  const Bytes good = counting(1 << 20);
  EXPECT_TRUE(pays_to_pack(good, 1e6));
  EXPECT_FALSE(pays_to_pack(good, 1e12));
  EXPECT_FALSE(pays_to_pack(noise(1 << 20), 1e6));
}

}  // namespace
}  // namespace ashlar::store
