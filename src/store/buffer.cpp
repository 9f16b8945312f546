#include "store/buffer.hpp"

#include <utility>

#include "base/check.hpp"

namespace ashlar::store {

namespace {

struct OwnBlock {
  OwnBlock(std::shared_ptr<Arena> owner, std::size_t bytes)
      : arena(std::move(owner)), block(arena->allocate(bytes)) {}
  OwnBlock(const OwnBlock&) = delete;
  OwnBlock& operator=(const OwnBlock&) = delete;
  ~OwnBlock() { arena->free(block); }

  std::shared_ptr<Arena> arena;
  std::span<std::byte> block;
};

struct Lease {
  Lease(std::shared_ptr<const MappedArena> mapped, std::function<void()> callback)
      : arena(std::move(mapped)), on_release(std::move(callback)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (on_release) on_release();
  }

  std::shared_ptr<const MappedArena> arena;
  std::function<void()> on_release;
};

}  // namespace

Buffer Buffer::allocate(const std::shared_ptr<Arena>& arena, std::size_t bytes) {
  auto block = std::make_shared<OwnBlock>(arena, bytes);
  Buffer buffer;
  buffer.bytes_ = block->block;
  buffer.owner_ = std::move(block);
  buffer.is_own_ = true;
  return buffer;
}

Buffer Buffer::leased(std::shared_ptr<const MappedArena> arena, std::span<const std::byte> bytes,
                      std::function<void()> on_release) {
  Buffer buffer;
  buffer.bytes_ = bytes;
  buffer.owner_ = std::make_shared<Lease>(std::move(arena), std::move(on_release));
  return buffer;
}

std::span<std::byte> Buffer::writable() const {
  ASHLAR_CHECK(is_own_, "a leased buffer is read-only");
  return {const_cast<std::byte*>(bytes_.data()), bytes_.size()};
}

}  // namespace ashlar::store
