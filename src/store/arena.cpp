#include "store/arena.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include <ashlar/error.hpp>

#include "base/check.hpp"
#include "store/block_list.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace ashlar::store {

namespace {

constexpr std::size_t page_bytes = 4096;
constexpr std::size_t growth_bytes = std::size_t{2} << 20;
constexpr std::size_t small_bytes_min = 64;
constexpr std::size_t small_bytes_max = 4096;
constexpr std::size_t small_classes = 7;  // 64, 128, ... 4096
constexpr std::size_t slab_bytes = std::size_t{64} << 10;
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::size_t small_class(std::size_t bytes) {
  return static_cast<std::size_t>(std::bit_width((std::max(bytes, small_bytes_min) - 1) >> 6));
}

std::string system_text() { return std::strerror(errno); }

FileDescriptor make_memory(const std::string& name) {
  FileDescriptor memory(::memfd_create("ashlar-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.is_open()) return memory;
  const int error = errno;
  const std::string why = name + "memfd_create: " + std::strerror(error);
  if (error == EMFILE || error == ENFILE) throw Overloaded(why + ": raise the limit (ulimit -n)");
  if (error == ENOMEM) throw Overloaded(why);
  throw Unsupported(why + ": data are kept in memory that this call makes: allow it, perhaps in " +
                    "the seccomp profile of a container");
}

/// Where the limit is lower, setting the size would end the process by a signal.
void check_file_size_limit(const std::string& name, std::size_t bytes) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= bytes) return;
  throw Overloaded(name + "files of this process may have " + std::to_string(limit.rlim_cur) +
                   " bytes, memory that is shared counts as one: raise the limit (ulimit -f)");
}

}  // namespace

struct Arena::State {
  // Free blocks of one small size. Its slabs are never given back: they are few and warm.
  struct SmallClass {
    mutable std::mutex mutex;
    std::vector<std::size_t> free;
    std::size_t slabs = 0;
    std::size_t live = 0;
  };

  State(const Options& options)
      : capacity(options.capacity), memory(options.memory), blocks(options.capacity) {}

  std::size_t allocate_small(std::size_t class_index);
  std::size_t allocate_large(std::size_t bytes);
  void free_large(std::size_t offset, std::size_t bytes);
  void touch(std::size_t begin, std::size_t end);
  std::size_t resident() const;
  void give_pages_back(std::size_t offset, std::size_t bytes);
  void trim(std::size_t bytes);
  [[noreturn]] void full(std::size_t bytes) const;

  std::size_t capacity;
  std::size_t memory;
  FileDescriptor descriptor;
  std::byte* base = nullptr;
  mutable std::mutex mutex;  // protects blocks
  BlockList blocks;
  std::array<SmallClass, small_classes> small;
  std::atomic<std::size_t> live_bytes = 0;
  std::atomic<std::size_t> touched = 0;
};

void Arena::State::full(std::size_t bytes) const {
  throw Overloaded("arena: " + std::to_string(bytes) + " bytes do not fit, " +
                   std::to_string(live_bytes.load()) + " of " + std::to_string(capacity) +
                   " bytes are in use");
}

// Faults fresh pages in one call: one fault per page costs several times as much.
void Arena::State::touch(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  touched.fetch_add(end - begin, std::memory_order_relaxed);
  const std::size_t page_begin = begin / page_bytes * page_bytes;
  if (::madvise(base + page_begin, end - page_begin, MADV_POPULATE_WRITE) == 0) return;
  if (errno == ENOMEM || errno == EFAULT) {
    throw Overloaded("arena: the system has no memory for " + std::to_string(end - begin) +
                     " more bytes: " + system_text());
  }
}

std::size_t Arena::State::resident() const {
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) return 0;
  return static_cast<std::size_t>(status.st_blocks) * 512;  // whatever the size of a block
}

