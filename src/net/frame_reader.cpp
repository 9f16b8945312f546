#include "net/frame_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace ashlar::net {

static_assert(std::endian::native == std::endian::little, "headers are copied as they lie");
static_assert(sizeof(FrameHeader) == FrameHeader::bytes);
static_assert(sizeof(FrameSums) == FrameSums::bytes);

namespace {

bool is_with_descriptor(const FrameHeader& header) {
  return header.magic == FrameHeader::magic_with_descriptor ||
         header.magic == FrameHeader::magic_ring_offer;
}

/// A record of TLS 1.x: somebody begins a handshake, or answers that this side did not.
bool is_tls_record(std::span<const std::byte> bytes) {
  constexpr std::byte alert{21}, handshake{22}, major{3};
  return bytes.size() >= 3 && (bytes[0] == alert || bytes[0] == handshake) && bytes[1] == major;
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

FrameSums FrameSums::of(const FrameHeader& header, std::uint64_t control_sum) {
  std::array<std::byte, FrameHeader::bytes + sizeof control_sum> head;
  std::memcpy(head.data(), &header, FrameHeader::bytes);
  std::memcpy(head.data() + FrameHeader::bytes, &control_sum, sizeof control_sum);
  return {control_sum, Checksum::of(head)};
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
  if (has_checksums_ && payload_.size() > summed_bytes) return {payload_.first(summed_bytes), {}};
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
    if (has_checksums_) payload_sum_.add(payload_.first(part));
    payload_ = payload_.subspan(part);
    count -= part;
    if (!payload_.empty()) return {};
    if (!has_checksums_) sink.on_payload(true);
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

std::string FrameReader::changed(const std::string& part) {
  is_spoiled_ = true;
  return "its " + part + " has changed on its way";
}

std::string FrameReader::problem_with(const FrameHeader& header) {
  if (header.magic != FrameHeader::magic_plain && !is_with_descriptor(header) &&
      header.magic != FrameHeader::magic_ring_taken &&
      header.magic != FrameHeader::magic_with_checksums)
    return has_checksums_ ? changed("header")
                          : "not an Ashlar frame; is another program at the other end?";
  if (has_checksums_ && header.magic != FrameHeader::magic_with_checksums)
    return "no checksums, expected as in the frames before";
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

/// The checksums of a frame that has them: is the rest what was sent?
std::string FrameReader::take_head(const FrameHeader& header, bool& is_here) {
  constexpr std::size_t head = FrameHeader::bytes + FrameSums::bytes;
  is_here = false;
  if (buffered() < head) {
    missing_ = head - buffered();
    return {};
  }
  FrameSums sums;
  std::memcpy(static_cast<void*>(&sums), buffer_.get() + begin_ + FrameHeader::bytes,
              FrameSums::bytes);
  if (FrameSums::of(header, sums.control).head != sums.head) return changed("header");
  has_checksums_ = true;
  if (std::string problem = problem_with(header); !problem.empty()) return problem;
  if (buffered() < head + header.control_bytes) {
    missing_ = head + header.control_bytes - buffered();
    return {};
  }
  if (Checksum::of({buffer_.get() + begin_ + head, header.control_bytes}) != sums.control)
    return changed("control part");
  is_here = true;
  return {};
}

/// Returns whether there was one to take.
bool FrameReader::take_payload_sum(FrameSink& sink) {
  if (buffered() < FrameSums::payload_sum_bytes) {
    missing_ = FrameSums::payload_sum_bytes - buffered();
    return false;
  }
  std::uint64_t sum = 0;
  std::memcpy(&sum, buffer_.get() + begin_, FrameSums::payload_sum_bytes);
  begin_ += FrameSums::payload_sum_bytes;
  is_payload_sum_due_ = false;
  sink.on_payload(sum == payload_sum_.value());
  return true;
}

std::string FrameReader::take_frame(FrameSink& sink, bool& is_taken) {
  is_taken = false;
  missing_ = 0;
  if (!payload_.empty()) return {};
  if (is_payload_sum_due_) {
    is_taken = take_payload_sum(sink);
    return {};
  }
  const std::span<const std::byte> frame{buffer_.get() + begin_, buffered()};
  if (is_tls_record(frame)) {
    return "the other side uses TLS, and this one does not: give it --tls-cert, --tls-key and "
           "--tls-ca, too";
  }
  if (frame.size() < FrameHeader::bytes) return {};
  const FrameHeader header = FrameHeader::decode(frame.first<FrameHeader::bytes>());
  if (is_with_descriptor(header) && descriptors_.empty()) sink.fetch_descriptors();
  const bool is_summed = header.magic == FrameHeader::magic_with_checksums;
  std::size_t head = FrameHeader::bytes;
  if (is_summed) {
    head += FrameSums::bytes;
    bool is_here = false;
    std::string problem = take_head(header, is_here);
    if (!problem.empty() || !is_here) return problem;
  } else if (std::string problem = problem_with(header); !problem.empty()) {
    return problem;
  }
  if (header.magic == FrameHeader::magic_ring_offer ||
      header.magic == FrameHeader::magic_ring_taken) {
    return take_ring(header, sink);
  }
  if (frame.size() < head + header.control_bytes) {
    missing_ = head + header.control_bytes - frame.size();
    return {};
  }
  int descriptor = -1;
  if (header.magic == FrameHeader::magic_with_descriptor) descriptor = take_descriptor();
  is_taken = true;
  begin_ += head + header.control_bytes;
  const auto target =
      sink.on_frame(frame.subspan(head, header.control_bytes), header.payload_bytes, descriptor);
  if (!sink.wants_more() || header.payload_bytes == 0) return {};
  if (target.size() != header.payload_bytes) return "its payload was refused";
  begin_payload(target, sink);
  return {};
}

void FrameReader::begin_payload(std::span<std::byte> target, FrameSink& sink) {
  const std::size_t part = std::min(target.size(), buffered());
  std::memcpy(target.data(), buffer_.get() + begin_, part);
  begin_ += part;
  payload_ = target.subspan(part);
  is_payload_sum_due_ = has_checksums_;
  if (has_checksums_) {
    payload_sum_.restart();
    payload_sum_.add(target.first(part));
  } else if (payload_.empty()) {
    sink.on_payload(true);
  }
}

}  // namespace ashlar::net
