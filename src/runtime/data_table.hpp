#pragma once

#include <cstddef>
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
  const store::Buffer* find(const DatumId& id) const { return buffers_.find(id); }
  void put(const DatumId& id, store::Buffer buffer) { buffers_.set(id, std::move(buffer)); }
  void drop(const DatumId& id) { buffers_.take(id); }
  std::optional<store::Buffer> take(const DatumId& id) { return buffers_.take(id); }
  /// Those that lie in other processes' memory.
  std::vector<DatumId> leased() const {
    std::vector<DatumId> found;
    buffers_.visit([&](const DatumId& id, const store::Buffer& buffer) {
      if (buffer && !buffer.is_own()) found.push_back(id);
    });
    return found;
  }
  std::size_t size() const { return buffers_.size(); }

 private:
  worker::IdMap<store::Buffer> buffers_;
};

}  // namespace ashlar::runtime