void Arena::State::give_pages_back(std::size_t offset, std::size_t bytes) {
  ::madvise(base + offset, bytes, MADV_REMOVE);  // where it fails, they cost what they did
}

/// Gives pages of free blocks back when so many more might be too many.
void Arena::State::trim(std::size_t bytes) {
  const std::size_t pages = resident();
  if (pages + bytes <= memory || pages <= blocks.taken_bytes()) return;
  for (const auto& [offset, size] : blocks.free()) give_pages_back(offset, size);
}

std::size_t Arena::State::allocate_large(std::size_t bytes) {
  std::optional<BlockList::Taken> block;
  {
    const std::lock_guard lock(mutex);
    block = blocks.take(bytes, growth_bytes);
    if (block && blocks.frontier() > memory) trim(bytes);
  }
  if (!block) full(bytes);
  try {
    touch(block->fresh_begin, block->fresh_end);
  } catch (...) {
    free_large(block->offset, bytes);
    throw;
  }
  return block->offset;
}

void Arena::State::free_large(std::size_t offset, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  if (blocks.frontier() > memory && resident() > memory) give_pages_back(offset, bytes);
  blocks.give_back(offset, bytes);
}

std::size_t Arena::State::allocate_small(std::size_t class_index) {
  SmallClass& list = small[class_index];
  const std::size_t block_bytes = small_bytes_min << class_index;
  const std::lock_guard lock(list.mutex);
  if (list.free.empty()) {
    const std::size_t slab = allocate_large(slab_bytes);
    ++list.slabs;
    list.free.reserve(list.slabs * (slab_bytes / block_bytes));
    for (std::size_t at = slab_bytes; at != 0; at -= block_bytes) {
      list.free.push_back(slab + at - block_bytes);
    }
  }
  const std::size_t offset = list.free.back();
  list.free.pop_back();
  ++list.live;
  return offset;
}

Arena::Arena(const Options& options)
    : state_(std::make_unique<State>(
          Options{.capacity = round_up(std::max(options.capacity, slab_bytes), page_bytes),
                  .memory = round_up(std::max(options.memory, slab_bytes), page_bytes)})) {
  State& s = *state_;
  const std::string name = "arena of " + std::to_string(s.capacity) + " bytes: ";
  check_file_size_limit(name, s.capacity);
  s.descriptor = make_memory(name);
  const int fd = s.descriptor.get();
  if (::ftruncate(fd, static_cast<off_t>(s.capacity)) != 0) {
    throw Overloaded(name + "ftruncate: " + system_text());
  }
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0) {
    throw Unsupported(name + "sealing: " + system_text());
  }
  void* base =
      ::mmap(nullptr, s.capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) throw Overloaded(name + "mmap: " + system_text());
  s.base = static_cast<std::byte*>(base);
  ::madvise(base, s.capacity, MADV_HUGEPAGE);  // where the kernel gives them; no matter if not
  ::madvise(base, s.capacity, MADV_DONTDUMP);
}

Arena::~Arena() {
  if (state_->base != nullptr) ::munmap(state_->base, state_->capacity);
}

std::uint64_t Arena::block_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t most = ~std::uint64_t{0} - page_bytes;
  if (bytes == 0) return 0;
  if (bytes <= small_bytes_max) return small_bytes_min << small_class(bytes);
  return round_up(std::min(bytes, most), page_bytes);
}

std::span<std::byte> Arena::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  State& s = *state_;
  if (bytes > s.capacity) s.full(bytes);
  const std::size_t rounded = block_bytes(bytes);
  const std::size_t offset =
      bytes <= small_bytes_max ? s.allocate_small(small_class(bytes)) : s.allocate_large(rounded);
  s.live_bytes.fetch_add(rounded, std::memory_order_relaxed);
  return {s.base + offset, bytes};
}

