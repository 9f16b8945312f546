#pragma once

#include <span>

namespace ashlar::simulate {

/// What calls of a kernel take, by what the graph estimates of them.
struct KernelModel {
  double fixed_seconds = 0;
  double seconds_per_flop = 0;
  double seconds_per_byte = 0;

  double seconds(double flops, double bytes) const {
    return fixed_seconds + flops * seconds_per_flop + bytes * seconds_per_byte;
  }
  friend bool operator==(const KernelModel&, const KernelModel&) = default;
};

/// One call, as it was measured.
struct MeasuredCall {
  double flops = 0;
  double bytes = 0;
  double seconds = 0;
};

/// The model that is least off, relatively, for the means of calls with equal estimates, but for the
/// twentieth of them at each end; of two that are off by about as much the one with fewer terms.
/// Calls of no time are left out. Without any, all is 0.
KernelModel fit_model(std::span<const MeasuredCall> calls);

}  // namespace ashlar::simulate
