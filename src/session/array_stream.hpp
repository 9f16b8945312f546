#pragma once

#include <ashlar/array.hpp>
#include <ashlar/stream.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "array/lower.hpp"
#include "session/core.hpp"

namespace ashlar::session {

/// An array whose chunks come home one after the other: a run, and the session's end of its
/// stream. Threads: one at a time.
class ArrayStream {
 public:
  /// Errors: as Session::stream.
  ArrayStream(std::shared_ptr<Core> core, const Array& array, const StreamOptions& options);
  ~ArrayStream();

  /// As Stream::next.
  Chunk* next();

 private:
  void show(Streamed entry);
  bool is_next_here() const;
  void take_arrived();
  void finish();
  void leave();

  std::shared_ptr<Core> core_;
  bool is_in_order_;
  array::Lowered lowered_;
  Submitted submitted_;
  /// By chunk, what keeps its datum on the workers until it was looked at.
  std::vector<std::shared_ptr<const void>> handles_;
  std::deque<Streamed> arrived_;  ///< not looked at yet
  std::uint32_t at_hand_ = 0;     ///< valid if chunk_ has elements
  std::uint32_t looked_at_ = 0;   ///< chunks
  bool is_over_ = false;
  Chunk chunk_;
};

}  // namespace ashlar::session
