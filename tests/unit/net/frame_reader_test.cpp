#include "net/frame_reader.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/random.hpp"

namespace ashlar::net {
namespace {

std::vector<std::byte> bytes_of(std::size_t size, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

struct SeenFrame {
  std::vector<std::byte> control;
  std::vector<std::byte> payload;
  friend bool operator==(const SeenFrame&, const SeenFrame&) = default;
};

struct Recorder final : FrameSink {
  std::vector<SeenFrame> frames;
  std::size_t payloads = 0;
  std::size_t payloads_spoiled = 0;
  std::size_t frames_wanted = 1000000;
  std::vector<std::pair<std::uint64_t, int>> rings;
  int descriptors_fetched = 0;

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int) override {
    SeenFrame& frame = frames.emplace_back();
    frame.control.assign(control.begin(), control.end());
    frame.payload.resize(payload_bytes);
    return frame.payload;
  }
  void on_payload(bool is_intact) override { ++(is_intact ? payloads : payloads_spoiled); }
  std::string on_ring(std::uint64_t bytes, int descriptor) override {
    rings.emplace_back(bytes, descriptor);
    return {};
  }
  void fetch_descriptors() override { ++descriptors_fetched; }
  bool wants_more() const override { return frames.size() < frames_wanted; }
};

std::vector<std::byte> bytes_of(std::uint64_t value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::vector<std::byte> summed_stream_of(const std::vector<SeenFrame>& frames) {
  std::vector<std::byte> stream;
  const auto append = [&stream](const auto& bytes) {
    stream.insert(stream.end(), bytes.begin(), bytes.end());
  };
  for (const SeenFrame& frame : frames) {
    const FrameHeader header{.magic = FrameHeader::magic_with_checksums,
                             .control_bytes = static_cast<std::uint32_t>(frame.control.size()),
                             .payload_bytes = frame.payload.size()};
    const FrameSums sums = FrameSums::of(header, Checksum::of(frame.control));
    append(header.encode());
    append(bytes_of(sums.control));
    append(bytes_of(sums.head));
    append(frame.control);
    append(frame.payload);
    if (!frame.payload.empty()) append(bytes_of(Checksum::of(frame.payload)));
  }
  return stream;
}

std::vector<std::byte> stream_of(const std::vector<SeenFrame>& frames) {
  std::vector<std::byte> stream;
  for (const SeenFrame& frame : frames) {
    const auto header =
        FrameHeader{.control_bytes = static_cast<std::uint32_t>(frame.control.size()),
                    .payload_bytes = frame.payload.size()}
            .encode();
    stream.insert(stream.end(), header.begin(), header.end());
    stream.insert(stream.end(), frame.control.begin(), frame.control.end());
    stream.insert(stream.end(), frame.payload.begin(), frame.payload.end());
  }
  return stream;
}

/// Feeds at most `step` bytes at a time, as a socket would.
std::string feed(FrameReader& reader, FrameSink& sink, std::span<const std::byte> stream,
                 std::size_t step) {
  while (!stream.empty()) {
    std::size_t budget = std::min(step, stream.size());
    std::size_t taken = 0;
    for (const auto place : reader.room()) {
      const std::size_t part = std::min(budget, place.size());
      if (part > 0) std::memcpy(place.data(), stream.data() + taken, part);
      taken += part;
      budget -= part;
    }
    stream = stream.subspan(taken);
    if (auto problem = reader.advance(taken, sink); !problem.empty()) return problem;
  }
  return {};
}

TEST(FrameReader, FindsTheSameFramesHoweverTheyArrive) {
  std::vector<SeenFrame> sent;
  for (const std::size_t control : {0, 1, 16, 300, 70'000, 700'000})
    for (const std::size_t payload : {0, 5, 4096, 300'000})
      sent.push_back({bytes_of(control, control + payload), bytes_of(payload, payload)});
  for (const auto& stream : {stream_of(sent), summed_stream_of(sent)}) {
    for (const std::size_t step : {7, 1000, 65'537, 1 << 20, 1 << 24}) {
      FrameReader reader{Limits{}};
      reader.trust();
      Recorder seen;
      ASSERT_EQ(feed(reader, seen, stream, step), "");
      EXPECT_TRUE(seen.frames == sent) << "step " << step;
      EXPECT_EQ(seen.payloads, 18u);
      EXPECT_EQ(seen.payloads_spoiled, 0u);
      EXPECT_FALSE(reader.is_mid_frame());
    }
  }
}

TEST(FrameReader, NoticesEveryChangedByteOfAFrameWithChecksums) {
  const std::vector<SeenFrame> sent{{bytes_of(20, 1), {}}, {bytes_of(40, 2), bytes_of(50, 3)}};
  const auto stream = summed_stream_of(sent);
  const std::size_t payload_at = stream.size() - 50 - FrameSums::payload_sum_bytes;
  for (std::size_t at = 0; at < stream.size(); ++at) {
    FrameReader reader{Limits{}};
    reader.trust();
    Recorder seen;
    auto changed = stream;
    changed[at] ^= std::byte{16};
    const std::string problem = feed(reader, seen, changed, 1000);
    EXPECT_EQ(problem.empty(), at >= payload_at) << at;
    EXPECT_EQ(seen.payloads, 0u) << at;
    EXPECT_EQ(seen.payloads_spoiled, at >= payload_at ? 1u : 0u) << at;
    EXPECT_TRUE(std::equal(seen.frames.begin(), seen.frames.end(), sent.begin(),
                           [](const auto& a, const auto& b) { return a.control == b.control; }))
        << at;
  }
}

TEST(FrameReader, GoesOnAfterASpoiledPayload) {
  const std::vector<SeenFrame> sent{{bytes_of(40, 2), bytes_of(50, 3)},
                                    {bytes_of(9, 2), bytes_of(5000, 3)}};
  auto stream = summed_stream_of(sent);
  stream[FrameHeader::bytes + FrameSums::bytes + 40] ^= std::byte{1};
  FrameReader reader{Limits{}};
  reader.trust();
  Recorder seen;
  ASSERT_EQ(feed(reader, seen, stream, 100), "");
  EXPECT_EQ(seen.payloads_spoiled, 1u);
  EXPECT_EQ(seen.payloads, 1u);
  EXPECT_TRUE(seen.frames[1] == sent[1]);
}

TEST(FrameReader, RefusesAFrameWithoutChecksumsAfterOneThatHasThem) {
  auto stream = summed_stream_of({{bytes_of(20, 1), {}}});
  const auto plain = stream_of({{bytes_of(20, 1), {}}});
  stream.insert(stream.end(), plain.begin(), plain.end());
  FrameReader reader{Limits{}};
  Recorder seen;
  EXPECT_NE(feed(reader, seen, stream, 1000), "");
  EXPECT_EQ(seen.frames.size(), 1u);
}

TEST(FrameReader, RefusesBadHeaders) {
  const auto refuse = [](FrameHeader header, bool trusted) {
    FrameReader reader{Limits{.control_bytes = 1000, .untrusted_control_bytes = 100}};
    if (trusted) reader.trust();
    Recorder seen;
    const auto bytes = header.encode();
    return feed(reader, seen, bytes, 16);
  };
  EXPECT_NE(refuse({.magic = 0x50545448}, true), "");
  EXPECT_EQ(refuse({.control_bytes = 1000}, true), "");
  EXPECT_NE(refuse({.control_bytes = 1001}, true), "");
  EXPECT_EQ(refuse({.control_bytes = 100}, false), "");
  EXPECT_NE(refuse({.control_bytes = 101}, false), "");
  EXPECT_NE(refuse({.payload_bytes = 1}, false), "");
  EXPECT_NE(refuse({.payload_bytes = ~std::uint64_t{0}}, true), "");
  EXPECT_NE(refuse({.magic = FrameHeader::magic_with_descriptor}, true), "");
  EXPECT_NE(refuse({.magic = FrameHeader::magic_ring_offer, .payload_bytes = 4096}, true), "");
  EXPECT_NE(refuse({.magic = FrameHeader::magic_ring_taken}, false), "");
  EXPECT_NE(refuse({.magic = FrameHeader::magic_ring_taken, .control_bytes = 1}, true), "");
}

TEST(FrameReader, SaysThatTheStreamGoesOnInMemory) {
  for (const bool is_offer : {true, false}) {
    FrameReader reader{Limits{}};
    reader.trust();
    Recorder seen;
    const int descriptor = ::dup(0);
    if (is_offer) reader.add_descriptor(descriptor);
    const auto magic = is_offer ? FrameHeader::magic_ring_offer : FrameHeader::magic_ring_taken;
    const auto header = FrameHeader{.magic = magic, .payload_bytes = 4096}.encode();
    auto stream = stream_of({{bytes_of(10, 1), {}}});
    stream.insert(stream.end(), header.begin(), header.end());
    stream.resize(stream.size() + 5);  // no part of the stream any more
    ASSERT_EQ(feed(reader, seen, stream, stream.size()), "");
    EXPECT_EQ(seen.frames.size(), 1u);
    const std::pair<std::uint64_t, int> expected{4096, is_offer ? descriptor : -1};
    ASSERT_EQ(seen.rings.size(), 1u);
    EXPECT_EQ(seen.rings[0], expected);
    EXPECT_FALSE(reader.is_mid_frame());
    ASSERT_EQ(feed(reader, seen, stream_of({{bytes_of(10, 1), {}}}), 1000), "");
    EXPECT_EQ(seen.frames.size(), 2u);
    ::close(descriptor);
  }
}

TEST(FrameReader, AsksForADescriptorThatIsDue) {
  FrameReader reader{Limits{}};
  reader.trust();
  Recorder seen;
  const auto header = FrameHeader{.magic = FrameHeader::magic_with_descriptor}.encode();
  EXPECT_NE(feed(reader, seen, header, 16), "");
  EXPECT_EQ(seen.descriptors_fetched, 1);
  EXPECT_TRUE(seen.frames.empty());
}

TEST(FrameReader, RefusedPayloadsEndTheStream) {
  struct Refuser final : FrameSink {
    std::span<std::byte> on_frame(std::span<const std::byte>, std::uint64_t, int) override {
      return {};
    }
    void on_payload(bool) override { FAIL(); }
    std::string on_ring(std::uint64_t, int) override { return "no"; }
    bool wants_more() const override { return true; }
  } refuser;
  FrameReader reader{Limits{}};
  reader.trust();
  const auto header = FrameHeader{.control_bytes = 0, .payload_bytes = 10}.encode();
  EXPECT_NE(feed(reader, refuser, header, 16), "");
}

TEST(FrameReader, MemoryGrowsWithBytesNotWithPromises) {
  FrameReader reader{Limits{}};
  reader.trust();
  Recorder seen;
  const auto header = FrameHeader{.control_bytes = 1u << 30, .payload_bytes = 0}.encode();
  ASSERT_EQ(feed(reader, seen, header, 16), "");
  EXPECT_LE(reader.buffer_capacity(), 600u << 10);
  const std::vector<std::byte> some(1 << 20);
  ASSERT_EQ(feed(reader, seen, some, 1 << 20), "");
  (void)reader.room();
  EXPECT_LE(reader.buffer_capacity(), 4u << 20);
  EXPECT_TRUE(seen.frames.empty());
}

TEST(FrameReader, LargeControlsAreMovedFewTimes) {
  FrameReader reader{Limits{}};
  reader.trust();
  Recorder seen;
  const auto stream = stream_of({{bytes_of(2'000'000, 3), {}}});
  std::size_t capacity = 0;
  int moves = 0;
  for (std::size_t at = 0; at < stream.size(); at += 1000) {
    const std::span<const std::byte> part(stream);
    ASSERT_EQ(
        feed(reader, seen, part.subspan(at, std::min<std::size_t>(1000, part.size() - at)), 1000),
        "");
    moves += reader.buffer_capacity() != capacity ? 1 : 0;
    capacity = reader.buffer_capacity();
  }
  EXPECT_EQ(seen.frames.size(), 1u);
  EXPECT_LE(moves, 12);
}

TEST(FrameReader, LargeBuffersAreGivenBack) {
  FrameReader reader{Limits{}};
  reader.trust();
  Recorder seen;
  ASSERT_EQ(feed(reader, seen, stream_of({{std::vector<std::byte>(40 << 20), {}}}), 1 << 20), "");
  ASSERT_EQ(seen.frames.size(), 1u);
  (void)reader.room();
  EXPECT_LE(reader.buffer_capacity(), 1u << 20);
}

TEST(FrameReader, StopsWhenTheSinkWantsNoMore) {
  FrameReader reader{Limits{}};
  Recorder seen;
  seen.frames_wanted = 2;
  const SeenFrame frame{bytes_of(10, 1), {}};
  ASSERT_EQ(feed(reader, seen, stream_of({frame, frame, frame}), 1000), "");
  EXPECT_EQ(seen.frames.size(), 2u);
}

}  // namespace
}  // namespace ashlar::net
