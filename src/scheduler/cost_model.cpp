#include "scheduler/cost_model.hpp"

#include <algorithm>
#include <cmath>

namespace ashlar::scheduler {
namespace {

constexpr double call_ns = 1000;           // a call that does nothing; keeps ratios defined
constexpr double memory = 1.0 - 1.0 / 64;  // about 64 calls are remembered
constexpr double predicted_ns_max = 1e13;
/// A call counts for at most 1 + so many mean deviations of what was expected, but at least twice.
constexpr double deviations_max = 4;
/// A class of which so many calls are remembered counts as much as all classes together.
constexpr double class_weight = 2;

}  // namespace

double CostModel::suggested_ns(double flops, double bytes) const {
  return call_ns + 1e9 * (flops / rates_.flops + bytes / rates_.bytes);
}

const CostModel::Fit* CostModel::find(std::uint32_t kernel, std::uint32_t worker_class) const {
  if (worker_class == any_class) return kernel < all_.size() ? &all_[kernel] : nullptr;
  if (worker_class >= by_class_.size()) return nullptr;
  const std::vector<Fit>& fits = by_class_[worker_class];
  return kernel < fits.size() ? &fits[kernel] : nullptr;
}

std::int64_t CostModel::predict(std::uint32_t kernel, double flops, double bytes,
                                std::uint32_t worker_class) const {
  double ns = suggested_ns(flops, bytes);
  if (has_seen(kernel)) {
    double ratio = all_[kernel].ratio();
    const Fit* own = worker_class == any_class ? nullptr : find(kernel, worker_class);
    if (own != nullptr && own->calls > 0) {
      ratio += own->weight / (own->weight + class_weight) * (own->ratio() - ratio);
    }
    ns *= ratio;
  }
  return static_cast<std::int64_t>(std::clamp(ns, 1.0, predicted_ns_max));
}

void CostModel::observe(std::uint32_t kernel, double flops, double bytes, std::int64_t elapsed_ns,
                        std::uint32_t worker_class) {
  const double suggested = suggested_ns(flops, bytes);
  const double elapsed = std::max(static_cast<double>(elapsed_ns), 1.0);
  if (kernel >= all_.size()) all_.resize(kernel + 1);
  all_[kernel].observe(suggested, elapsed);
  if (worker_class == any_class) return;
  if (worker_class >= by_class_.size()) by_class_.resize(worker_class + 1);
  std::vector<Fit>& fits = by_class_[worker_class];
  if (kernel >= fits.size()) fits.resize(kernel + 1);
  fits[kernel].observe(suggested, elapsed);
}

/// The middle one of the recent calls; of an even number the lower one, since the first call of a
/// kernel is often far too slow.
double CostModel::Fit::median(std::array<float, recent_count> values) const {
  const auto count = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(calls, recent_count));
  std::sort(values.begin(), values.begin() + count);
  return static_cast<double>(values[static_cast<std::size_t>((count - 1) / 2)]);
}

void CostModel::Fit::believe_recent() {
  const double typical = median(recent);
  std::array<float, recent_count> deviations{};
  for (std::size_t i = 0; i < recent_count; ++i) {
    deviations[i] = static_cast<float>(std::abs(static_cast<double>(recent[i]) / typical - 1));
  }
  measured_ns = typical * suggested_ns;
  if (calls > 1) spread = std::min(median(deviations), 1.0);
  off_side = 0;
}

void CostModel::Fit::observe(double suggested, double elapsed) {
  recent[calls % recent_count] = static_cast<float>(elapsed / suggested);
  const double expected = calls == 0 ? elapsed : ratio() * suggested;
  ++calls;
  weight = weight * memory + 1;
  suggested_ns = suggested_ns * memory + suggested;
  const double most = 1 + std::max(1.0, deviations_max * spread);
  const double counted = std::clamp(elapsed, expected / most, expected * most);
  measured_ns = measured_ns * memory + counted;
  const double deviation = std::min(std::abs(elapsed / expected - 1), most);
  if (calls <= recent_count) return believe_recent();
  spread += std::max(1 / weight, 0.05) * (deviation - spread);

  if (counted == elapsed) {
    off_side = 0;
  } else if ((counted < elapsed) == (off_side >= 0)) {
    off_side += counted < elapsed ? 1 : -1;
  } else {
    off_side = counted < elapsed ? 1 : -1;
  }
  if (std::abs(off_side) < static_cast<int>(recent_count)) return;
  // Something has changed for good: what was before counts no more than these calls.
  suggested_ns *= static_cast<double>(recent_count) / weight;
  weight = static_cast<double>(recent_count);
  believe_recent();
}

CostModel::Learned CostModel::learned(std::uint32_t kernel, std::uint32_t worker_class) const {
  const Fit* fit = find(kernel, worker_class);
  if (fit == nullptr || fit->calls == 0) return {};
  return {fit->calls, fit->measured_ns / fit->weight, fit->spread,
          1 / (1 + fit->spread / std::sqrt(fit->weight))};
}

void CostModel::forget() {
  all_.clear();
  by_class_.clear();
}

std::size_t CostModel::bytes() const {
  std::size_t total = all_.capacity() * sizeof(Fit);
  for (const auto& fits : by_class_) total += fits.capacity() * sizeof(Fit);
  return total;
}

}  // namespace ashlar::scheduler
