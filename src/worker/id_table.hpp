#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"

namespace ashlar::worker {

inline constexpr std::uint32_t no_slot = ~std::uint32_t{0};

/// Where the id belongs in a table of 2^bits places. Neighbours, which are often used together, lie
/// together: as many as a cache line holds.
inline std::size_t home_of(const DatumId& id, unsigned bits) {
  constexpr std::uint32_t neighbours = 4;
  const std::uint64_t run =
      (std::uint64_t{id.run.number} << 32) ^ (std::uint64_t{id.run.session.value} << 16);
  const std::uint64_t group = run ^ (id.index / neighbours);
  const auto first = static_cast<std::size_t>((group * 0x9E3779B97F4A7C15u) >> (64 - bits));
  return (first & ~std::size_t{neighbours - 1}) | (id.index % neighbours);
}

/// Where an id's record is: a flat hash table from ids to slot numbers. It is never iterated, so
/// its order decides nothing.
class IdTable {
 public:
  /// The slot of an id, or no_slot.
  std::uint32_t find(const DatumId& id) const {
    if (count_ == 0) return no_slot;
    for (std::size_t i = home(id);; i = (i + 1) & mask()) {
      if (entries_[i].slot == no_slot) return no_slot;
      if (entries_[i].id == id) return entries_[i].slot;
    }
  }

  /// Requires that the id is absent.
  void insert(const DatumId& id, std::uint32_t slot) {
    if ((count_ + 1) * 2 > entries_.size()) grow();
    place({id, slot});
    ++count_;
  }

  /// Requires that the id is present.
  void erase(const DatumId& id) {
    std::size_t hole = home(id);
    while (!(entries_[hole].slot != no_slot && entries_[hole].id == id)) {
      hole = (hole + 1) & mask();
    }
    // Entries behind the hole move up, unless that would put them before their home.
    for (std::size_t i = (hole + 1) & mask(); entries_[i].slot != no_slot; i = (i + 1) & mask()) {
      const std::size_t distance = (i - home(entries_[i].id)) & mask();
      if (distance >= ((i - hole) & mask())) {
        entries_[hole] = entries_[i];
        hole = i;
      }
    }
    entries_[hole].slot = no_slot;
    --count_;
  }

  std::size_t size() const { return count_; }

 private:
  struct Entry {
    DatumId id;
    std::uint32_t slot = no_slot;
  };

  std::size_t mask() const { return entries_.size() - 1; }
  std::size_t home(const DatumId& id) const { return home_of(id, bits_); }
  void place(const Entry& entry) {
    std::size_t i = home(entry.id);
    while (entries_[i].slot != no_slot) i = (i + 1) & mask();
    entries_[i] = entry;
  }
  void grow() {
    std::vector<Entry> old(entries_.empty() ? 64 : entries_.size() * 2);
    old.swap(entries_);
    bits_ = static_cast<unsigned>(std::bit_width(entries_.size()) - 1);
    for (const Entry& entry : old) {
      if (entry.slot != no_slot) place(entry);
    }
  }

  std::vector<Entry> entries_;
  std::size_t count_ = 0;
  unsigned bits_ = 0;  ///< entries_ are 2^bits
};

/// Ids that were noted lately. Each has one place, which it loses to the next that belongs there.
class RecentIds {
 public:
  /// Remembers about so many; at least as many as there are neighbours, or none.
  explicit RecentIds(std::uint32_t count)
      : bits_(count == 0 ? 0 : std::max(2u, static_cast<unsigned>(std::bit_width(count) - 1))),
        ids_(count == 0 ? 0 : std::size_t{1} << bits_) {}

  void note(const DatumId& id) {
    if (!ids_.empty()) ids_[home_of(id, bits_)] = id;
  }
  bool has(const DatumId& id) const { return !ids_.empty() && ids_[home_of(id, bits_)] == id; }
  void forget(const DatumId& id) {
    if (has(id)) ids_[home_of(id, bits_)] = DatumId{};
  }

 private:
  unsigned bits_;
  std::vector<DatumId> ids_;
};

/// Records in recycled slots. T has a member `bool is_used`.
template <class T>
class Pool {
 public:
  std::uint32_t add() {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(records_.size());
      records_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    records_[slot].is_used = true;
    return slot;
  }
  void remove(std::uint32_t slot) {
    records_[slot] = T{};
    free_.push_back(slot);
  }
  bool has(std::uint32_t slot) const { return slot < records_.size() && records_[slot].is_used; }
  T& operator[](std::uint32_t slot) { return records_[slot]; }
  const T& operator[](std::uint32_t slot) const { return records_[slot]; }
  std::uint32_t slot_count() const { return static_cast<std::uint32_t>(records_.size()); }
  std::size_t size() const { return records_.size() - free_.size(); }

 private:
  std::vector<T> records_;
  std::vector<std::uint32_t> free_;
};

/// Values by id, without memory of its own for each.
template <class T>
class IdMap {
 public:
  /// The value, or null; valid until the next change.
  const T* find(const DatumId& id) const {
    const std::uint32_t slot = slots_.find(id);
    return slot == no_slot ? nullptr : &entries_[slot].value;
  }
  void set(const DatumId& id, T value) {
    std::uint32_t slot = slots_.find(id);
    if (slot == no_slot) {
      slot = entries_.add();
      entries_[slot].id = id;
      slots_.insert(id, slot);
    }
    entries_[slot].value = std::move(value);
  }
  std::optional<T> take(const DatumId& id) {
    const std::uint32_t slot = slots_.find(id);
    if (slot == no_slot) return std::nullopt;
    std::optional<T> value(std::move(entries_[slot].value));
    slots_.erase(id);  // before what may be the entry's own goes
    entries_.remove(slot);
    return value;
  }
  /// Called with each id and value, in no order that means anything.
  template <class Visit>
  void visit(Visit visit) const {
    for (std::uint32_t slot = 0; slot < entries_.slot_count(); ++slot) {
      if (entries_[slot].is_used) visit(entries_[slot].id, entries_[slot].value);
    }
  }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    bool is_used = false;
    DatumId id;
    T value;
  };

  Pool<Entry> entries_;
  IdTable slots_;  ///< in entries_
};

}  // namespace ashlar::worker
