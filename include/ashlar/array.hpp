#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/plan.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

/// Lazy, chunked, n-dimensional arrays. Names follow the Python array API standard.
///
/// Building an expression computes nothing and checks everything that can be checked: an
/// operation that cannot work throws BadInput where it is written. Each operation remembers the
/// source line it was written on, for errors that only show when it runs.
namespace ashlar {

namespace array {
struct Node;
}  // namespace array

class Operand;

/// A number of a kind (boolean, integer or floating) but of no particular size: beside an array
/// it takes the array's dtype if that can hold its kind.
/// Errors: BadInput for an integer above 2^63 - 1, which no dtype holds.
class Scalar {
 public:
  enum class Kind : std::uint8_t { boolean, integer, floating };

  template <class T>
  requires std::is_arithmetic_v<T> Scalar(T value)
      : kind_(std::same_as<T, bool>         ? Kind::boolean
              : std::is_floating_point_v<T> ? Kind::floating
                                            : Kind::integer),
        floating_(static_cast<double>(value)),
        integer_(kind_ == Kind::floating ? 0 : static_cast<std::int64_t>(value)) {
    if constexpr (std::is_unsigned_v<T>) {
      if (integer_ < 0) refuse(value);
    }
  }

  Kind kind() const { return kind_; }
  double floating() const { return floating_; }
  std::int64_t integer() const { return integer_; }  ///< 0 for a floating scalar
  /// boolean, int64 or float64.
  DType default_dtype() const;

 private:
  [[noreturn]] static void refuse(std::uint64_t value);

  Kind kind_;
  double floating_;
  std::int64_t integer_;
};

/// Positions start, start + step, … before stop along one dimension. Negative positions count from
/// the end. Without start or stop: from or to the end that the step's sign implies.
struct Slice {
  std::optional<std::int64_t> start = std::nullopt;
  std::optional<std::int64_t> stop = std::nullopt;
  std::int64_t step = 1;
};

/// An array that is computed when it is needed: a handle to an immutable expression.
///
/// Copying copies the handle. Operators work elementwise, broadcast like NumPy's and promote
/// dtypes like NumPy's: int / int is float64, comparisons are boolean. Threads: handles are
/// independent values.
class Array {
 public:
  const Shape& shape() const;
  std::size_t ndim() const { return shape().size(); }
  DType dtype() const;
  std::int64_t size() const;    ///< elements
  const Shape& chunks() const;  ///< extents of a chunk; the last in a dimension may be smaller

  /// The same elements as another dtype.
  ///
  /// From floating to integers the fraction is dropped; what becomes of NaN and of numbers that the
  /// dtype cannot hold is not specified, and may differ from worker to worker. From integers to
  /// smaller ones the low bits are kept. As booleans, all but 0 are true, NaN too.
  Array astype(DType dtype, std::source_location where = std::source_location::current()) const;

  /// Reverses the order of the dimensions.
  Array transpose(std::source_location where = std::source_location::current()) const;
  /// The same as transpose().
  Array T(std::source_location where = std::source_location::current()) const;

  /// A part of the array: one Slice per dimension, missing ones take everything.
  ///
  /// Chunks: as many elements of a chunk as the step leaves.
  /// Errors: BadInput for a step of 0, a position outside the array, too many slices.
  Array slice(const std::vector<Slice>& slices,
              std::source_location where = std::source_location::current()) const;

  /// The same elements cut differently.
  /// Errors: BadInput for chunk extents of 0 or larger than the array.
  Array rechunk(const Shape& chunks,
                std::source_location where = std::source_location::current()) const;

  /// What computing this array would take. Computes nothing.
  Plan plan(const PlanOptions& options = {}) const;

  friend Array operator-(const Operand& x);
  friend Array operator+(const Operand& a, const Operand& b);
  friend Array operator-(const Operand& a, const Operand& b);
  friend Array operator*(const Operand& a, const Operand& b);
  friend Array operator/(const Operand& a, const Operand& b);
  friend Array operator==(const Operand& a, const Operand& b);
  friend Array operator!=(const Operand& a, const Operand& b);
  friend Array operator<(const Operand& a, const Operand& b);
  friend Array operator<=(const Operand& a, const Operand& b);
  friend Array operator>(const Operand& a, const Operand& b);
  friend Array operator>=(const Operand& a, const Operand& b);

  /// For Ashlar's own use.
  explicit Array(std::shared_ptr<const array::Node> node) : node_(std::move(node)) {}
  const std::shared_ptr<const array::Node>& node() const { return node_; }

 private:
  std::shared_ptr<const array::Node> node_;
};

/// What an operator takes: an array or a number, and where it was written.
class Operand {
 public:
  Operand(const Array& array, std::source_location where = std::source_location::current())
      : value_(array), where_(where) {}
  template <class T>
  requires std::is_arithmetic_v<T> Operand(
      T scalar, std::source_location where = std::source_location::current())
      : value_(Scalar(scalar)), where_(where) {}

  const std::variant<Array, Scalar>& value() const { return value_; }
  const std::source_location& where() const { return where_; }

