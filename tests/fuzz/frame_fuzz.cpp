#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "fuzz/fuzz_target.hpp"
#include "net/frame_reader.hpp"

// The frame parser. The first byte says whether the link is trusted, whether payloads are
// refused, and how many bytes arrive at once.

namespace {

using namespace ashlar;

constexpr std::uint64_t payload_bytes_max = 1 << 16;

struct Sink final : net::FrameSink {
  bool is_refusing = false;
  bool is_payload_open = false;
  std::uint64_t control_bytes = 0;
  std::uint64_t payload_bytes = 0;
  std::vector<std::byte> payload;

  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t bytes,
                                int descriptor) override {
    ASHLAR_CHECK(!is_payload_open && descriptor == -1);
    control_bytes += control.size();
    if (bytes == 0 || bytes > payload_bytes_max || is_refusing) return {};
    is_payload_open = true;
    payload_bytes += bytes;
    payload.assign(static_cast<std::size_t>(bytes), std::byte{});
    return payload;
  }
  void on_payload(bool) override {
    ASHLAR_CHECK(is_payload_open);
    is_payload_open = false;
  }
  std::string on_ring(std::uint64_t, int descriptor) override {
    ASHLAR_CHECK(descriptor == -1);
    return {};
  }
  bool wants_more() const override { return true; }
};

void append(std::vector<std::byte>& stream, std::size_t control, std::size_t payload) {
  const auto header = net::FrameHeader{.control_bytes = static_cast<std::uint32_t>(control),
                                       .payload_bytes = payload}
                          .encode();
  stream.insert(stream.end(), header.begin(), header.end());
  stream.resize(stream.size() + control + payload, std::byte{7});
}

/// The same with checksums, which are right for these bytes.
void append_summed(std::vector<std::byte>& stream, std::size_t control, std::size_t payload) {
  const net::FrameHeader header{.magic = net::FrameHeader::magic_with_checksums,
                                .control_bytes = static_cast<std::uint32_t>(control),
                                .payload_bytes = payload};
  const std::vector<std::byte> bytes(control + payload, std::byte{7});
  const auto put = [&stream](const auto& value) {
    const auto part = std::as_bytes(std::span(&value, 1));
    stream.insert(stream.end(), part.begin(), part.end());
  };
  put(header.encode());
  put(net::FrameSums::of(header, net::Checksum::of(std::span(bytes).first(control))));
  stream.insert(stream.end(), bytes.begin(), bytes.end());
  if (payload > 0) put(net::Checksum::of(std::span(bytes).first(payload)));
}

}  // namespace

std::vector<std::vector<std::byte>> fuzz_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  for (const unsigned mode : {0u, 1u, 3u, 21u, 253u}) {
    auto& stream = seeds.emplace_back(1, static_cast<std::byte>(mode));
    append(stream, 0, 0);
    append(stream, 40, 0);
    if (mode != 0) append(stream, 8, 100);
    append(stream, 300, mode == 21 ? 3 : 0);
    const auto ring = net::FrameHeader{.magic = net::FrameHeader::magic_ring_taken}.encode();
    stream.insert(stream.end(), ring.begin(), ring.end());
    append(stream, 20, 0);
    auto& summed = seeds.emplace_back(1, static_cast<std::byte>(mode));
    append(summed, 40, 0);
    append_summed(summed, 40, 0);
    append_summed(summed, 200, mode != 0 ? 300 : 0);
    append_summed(summed, 0, 0);
  }
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  net::FrameReader reader(net::Limits{.control_bytes = 1 << 20, .untrusted_control_bytes = 256});
  Sink sink;
  if ((data[0] & 1) != 0) reader.trust();
  sink.is_refusing = (data[0] & 2) != 0;
  const std::size_t step = 1 + (data[0] >> 2);
  std::span<const std::uint8_t> rest(data + 1, size - 1);
  while (!rest.empty()) {
    std::size_t budget = std::min(step, rest.size());
    std::size_t taken = 0;
    for (const auto place : reader.room()) {
      const std::size_t part = std::min(budget, place.size());
      if (part > 0) std::memcpy(place.data(), rest.data() + taken, part);
      taken += part;
      budget -= part;
    }
    rest = rest.subspan(taken);
    if (!reader.advance(taken, sink).empty()) break;
  }
  ASHLAR_CHECK(sink.control_bytes <= size);
  ASHLAR_CHECK(reader.buffer_capacity() <= (std::size_t{1} << 20));
  return 0;
}
