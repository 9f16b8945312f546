#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/socket_link.hpp"

// What a link does by shared memory. Its socket then carries wake-ups, one byte each, and
// descriptors, each with such a byte and before the frame that announces it.

namespace ashlar::net {

namespace {
constexpr std::size_t gathered_frames_max = 16;
}  // namespace

// ---- changing over -----------------------------------------------------------------------------

void SocketLink::share_memory() {
  is_sharing_wanted_ = !is_started_;  // who does not read does not hear the bell
  if (is_sharing_wanted_ || !is_open_ || !is_local_ || is_detached_ || ring_) return;
  ring_ = SharedRing::create(static_cast<std::size_t>(limits_.ring_bytes));
  if (!ring_) return;
  poll_.add(*this);
  send_switch(FrameHeader::magic_ring_offer, ring_->take_descriptor());
}

/// Queues the last that goes by the socket.
void SocketLink::send_switch(std::uint32_t magic, Descriptor descriptor) {
  const FrameHeader header{.magic = magic, .payload_bytes = ring_->capacity()};
  Frame frame;
  if (descriptor.is_open()) {
    const auto owned = std::make_shared<Descriptor>(std::move(descriptor));
    frame.descriptor = owned->get();
    frame.payload_owner = owned;
  }
  queue_.push_back(queued(header, std::move(frame)));
  queue_.back().is_ring = true;
  queued_bytes_ += queue_.back().bytes();
  flush();
}

std::string SocketLink::on_ring(std::uint64_t bytes, int descriptor) {
  Descriptor owned(descriptor);
  const bool is_offer = owned.is_open();
  if (!is_local_ || reads_ring_ || is_offer == (ring_ != nullptr)) {
    return is_offer ? "shared memory that was not to be offered"
                    : "shared memory taken that was not offered";
  }
  if (is_offer) {
    ring_ = SharedRing::open(std::move(owned), bytes);
    if (!ring_) return "shared memory that cannot be used";
    poll_.add(*this);
    send_switch(FrameHeader::magic_ring_taken, Descriptor());
  }
  reads_ring_ = true;
  return {};
}

// ---- polling and waiting -----------------------------------------------------------------------

bool SocketLink::is_ring_ready() const {
  return is_open_ && ((reads_ring_ && ring_->has_bytes()) || (wants_room_ && ring_->has_room()));
}

bool SocketLink::poll() {
  if (!is_ring_ready()) return false;
  const auto kept = shared_from_this();
  if (wants_room_ && ring_->has_room()) {
    wants_room_ = false;
    flush();
  }
  if (!is_open_ || !reads_ring_) return true;
  if (is_detached_) {
    if (ring_->skip().wakes_peer) ring_bell();
  } else {
    read_turn();
  }
  return true;
}

bool SocketLink::await() {
  if (!is_open_) return false;
  const bool has_bytes = reads_ring_ && ring_->await_bytes();
  const bool has_room = wants_room_ && ring_->await_room();
  return has_bytes || has_room;
}

void SocketLink::look() {
  if (reads_ring_) ring_->look_for_bytes();
}

/// Where nobody polls: waits for the peer's wake-up, or goes on soon when there is no need to wait.
void SocketLink::await_or_go_on() {
  if (!is_open_ || !uses_ring() || poll_.has_poller() || is_ring_turn_posted_ || !await()) return;
  is_ring_turn_posted_ = true;
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto link = std::static_pointer_cast<SocketLink>(weak.lock());
    if (!link) return;
    link->is_ring_turn_posted_ = false;
    link->ring_turn();
  });
}

void SocketLink::ring_turn() {
  poll();
  await_or_go_on();
}

// ---- the bell ----------------------------------------------------------------------------------

void SocketLink::listen() {
  if (!is_open_) return;
  const auto kept = shared_from_this();
  const long heard = listen_for_bell();
  if (heard == 0 && is_detached_) {
    is_peer_done_ = true;
    if (is_shut_) close("closed by peer");
    return;
  }
  if (heard == 0) return read_last_and_close("closed by peer");
  if (heard < 0 && !would_block(static_cast<int>(-heard))) {
    return read_last_and_close(heard == -EMSGSIZE
                                   ? "bad frame: too many descriptors"
                                   : "lost: " + error_text(static_cast<int>(-heard)));
  }
  if (is_open_) arm_read();
}

/// Reads what the socket holds, as receive() does.
long SocketLink::listen_for_bell() {
  std::array<std::byte, 256> bells;
  return receive({std::span<std::byte>(bells), {}});
}

/// Wakes the peer, and brings it a descriptor if there is one. Returns minus the error's number
/// when it cannot; that the socket is full of bells is one only for a descriptor.
long SocketLink::ring_bell(int descriptor) {
  if (!writes_ring_) {  // frames still go by the socket, and this is none
    owes_bell_ = true;
    return 1;
  }
  std::byte bell{1};
  iovec part{&bell, 1};
  const long sent = send_parts(socket_.native_handle(), {&part, 1}, descriptor);
  const bool is_heard = sent > 0 || (descriptor < 0 && would_block(static_cast<int>(-sent)));
  return is_heard || is_shut_ ? 1 : sent;
}

// ---- moving bytes ------------------------------------------------------------------------------

SocketLink::Read SocketLink::read_ring(std::size_t& bytes_left) {
  if (ring_->is_broken()) {
    close("bad frame: impossible positions in shared memory");
    return Read::nothing;
  }
  const auto parts = reader_.room();
  const SharedRing::Moved moved = ring_->read(parts);
  if (moved.bytes == 0) return Read::nothing;
  if (moved.wakes_peer) ring_bell();  // when it cannot, the socket says so soon
  bytes_left -= std::min(bytes_left, moved.bytes);
  hand_over(moved.bytes);
  return moved.bytes == parts[0].size() + parts[1].size() ? Read::full : Read::partial;
}

/// As send_some().
long SocketLink::write_ring() {
  if (ring_->is_broken()) return -EPROTO;
  if (!ring_->has_room()) {
    want_room();
    return 0;
  }
  std::array<std::span<const std::byte>, 3 * gathered_frames_max> parts;
  std::size_t count = 0;
  std::size_t skipped = written_of_front_;
  for (std::size_t i = 0; i < std::min(queue_.size(), gathered_frames_max); ++i) {
    const Queued& queued = queue_[i];
    if (queued.frame.descriptor >= 0) {
      if (i > 0) break;
      if (written_of_front_ == 0) {
        if (const long sent = ring_bell(queued.frame.descriptor); sent < 0) return sent;
      }
    }
    for (const std::span<const std::byte> part :
         {queued.header(), std::span<const std::byte>(queued.frame.control),
          queued.frame.payload}) {
      const std::size_t skip = std::min(skipped, part.size());
      skipped -= skip;
      if (part.size() > skip) parts[count++] = part.subspan(skip);
    }
  }
  const SharedRing::Moved moved = ring_->write({parts.data(), count});
  if (moved.wakes_peer) {
    if (const long rung = ring_bell(); rung < 0) return rung;
  }
  return static_cast<long>(moved.bytes);
}

/// Goes on when the peer has read.
void SocketLink::want_room() {
  wants_room_ = true;
  await_or_go_on();
}

}  // namespace ashlar::net
