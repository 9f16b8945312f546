#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "store/buffer.hpp"
#include "worker/id_table.hpp"

namespace ashlar::runtime {

/// The data in this process's store: which buffer each datum is. Only on the loop's turn.
class DataTable {
 public:
  /// The buffer, or none; valid until the next change.
  const store::Buffer* find(const DatumId& id) const {
    const std::uint32_t slot = slots_.find(id);
    return slot == worker::no_slot ? nullptr : &data_[slot].buffer;
  }
  void put(const DatumId& id, store::Buffer buffer) {
    std::uint32_t slot = slots_.find(id);
    if (slot == worker::no_slot) {
      slot = data_.add();
      data_[slot].id = id;
      slots_.insert(id, slot);
    }
    data_[slot].buffer = std::move(buffer);
  }
  void drop(const DatumId& id) { take(id); }
  std::optional<store::Buffer> take(const DatumId& id) {
    const std::uint32_t slot = slots_.find(id);
    if (slot == worker::no_slot) return std::nullopt;
    std::optional<store::Buffer> buffer(std::move(data_[slot].buffer));
    data_.remove(slot);
    slots_.erase(id);
    return buffer;
  }
  /// Those that lie in other processes' memory.
  std::vector<DatumId> leased() const {
    std::vector<DatumId> found;
    for (std::uint32_t slot = 0; slot < data_.slot_count(); ++slot) {
      const Entry& entry = data_[slot];
      if (entry.is_used && entry.buffer && !entry.buffer.is_own()) found.push_back(entry.id);
    }
    return found;
  }
  std::size_t size() const { return data_.size(); }

 private:
  struct Entry {
    bool is_used = false;
    DatumId id;
    store::Buffer buffer;
  };

  worker::Pool<Entry> data_;
  worker::IdTable slots_;  ///< in data_
};

}  // namespace ashlar::runtime
