#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace ashlar::store {

/// Says which ranges of [0, capacity) are taken. Free ranges below the frontier were used before
/// and are handed out first, smallest fit first; neighbours merge when they become free.
class BlockList {
 public:
  explicit BlockList(std::size_t capacity) : capacity_(capacity) {}

  struct Taken {
    std::size_t offset = 0;
    /// The part of the arena that was never used before this call; empty when begin == end.
    std::size_t fresh_begin = 0;
    std::size_t fresh_end = 0;
  };

  /// Takes `bytes`; the frontier moves in steps of `growth_step` where there is room.
  /// Nothing when it does not fit. Requires bytes > 0.
  std::optional<Taken> take(std::size_t bytes, std::size_t growth_step);

  /// Gives back a range. Aborts when it was not taken like this.
  void give_back(std::size_t offset, std::size_t bytes);

  std::size_t frontier() const { return frontier_; }
  std::size_t taken_bytes() const { return taken_bytes_; }
  const std::map<std::size_t, std::size_t>& taken() const { return taken_; }
  const std::map<std::size_t, std::size_t>& free() const { return free_; }

  /// Aborts when taken and free ranges do not tile [0, frontier).
  void check_invariants() const;

 private:
  void add_free(std::size_t offset, std::size_t bytes);
  void remove_free(std::map<std::size_t, std::size_t>::iterator range);

  std::size_t capacity_;
  std::size_t frontier_ = 0;
  std::size_t taken_bytes_ = 0;
  std::map<std::size_t, std::size_t> taken_;                    // offset -> bytes
  std::map<std::size_t, std::size_t> free_;                     // offset -> bytes
  std::set<std::pair<std::size_t, std::size_t>> free_by_size_;  // bytes, offset
};

}  // namespace ashlar::store
