#include "net/frame_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace ashlar::net {

static_assert(std::endian::native == std::endian::little, "headers are copied as they lie");
static_assert(sizeof(FrameHeader) == FrameHeader::bytes);

namespace {

bool is_with_descriptor(const FrameHeader& header) {
  return header.magic == FrameHeader::magic_with_descriptor ||
         header.magic == FrameHeader::magic_ring_offer;
}

}  // namespace

std::array<std::byte, FrameHeader::bytes> FrameHeader::encode() const {
  std::array<std::byte, bytes> out;
  std::memcpy(out.data(), this, bytes);
  return out;
}

FrameHeader FrameHeader::decode(std::span<const std::byte, bytes> from) {
  FrameHeader header;
  std::memcpy(static_cast<void*>(&header), from.data(), bytes);
  return header;
}

FrameReader::~FrameReader() {
  for (const int descriptor : descriptors_) ::close(descriptor);
}

std::array<std::span<std::byte>, 2> FrameReader::room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ == end_ && capacity_ > idle_capacity_max) {
    buffer_.reset();
    capacity_ = 0;
  }
  // A large control part is read in steps of at most its bytes that are here already: a peer
  // that announces much and sends little gets little memory.
  const bool is_large = buffered() + missing_ > read_bytes;
  const std::size_t wanted =
      is_large ? std::min(missing_, std::max(read_bytes, buffered())) : read_bytes;
  if (capacity_ - end_ < std::min(wanted, least_read_bytes)) make_room(wanted);
  return {payload_, {buffer_.get() + end_, capacity_ - end_}};
}

void FrameReader::make_room(std::size_t count) {
  const std::size_t kept = buffered();
  if (capacity_ >= kept + count) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, kept);
  } else {
    auto larger = std::make_unique_for_overwrite<std::byte[]>(kept + count);
    if (kept > 0) std::memcpy(larger.get(), buffer_.get() + begin_, kept);
    buffer_ = std::move(larger);
    capacity_ = kept + count;
  }
  begin_ = 0;
  end_ = kept;
}

std::string FrameReader::advance(std::size_t count, FrameSink& sink) {
  if (!payload_.empty()) {
    const std::size_t part = std::min(count, payload_.size());
    payload_ = payload_.subspan(part);
    count -= part;
    if (!payload_.empty()) return {};
    sink.on_payload();
    if (!sink.wants_more()) return {};
  }
  end_ += count;
  bool is_taken = true;
  while (is_taken && sink.wants_more()) {
    if (std::string problem = take_frame(sink, is_taken); !problem.empty()) return problem;
  }
  if (descriptors_.size() > waiting_descriptors_max) return "descriptors without frames";
  return {};
}

std::string FrameReader::problem_with(const FrameHeader& header) const {
  if (header.magic != FrameHeader::magic_plain && !is_with_descriptor(header) &&
      header.magic != FrameHeader::magic_ring_taken)
    return "not an Ashlar frame; is another program at the other end?";
  const std::uint64_t control_max =
      is_trusted_ ? limits_.control_bytes : limits_.untrusted_control_bytes;
  if (header.control_bytes > control_max)
    return "a control part of " + std::to_string(header.control_bytes) +
           " bytes, expected at most " + std::to_string(control_max);
  if (!is_trusted_ && header.payload_bytes > 0) return "a payload before the introduction";
  if (header.payload_bytes > FrameHeader::payload_bytes_max)
    return "a payload of more than 2^62 bytes";
  if (is_with_descriptor(header) && descriptors_.empty())
    return "a descriptor is announced and none came";
  return {};
}

int FrameReader::take_descriptor() {
  const int descriptor = descriptors_.front();
  descriptors_.pop_front();
  return descriptor;
}

std::string FrameReader::take_ring(const FrameHeader& header, FrameSink& sink) {
  if (!is_trusted_) return "shared memory before the introduction";
  if (header.control_bytes != 0) return "shared memory with a control part";
  begin_ = end_ = 0;
  const bool is_offer = header.magic == FrameHeader::magic_ring_offer;
  return sink.on_ring(header.payload_bytes, is_offer ? take_descriptor() : -1);
}

std::string FrameReader::take_frame(FrameSink& sink, bool& is_taken) {
  is_taken = false;
  missing_ = 0;
  if (!payload_.empty() || buffered() < FrameHeader::bytes) return {};
  const std::span<const std::byte> frame{buffer_.get() + begin_, buffered()};
  const FrameHeader header = FrameHeader::decode(frame.first<FrameHeader::bytes>());
  if (is_with_descriptor(header) && descriptors_.empty()) sink.fetch_descriptors();
  if (std::string problem = problem_with(header); !problem.empty()) return problem;
  if (header.magic == FrameHeader::magic_ring_offer ||
      header.magic == FrameHeader::magic_ring_taken) {
    return take_ring(header, sink);
  }
  const std::size_t head = FrameHeader::bytes + header.control_bytes;
  if (frame.size() < head) {
    missing_ = head - frame.size();
    return {};
  }
  int descriptor = -1;
  if (header.magic == FrameHeader::magic_with_descriptor) descriptor = take_descriptor();
  is_taken = true;
  begin_ += head;
  const auto target = sink.on_frame(frame.subspan(FrameHeader::bytes, header.control_bytes),
                                    header.payload_bytes, descriptor);
  if (!sink.wants_more() || header.payload_bytes == 0) return {};
  if (target.size() != header.payload_bytes) return "its payload was refused";
  const std::size_t part = std::min(target.size(), buffered());
  std::memcpy(target.data(), buffer_.get() + begin_, part);
  begin_ += part;
  payload_ = target.subspan(part);
  if (payload_.empty()) sink.on_payload();
  return {};
}

}  // namespace ashlar::net
