#include <ashlar/array.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "array/node.hpp"

namespace ashlar {
namespace {

using array::ElementOp;
using array::Elementwise;
using array::make_array;
using array::make_constant;
using array::NodePtr;
using array::promote;

bool is_comparison(ElementOp op) { return op >= ElementOp::equal; }

/// The dtype an operation computes in, given that of its operands.
DType compute_dtype(ElementOp op, DType dtype) {
  const bool needs_floating = op == ElementOp::divide || op == ElementOp::exp ||
                              op == ElementOp::log || op == ElementOp::sqrt;
  return needs_floating && !is_floating(dtype) ? DType::float64 : dtype;
}

Array unary(ElementOp op, const Array& x, const std::source_location& where) {
  const DType compute = compute_dtype(op, x.dtype());
  if (op == ElementOp::negative && compute == DType::boolean) {
    throw BadInput("negation of booleans: compare with false instead, or convert with astype");
  }
  return make_array(Elementwise{op, compute, {0u}}, compute, x.shape(), x.chunks(), {x.node()},
                    where);
}

/// The common shape of two arrays, as in NumPy.
Shape broadcast(const char* name, const Array& a, const Array& b) {
  Shape shape(std::max(a.ndim(), b.ndim()));
  for (std::size_t back = 1; back <= shape.size(); ++back) {
    const std::int64_t left = back <= a.ndim() ? a.shape()[a.ndim() - back] : 1;
    const std::int64_t right = back <= b.ndim() ? b.shape()[b.ndim() - back] : 1;
    if (left != right && left != 1 && right != 1) {
      throw BadInput(array::describe(name, a, b) + ": extents must be equal or 1, but dimension " +
                     std::to_string(shape.size() - back) + " has " + std::to_string(left) +
                     " and " + std::to_string(right) +
                     "; slice, transpose or expand_dims one of them");
    }
    shape[shape.size() - back] = left == 1 ? right : left;
  }
  return shape;
}

/// The smaller chunks of the operands, so that each fits the other's memory.
Shape common_chunks(const Array& a, const Array& b, const Shape& shape) {
  Shape chunks = shape;
  for (std::size_t back = 1; back <= shape.size(); ++back) {
    auto& chunk = chunks[shape.size() - back];
    for (const Array* x : {&a, &b}) {
      if (back > x->ndim() || x->shape()[x->ndim() - back] == 1) continue;
      chunk = std::min(chunk, x->chunks()[x->ndim() - back]);
    }
    chunk = std::max<std::int64_t>(chunk, 1);
  }
  return chunks;
}

/// Cuts an operand as the result is cut, where it is not broadcast.
NodePtr cut_alike(const Array& x, const Shape& chunks, const std::source_location& where) {
  Shape wanted = x.chunks();
  const std::size_t added = chunks.size() - x.ndim();
  for (std::size_t d = 0; d < x.ndim(); ++d) {
    if (x.shape()[d] != 1) wanted[d] = chunks[d + added];
  }
  return x.rechunk(wanted, where).node();
}

Array binary_arrays(ElementOp op, const char* name, const Array& a, const Array& b,
                    const std::source_location& where) {
  const Shape shape = broadcast(name, a, b);
  const DType compute = compute_dtype(op, promote(a.dtype(), b.dtype()));
  const Shape chunks = common_chunks(a, b, shape);
  return make_array(Elementwise{op, compute, {0u, 1u}},
                    is_comparison(op) ? DType::boolean : compute, shape, chunks,
                    {cut_alike(a, chunks, where), cut_alike(b, chunks, where)}, where);
}

/// Comparisons with a number that x's dtype cannot hold are made in a dtype that can.
DType scalar_dtype(ElementOp op, const Array& x, Scalar scalar) {
  const DType dtype = compute_dtype(op, promote(x.dtype(), scalar.kind()));
  if (!is_comparison(op) || is_floating(dtype)) return dtype;
  return DType::int64;
}

Array binary(ElementOp op, const char* name, const Operand& left, const Operand& right) {
  const std::source_location& where = left.where();
  const Array* a = std::get_if<Array>(&left.value());
  const Array* b = std::get_if<Array>(&right.value());
  if (a == nullptr && b == nullptr) {
    throw BadInput(std::string(name) + " of two numbers: one operand must be an array");
  }
  const bool takes_booleans = op != ElementOp::subtract;
  const auto is_boolean = [](const Operand& x) {
    const Array* array = std::get_if<Array>(&x.value());
    return array != nullptr ? array->dtype() == DType::boolean
                            : std::get<Scalar>(x.value()).kind() == Scalar::Kind::boolean;
  };
  if (!takes_booleans && is_boolean(left) && is_boolean(right)) {
    throw BadInput(std::string(name) + " of booleans: use !=, or convert with astype");
  }
  if (a != nullptr && b != nullptr) return binary_arrays(op, name, *a, *b, where);
  const Array& x = a != nullptr ? *a : *b;
  const Scalar scalar = std::get<Scalar>((a != nullptr ? right : left).value());
  const DType compute = scalar_dtype(op, x, scalar);
  Elementwise operation{op, compute, {0u, make_constant(scalar, compute)}};
  if (a == nullptr) std::swap(operation.operands[0], operation.operands[1]);
  return make_array(std::move(operation), is_comparison(op) ? DType::boolean : compute, x.shape(),
                    x.chunks(), {x.node()}, where);
}

}  // namespace

Array operator-(const Operand& x) {
  const Array* a = std::get_if<Array>(&x.value());
  if (a == nullptr) throw BadInput("negation of a number: the operand must be an array");
  return unary(ElementOp::negative, *a, x.where());
}

Array operator+(const Operand& a, const Operand& b) { return binary(ElementOp::add, "+", a, b); }
Array operator-(const Operand& a, const Operand& b) {
  return binary(ElementOp::subtract, "-", a, b);
}
Array operator*(const Operand& a, const Operand& b) {
  return binary(ElementOp::multiply, "*", a, b);
}
Array operator/(const Operand& a, const Operand& b) { return binary(ElementOp::divide, "/", a, b); }
Array operator==(const Operand& a, const Operand& b) {
  return binary(ElementOp::equal, "==", a, b);
}
Array operator!=(const Operand& a, const Operand& b) {
  return binary(ElementOp::not_equal, "!=", a, b);
}
Array operator<(const Operand& a, const Operand& b) { return binary(ElementOp::less, "<", a, b); }
Array operator<=(const Operand& a, const Operand& b) {
  return binary(ElementOp::less_equal, "<=", a, b);
}
Array operator>(const Operand& a, const Operand& b) {
  return binary(ElementOp::greater, ">", a, b);
}
Array operator>=(const Operand& a, const Operand& b) {
  return binary(ElementOp::greater_equal, ">=", a, b);
}
Array maximum(const Operand& a, const Operand& b) {
  return binary(ElementOp::maximum, "maximum", a, b);
}
Array minimum(const Operand& a, const Operand& b) {
  return binary(ElementOp::minimum, "minimum", a, b);
}

Array abs(const Array& x, std::source_location where) { return unary(ElementOp::abs, x, where); }
Array exp(const Array& x, std::source_location where) { return unary(ElementOp::exp, x, where); }
Array log(const Array& x, std::source_location where) { return unary(ElementOp::log, x, where); }
Array sqrt(const Array& x, std::source_location where) { return unary(ElementOp::sqrt, x, where); }

Array Array::astype(DType wanted, std::source_location where) const {
  if (wanted == dtype()) return *this;
  return make_array(Elementwise{ElementOp::cast, wanted, {0u}}, wanted, shape(), chunks(), {node()},
                    where);
}

}  // namespace ashlar
