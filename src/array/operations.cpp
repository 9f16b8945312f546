#include "array/operations.hpp"

#include <algorithm>
#include <limits>

#include "array/operations_check.hpp"
#include "base/shape.hpp"

namespace ashlar::array {
namespace {

void require(bool is_sound, const char* finding) {
  if (!is_sound) throw BadInput(finding);
}

void check_extents(DType dtype, const Shape& extents) {
  require(extents.size() <= max_dimensions, "too many dimensions");
  checked_bytes(dtype, extents);
}

/// The box start, extents lies within shape.
void check_box(const Shape& shape, const Shape& start, const Shape& extents) {
  require(start.size() == shape.size() && extents.size() == shape.size(),
          "numbers of dimensions differ");
  for (std::size_t d = 0; d < shape.size(); ++d) {
    require(start[d] >= 0 && extents[d] >= 0 && start[d] <= shape[d] &&
                extents[d] <= shape[d] - start[d],
            "a chunk lies outside its array");
  }
}

void check_divisor(double divisor, Reduction reduction, DType dtype) {
  require(divisor == 1 || (reduction == Reduction::sum && is_floating(dtype)),
          "only floating sums have a divisor");
}

bool is_binary(ElementOp op) { return op >= ElementOp::add; }
bool is_comparison(ElementOp op) { return op >= ElementOp::equal; }
bool needs_floating(ElementOp op) {
  return op == ElementOp::exp || op == ElementOp::log || op == ElementOp::sqrt ||
         op == ElementOp::divide;
}

/// Runs the program on dtypes instead of values.
DType type_of_program(const ElementwiseParams& p) {
  std::vector<DType> stack;
  for (const auto& instruction : p.program) {
    const auto [op, operand] = instruction;
    if (op == ElementOp::load) {
      require(operand < p.inputs.size(), "an instruction loads an input that is not there");
      stack.push_back(p.inputs[operand].dtype);
    } else if (op == ElementOp::constant) {
      require(operand < p.constants.size(), "an instruction names a constant that is not there");
      stack.push_back(p.constants[operand].dtype);
    } else {
      require(stack.size() >= (is_binary(op) ? 2u : 1u), "an instruction lacks operands");
      if (is_binary(op)) {
        const DType right = stack.back();
        stack.pop_back();
        require(right == stack.back(), "the operands of an instruction differ in dtype");
      }
      if (op == ElementOp::cast) {
        require(operand < dtype_count, "an instruction casts to an unknown dtype");
        stack.back() = DType{static_cast<std::uint8_t>(operand)};
      }
      require(!needs_floating(op) || is_floating(stack.back()),
              "an instruction needs floating operands");
      require((op != ElementOp::negative && op != ElementOp::subtract) ||
                  stack.back() != DType::boolean,
              "an instruction is not for booleans");
      if (is_comparison(op)) stack.back() = DType::boolean;
    }
    require(stack.size() <= ElementwiseParams::max_stack, "the program holds too many values");
  }
  require(stack.size() == 1, "the program does not leave one value");
  return stack.back();
}

void check_input(const ElementwiseInput& input, const Shape& output_extents) {
  check_extents(input.dtype, input.extents);
  require(input.strides.size() == output_extents.size(), "numbers of dimensions differ");
  std::int64_t left = element_count(input.extents) - 1;
  const bool is_empty = element_count(output_extents) == 0;
  for (std::size_t d = 0; d < output_extents.size() && !is_empty; ++d) {
    const std::int64_t stride = input.strides[d];
    const std::int64_t steps = output_extents[d] - 1;
    require(stride >= 0 && left >= 0, "a stride is negative, or an input is empty");
    if (steps == 0 || stride == 0) continue;
    require(stride <= left / steps, "an input's strides lead out of it");
    left -= stride * steps;
  }
  require(is_empty || left >= 0, "an input is empty");
}

Shape reduced_extents(const ReduceParams& p) {
  Shape extents;
  for (std::size_t d = 0; d < p.input_extents.size(); ++d) {
    if (std::find(p.axes.begin(), p.axes.end(), d) == p.axes.end()) {
      extents.push_back(p.input_extents[d]);
    }
  }
  return extents;
}

void check_piece(const Piece& piece, const AssembleParams& p) {
  const std::size_t dimensions = p.extents.size();
  require(piece.input < p.inputs, "a piece names an input that is not there");
  check_extents(p.dtype, piece.input_extents);
  require(piece.input_extents.size() == dimensions && piece.source_start.size() == dimensions &&
              piece.source_step.size() == dimensions && piece.count.size() == dimensions &&
              piece.destination_start.size() == dimensions,
          "numbers of dimensions differ");
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::int64_t extent = piece.input_extents[d];
    const std::int64_t start = piece.source_start[d];
    const std::int64_t step = piece.source_step[d];
    const std::int64_t steps = piece.count[d] - 1;
    const std::int64_t destination = piece.destination_start[d];
    require(steps >= 0, "a piece is empty");
    require(destination >= 0 && steps < p.extents[d] && destination < p.extents[d] - steps,
            "a piece lies outside its output");
    require(start >= 0 && start < extent && step != 0, "a piece lies outside its input");
    require(step != std::numeric_limits<std::int64_t>::min(), "a piece's step is out of range");
    const std::int64_t room = step > 0 ? (extent - 1 - start) / step : start / -step;
    require(steps <= room, "a piece lies outside its input");
  }
}

void check_file(const NpyFile& file) {
  require(!file.path.empty(), "the path is empty");
  check_extents(file.dtype, file.shape);
  require(file.data_offset < (std::uint64_t{1} << 62), "the data offset is too large");
}

std::uint64_t bytes_of(DType dtype, const Shape& extents) { return checked_bytes(dtype, extents); }

}  // namespace

