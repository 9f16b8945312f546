#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ashlar::scheduler {

/// Predicts task times: per kernel and class of workers, the measured ratio to what flops and bytes
/// suggest.
///
/// About 64 calls are remembered. A single call counts for no more than a few times what was
/// expected of it; when five in a row are off to one side, they are believed instead.
class CostModel {
 public:
  struct Rates {
    double flops;  ///< per second, until measured
    double bytes;
  };
  explicit CostModel(Rates rates) : rates_(rates) {}

  /// Workers of one class have the same resources.
  static constexpr std::uint32_t any_class = ~std::uint32_t{0};

  /// Nanoseconds on an average worker, or on the average worker of a class. Without estimates:
  /// the mean so far.
  std::int64_t predict(std::uint32_t kernel, double flops, double bytes,
                       std::uint32_t worker_class = any_class) const;
  bool has_seen(std::uint32_t kernel) const {
    return kernel < all_.size() && all_[kernel].calls > 0;
  }
  /// Classes are told apart once there are several.
  void observe(std::uint32_t kernel, double flops, double bytes, std::int64_t elapsed_ns,
               std::uint32_t worker_class = any_class);

  /// What was learnt of a kernel; without calls: nothing.
  struct Learned {
    std::uint64_t calls = 0;
    double predicted_ns = 0;  ///< for a call as they were lately
    double spread = 0;        ///< mean deviation of a call, over the prediction
    /// 1 over 1 + the prediction's own error, which is the spread over the root of the calls
    /// remembered: a half after one call, near 1 after many that were alike.
    double confidence = 0;
  };
  Learned learned(std::uint32_t kernel, std::uint32_t worker_class = any_class) const;
  /// Begins anew.
  void forget();

  std::size_t bytes() const;

 private:
  static constexpr std::size_t recent_count = 5;
  struct Fit {
    double measured_ns = 0;  ///< decaying sums …
    double suggested_ns = 0;
    double weight = 0;  ///< … over so many calls
    double spread = 1;  ///< mean deviation of a call, over the prediction
    std::uint64_t calls = 0;
    std::array<float, recent_count> recent{};  ///< measured over suggested, the last ones
    int off_side = 0;  ///< calls in a row that were far above what was expected; negative: below

    double ratio() const { return measured_ns / suggested_ns; }
    double median(std::array<float, recent_count> values) const;
    void observe(double suggested, double elapsed);
    void believe_recent();
  };
  const Fit* find(std::uint32_t kernel, std::uint32_t worker_class) const;
  double suggested_ns(double flops, double bytes) const;

  Rates rates_;
  std::vector<Fit> all_;                    ///< by kernel
  std::vector<std::vector<Fit>> by_class_;  ///< by class, then by kernel
};

}  // namespace ashlar::scheduler
