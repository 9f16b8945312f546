#pragma once

#include "simulate/cluster.hpp"

namespace ashlar::simulate {

/// No schedule of the program on the machine is shorter, in seconds: not than its longest chain at
/// the highest speed, and in no stretch of time can its workers, as long as they are there, do more
/// than all of them at once, but must do what can start no earlier and end no later. After
/// Fernandez and Bussell, 1973. Nothing is known of moving data.
double lower_bound_seconds(const Program& program, const Machine& machine);

}  // namespace ashlar::simulate
