#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The contract of the built-in kernels: their names, their parameters, and what they compute.
///
/// Every buffer is one chunk: dense, row-major, without a header; booleans are bytes 0 or 1. Every
/// task has exactly one output. Parameters travel as bytes from encode; decode refuses what no
/// encode made, so that a kernel may trust decoded parameters among themselves. What it still has
/// to check is that its input buffers have the sizes that the parameters imply (input_bytes).
namespace ashlar::array {

inline constexpr std::size_t max_dimensions = 16;

/// A typed number. `floating` holds it when the dtype is floating, `integer` otherwise.
struct Constant {
  DType dtype = DType::float64;
  double floating = 0;
  std::int64_t integer = 0;

  template <class T>
  T as() const {
    return is_floating(dtype) ? static_cast<T>(floating) : static_cast<T>(integer);
  }
  friend bool operator==(const Constant&, const Constant&) = default;
};

/// Effort of one task, an estimate.
struct Effort {
  double flops = 0;
  double moved_bytes = 0;  ///< read and written
};

// ---- generators: no inputs -------------------------------------------------------------------

/// Sets every element to one value.
struct FillParams {
  static constexpr std::string_view kernel = "ashlar.fill";
  Shape extents = {};
  Constant value;  ///< its dtype is the output's
  friend bool operator==(const FillParams&, const FillParams&) = default;
};

/// One where global column - global row = diagonal, else zero.
struct EyeParams {
  static constexpr std::string_view kernel = "ashlar.eye";
  DType dtype = DType::float64;
  Shape extents = {};          ///< two of them
  std::int64_t row_start = 0;  ///< global row of element (0, 0)
  std::int64_t column_start = 0;
  std::int64_t diagonal = 0;
  friend bool operator==(const EyeParams&, const EyeParams&) = default;
};

/// Evenly spaced numbers: element i is start + (first + i) * step, in float64 for floating types
/// and in int64 (wrapping) otherwise, then converted. Where first + i = last_index, the element is
/// `last` instead (linspace ends exactly).
struct ArangeParams {
  static constexpr std::string_view kernel = "ashlar.arange";
  std::int64_t count = 0;  ///< elements of the output
  std::int64_t first = 0;  ///< global position of element 0
  Constant start;          ///< its dtype is the output's; step and last have the same
  Constant step;
  std::int64_t last_index = -1;  ///< -1: none
  Constant last;
  friend bool operator==(const ArangeParams&, const ArangeParams&) = default;
};

enum class Distribution : std::uint8_t { uniform, normal };

/// Random numbers that depend on seed, distribution and global position only.
///
/// For the element at row-major position p in global_shape, philox4x32 gives four words w from
/// counter {p low, p high, 0, 0} and key {seed low, seed high}. With u = (w0:w1 >> 11) * 2^-53 and
/// v likewise from w2:w3 (w0, w2 the high words): uniform is low + u * (high - low), normal is
/// mean + deviation * sqrt(-2 ln(1 - u)) * cos(2 pi v); computed in float64, then converted.
struct RandomParams {
  static constexpr std::string_view kernel = "ashlar.random";
  DType dtype = DType::float64;  ///< floating
  Distribution distribution = Distribution::uniform;
  double a = 0;  ///< uniform: low; normal: mean
  double b = 1;  ///< uniform: high; normal: standard deviation
  std::uint64_t seed = 0;
  Shape global_shape = {};
  Shape start = {};    ///< global position of the chunk's first element
  Shape extents = {};  ///< start + extents lies within global_shape
  friend bool operator==(const RandomParams&, const RandomParams&) = default;
};

// ---- elementwise -----------------------------------------------------------------------------

enum class ElementOp : std::uint8_t {
  load,      ///< push input `operand`
  constant,  ///< push constants[operand]
  cast,      ///< top to DType{operand}: C++ conversion; to boolean: is it non-zero
  // One operand of type T to T. exp, log, sqrt: floating T. negative: not boolean.
  negative,
  abs,
  exp,
  log,
  sqrt,
  // Two operands of type T to T; the left one was pushed first. Integers wrap. divide: floating T.
  // On booleans add and maximum are "or", multiply and minimum are "and"; no subtract.
  // maximum and minimum give NaN if an operand is NaN.
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,
  // Two operands of type T to boolean.
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
};

struct Instruction {
  ElementOp op = ElementOp::load;
  std::uint16_t operand = 0;  ///< load, constant, cast only
  friend bool operator==(const Instruction&, const Instruction&) = default;
};

struct ElementwiseInput {
  DType dtype = DType::float64;
  Shape extents = {};                      ///< of the input chunk
  std::vector<std::int64_t> strides = {};  ///< per output dimension, in elements; 0 broadcasts
  friend bool operator==(const ElementwiseInput&, const ElementwiseInput&) = default;
};

/// Evaluates a postfix program at every element.
///
/// Inputs: as many as `inputs`. Input i at output index x is its element sum(x[d] * strides[d]);
/// decode has checked that this lies within its extents, and that the program is well typed,
/// leaves one value of type dtype and never holds more than max_stack. An input that has the
/// output's extents and dense strides is_aligned(); output 0 may take over the buffer of such an
/// input of equal element size, so an element is read before the same element is written.
/// Cost: one flop per arithmetic instruction and element.
struct ElementwiseParams {
  static constexpr std::string_view kernel = "ashlar.elementwise";
  static constexpr std::size_t max_stack = 32;
  static constexpr std::size_t max_inputs = 32;
  static constexpr std::size_t max_instructions = 256;
  DType dtype = DType::float64;  ///< of the output
  Shape extents = {};
  std::vector<ElementwiseInput> inputs = {};
  std::vector<Constant> constants = {};
  std::vector<Instruction> program = {};
  friend bool operator==(const ElementwiseParams&, const ElementwiseParams&) = default;
};

/// The input shows element i of the output's dense order as its own element i.
bool is_aligned(const ElementwiseParams& params, std::size_t input);

// ---- reductions ------------------------------------------------------------------------------

enum class Reduction : std::uint8_t { sum, min, max };

/// Reduces one chunk over some axes.
///
/// Input: one chunk of input_dtype and input_extents. Output: the kept dimensions in their order,
/// of dtype. Elements are converted to dtype, then combined; the order of a sum is the kernel's
/// choice, but fixed. Sums over no elements are 0; min and max need at least one (decode refuses).
/// min and max give NaN if an element is NaN. Last, results are divided by `divisor` unless it is
/// 1; only floating sums have one.
struct ReduceParams {
  static constexpr std::string_view kernel = "ashlar.reduce";
  Reduction reduction = Reduction::sum;
  DType input_dtype = DType::float64;
  DType dtype = DType::float64;
  Shape input_extents = {};
  std::vector<std::uint8_t> axes = {};  ///< ascending
  double divisor = 1;
  friend bool operator==(const ReduceParams&, const ReduceParams&) = default;
};

/// Combines equally shaped partial results elementwise, strictly in input order:
/// ((in0 op in1) op in2) …, then divides by `divisor` unless it is 1.
///
/// Inputs: one or more, `count` elements of dtype each. Output 0 may take over input 0's buffer.
struct CombineParams {
  static constexpr std::string_view kernel = "ashlar.combine";
  Reduction reduction = Reduction::sum;
  DType dtype = DType::float64;
  std::int64_t count = 0;  ///< elements per input
  std::uint32_t inputs = 1;
  double divisor = 1;  ///< not 1: floating sums only
  friend bool operator==(const CombineParams&, const CombineParams&) = default;
};

// ---- matmul ----------------------------------------------------------------------------------

/// Multiplies chunk pairs into one chunk: c = [c +] a0 b0 + a1 b1 + …, strictly in this order.
///
/// Inputs: c first if `accumulates`, then a0, b0, a1, b1, … Shapes: a_i is m x k[i], b_i is
/// k[i] x n, c is m x n, row-major; a transposed operand is stored as its transpose (a_i as
/// k[i] x m, b_i as n x k[i]). Types: all float32, float64, int32 or int64 (integers wrap).
/// Aliasing: output 0 may take over c's buffer; it overlaps no a or b.
/// Cost: 2 m n sum(k) flops.
struct MatmulParams {
  static constexpr std::string_view kernel = "ashlar.matmul";
  DType dtype = DType::float64;
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::vector<std::int64_t> k = {};  ///< one per multiply; at least one
  bool accumulates = false;
  bool a_transposed = false;
  bool b_transposed = false;
  friend bool operator==(const MatmulParams&, const MatmulParams&) = default;
};

// ---- moving elements -------------------------------------------------------------------------

/// Permutes dimensions: output dimension d is input dimension axes[d].
///
/// Input: one chunk of input_extents.
struct PermuteParams {
  static constexpr std::string_view kernel = "ashlar.permute";
  DType dtype = DType::float64;
  Shape input_extents = {};
  std::vector<std::uint8_t> axes = {};  ///< a permutation
  friend bool operator==(const PermuteParams&, const PermuteParams&) = default;
};

/// A strided box of one input and where it goes. Per dimension d and i = 0 … count[d]-1: source
/// position source_start[d] + i * source_step[d], destination destination_start[d] + i.
struct Piece {
  std::uint32_t input = 0;
  Shape input_extents = {};
  Shape source_start = {};
  Shape source_step = {};  ///< not 0; may be negative
  Shape destination_start = {};
  Shape count = {};  ///< positive
  friend bool operator==(const Piece&, const Piece&) = default;
};

/// Assembles a chunk from boxes of other chunks (rechunk, slicing).
///
/// Inputs: `inputs` of them; a piece names one. Pieces lie within input and output (decode
/// checks) and together have as many elements as the output.
struct AssembleParams {
  static constexpr std::string_view kernel = "ashlar.assemble";
  DType dtype = DType::float64;
  Shape extents = {};
  std::uint32_t inputs = 0;
  std::vector<Piece> pieces = {};
  friend bool operator==(const AssembleParams&, const AssembleParams&) = default;
};

/// Whether the output is the only input as it is.
bool is_whole(const AssembleParams& params);

// ---- files -----------------------------------------------------------------------------------

/// Where a NumPy array lies in a file: little-endian elements from data_offset on.
struct NpyFile {
  std::string path = {};  ///< as seen by the worker
  DType dtype = DType::float64;
  Shape shape = {};  ///< of the whole array
  bool is_fortran = false;
  std::uint64_t data_offset = 0;
  friend bool operator==(const NpyFile&, const NpyFile&) = default;
};

/// Reads one chunk of a .npy file.
///
/// No inputs. Output: the box at start of extents, row-major whatever the file's order.
/// Errors: BadInput when the file is missing or shorter than data_offset and shape imply.
struct NpyReadParams {
  static constexpr std::string_view kernel = "ashlar.npy_read";
  NpyFile file;
  Shape start = {};
  Shape extents = {};
  friend bool operator==(const NpyReadParams&, const NpyReadParams&) = default;
};

/// Writes one chunk into a .npy file that exists already, with its header and its full length.
///
/// Input: the chunk, row-major. Output: one int64, the bytes written.
/// Errors: BadInput when the file is missing or shorter than it must be.
struct NpyWriteParams {
  static constexpr std::string_view kernel = "ashlar.npy_write";
  NpyFile file;
  Shape start = {};
  Shape extents = {};
  friend bool operator==(const NpyWriteParams&, const NpyWriteParams&) = default;
};

// ---- helpers, for each of the structs above --------------------------------------------------

/// The parameters as bytes.
template <class Params>
std::vector<std::byte> encode(const Params& params);

/// Parameters from bytes that may come from anyone.
/// Errors: BadInput, naming the kernel, for bytes that no sound parameters encode to.
template <class Params>
Params decode(std::span<const std::byte> bytes);

/// Bytes each input must have.
template <class Params>
std::vector<std::uint64_t> input_bytes(const Params& params);

/// Bytes of the output.
template <class Params>
std::uint64_t output_bytes(const Params& params);

/// What one task costs.
template <class Params>
Effort effort(const Params& params);

}  // namespace ashlar::array
