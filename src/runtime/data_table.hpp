#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "store/buffer.hpp"

namespace ashlar::runtime {

struct DatumIdHash {
  std::size_t operator()(const DatumId& id) const noexcept {
    std::uint64_t x = (std::uint64_t{id.run.session.value} << 32) ^ id.run.number;
    x = x * 0x9E3779B97F4A7C15u + id.index;
    x ^= x >> 32;
    return x * 0xD6E8FEB86659FD93u;
  }
};

/// The data in this process's store: which buffer each datum is. Only on the loop's turn.
class DataTable {
 public:
  /// The buffer, or none.
  const store::Buffer* find(const DatumId& id) const {
    const auto it = data_.find(id);
    return it == data_.end() ? nullptr : &it->second;
  }
  void put(const DatumId& id, store::Buffer buffer) { data_[id] = std::move(buffer); }
  void drop(const DatumId& id) { data_.erase(id); }
  std::optional<store::Buffer> take(const DatumId& id) {
    const auto it = data_.find(id);
    if (it == data_.end()) return std::nullopt;
    std::optional<store::Buffer> buffer(std::move(it->second));
    data_.erase(it);
    return buffer;
  }
  /// Those that lie in other processes' memory.
  std::vector<DatumId> leased() const {
    std::vector<DatumId> found;
    for (const auto& [id, buffer] : data_) {
      if (buffer && !buffer.is_own()) found.push_back(id);
    }
    return found;
  }
  std::size_t size() const { return data_.size(); }

 private:
  std::unordered_map<DatumId, store::Buffer, DatumIdHash> data_;
};

}  // namespace ashlar::runtime
