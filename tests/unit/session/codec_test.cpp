#include <ashlar/codec.hpp>

#include <gtest/gtest.h>

#include <limits>

#include "base/random.hpp"

namespace ashlar {
namespace {

enum class Colour : std::uint16_t { red = 3, blue = 500 };

template <class T>
void expect_round_trip(const T& value) {
  const auto bytes = encode(value);
  EXPECT_EQ(decode<T>(bytes), value);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_THROW(decode<T>(std::span(bytes).first(n)), BadInput) << n << " of " << bytes.size();
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_THROW(decode<T>(longer), BadInput);
}

TEST(Codec, BringsValuesBackAndRefusesPartsOfThem) {
  expect_round_trip(42);
  expect_round_trip(-2.5f);
  expect_round_trip(std::numeric_limits<std::uint64_t>::max());
  expect_round_trip(true);
  expect_round_trip('x');
  expect_round_trip(Colour::blue);
  expect_round_trip(std::string("courses of blocks"));
  expect_round_trip(std::string());
  expect_round_trip(std::vector<double>{1, 2, 3});
  expect_round_trip(std::vector<bool>{true, false, true});
  expect_round_trip(std::vector<Colour>{Colour::red, Colour::blue});
  expect_round_trip(std::vector<std::string>{"a", "", "ccc"});
  expect_round_trip(std::vector<std::vector<int>>{{1}, {}, {2, 3}});
  expect_round_trip(std::pair<int, std::string>{7, "seven"});
  expect_round_trip(std::tuple<bool, double, std::vector<int>>{true, 0.5, {1, 2}});
  expect_round_trip(std::optional<int>());
  expect_round_trip(std::optional<std::string>("there"));
  expect_round_trip(std::array<std::int64_t, 3>{1, 2, 3});
}

TEST(Codec, KnowsWhatItCannotSend) {
  struct Unknown {};
  static_assert(!Codable<Unknown>);
  static_assert(!Codable<std::vector<Unknown>>);
  static_assert(!Codable<int*>);
  static_assert(!Codable<const char*>);
  static_assert(detail::FixedCodable<double>);
  static_assert(!detail::FixedCodable<std::string>);
  static_assert(detail::ArrayCodable<HostArray>);
  static_assert(!detail::ArrayCodable<std::vector<double>>);
}

TEST(Codec, RefusesCountsWithoutElements) {
  auto bytes = encode(std::vector<std::string>{"a"});
  bytes[7] = std::byte{0x7f};  // 2^62 and more elements
  EXPECT_THROW(decode<std::vector<std::string>>(bytes), BadInput);
  auto numbers = encode(std::vector<double>{1, 2});
  numbers[0] = std::byte{3};
  EXPECT_THROW(decode<std::vector<double>>(numbers), BadInput);
}

TEST(Codec, RefusesABoolThatIsNone) {
  const std::array<std::byte, 1> two{std::byte{2}};
  EXPECT_THROW(decode<bool>(two), BadInput);
}

HostArray counting(Shape shape) {
  HostArray array(DType::float64, std::move(shape));
  for (std::int64_t i = 0; i < array.size(); ++i) array.data<double>()[i] = static_cast<double>(i);
  return array;
}

bool are_equal(const HostArray& a, const HostArray& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && a.size_bytes() == b.size_bytes() &&
         std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin());
}

TEST(ArrayCodec, BringsArraysBack) {
  for (const auto& array :
       {counting({2, 3}), counting({}), counting({0, 4}), counting({70}), HostArray(),
        HostArray::zeros<bool>({3}), HostArray::zeros<float>({1, 1, 1, 1, 1, 1, 1, 1, 2})}) {
    const auto bytes = encode(array);
    EXPECT_EQ((bytes.size() - array.size_bytes()) % 64, 0u);
    EXPECT_TRUE(are_equal(decode<HostArray>(bytes), array)) << to_string(array.shape());
    for (std::size_t n = 0; n < bytes.size(); n += 3) {
      EXPECT_THROW(decode<HostArray>(std::span(bytes).first(n)), BadInput);
    }
  }
}

TEST(ArrayCodec, ShowsBytesInPlaceOnlyWithAnOwner) {
  const HostArray array = counting({4, 4});
  auto owner = std::make_shared<std::vector<std::byte>>(encode(array));
  const auto in_place = decode<HostArray>(*owner, owner);
  EXPECT_EQ(in_place.bytes().data(), owner->data() + 64);
  EXPECT_EQ(owner.use_count(), 2);
  const auto copied = decode<HostArray>(*owner);
  EXPECT_NE(copied.bytes().data(), owner->data() + 64);
  EXPECT_TRUE(are_equal(in_place, copied));
}

TEST(ArrayCodec, CopiesWhatIsNotAligned) {
  const HostArray array = counting({5});
  auto owner = std::make_shared<std::vector<std::byte>>(encode(array));
  owner->insert(owner->begin(), std::byte{0});
  const auto decoded = decode<HostArray>(std::span(*owner).subspan(1), owner);
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_TRUE(are_equal(decoded, array));
}

TEST(ArrayCodec, RefusesHostileHeaders) {
  const auto sound = encode(counting({2, 3}));
  const auto with = [&](std::size_t at, std::uint8_t value) {
    auto bytes = sound;
    bytes[at] = std::byte{value};
    return bytes;
  };
  EXPECT_THROW(decode<HostArray>(with(0, 0)), BadInput);      // magic
  EXPECT_THROW(decode<HostArray>(with(4, 200)), BadInput);    // dtype
  EXPECT_THROW(decode<HostArray>(with(5, 200)), BadInput);    // dimensions
  EXPECT_THROW(decode<HostArray>(with(6, 1)), BadInput);      // an empty handle with a shape
  EXPECT_THROW(decode<HostArray>(with(15, 0xff)), BadInput);  // negative extent
  EXPECT_THROW(decode<HostArray>(with(15, 0x7f)), BadInput);  // huge extent
  EXPECT_THROW(decode<HostArray>(with(8, 1)), BadInput);      // bytes left over
  EXPECT_THROW(encode(HostArray(DType::uint8, Shape(33, 1))), BadInput);
}

TEST(ArrayCodec, SurvivesRandomBytes) {
  SplitMix64 random(7);
  const auto sound = encode(std::pair{counting({2, 3}), std::vector<std::string>{"ab", "c"}});
  using Decoded = std::pair<HostArray, std::vector<std::string>>;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = sound;
    bytes.resize(random.below(bytes.size() + 1));
    for (int i = 0; i < 3 && !bytes.empty(); ++i) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    }
    try {
      decode<Decoded>(bytes);
    } catch (const BadInput&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

struct Liar {};

}  // namespace

template <>
struct Codec<Liar> {
  static std::size_t size(const Liar&) { return 1; }
  static void encode(const Liar&, Writer& writer) { writer.write(1.0); }
  static Liar decode(Reader&) { return {}; }
};

namespace {

TEST(Codec, RefusesACodecThatWritesTooMuch) { EXPECT_THROW(encode(Liar{}), BadInput); }

}  // namespace
}  // namespace ashlar
