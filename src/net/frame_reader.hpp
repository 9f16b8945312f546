#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "net/checksum.hpp"
#include "net/link.hpp"

namespace ashlar::net {

/// The first bytes of every frame. The magic also says whether a descriptor comes along.
struct FrameHeader {
  static constexpr std::size_t bytes = 16;
  static constexpr std::uint32_t magic_plain = 0x4c485341;            // "ASHL"
  static constexpr std::uint32_t magic_with_descriptor = 0x44485341;  // "ASHD"
  /// Headers alone: the stream goes on in shared memory, payload_bytes each way. The one who makes
  /// it offers a descriptor with it, the other one takes it.
  static constexpr std::uint32_t magic_ring_offer = 0x4f485341;  // "ASHO"
  static constexpr std::uint32_t magic_ring_taken = 0x54485341;  // "ASHT"
  /// Followed by FrameSums, and its payload, if there is one, by the payload's checksum.
  static constexpr std::uint32_t magic_with_checksums = 0x43485341;  // "ASHC"
  /// No payload is larger, so that sums of sizes cannot overflow.
  static constexpr std::uint64_t payload_bytes_max = std::uint64_t{1} << 62;

  std::uint32_t magic = magic_plain;
  std::uint32_t control_bytes = 0;
  std::uint64_t payload_bytes = 0;

  std::array<std::byte, bytes> encode() const;
  static FrameHeader decode(std::span<const std::byte, bytes> from);
};

/// What comes after a header that says so.
struct FrameSums {
  static constexpr std::size_t bytes = 16;
  static constexpr std::size_t payload_sum_bytes = 8;

  std::uint64_t control = 0;
  std::uint64_t head = 0;  ///< of the header and the control part's checksum

  static FrameSums of(const FrameHeader& header, std::uint64_t control_sum);
};

/// Who gets what a FrameReader finds.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  /// As LinkEvents::on_frame.
  virtual std::span<std::byte> on_frame(std::span<const std::byte> control,
                                        std::uint64_t payload_bytes, int descriptor) = 0;
  /// As LinkEvents::on_payload.
  virtual void on_payload(bool is_intact) = 0;
  /// What follows comes by another way: through memory that the descriptor (owned by the callee)
  /// stands for, or that was offered before (-1). What the reader still holds is no part of it.
  /// Returns what is wrong, or "".
  virtual std::string on_ring(std::uint64_t bytes, int descriptor) = 0;
  /// A descriptor is due that has not been added.
  virtual void fetch_descriptors() {}
  /// False: nothing more is to be handed over.
  virtual bool wants_more() const = 0;
};

/// Cuts a byte stream into frames. Knows no socket: the caller reads into room() and reports how
/// much came. Payloads are received in place; memory grows with the bytes that have arrived.
class FrameReader {
 public:
  explicit FrameReader(const Limits& limits) : limits_(limits) {}
  ~FrameReader();
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  void trust() { is_trusted_ = true; }
  bool is_trusted() const { return is_trusted_; }

  /// Where the next bytes go, in this order; the first part may be empty.
  std::array<std::span<std::byte>, 2> room();
  /// A received descriptor, owned from now on; belongs to the next frame that announces one.
  void add_descriptor(int descriptor) { descriptors_.push_back(descriptor); }
  /// Where the rest of the payload being received goes; it may be received out of the stream, and
  /// is then handed to advance() without what follows it.
  std::span<std::byte> payload() const { return payload_; }
  /// Hands over what `count` bytes in room() complete. Returns what is wrong with them, or "".
  std::string advance(std::size_t count, FrameSink& sink);

  /// Part of a frame has arrived and the rest has not.
  bool is_mid_frame() const { return begin_ != end_ || !payload_.empty() || is_payload_sum_due_; }
  /// What advance() said is wrong is that bytes had changed on their way.
  bool is_spoiled() const { return is_spoiled_; }
  std::size_t buffer_capacity() const { return capacity_; }

 private:
  static constexpr std::size_t read_bytes = 256 << 10;
  static constexpr std::size_t least_read_bytes = 64 << 10;
  /// Of a payload with checksum, at once: it is still in the processor's cache when it is summed
  /// up.
  static constexpr std::size_t summed_bytes = 256 << 10;
  static constexpr std::size_t idle_capacity_max = 8 << 20;
  static constexpr std::size_t waiting_descriptors_max = 8;

  std::string take_frame(FrameSink& sink, bool& is_taken);
  std::string take_head(const FrameHeader& header, bool& is_here);
  bool take_payload_sum(FrameSink& sink);
  std::string take_ring(const FrameHeader& header, FrameSink& sink);
  std::string problem_with(const FrameHeader& header);
  std::string changed(const std::string& part);
  void begin_payload(std::span<std::byte> target, FrameSink& sink);
  int take_descriptor();
  void make_room(std::size_t count);
  std::size_t buffered() const { return end_ - begin_; }

  Limits limits_;
  bool is_trusted_ = false;
  bool is_spoiled_ = false;
  bool has_checksums_ = false;       ///< of the peer's frames since the first one that has them
  bool is_payload_sum_due_ = false;  ///< all before it has been taken
  Checksum payload_sum_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t missing_ = 0;       ///< bytes of the frame at begin_ that have not arrived
  std::span<std::byte> payload_;  ///< the rest of the payload being received
  std::deque<int> descriptors_;
};

}  // namespace ashlar::net
