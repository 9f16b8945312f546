#include "store/block_list.hpp"

#include <algorithm>
#include <iterator>

#include "base/check.hpp"

namespace ashlar::store {

std::optional<BlockList::Taken> BlockList::take(std::size_t bytes, std::size_t growth_step) {
  Taken result;
  if (const auto fit = free_by_size_.lower_bound({bytes, 0}); fit != free_by_size_.end()) {
    const auto [size, offset] = *fit;
    remove_free(free_.find(offset));
    if (size > bytes) add_free(offset + bytes, size - bytes);
    result.offset = offset;
  } else {
    // The last free range, when it ends at the frontier, is the start of the new block.
    const auto last = free_.empty() ? free_.end() : std::prev(free_.end());
    const bool extends = last != free_.end() && last->first + last->second == frontier_;
    result.offset = extends ? last->first : frontier_;
    if (bytes > capacity_ - result.offset) return std::nullopt;
    const std::size_t needed = result.offset + bytes - frontier_;
    const std::size_t step = (needed + growth_step - 1) / growth_step * growth_step;
    result.fresh_begin = frontier_;
    frontier_ += std::clamp(step, needed, std::max(needed, capacity_ - frontier_));
    result.fresh_end = frontier_;
    if (extends) remove_free(last);
    if (frontier_ > result.offset + bytes) {
      add_free(result.offset + bytes, frontier_ - result.offset - bytes);
    }
  }
  taken_.emplace(result.offset, bytes);
  taken_bytes_ += bytes;
  return result;
}

void BlockList::give_back(std::size_t offset, std::size_t bytes) {
  const auto block = taken_.find(offset);
  ASHLAR_CHECK(block != taken_.end() && block->second == bytes,
               "a block that was not allocated is freed: offset " + std::to_string(offset));
  taken_.erase(block);
  taken_bytes_ -= bytes;

  const auto next = free_.lower_bound(offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      remove_free(before);
    }
  }
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    remove_free(next);
  }
  add_free(offset, bytes);
}

void BlockList::add_free(std::size_t offset, std::size_t bytes) {
  free_.emplace(offset, bytes);
  free_by_size_.emplace(bytes, offset);
}

void BlockList::remove_free(std::map<std::size_t, std::size_t>::iterator range) {
  free_by_size_.erase({range->second, range->first});
  free_.erase(range);
}

void BlockList::check_invariants() const {
  ASHLAR_CHECK(free_.size() == free_by_size_.size());
  std::size_t at = 0;
  std::size_t taken_sum = 0;
  bool after_free = false;
  auto taken = taken_.begin();
  auto free = free_.begin();
  while (taken != taken_.end() || free != free_.end()) {
    if (free != free_.end() && free->first == at) {
      ASHLAR_CHECK(!after_free, "two free neighbours were not merged");
      ASHLAR_CHECK(free_by_size_.count({free->second, free->first}) == 1);
      at += free->second;
      ++free;
      after_free = true;
    } else {
      ASHLAR_CHECK(taken != taken_.end() && taken->first == at, "ranges leave a gap or overlap");
      at += taken->second;
      taken_sum += taken->second;
      ++taken;
      after_free = false;
    }
  }
  ASHLAR_CHECK(at == frontier_ && frontier_ <= capacity_);
  ASHLAR_CHECK(taken_sum == taken_bytes_);
}

}  // namespace ashlar::store