 private:
  std::variant<Array, Scalar> value_;
  std::source_location where_;
};

/// Elementwise the greater and the lesser of two; NaN where one is NaN. Of booleans: or, and.
/// Shapes and dtypes: as the operators.
Array maximum(const Operand& a, const Operand& b);
Array minimum(const Operand& a, const Operand& b);
/// Elementwise |x|, of the same dtype, in which the least signed integer has none and stays.
Array abs(const Array& x, std::source_location where = std::source_location::current());
/// Elementwise e^x, natural logarithm and square root; float64 of integers.
Array exp(const Array& x, std::source_location where = std::source_location::current());
Array log(const Array& x, std::source_location where = std::source_location::current());
Array sqrt(const Array& x, std::source_location where = std::source_location::current());

// ---- making arrays ---------------------------------------------------------------------------

/// How a new array is cut, and its dtype. Empty chunks: Ashlar cuts blocks of up to 8 MiB.
/// No dtype: what the function says.
struct ArrayOptions {
  Shape chunks = {};
  std::optional<DType> dtype = std::nullopt;
};

/// How an array that exists is cut. Empty chunks: blocks of up to 8 MiB.
struct ChunkOptions {
  Shape chunks = {};
};

/// All zeros or all ones; float64 unless options say otherwise.
Array zeros(const Shape& shape, const ArrayOptions& options = {},
            std::source_location where = std::source_location::current());
Array ones(const Shape& shape, const ArrayOptions& options = {},
           std::source_location where = std::source_location::current());

/// One value everywhere; boolean, int64 or float64 by the value's kind.
/// Errors: BadInput if the dtype is of integers and cannot hold the value.
Array full(const Shape& shape, Scalar value, const ArrayOptions& options = {},
           std::source_location where = std::source_location::current());

struct EyeOptions {
  std::optional<std::int64_t> columns = std::nullopt;  ///< as many as rows
  std::int64_t diagonal = 0;                           ///< ones where column - row is this
  Shape chunks = {};
  std::optional<DType> dtype = std::nullopt;  ///< float64
};

/// Ones on a diagonal, zeros elsewhere.
Array eye(std::int64_t rows, const EyeOptions& options = {},
          std::source_location where = std::source_location::current());

struct ArangeOptions {
  Scalar step = 1;
  Shape chunks = {};
  std::optional<DType> dtype = std::nullopt;
};

/// start, start + step, … before stop; int64, or float64 if a number given is floating.
Array arange(Scalar start, Scalar stop, const ArangeOptions& options = {},
             std::source_location where = std::source_location::current());

/// `count` evenly spaced numbers from start to stop, both included; float64.
Array linspace(double start, double stop, std::int64_t count, const ArrayOptions& options = {},
               std::source_location where = std::source_location::current());

/// An array of this process's memory. Its elements are read when the array is computed: do not
/// change them before.
Array from_host(const HostArray& array, const ChunkOptions& options = {},
                std::source_location where = std::source_location::current());

/// The array in a NumPy .npy file, C or Fortran order. The header is read now; each chunk is
/// read by the worker that needs it, which must see the file under the same path.
/// Errors: BadInput for a file that is missing, truncated, or of an unknown dtype.
Array load_npy(const std::string& path, const ChunkOptions& options = {},
               std::source_location where = std::source_location::current());

struct SaveOptions {
  bool fortran_order = false;
};

/// Writes an array into a NumPy .npy file when the returned array is computed: each chunk is
/// written by a worker, which must see the folder under the same path. The returned array has one
/// element per chunk: the bytes written. Computing a part of it writes the whole file.
///
/// Until all is written the file is called PATH.partial-…; then it takes its name, replacing what
/// is there. When the computation fails or its session ends, it is removed. What a program that is
/// killed leaves behind goes when one on its host writes the same file again.
/// Errors of computing it: BadInput when the file cannot be made; Overloaded when the disk is too
/// small.
Array save_npy(const std::string& path, const Array& array, const SaveOptions& options = {},
               std::source_location where = std::source_location::current());

// ---- reductions ------------------------------------------------------------------------------

struct ReduceOptions {
  std::vector<int> axes = {};  ///< negative ones count from the last; empty: all
  bool keepdims = false;       ///< keep reduced dimensions with extent 1
};

/// The sum over some axes; int64 for integers and booleans; 0 where there is no element.
Array sum(const Array& x, const ReduceOptions& options = {},
          std::source_location where = std::source_location::current());
/// The mean over some axes; float64 for integers and booleans.
/// Errors: BadInput where there is no element: unlike a sum, it has no value then.
Array mean(const Array& x, const ReduceOptions& options = {},
           std::source_location where = std::source_location::current());
/// The least and the greatest element over some axes. Errors: as mean.
Array min(const Array& x, const ReduceOptions& options = {},
          std::source_location where = std::source_location::current());
Array max(const Array& x, const ReduceOptions& options = {},
          std::source_location where = std::source_location::current());

// ---- shape and products ----------------------------------------------------------------------

/// Dimension d of the result is dimension axes[d] of x.
Array permute_dims(const Array& x, const std::vector<int>& axes,
                   std::source_location where = std::source_location::current());

/// Inserts a dimension of extent 1 before dimension `axis` of the result.
Array expand_dims(const Array& x, int axis,
                  std::source_location where = std::source_location::current());

/// Removes dimensions of extent 1.
/// Errors: BadInput for an axis that is not there, is named twice, or has another extent.
Array squeeze(const Array& x, const std::vector<int>& axes,
              std::source_location where = std::source_location::current());

/// The matrix product of two 2-D arrays.
///
/// Shapes: a is m x k, b is k x n. Chunks need not match. Cost: 2mnk flops. The result's bits
/// depend on the chunks, but not on the number of workers.
/// Types: as promoted; float32, float64, int32 or int64.
/// Errors: BadInput if the inner extents differ, or if both are uint8 or boolean.
Array matmul(const Array& a, const Array& b,
             std::source_location where = std::source_location::current());

}  // namespace ashlar
