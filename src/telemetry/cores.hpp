#pragma once

#include <vector>

namespace ashlar::telemetry {

/// The numbers of the cores in this process's affinity mask, ascending. Empty where the system
/// does not say.
std::vector<int> core_numbers();

}  // namespace ashlar::telemetry
