#include "array/node.hpp"

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "array/chunk_grid.hpp"
#include "base/check.hpp"

namespace ashlar::array {

Node::Node(Operation operation_, DType dtype_, Shape shape_, Shape chunks_,
           std::vector<NodePtr> inputs_, std::source_location where_)
    : operation(std::move(operation_)),
      dtype(dtype_),
      shape(std::move(shape_)),
      chunks(std::move(chunks_)),
      inputs(std::move(inputs_)),
      where(where_) {}

Node::~Node() {
  std::vector<NodePtr> dying = std::move(inputs);
  while (!dying.empty()) {
    NodePtr node = std::move(dying.back());
    dying.pop_back();
    if (node.use_count() != 1) continue;
    // Nobody else sees the node any more, and none was created const.
    auto& orphans = const_cast<Node&>(*node).inputs;
    for (auto& input : orphans) dying.push_back(std::move(input));
    orphans.clear();
  }
}

Array make_array(Operation operation, DType dtype, Shape shape, Shape chunks,
                 std::vector<NodePtr> inputs, const std::source_location& where) {
  ASHLAR_CHECK(shape.size() == chunks.size());
  return Array(std::make_shared<Node>(std::move(operation), dtype, std::move(shape),
                                      std::move(chunks), std::move(inputs), where));
}

Constant make_constant(Scalar value, DType dtype) {
  Constant constant{.dtype = dtype};
  if (is_floating(dtype)) {
    constant.floating = value.floating();
    return constant;
  }
  if (dtype == DType::boolean) {
    constant.integer = value.floating() != 0;
    return constant;
  }
  if (value.kind() != Scalar::Kind::floating) {
    constant.integer = value.integer();
  } else if (value.floating() >= -0x1p63 && value.floating() < 0x1p63 &&
             value.floating() == std::trunc(value.floating())) {
    constant.integer = static_cast<std::int64_t>(value.floating());
  } else {
    throw BadInput(std::to_string(value.floating()) + " does not fit into " +
                   std::string(dtype_name(dtype)) + ": round it, or choose a floating dtype");
  }
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (constant.integer < static_cast<std::int64_t>(std::numeric_limits<T>::min()) ||
          constant.integer > static_cast<std::int64_t>(std::numeric_limits<T>::max())) {
        throw BadInput(std::to_string(constant.integer) + " does not fit into " +
                       std::string(dtype_name(dtype)) + ": convert the array with astype first");
      }
    }
  });
  return constant;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::boolean) return b;
  if (b == DType::boolean) return a;
  if (is_floating(a) || is_floating(b)) {
    const bool fits_float32 =
        (a == DType::float32 || a == DType::uint8) && (b == DType::float32 || b == DType::uint8);
    return fits_float32 ? DType::float32 : DType::float64;
  }
  return dtype_bytes(a) > dtype_bytes(b) ? a : b;
}

DType promote(DType array, Scalar::Kind kind) {
  switch (kind) {
    case Scalar::Kind::boolean:
      return array;
    case Scalar::Kind::integer:
      return array == DType::boolean ? DType::int64 : array;
    case Scalar::Kind::floating:
      return is_floating(array) ? array : DType::float64;
  }
  return array;
}

std::uint8_t checked_axis(int axis, std::size_t ndim, const std::string& operation,
                          const Shape& shape) {
  const int dimensions = static_cast<int>(ndim);
  if (axis < -dimensions || axis >= dimensions) {
    throw BadInput(operation + " of " + to_string(shape) + ": there is no axis " +
                   std::to_string(axis));
  }
  return static_cast<std::uint8_t>(axis < 0 ? axis + dimensions : axis);
}

std::string describe(const std::string& operation, const Array& a, const Array& b) {
  return operation + " of " + to_string(a.shape()) + " and " + to_string(b.shape());
}

}  // namespace ashlar::array
