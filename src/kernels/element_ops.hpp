#pragma once

#include <ashlar/dtype.hpp>

#include <cstddef>

#include "array/operations.hpp"

namespace ashlar::kernels {

/// Computes n elements: out[i] = op(a[i]) or op(a[i], b[i]). `out` may be `a` or `b` itself.
using UnaryLoop = void (*)(const void* a, void* out, std::size_t n);
using BinaryLoop = void (*)(const void* a, const void* b, void* out, std::size_t n);

/// The loop of an operation with one operand of the given type; none if it has no such type.
UnaryLoop unary_loop(array::ElementOp op, DType operand);
BinaryLoop binary_loop(array::ElementOp op, DType operands);
UnaryLoop cast_loop(DType from, DType to);

bool is_binary(array::ElementOp op);
bool is_comparison(array::ElementOp op);

}  // namespace ashlar::kernels
