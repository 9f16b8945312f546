#pragma once

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/sending_rate.hpp"

namespace ashlar::net {

struct Limits {
  /// A frame's control part: larger ones close the link. Graphs of millions of tasks fit.
  std::uint64_t control_bytes = std::uint64_t{1} << 30;
  /// Before the link is trusted (see Link::trust): a Hello fits.
  std::uint64_t untrusted_control_bytes = 64 << 10;
  /// Bytes queued for a peer that does not read; more closes the link.
  std::uint64_t queued_bytes = std::uint64_t{8} << 30;
  /// Shared with a peer on this host, each way (see Link::share_memory): some thousands of tasks.
  std::uint64_t ring_bytes = 256 << 10;
  /// Who has not shown a certificate by then, where one is expected, is closed.
  int handshake_ms = 10'000;
  /// Of those who have connected to a listener and not introduced themselves so many stay; for a
  /// further one the oldest is closed.
  std::size_t newcomers_max = 128;
  /// But after so long at the earliest, so that many may come at once; the others wait meanwhile.
  int newcomer_ms_min = 200;
  /// Encrypted with one key: a key of AES-GCM is good for six times as many (RFC 8446, 5.5).
  std::uint64_t key_bytes = std::uint64_t{1} << 36;
};

/// What leaves in one frame: control bytes, then payload bytes that are not copied, and at most
/// one file descriptor (Unix sockets only; duplicated by the kernel, the sender keeps its own).
struct Frame {
  std::vector<std::byte> control;
  std::span<const std::byte> payload;
  std::shared_ptr<const void> payload_owner;  ///< kept until the payload has been written
  int descriptor = -1;  ///< stays open until written: payload_owner may keep it
};

/// Who hears of a link's frames. Called on the link's io_context.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  /// A whole control part. `descriptor` is owned by the callee when not -1. When payload bytes
  /// follow, returns where to put them: a span of exactly payload_bytes, which must stay valid
  /// until on_payload or on_closed; an empty span refuses and closes the link.
  virtual std::span<std::byte> on_frame(std::span<const std::byte> control,
                                        std::uint64_t payload_bytes, int descriptor) = 0;
  /// What keeps the place that on_frame has just returned, for links whose device may still write
  /// there when they have closed. None: such links receive elsewhere and copy.
  virtual std::shared_ptr<const void> payload_owner() { return {}; }
  /// The payload of the last frame is complete. Not called for frames without payload. Not intact:
  /// it has another checksum than when it was sent, and is of no use.
  virtual void on_payload(bool is_intact) = 0;
  /// After each batch of frames read in one go: a good time to act on them together.
  virtual void on_batch_end() = 0;
  /// The link is gone; the last call. `reason` is for people: "closed by peer", "lost: …",
  /// "bad frame: …".
  virtual void on_closed(const std::string& reason) = 0;
};

class Tls;

/// A framed, ordered, reliable byte link over a TCP or Unix stream socket, or by UCX (net/ucx.hpp).
///
/// Frame on the wire, little-endian: magic u32, control_bytes u32, payload_bytes u64, control,
/// payload; perhaps with checksums (docs/wire.md). Frames sent within one turn of the loop leave in
/// as few system calls as possible: send() queues; flush() or the end of the turn writes.
///
/// Threads: only on its io_context's turn. Errors never throw: they arrive as on_closed.
/// Callbacks may call anything on any link. Dropping the last reference closes a link without
/// further calls; links are dropped before their io_context.
class Link : public std::enable_shared_from_this<Link> {
 public:
  /// Takes over a connected, stream socket. Reading starts with start().
  static std::shared_ptr<Link> adopt(boost::asio::io_context& io, int socket, Limits limits = {});
  /// The same, encrypted when there is a `tls` and the socket is of TCP: then nothing passes before
  /// both ends have shown their certificates.
  enum class Side { connecting, accepting };
  static std::shared_ptr<Link> adopt(boost::asio::io_context& io, int socket, Limits limits,
                                     const Tls* tls, Side side);
  virtual ~Link() = default;

  /// `events` must outlive the link or be replaced by detach().
  virtual void start(LinkEvents& events) = 0;
  /// No events any more, and the link closes once what is queued has been written. It keeps
  /// itself alive for that, and gives up after five seconds without progress.
  virtual void detach() = 0;
  virtual void send(Frame frame) = 0;
  /// Writes what is queued now, as far as the socket takes it.
  virtual void flush() = 0;
  /// The peer has introduced itself: the full frame size is allowed from now on.
  virtual void trust() = 0;
  /// It is open, and the peer has not.
  virtual bool is_newcomer() const = 0;
  /// The peer reads checksums: what is sent from now on has them, and a peer's frame that has none
  /// is refused after its first one that has. Does nothing on one host, where bytes pass no
  /// network, and where they are encrypted, which notices any change.
  virtual void add_checksums() = 0;
  /// Asks the peer, which must trust this side, to go on through memory that both map: bytes then
  /// cost no system calls while both poll. Does nothing between hosts, or where the system gives no
  /// such memory. One side asks.
  virtual void share_memory() = 0;
  /// Closes at once, dropping what is queued; on_closed follows on a later turn with this reason.
  virtual void close(const std::string& reason) = 0;
  /// It closes since bytes had changed on their way: what was asked for on it may be asked for on
  /// another one.
  virtual bool is_spoiled() const { return false; }
  virtual std::string peer_name() const = 0;  ///< for people
  virtual bool is_local() const = 0;          ///< a Unix socket
  virtual std::uint64_t queued_bytes() const = 0;
  virtual std::uint64_t bytes_sent() const = 0;
  virtual std::uint64_t bytes_received() const = 0;
  virtual SendingRate sending_rate() const = 0;
};

}  // namespace ashlar::net
