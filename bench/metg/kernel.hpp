#pragma once

namespace metg {

/// Floating-point operations of one iteration of compute().
inline constexpr double flops_per_iteration = 64;

/// The compute-bound kernel of Task Bench's kind, the same code for every system: multiply-adds
/// in registers, no memory. Returns a value that depends on all of them.
double compute(long iterations);

}  // namespace metg