bool is_whole(const AssembleParams& p) {
  if (p.inputs != 1 || p.pieces.size() != 1) return false;
  const Piece& piece = p.pieces.front();
  const std::size_t ndim = p.extents.size();
  return piece.input_extents == p.extents && piece.count == p.extents &&
         piece.source_start == Shape(ndim, 0) && piece.source_step == Shape(ndim, 1);
}

bool is_aligned(const ElementwiseParams& params, std::size_t input) {
  std::int64_t dense = 1;
  for (std::size_t d = params.extents.size(); d-- > 0;) {
    const std::int64_t extent = params.extents[d];
    if (extent != 1 && params.inputs[input].strides[d] != dense) return false;
    dense *= extent;
  }
  return element_count(params.inputs[input].extents) == dense;
}

void check(const FillParams& p) { check_extents(p.value.dtype, p.extents); }

void check(const EyeParams& p) {
  check_extents(p.dtype, p.extents);
  require(p.extents.size() == 2, "there are two dimensions");
  constexpr std::int64_t limit = std::int64_t{1} << 61;
  for (std::int64_t position : {p.row_start, p.column_start, p.diagonal}) {
    require(position > -limit && position < limit, "a position is out of range");
  }
}

void check(const ArangeParams& p) {
  check_extents(p.start.dtype, {p.count});
  require(p.start.dtype == p.step.dtype && p.start.dtype == p.last.dtype, "dtypes differ");
  require(p.first >= 0 && p.first <= std::numeric_limits<std::int64_t>::max() - p.count,
          "the position is out of range");
}

void check(const RandomParams& p) {
  require(is_floating(p.dtype), "the dtype is not floating");
  check_extents(p.dtype, p.global_shape);
  check_box(p.global_shape, p.start, p.extents);
}

void check(const ElementwiseParams& p) {
  check_extents(p.dtype, p.extents);
  require(p.inputs.size() <= ElementwiseParams::max_inputs, "too many inputs");
  require(p.program.size() <= ElementwiseParams::max_instructions, "too many instructions");
  for (const auto& input : p.inputs) check_input(input, p.extents);
  require(type_of_program(p) == p.dtype, "the program's value is not of the output's dtype");
}

void check(const ReduceParams& p) {
  check_extents(p.input_dtype, p.input_extents);
  check_extents(p.dtype, reduced_extents(p));
  for (std::size_t i = 0; i < p.axes.size(); ++i) {
    require(p.axes[i] < p.input_extents.size(), "an axis is not there");
    require(i == 0 || p.axes[i - 1] < p.axes[i], "axes do not ascend");
    require(p.reduction == Reduction::sum || p.input_extents[p.axes[i]] > 0,
            "min and max need at least one element");
  }
  check_divisor(p.divisor, p.reduction, p.dtype);
}

