#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "store/arena.hpp"

namespace ashlar::store {

/// The bytes of one datum in this process: a block of the own arena, or a leased range of
/// another process's arena. Shared and immutable once published; the memory goes back (or the
/// lease does) when the last handle goes.
///
/// Threads: handles as shared_ptr.
class Buffer {
 public:
  Buffer() = default;

  /// A fresh block of `arena`, writable until published. The arena must outlive the buffer.
  static Buffer allocate(const std::shared_ptr<Arena>& arena, std::size_t bytes);
  /// A range of another process's arena; `on_release` is called from whichever thread drops the
  /// last handle.
  static Buffer leased(std::shared_ptr<const MappedArena> arena, std::span<const std::byte> bytes,
                       std::function<void()> on_release);

  std::span<const std::byte> bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  /// The block for writing. Requires allocate() and that nobody else reads.
  std::span<std::byte> writable() const;
  /// The buffer as its own arena's block; none for leased ones.
  bool is_own() const { return is_own_; }
  bool is_unshared() const { return owner_.use_count() == 1; }
  explicit operator bool() const { return owner_ != nullptr; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
  bool is_own_ = false;
};

}  // namespace ashlar::store
