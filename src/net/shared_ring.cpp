#include "net/shared_ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

namespace ashlar::net {

namespace {

constexpr std::size_t line_bytes = 64;  // a cache line: what one side writes often has its own
constexpr std::size_t head_bytes = 4096;
constexpr std::size_t bytes_max = std::size_t{1} << 26;
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

/// Counters of one stream. They only grow; the place in the ring is the counter modulo its size.
struct SharedRing::Direction {
  alignas(line_bytes) std::atomic<std::uint64_t> written;
  alignas(line_bytes) std::atomic<std::uint64_t> read;
  alignas(line_bytes) std::atomic<std::uint32_t> reader_sleeps;
  alignas(line_bytes) std::atomic<std::uint32_t> writer_sleeps;
};

struct SharedRing::Layout {
  std::array<Direction, 2> directions;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

std::unique_ptr<SharedRing> SharedRing::create(std::size_t bytes) {
  static_assert(sizeof(Layout) <= head_bytes);
  if (!std::has_single_bit(bytes) || bytes > bytes_max) return nullptr;
  Descriptor descriptor(::memfd_create("ashlar-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const std::size_t size = head_bytes + 2 * bytes;
  if (!descriptor.is_open() || ::ftruncate(descriptor.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(descriptor.get(), F_ADD_SEALS, seals) != 0) {
    return nullptr;
  }
  void* base =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (base == MAP_FAILED) return nullptr;
  new (base) Layout();
  std::unique_ptr<SharedRing> ring(new SharedRing(static_cast<std::byte*>(base), bytes, true));
  ring->descriptor_ = std::move(descriptor);
  return ring;
}

std::unique_ptr<SharedRing> SharedRing::open(Descriptor descriptor, std::uint64_t bytes) {
  if (!std::has_single_bit(bytes) || bytes > bytes_max) return nullptr;
  const std::size_t size = head_bytes + 2 * static_cast<std::size_t>(bytes);
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0 || status.st_size < 0 ||
      static_cast<std::size_t>(status.st_size) < size) {
    return nullptr;
  }
  // Memory that could shrink under the reader would end it.
  const int found = ::fcntl(descriptor.get(), F_GET_SEALS);
  if (found < 0 || (found & F_SEAL_SHRINK) == 0) return nullptr;
  void* base =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (base == MAP_FAILED) return nullptr;
  return std::unique_ptr<SharedRing>(
      new SharedRing(static_cast<std::byte*>(base), static_cast<std::size_t>(bytes), false));
}

SharedRing::SharedRing(std::byte* base, std::size_t bytes, bool is_maker)
    : base_(base), bytes_(bytes) {
  Layout& layout = *std::launder(reinterpret_cast<Layout*>(base));
  const std::size_t out = is_maker ? 0 : 1;
  out_ = &layout.directions[out];
  in_ = &layout.directions[1 - out];
  out_bytes_ = base + head_bytes + out * bytes;
  in_bytes_ = base + head_bytes + (1 - out) * bytes;
}

SharedRing::~SharedRing() { ::munmap(base_, head_bytes + 2 * bytes_); }

std::size_t SharedRing::readable() const {
  return static_cast<std::size_t>(in_->written.load(std::memory_order_acquire) - read_);
}

std::size_t SharedRing::writable() const {
  const std::uint64_t unread = written_ - out_->read.load(std::memory_order_acquire);
  return unread > bytes_ ? 0 : bytes_ - static_cast<std::size_t>(unread);
}

bool SharedRing::has_bytes() const { return readable() != 0; }
bool SharedRing::has_room() const { return writable() != 0; }

bool SharedRing::is_broken() const {
  return readable() > bytes_ || written_ - out_->read.load(std::memory_order_relaxed) > bytes_;
}

SharedRing::Moved SharedRing::write(std::span<const std::span<const std::byte>> parts) {
  std::size_t room = writable();
  std::uint64_t at = written_;
  for (auto part : parts) {
    part = part.first(std::min(part.size(), room));
    room -= part.size();
    while (!part.empty()) {
      const std::size_t place = at % bytes_;
      const std::size_t piece = std::min(part.size(), bytes_ - place);
      std::memcpy(out_bytes_ + place, part.data(), piece);
      part = part.subspan(piece);
      at += piece;
    }
    if (room == 0) break;
  }
  const auto moved = static_cast<std::size_t>(at - written_);
  if (moved == 0) return {};
  written_ = at;
  // Either this side sees that the reader sleeps, or the reader sees the bytes before it does.
  out_->written.store(at, std::memory_order_seq_cst);
  const bool wakes = out_->reader_sleeps.load(std::memory_order_seq_cst) != 0 &&
                     out_->reader_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
  return {moved, wakes};
}

SharedRing::Moved SharedRing::read(std::array<std::span<std::byte>, 2> parts) {
  std::size_t left = std::min(readable(), bytes_);
  std::uint64_t at = read_;
  for (auto part : parts) {
    part = part.first(std::min(part.size(), left));
    left -= part.size();
    while (!part.empty()) {
      const std::size_t place = at % bytes_;
      const std::size_t piece = std::min(part.size(), bytes_ - place);
      std::memcpy(part.data(), in_bytes_ + place, piece);
      part = part.subspan(piece);
      at += piece;
    }
  }
  const auto moved = static_cast<std::size_t>(at - read_);
  if (moved == 0) return {};
  read_ = at;
  in_->read.store(at, std::memory_order_seq_cst);
  const bool wakes = in_->writer_sleeps.load(std::memory_order_seq_cst) != 0 &&
                     in_->writer_sleeps.exchange(0, std::memory_order_seq_cst) != 0;
  return {moved, wakes};
}

SharedRing::Moved SharedRing::skip() {
  Moved all;
  std::array<std::byte, 4096> nobody;
  while (true) {
    const Moved some = read({std::span<std::byte>(nobody), {}});
    if (some.bytes == 0) return all;
    all.bytes += some.bytes;
    all.wakes_peer = all.wakes_peer || some.wakes_peer;
  }
}

bool SharedRing::await_bytes() {
  in_->reader_sleeps.store(1, std::memory_order_seq_cst);
  return in_->written.load(std::memory_order_seq_cst) != read_;
}

void SharedRing::look_for_bytes() {
  if (in_->reader_sleeps.load(std::memory_order_relaxed) != 0) {
    in_->reader_sleeps.store(0, std::memory_order_relaxed);
  }
}

bool SharedRing::await_room() {
  out_->writer_sleeps.store(1, std::memory_order_seq_cst);
  return written_ - out_->read.load(std::memory_order_seq_cst) < bytes_;
}

}  // namespace ashlar::net