void check(const CombineParams& p) {
  check_extents(p.dtype, {p.count});
  require(p.inputs > 0, "there is no input");
  check_divisor(p.divisor, p.reduction, p.dtype);
}

void check(const MatmulParams& p) {
  require(p.dtype != DType::boolean && p.dtype != DType::uint8, "the dtype is not for matmul");
  require(!p.k.empty(), "there is nothing to multiply");
  check_extents(p.dtype, {p.m, p.n});
  for (std::int64_t k : p.k) {
    check_extents(p.dtype, {p.m, k});
    check_extents(p.dtype, {k, p.n});
  }
}

void check(const PermuteParams& p) {
  check_extents(p.dtype, p.input_extents);
  require(p.axes.size() == p.input_extents.size(), "numbers of dimensions differ");
  std::vector<bool> seen(p.axes.size());
  for (std::size_t axis : p.axes) {
    require(axis < seen.size() && !seen[axis], "the axes are no permutation");
    seen[axis] = true;
  }
}

void check(const AssembleParams& p) {
  check_extents(p.dtype, p.extents);
  std::int64_t left = element_count(p.extents);
  std::vector<const Piece*> first(std::min<std::size_t>(p.inputs, p.pieces.size()));
  require(p.inputs <= p.pieces.size(), "an input has no piece");
  for (const auto& piece : p.pieces) {
    check_piece(piece, p);
    const Piece*& known = first[piece.input];
    if (known == nullptr) known = &piece;
    require(known->input_extents == piece.input_extents, "pieces disagree about an input");
    left -= element_count(piece.count);
    require(left >= 0, "the pieces do not make up the output");
  }
  require(left == 0, "the pieces do not make up the output");
  require(std::find(first.begin(), first.end(), nullptr) == first.end(), "an input has no piece");
}

void check(const NpyReadParams& p) {
  check_file(p.file);
  check_box(p.file.shape, p.start, p.extents);
}

void check(const NpyWriteParams& p) {
  check_file(p.file);
  check_box(p.file.shape, p.start, p.extents);
}

// ---- sizes -----------------------------------------------------------------------------------

using Sizes = std::vector<std::uint64_t>;

template <>
Sizes input_bytes(const FillParams&) {
  return {};
}
template <>
Sizes input_bytes(const EyeParams&) {
  return {};
}
template <>
Sizes input_bytes(const ArangeParams&) {
  return {};
}
template <>
Sizes input_bytes(const RandomParams&) {
  return {};
}
template <>
Sizes input_bytes(const NpyReadParams&) {
  return {};
}
template <>
Sizes input_bytes(const ElementwiseParams& p) {
  Sizes sizes;
  for (const auto& input : p.inputs) sizes.push_back(bytes_of(input.dtype, input.extents));
  return sizes;
}
template <>
Sizes input_bytes(const ReduceParams& p) {
  return {bytes_of(p.input_dtype, p.input_extents)};
}
template <>
Sizes input_bytes(const CombineParams& p) {
  return Sizes(p.inputs, bytes_of(p.dtype, {p.count}));
}
template <>
Sizes input_bytes(const MatmulParams& p) {
  Sizes sizes;
  if (p.accumulates) sizes.push_back(bytes_of(p.dtype, {p.m, p.n}));
  for (std::int64_t k : p.k) {
    sizes.push_back(bytes_of(p.dtype, {p.m, k}));
    sizes.push_back(bytes_of(p.dtype, {k, p.n}));
  }
  return sizes;
}
template <>
Sizes input_bytes(const PermuteParams& p) {
  return {bytes_of(p.dtype, p.input_extents)};
}
template <>
Sizes input_bytes(const AssembleParams& p) {
  Sizes sizes(p.inputs);
  for (const auto& piece : p.pieces) sizes[piece.input] = bytes_of(p.dtype, piece.input_extents);
  return sizes;
}
template <>
Sizes input_bytes(const NpyWriteParams& p) {
  return {bytes_of(p.file.dtype, p.extents)};
}

