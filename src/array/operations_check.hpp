#pragma once

#include "array/operations.hpp"

namespace ashlar::array {

/// Checks what a struct's comment promises of its fields.
/// Errors: BadInput, naming the kernel.
void check(const FillParams& params);
void check(const EyeParams& params);
void check(const ArangeParams& params);
void check(const RandomParams& params);
void check(const ElementwiseParams& params);
void check(const ReduceParams& params);
void check(const CombineParams& params);
void check(const MatmulParams& params);
void check(const PermuteParams& params);
void check(const AssembleParams& params);
void check(const NpyReadParams& params);
void check(const NpyWriteParams& params);

}  // namespace ashlar::array
