#pragma once

#include <ashlar/array.hpp>
#include <ashlar/detail/destination.hpp>
#include <ashlar/detail/session_core.hpp>

#include <cstddef>
#include <memory>
#include <span>

#include "session/run_end.hpp"

namespace ashlar::session {

/// An array that is being computed, perhaps with others, while the program does something else.
/// Chunks are merged on the loop as they come. Threads: any.
class ArrayResult final : public RunEnd {
 public:
  /// Starts one run that computes the arrays, and gives the list of their values.
  static detail::DatumHandle start(std::shared_ptr<Core> core, std::span<const Array> arrays);

  /// The same of one array, into memory of the caller's, checked.
  /// Errors: BadInput when the array reads that memory.
  static detail::DatumHandle start_into(std::shared_ptr<Core> core, const Array& array,
                                        detail::Destination to);

  detail::Bytes get() override;

 private:
  struct Merging;
  static void merge_as_they_come(const std::shared_ptr<Merging>& merging);
  ArrayResult(std::shared_ptr<Core> core, std::shared_ptr<Merging> merging, std::size_t root);

  std::shared_ptr<Merging> merging_;
  std::size_t root_;
};

}  // namespace ashlar::session
