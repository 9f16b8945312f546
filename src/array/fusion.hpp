#pragma once

#include <functional>
#include <vector>

#include "array/node.hpp"

namespace ashlar::array {

/// A chain of elementwise operations as one program.
struct FusedProgram {
  std::vector<const Node*> inputs;
  std::vector<Constant> constants;
  std::vector<Instruction> program;
};

/// Fuses the elementwise node `last` with the elementwise nodes it reads, as far as they are cut
/// alike, `may_absorb` them (nobody else needs them), and limits allow. Filled arrays become
/// constants.
FusedProgram fuse(const Node& last, const std::function<bool(const Node&)>& may_absorb);

}  // namespace ashlar::array
