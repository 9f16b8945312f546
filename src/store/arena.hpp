#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

namespace ashlar::store {

/// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return fd_; }
  int release();
  bool is_open() const { return fd_ >= 0; }
  FileDescriptor duplicate() const;

 private:
  int fd_ = -1;
};

/// One contiguous range of shared memory (memfd) that this process writes and others map
/// read-only. It reserves address space for `capacity` bytes; pages cost memory once touched.
/// Freed blocks are recycled, best fit first, so that touched pages are reused (a fresh shared
/// page costs forty times a warm one). Vanishes with its last mapping, also after SIGKILL.
///
/// Blocks of mixed sizes leave gaps, so an arena may be given more addresses than memory. Once its
/// pages would cost more than that memory, what lies in gaps goes back to the system.
///
/// Threads: every member may be called from several threads.
class Arena {
 public:
  struct Options {
    std::size_t capacity = 0;
    std::size_t memory = 0;  ///< that pages may cost, as long as live blocks need no more
  };
  /// Errors: Unsupported when shared memory cannot be had; Overloaded when it is too much.
  explicit Arena(const Options& options);
  explicit Arena(std::size_t capacity) : Arena(Options{capacity, capacity}) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// What a block of so many bytes takes.
  static std::uint64_t block_bytes(std::uint64_t bytes);

  /// A block of at least `bytes` bytes, 64-byte aligned; contents undefined. Zero bytes give an
  /// empty block that needs no free. Errors: Overloaded when the arena is full.
  std::span<std::byte> allocate(std::size_t bytes);
  /// Gives a block back. `block` is what allocate returned.
  void free(std::span<std::byte> block);

  std::size_t offset_of(const std::byte* address) const;
  std::size_t capacity() const;
  std::size_t allocated_bytes() const;   ///< in live blocks, with rounding
  std::size_t touched_bytes() const;     ///< ever used: what the arena costs in memory at most
  std::size_t resident_bytes() const;    ///< what it costs now
  const FileDescriptor& descriptor() const;

  /// Aborts when the free lists do not tile the arena.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Another process's arena, mapped read-only.
class MappedArena {
 public:
  /// Maps `bytes` of the descriptor. The size is checked against the file and its seals, so that
  /// the owner cannot shrink it under the reader.
  /// Errors: BadInput when the descriptor is not such an arena.
  MappedArena(FileDescriptor descriptor, std::size_t bytes);
  ~MappedArena();
  MappedArena(const MappedArena&) = delete;
  MappedArena& operator=(const MappedArena&) = delete;

  /// Errors: BadInput when the range is not inside the arena.
  std::span<const std::byte> at(std::size_t offset, std::size_t bytes) const;

 private:
  const std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ashlar::store
