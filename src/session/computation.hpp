#pragma once

#include <ashlar/array.hpp>
#include <ashlar/detail/destination.hpp>
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
  /// Lowers the arrays and allocates the results, or takes the memory for them from the caller,
  /// checked.
  Computation(std::shared_ptr<Core> core, std::span<const Array> arrays);
  Computation(std::shared_ptr<Core> core, const Array& array, detail::Destination to);

  ~Computation();
  Computation(const Computation&) = delete;
  Computation& operator=(const Computation&) = delete;

  const RunHandle& run() const { return submitted_.run; }
  void start();

  /// Merges what has arrived. One thread at a time.
  void merge_arrived();

  /// Waits for everything, merging meanwhile. Errors: what the run failed with.
  void finish();

  /// What the arrays read of this process's memory overlaps with the caller's for the result.
  bool reads_destination() const;

  /// The allocated ones.
  std::vector<HostArray>& results() { return results_; }
  /// A result as its Codec encodes it, without a copy: the header lies before the elements. No
  /// bytes where the memory is the caller's.
  detail::Bytes encoded_result(std::size_t root) const;

 private:
  struct Target {
    std::uint32_t position;  ///< among the wanted outputs
    std::uint32_t root;
    std::int64_t chunk;
  };

  Computation(std::shared_ptr<Core> core, std::span<const Array> arrays,
              std::vector<detail::Destination> destinations);
  void allocate_result(DType dtype, const Shape& shape);
  void note_target(std::uint32_t root, std::size_t chunk);
  void merge(const Target& target, std::span<const std::byte> bytes);

  std::shared_ptr<Core> core_;
  Instant begin_;
  array::Lowered lowered_;
  Submitted submitted_;
  std::vector<Target> targets_;   ///< of outputs, by position
  std::vector<Target> streamed_;  ///< of data that are on workers already, by position in `stream_`
  driver::StreamOrder stream_;
  std::vector<HostArray> results_;
  std::vector<detail::Destination> destinations_;  ///< by root
};

/// The handle of a persisted array's chunk. Errors: BadInput for another session's.
std::shared_ptr<const Output> persisted_output(const Core& core, const array::DatumRef& there);

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
  std::vector<std::size_t> regions_;    ///< positions of boxes among the externals
  std::vector<OutputHandle> promised_;  ///< by box
};

}  // namespace ashlar::session
