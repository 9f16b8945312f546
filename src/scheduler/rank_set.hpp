#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ashlar::scheduler {

/// A set of numbers in [0, size): insert, erase and minimum in O(log64 size), 1.02 bits a number.
class RankSet {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  explicit RankSet(std::uint32_t size = 0) {
    std::size_t words = size;
    do {
      words = (words + 63) / 64;
      levels_.emplace_back(words, 0);
    } while (words > 1);
  }

  void insert(std::uint32_t value) {
    for (auto& level : levels_) {
      std::uint64_t& word = level[value >> 6];
      const bool was_empty = word == 0;
      word |= std::uint64_t{1} << (value & 63);
      if (!was_empty) return;
      value >>= 6;
    }
  }

  void erase(std::uint32_t value) {
    for (auto& level : levels_) {
      std::uint64_t& word = level[value >> 6];
      word &= ~(std::uint64_t{1} << (value & 63));
      if (word != 0) return;
      value >>= 6;
    }
  }

  bool contains(std::uint32_t value) const {
    return (levels_.front()[value >> 6] >> (value & 63) & 1) != 0;
  }

  /// The smallest member; none when empty.
  std::uint32_t min() const {
    if (levels_.back().empty() || levels_.back().front() == 0) return none;
    std::size_t value = 0;
    for (std::size_t level = levels_.size(); level-- > 0;) {
      value = value * 64 + static_cast<std::size_t>(std::countr_zero(levels_[level][value]));
    }
    return static_cast<std::uint32_t>(value);
  }

  std::size_t bytes() const {
    std::size_t total = 0;
    for (const auto& level : levels_) total += level.capacity() * sizeof(std::uint64_t);
    return total;
  }

 private:
  std::vector<std::vector<std::uint64_t>> levels_;  ///< a bit says that a word below has bits
};

}  // namespace ashlar::scheduler
