#pragma once

#include <ashlar/report.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The narrow waist between the typed API (templates, in headers) and the runtime (compiled).
/// Not for programs to use.
namespace ashlar::detail {

/// Bytes that stay valid while `owner` lives.
struct Bytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

/// One output of one task of a session, made or to be made. Dropping the last handle tells the
/// scheduler that the driver needs it no more. Threads: any.
class Datum {
 public:
  virtual ~Datum() = default;
  /// It is there, or is known never to be.
  virtual bool is_ready() const = 0;
  /// Waits until is_ready(), at most `timeout`; returns is_ready(). Drives the session's loop.
  virtual bool wait(std::chrono::nanoseconds timeout) = 0;
  /// Waits, brings the bytes into this process if need be, and shows them.
  /// Errors: what the task failed with; Cancelled; Disconnected.
  virtual Bytes get() = 0;
  /// Asks that the task be not run, or its result be dropped.
  virtual void cancel() = 0;
  /// Calls `f` once when is_ready(), on the session's loop (or at once, here, if it is already).
  virtual void then(std::function<void()> f) = 0;
  /// Waits for the end of the run that makes it, and says how that went.
  /// Errors: what the run failed with; BadInput for what no single run makes.
  virtual RunReport report() = 0;
  static constexpr std::uint32_t whole_run = ~std::uint32_t{0};
  /// Asks what it waits for, or why it was made where it was: a text to come. The end of a run
  /// explains the whole run, or the task that makes the run's output of this number.
  /// Errors: BadInput for what no task makes; Unsupported by an older scheduler; Disconnected.
  virtual std::shared_ptr<Datum> explain(std::uint32_t output = whole_run);
  /// For a list that is not made as one datum: the data of its elements. get() then waits for
  /// them all, and shows no bytes.
  virtual const std::vector<std::shared_ptr<Datum>>* elements() const { return nullptr; }
};
using DatumHandle = std::shared_ptr<Datum>;

/// A list of data. Errors: BadInput for an empty handle.
DatumHandle gathered(std::vector<DatumHandle> elements);

/// One call of a registered kernel.
struct TaskRequest {
  std::string_view kernel;
  std::vector<std::byte> params;
  std::vector<DatumHandle> inputs;
  std::int32_t priority = 0;
  double cost_seconds = 0;  ///< 0: unknown
  std::vector<std::pair<std::string, double>> resources;
  std::source_location where = std::source_location::current();
  /// Position in `inputs` of the one whose buffer the output may take over; no_reuse for none.
  std::uint32_t reuse_input = no_reuse;
  /// Size of the output; dynamic_bytes: the kernel decides.
  std::uint64_t output_bytes = dynamic_bytes;

  static constexpr std::uint32_t no_reuse = ~std::uint32_t{0};
  static constexpr std::uint64_t dynamic_bytes = ~std::uint64_t{0};
};

}  // namespace ashlar::detail
