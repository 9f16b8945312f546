#include "scheduler/cost_model.hpp"

#include <algorithm>

namespace ashlar::scheduler {
namespace {

constexpr double call_ns = 1000;           // a call that does nothing; keeps ratios defined
constexpr double memory = 1.0 - 1.0 / 64;  // about 64 calls are remembered
constexpr double predicted_ns_max = 1e13;

}  // namespace

double CostModel::suggested_ns(double flops, double bytes) const {
  return call_ns + 1e9 * (flops / rates_.flops + bytes / rates_.bytes);
}

std::int64_t CostModel::predict(std::uint32_t kernel, double flops, double bytes) const {
  double ns = suggested_ns(flops, bytes);
  if (kernel < fits_.size() && fits_[kernel].suggested_ns > 0) {
    ns *= fits_[kernel].measured_ns / fits_[kernel].suggested_ns;
  }
  return static_cast<std::int64_t>(std::clamp(ns, 1.0, predicted_ns_max));
}

void CostModel::observe(std::uint32_t kernel, double flops, double bytes, std::int64_t elapsed_ns) {
  if (kernel >= fits_.size()) fits_.resize(kernel + 1);
  Fit& fit = fits_[kernel];
  fit.measured_ns = fit.measured_ns * memory + static_cast<double>(elapsed_ns);
  fit.suggested_ns = fit.suggested_ns * memory + suggested_ns(flops, bytes);
}

}  // namespace ashlar::scheduler
