#pragma once

#include <cstdint>
#include <vector>

namespace ashlar::scheduler {

/// Predicts task times: per kernel, the measured ratio to what flops and bytes suggest.
class CostModel {
 public:
  struct Rates {
    double flops;  ///< per second, until measured
    double bytes;
  };
  explicit CostModel(Rates rates) : rates_(rates) {}

  /// Nanoseconds on an average worker. Without estimates: the mean so far.
  std::int64_t predict(std::uint32_t kernel, double flops, double bytes) const;
  bool has_seen(std::uint32_t kernel) const {
    return kernel < fits_.size() && fits_[kernel].suggested_ns > 0;
  }
  void observe(std::uint32_t kernel, double flops, double bytes, std::int64_t elapsed_ns);
  std::size_t bytes() const { return fits_.capacity() * sizeof(Fit); }

 private:
  struct Fit {
    double measured_ns = 0;  ///< decaying sums
    double suggested_ns = 0;
  };
  double suggested_ns(double flops, double bytes) const;

  Rates rates_;
  std::vector<Fit> fits_;
};

}  // namespace ashlar::scheduler
