#pragma once

#include <ashlar/plan.hpp>

#include "array/lower.hpp"

namespace ashlar::array {

/// What running a lowered graph would take.
Plan plan(const Lowered& lowered, const PlanOptions& options);

}  // namespace ashlar::array
