#pragma once

#include <ashlar/array.hpp>

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <variant>
#include <vector>

#include "array/operations.hpp"
#include "base/ids.hpp"

/// Expressions: what the public handles point to.
namespace ashlar::array {

struct Node;
using NodePtr = std::shared_ptr<const Node>;

/// A datum that lives on the workers as long as `keepalive` does.
struct DatumRef {
  std::shared_ptr<const void> keepalive;
  DatumId datum;
};

// What a node computes from its inputs. Shapes are in the node.

struct Fill {
  Constant value;
};
struct Eye {
  std::int64_t diagonal = 0;
};
struct Arange {
  Constant start, step, last;
  std::int64_t last_index = -1;
};
struct Random {
  Distribution distribution = Distribution::uniform;
  double a = 0;
  double b = 1;
  std::uint64_t seed = 0;
};
struct NpySource {
  NpyFile file;
};
struct HostSource {
  HostArray array;
};
struct DataSource {
  std::vector<DatumRef> data = {};  ///< one per chunk, in grid order
};

/// An operand of an elementwise operation: the position of an input, or a constant.
using ElementOperand = std::variant<std::uint32_t, Constant>;

/// op over one or two operands, each first converted to `compute` (no op but a conversion: cast).
struct Elementwise {
  ElementOp op = ElementOp::add;
  DType compute = DType::float64;
  std::vector<ElementOperand> operands = {};
};
struct Reduce {
  Reduction reduction = Reduction::sum;
  std::vector<std::uint8_t> axes = {};  ///< ascending
  bool keepdims = false;
  double divisor = 1;
};
struct Matmul {};
struct Permute {
  std::vector<std::uint8_t> axes = {};
};
/// Element i along a dimension is input element start + i * step.
struct Slicing {
  Shape start = {};
  Shape step = {};
};
struct Rechunk {};
/// The same chunks with dimensions of extent 1 added or removed.
struct Reshape {};
struct NpySink {
  NpyFile file;
};

using Operation =
    std::variant<Fill, Eye, Arange, Random, NpySource, HostSource, DataSource, Elementwise, Reduce,
                 Matmul, Permute, Slicing, Rechunk, Reshape, NpySink>;

/// One immutable array expression.
struct Node {
  Operation operation;
  DType dtype = DType::float64;
  Shape shape = {};
  Shape chunks = {};
  std::vector<NodePtr> inputs = {};
  std::source_location where;

  Node() = default;
  Node(Operation operation_, DType dtype_, Shape shape_, Shape chunks_,
       std::vector<NodePtr> inputs_, std::source_location where_);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  ///< without recursion: expressions may be deep
};

/// An array whose shape and chunks are checked already.
Array make_array(Operation operation, DType dtype, Shape shape, Shape chunks,
                 std::vector<NodePtr> inputs, const std::source_location& where);

/// The value as a constant of a dtype. Errors: BadInput if an integer type cannot hold it.
Constant make_constant(Scalar value, DType dtype);

/// The dtype that holds both, as in NumPy.
DType promote(DType a, DType b);
/// The dtype of an array of dtype `array` beside a number of some kind, as in NumPy.
DType promote(DType array, Scalar::Kind kind);

/// The dimension that a user's axis names; negative ones count from the last.
/// Errors: BadInput if there is none, naming the operation.
std::uint8_t checked_axis(int axis, std::size_t ndim, const std::string& operation,
                          const Shape& shape);

/// "matmul of (3, 4) and (5, 6)", for messages.
std::string describe(const std::string& operation, const Array& a, const Array& b);

}  // namespace ashlar::array
