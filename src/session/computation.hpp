#pragma once

#include <ashlar/array.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/report.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "array/lower.hpp"
#include "session/core.hpp"

namespace ashlar::session {

/// Arrays on their way home: lowered, submitted, and merged chunk by chunk as they come.
class Computation {
 public:
  /// Lowers the arrays, puts what they read from this process, and allocates the results.
  Computation(std::shared_ptr<Core> core, std::span<const Array> arrays);

  const RunHandle& run() const { return submitted_.run; }
  void start();

  /// Merges what has arrived. One thread at a time.
  void merge_arrived();

  /// Waits for everything, merging meanwhile. Errors: what the run failed with.
  void finish();

  std::vector<HostArray>& results() { return results_; }
  /// A result as its Codec encodes it, without a copy: the header lies before the elements.
  detail::Bytes encoded_result(std::size_t root) const;

 private:
  struct Target {
    std::uint32_t position;  ///< among the wanted outputs
    std::uint32_t root;
    std::int64_t chunk;
  };

  std::shared_ptr<Core> core_;
  Instant begin_;
  array::Lowered lowered_;
  Submitted submitted_;
  std::vector<Target> targets_;  ///< by position
  void allocate_result(DType dtype, const Shape& shape);

  std::vector<HostArray> results_;
};

/// What a lowered graph reads: data on workers, and boxes of this process's arrays, which are
/// copied into the driver's store while the first tasks already run. The graph's tasks read them
/// in order of first use, so nobody waits for long.
class Inputs {
 public:
  Inputs(Core& core, const array::Lowered& lowered);

  /// The graph's external data, in order.
  const std::vector<DatumId>& ids() const { return ids_; }

  /// Copies the boxes. Call it once the run has been started.
  /// Errors: Overloaded; the run must then be cancelled.
  void bring();

 private:
  static constexpr std::size_t batch_bytes = std::size_t{1} << 20;

  Core& core_;
  const array::Lowered& lowered_;
  std::vector<DatumId> ids_;
  std::vector<std::size_t> regions_;     ///< positions of boxes among the externals
  std::vector<OutputHandle> promised_;   ///< by box
};

}  // namespace ashlar::session