void Arena::free(std::span<std::byte> block) {
  if (block.empty()) return;
  State& s = *state_;
  const std::size_t offset = offset_of(block.data());
  const std::size_t rounded = block_bytes(block.size());
  if (block.size() <= small_bytes_max) {
    State::SmallClass& list = s.small[small_class(block.size())];
    const std::lock_guard lock(list.mutex);
    ASHLAR_CHECK(list.live > 0 && offset % small_bytes_min == 0);
    list.free.push_back(offset);
    --list.live;
  } else {
    s.free_large(offset, rounded);
  }
  s.live_bytes.fetch_sub(rounded, std::memory_order_relaxed);
}

std::size_t Arena::offset_of(const std::byte* address) const {
  ASHLAR_CHECK(address >= state_->base && address <= state_->base + state_->capacity,
               "an address outside the arena");
  return static_cast<std::size_t>(address - state_->base);
}

std::size_t Arena::capacity() const { return state_->capacity; }
std::size_t Arena::allocated_bytes() const { return state_->live_bytes.load(); }
std::size_t Arena::touched_bytes() const { return state_->touched.load(); }
std::size_t Arena::resident_bytes() const { return state_->resident(); }
const FileDescriptor& Arena::descriptor() const { return state_->descriptor; }

void Arena::check_invariants() const {
  const State& s = *state_;
  std::vector<std::size_t> slabs;
  {
    const std::lock_guard lock(s.mutex);
    s.blocks.check_invariants();
    for (const auto& [offset, bytes] : s.blocks.taken()) {
      if (bytes == slab_bytes) slabs.push_back(offset);
    }
  }
  for (std::size_t i = 0; i < small_classes; ++i) {
    const State::SmallClass& list = s.small[i];
    const std::lock_guard lock(list.mutex);
    const std::size_t block_bytes = small_bytes_min << i;
    ASHLAR_CHECK(list.free.size() + list.live == list.slabs * (slab_bytes / block_bytes));
    auto sorted = list.free;
    std::sort(sorted.begin(), sorted.end());
    ASHLAR_CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(),
                 "a small block was freed twice");
    for (const std::size_t offset : sorted) {
      const auto slab = std::upper_bound(slabs.begin(), slabs.end(), offset);
      ASHLAR_CHECK(slab == slabs.begin() || offset >= *std::prev(slab));
      ASHLAR_CHECK(slab != slabs.begin() && offset < *std::prev(slab) + slab_bytes &&
                       (offset - *std::prev(slab)) % block_bytes == 0,
                   "a free small block lies in no slab");
    }
  }
}

MappedArena::MappedArena(FileDescriptor descriptor, std::size_t bytes) : bytes_(bytes) {
  const std::string name = "mapped arena of " + std::to_string(bytes) + " bytes: ";
  struct stat status = {};
  if (::fstat(descriptor.get(), &status) != 0) throw BadInput(name + "fstat: " + system_text());
  if (bytes == 0 || status.st_size < 0 || static_cast<std::size_t>(status.st_size) < bytes) {
    throw BadInput(name + "the file has " + std::to_string(status.st_size) + " bytes");
  }
  const int found = ::fcntl(descriptor.get(), F_GET_SEALS);
  if (found < 0 || (found & F_SEAL_SHRINK) == 0) {
    throw BadInput(name + "the file is not sealed against shrinking");
  }
  void* base = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, descriptor.get(), 0);
  if (base == MAP_FAILED) throw BadInput(name + "mmap: " + system_text());
  base_ = static_cast<const std::byte*>(base);
}

MappedArena::~MappedArena() {
  if (base_ != nullptr) ::munmap(const_cast<std::byte*>(base_), bytes_);
}

std::span<const std::byte> MappedArena::at(std::size_t offset, std::size_t bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset) {
    throw BadInput("mapped arena: " + std::to_string(bytes) + " bytes at offset " +
                   std::to_string(offset) + " are not inside its " + std::to_string(bytes_));
  }
  return {base_ + offset, bytes};
}

}  // namespace ashlar::store
