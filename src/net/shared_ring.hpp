#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "net/socket.hpp"

namespace ashlar::net {

/// Two streams of bytes, one each way, through memory that two processes of one host map: what a
/// link uses beside its socket, since a system call costs more than most messages.
///
/// Each side keeps its own position and only announces it, so that a hostile peer can spoil the
/// bytes it sends but nothing else. Whoever means to sleep says so in the shared memory, looks once
/// more, and is then woken by other means (a byte on the socket): every write and read says whether
/// the peer has to be.
/// Threads: one at a time on each side.
class SharedRing {
 public:
  /// Makes the memory, with room for `bytes` (a power of two) each way; empty when the system
  /// gives none.
  static std::unique_ptr<SharedRing> create(std::size_t bytes);
  /// Maps what the peer made; empty when that is no such memory.
  static std::unique_ptr<SharedRing> open(Descriptor descriptor, std::uint64_t bytes);
  ~SharedRing();
  SharedRing(const SharedRing&) = delete;
  SharedRing& operator=(const SharedRing&) = delete;

  /// Of the memory, for the peer; the ring itself needs it no more. Once, and the maker only.
  Descriptor take_descriptor() { return std::move(descriptor_); }
  std::size_t capacity() const { return bytes_; }

  struct Moved {
    std::size_t bytes = 0;
    bool wakes_peer = false;  ///< it sleeps and waits for this
  };
  /// Writes as much as there is room for.
  Moved write(std::span<const std::span<const std::byte>> parts);
  /// Reads as much as there is, into the parts in turn.
  Moved read(std::array<std::span<std::byte>, 2> parts);
  /// Throws away what there is.
  Moved skip();

  bool has_bytes() const;
  bool has_room() const;
  /// The peer's positions are impossible: it is broken or hostile.
  bool is_broken() const;

  /// From now on the peer is to wake this side when it writes; true when bytes are there already.
  bool await_bytes();
  /// No longer: this side looks by itself.
  void look_for_bytes();
  /// The same for room; true when there is room already.
  bool await_room();

 private:
  struct Direction;
  struct Layout;

  SharedRing(std::byte* base, std::size_t bytes, bool is_maker);
  std::size_t readable() const;
  std::size_t writable() const;

  Descriptor descriptor_;
  std::byte* base_;
  std::size_t bytes_;
  Direction* in_;
  Direction* out_;
  std::byte* in_bytes_;
  std::byte* out_bytes_;
  std::uint64_t read_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace ashlar::net