template <>
std::uint64_t output_bytes(const FillParams& p) {
  return bytes_of(p.value.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const EyeParams& p) {
  return bytes_of(p.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const ArangeParams& p) {
  return bytes_of(p.start.dtype, {p.count});
}
template <>
std::uint64_t output_bytes(const RandomParams& p) {
  return bytes_of(p.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const ElementwiseParams& p) {
  return bytes_of(p.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const ReduceParams& p) {
  return bytes_of(p.dtype, reduced_extents(p));
}
template <>
std::uint64_t output_bytes(const CombineParams& p) {
  return bytes_of(p.dtype, {p.count});
}
template <>
std::uint64_t output_bytes(const MatmulParams& p) {
  return bytes_of(p.dtype, {p.m, p.n});
}
template <>
std::uint64_t output_bytes(const PermuteParams& p) {
  return bytes_of(p.dtype, p.input_extents);
}
template <>
std::uint64_t output_bytes(const AssembleParams& p) {
  return bytes_of(p.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const NpyReadParams& p) {
  return bytes_of(p.file.dtype, p.extents);
}
template <>
std::uint64_t output_bytes(const NpyWriteParams&) {
  return sizeof(std::int64_t);
}

// ---- effort ----------------------------------------------------------------------------------

namespace {

double arithmetic(const FillParams&) { return 0; }
double arithmetic(const EyeParams&) { return 0; }
double arithmetic(const ArangeParams& p) { return 2.0 * static_cast<double>(p.count); }
double arithmetic(const RandomParams& p) {
  constexpr double per_element = 100;  // ten rounds of multiplications, and a conversion
  return per_element * static_cast<double>(element_count(p.extents));
}
double arithmetic(const ElementwiseParams& p) {
  double per_element = 0;
  for (const auto& [op, operand] : p.program) {
    const bool is_function = op == ElementOp::exp || op == ElementOp::log;
    per_element += is_function ? 20 : op > ElementOp::cast ? 1 : 0;
  }
  return per_element * static_cast<double>(element_count(p.extents));
}
double arithmetic(const ReduceParams& p) {
  return static_cast<double>(element_count(p.input_extents));
}
double arithmetic(const CombineParams& p) { return static_cast<double>(p.count) * (p.inputs - 1); }
double arithmetic(const MatmulParams& p) {
  double k = 0;
  for (std::int64_t part : p.k) k += static_cast<double>(part);
  return 2 * static_cast<double>(p.m) * static_cast<double>(p.n) * k;
}
double arithmetic(const PermuteParams&) { return 0; }
double arithmetic(const AssembleParams&) { return 0; }
double arithmetic(const NpyReadParams&) { return 0; }
double arithmetic(const NpyWriteParams&) { return 0; }

/// Bytes read; an assembly reads only its pieces.
template <class Params>
double bytes_read(const Params& p) {
  double sum = 0;
  for (std::uint64_t bytes : input_bytes(p)) sum += static_cast<double>(bytes);
  return sum;
}
double bytes_read(const AssembleParams& p) { return static_cast<double>(output_bytes(p)); }
double bytes_read(const NpyReadParams& p) { return static_cast<double>(output_bytes(p)); }

double bytes_written(const auto& p) { return static_cast<double>(output_bytes(p)); }
double bytes_written(const NpyWriteParams& p) {
  return static_cast<double>(bytes_of(p.file.dtype, p.extents));
}

}  // namespace

template <class Params>
Effort effort(const Params& p) {
  return {.flops = arithmetic(p), .moved_bytes = bytes_read(p) + bytes_written(p)};
}

template Effort effort(const FillParams&);
template Effort effort(const EyeParams&);
template Effort effort(const ArangeParams&);
template Effort effort(const RandomParams&);
template Effort effort(const ElementwiseParams&);
template Effort effort(const ReduceParams&);
template Effort effort(const CombineParams&);
template Effort effort(const MatmulParams&);
template Effort effort(const PermuteParams&);
template Effort effort(const AssembleParams&);
template Effort effort(const NpyReadParams&);
template Effort effort(const NpyWriteParams&);

}  // namespace ashlar::array
