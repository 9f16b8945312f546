#include "store/result_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <string>

#include <ashlar/error.hpp>

namespace ashlar::store {

namespace {

constexpr std::size_t huge_bytes = std::size_t{2} << 20;

[[noreturn]] void no_memory(std::size_t bytes) {
  throw Overloaded("a result of " + std::to_string(bytes) + " bytes does not fit in memory");
}

std::byte* map_huge(std::size_t bytes) {
  void* raw = ::mmap(nullptr, bytes + huge_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) no_memory(bytes);
  auto* begin = static_cast<std::byte*>(raw);
  const std::size_t skip =
      (huge_bytes - reinterpret_cast<std::uintptr_t>(raw) % huge_bytes) % huge_bytes;
  if (skip > 0) ::munmap(begin, skip);
  if (skip < huge_bytes) ::munmap(begin + skip + bytes, huge_bytes - skip);
  ::madvise(begin + skip, bytes, MADV_HUGEPAGE);
  return begin + skip;
}

}  // namespace

struct ResultPool::State {
  explicit State(Limits limits_in) : limits(limits_in) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    for (const auto& [bytes, block] : free) ::munmap(block, bytes);
  }

  struct Block {
    std::byte* begin = nullptr;
    std::size_t bytes = 0;
  };

  // A block up to a quarter too large will do; larger ones are kept for larger results.
  Block take(std::size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto fit = free.lower_bound(bytes);
    if (fit == free.end() || fit->first > bytes + bytes / 4) return {};
    const Block block{fit->second, fit->first};
    cached_bytes -= block.bytes;
    free.erase(fit);
    return block;
  }

  void give_back(std::byte* block, std::size_t bytes) noexcept {
    try {
      const std::lock_guard lock(mutex);
      if (bytes <= limits.cached_bytes_max) {
        while (cached_bytes + bytes > limits.cached_bytes_max) drop_smallest();
        free.emplace(bytes, block);
        cached_bytes += bytes;
        return;
      }
    } catch (...) {  // no room to remember it: unmap
    }
    ::munmap(block, bytes);
  }

  void drop_smallest() {
    const auto smallest = free.begin();
    ::munmap(smallest->second, smallest->first);
    cached_bytes -= smallest->first;
    free.erase(smallest);
  }

  Limits limits;
  mutable std::mutex mutex;
  std::multimap<std::size_t, std::byte*> free;
  std::size_t cached_bytes = 0;
};

ResultPool::ResultPool() : ResultPool(Limits{}) {}
ResultPool::ResultPool(Limits limits) : state_(std::make_shared<State>(limits)) {}
ResultPool::~ResultPool() = default;

std::shared_ptr<std::byte> ResultPool::allocate_result(std::size_t bytes) {
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) no_memory(bytes);
  if (bytes < huge_bytes) {
    void* block = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (block == nullptr) no_memory(bytes);
    return {static_cast<std::byte*>(block), [](std::byte* p) { std::free(p); }};
  }
  const std::size_t rounded = (bytes + huge_bytes - 1) / huge_bytes * huge_bytes;
  State::Block block = state_->take(rounded);
  if (block.begin == nullptr) block = {map_huge(rounded), rounded};
  return {block.begin,
          [state = state_, bytes = block.bytes](std::byte* p) { state->give_back(p, bytes); }};
}

std::size_t ResultPool::cached_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->cached_bytes;
}

}  // namespace ashlar::store
