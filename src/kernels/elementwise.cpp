#include <ashlar/error.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "base/shape.hpp"
#include "kernels/builtin.hpp"
#include "kernels/element_ops.hpp"

namespace ashlar::kernels {

namespace {

using namespace array;

constexpr std::size_t block_elements = 1024;  // a few operands of a block stay in the L1 cache
constexpr std::size_t block_bytes = block_elements * sizeof(double);

// Reads an input in the output's order, a block at a time.
class Reader {
 public:
  Reader(const ElementwiseParams& params, std::size_t input, const std::byte* data)
      : data_(data),
        element_bytes_(dtype_bytes(params.inputs[input].dtype)),
        is_aligned_(is_aligned(params, input)) {
    const auto& strides = params.inputs[input].strides;
    for (std::size_t d = 0; d < params.extents.size(); ++d) {
      const std::int64_t extent = params.extents[d];
      if (extent == 1) continue;
      if (!extents_.empty() && strides_.back() == strides[d] * extent) {
        extents_.back() *= extent;  // continues the dimension before
        strides_.back() = strides[d];
      } else {
        extents_.push_back(extent);
        strides_.push_back(strides[d]);
      }
    }
    if (extents_.empty()) {
      extents_.push_back(1);
      strides_.push_back(0);
    }
  }

  // Elements begin … begin + n; either in place or gathered in `scratch`.
  const std::byte* read(std::int64_t begin, std::size_t n, std::byte* scratch) const {
    if (is_aligned_) return data_ + static_cast<std::size_t>(begin) * element_bytes_;
    switch (element_bytes_) {
      case 1:
        gather<std::uint8_t>(begin, n, scratch);
        break;
      case 4:
        gather<std::uint32_t>(begin, n, scratch);
        break;
      default:
        gather<std::uint64_t>(begin, n, scratch);
        break;
    }
    return scratch;
  }

 private:
  template <class Word>
  void gather(std::int64_t begin, std::size_t n, std::byte* scratch) const {
    std::array<std::int64_t, max_dimensions> index{};
    std::int64_t offset = 0;
    for (std::size_t d = extents_.size(); d-- > 0;) {
      index[d] = begin % extents_[d];
      begin /= extents_[d];
      offset += index[d] * strides_[d];
    }
    const auto* from = reinterpret_cast<const Word*>(data_);
    auto* to = reinterpret_cast<Word*>(scratch);
    const std::size_t last = extents_.size() - 1;
    for (std::size_t done = 0; done < n;) {
      const auto run =
          std::min<std::int64_t>(extents_[last] - index[last], static_cast<std::int64_t>(n - done));
      copy_run(from + offset, strides_[last], to + done, run);
      done += static_cast<std::size_t>(run);
      index[last] += run;
      offset += run * strides_[last];
      for (std::size_t d = last; d > 0 && index[d] == extents_[d]; --d) {
        offset += strides_[d - 1] - index[d] * strides_[d];
        index[d] = 0;
        ++index[d - 1];
      }
    }
  }

  template <class Word>
  static void copy_run(const Word* from, std::int64_t stride, Word* to, std::int64_t count) {
    if (stride == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(Word));
    } else if (stride == 0) {
      std::fill_n(to, count, *from);
    } else {
      for (std::int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
    }
  }

  const std::byte* data_;
  std::size_t element_bytes_;
  bool is_aligned_;
  std::vector<std::int64_t> extents_;
  std::vector<std::int64_t> strides_;
};

// One instruction with what is known before the loop. Every stack position has two scratch
// blocks, so that no result overwrites its own operand.
struct Step {
  ElementOp op = ElementOp::load;
  std::uint16_t operand = 0;
  std::size_t depth = 0;          // of the result on the stack
  std::size_t element_bytes = 0;  // of the result
  UnaryLoop unary = nullptr;
  BinaryLoop binary = nullptr;
};

class Program {
 public:
  explicit Program(const ElementwiseParams& params);

  void run(const CheckedCall& call, const std::vector<Reader>& readers) const;

 private:
  struct Memory {
    std::byte* begin;
    std::byte* scratch(std::size_t depth, bool second) const {
      return begin + (2 * depth + (second ? 1 : 0)) * block_bytes;
    }
  };

  Step compile(const Instruction& instruction, std::vector<DType>& stack) const;
  void fill_constants(std::byte* begin) const;
  const std::byte* run_block(const std::vector<Reader>& readers, std::int64_t begin, std::size_t n,
                             Memory memory, const std::byte* constants, std::byte* out) const;

  const ElementwiseParams& params_;
  std::vector<Step> steps_;
  std::size_t depth_max_ = 0;
};

Program::Program(const ElementwiseParams& params) : params_(params) {
  std::vector<DType> stack;
  for (const Instruction& instruction : params.program) {
    steps_.push_back(compile(instruction, stack));
    depth_max_ = std::max(depth_max_, stack.size());
  }
}

Step Program::compile(const Instruction& instruction, std::vector<DType>& stack) const {
  Step step{.op = instruction.op, .operand = instruction.operand};
  if (instruction.op == ElementOp::load) {
    stack.push_back(params_.inputs.at(instruction.operand).dtype);
  } else if (instruction.op == ElementOp::constant) {
    stack.push_back(params_.constants.at(instruction.operand).dtype);
  } else if (is_binary(instruction.op)) {
    const DType operands = stack.back();
    stack.pop_back();
    step.binary = binary_loop(instruction.op, operands);
    if (is_comparison(instruction.op)) stack.back() = DType::boolean;
  } else if (instruction.op == ElementOp::cast) {
    const DType to = DType{static_cast<std::uint8_t>(instruction.operand)};
    step.unary = cast_loop(stack.back(), to);
    stack.back() = to;
  } else {
    step.unary = unary_loop(instruction.op, stack.back());
  }
  const bool is_leaf = step.op == ElementOp::load || step.op == ElementOp::constant;
  if (!is_leaf && step.unary == nullptr && step.binary == nullptr) {
    throw BadInput("kernel \"ashlar.elementwise\": instruction " +
                   std::to_string(static_cast<int>(step.op)) + " does not take " +
                   std::string(dtype_name(stack.back())));
  }
  step.depth = stack.size() - 1;
  step.element_bytes = dtype_bytes(stack.back());
  return step;
}

void Program::fill_constants(std::byte* begin) const {
  for (const Constant& constant : params_.constants) {
    visit_dtype(constant.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::fill_n(reinterpret_cast<Stored<T>*>(begin), block_elements,
                  static_cast<Stored<T>>(constant.as<T>()));
    });
    begin += block_bytes;
  }
}

// Returns where the result is: `out`, or an input or a constant that is the whole program.
const std::byte* Program::run_block(const std::vector<Reader>& readers, std::int64_t begin,
                                    std::size_t n, Memory memory, const std::byte* constants,
                                    std::byte* out) const {
  std::array<const std::byte*, ElementwiseParams::max_stack> stack{};
  for (const Step& step : steps_) {
    const std::byte*& top = stack[step.depth];
    std::byte* first = memory.scratch(step.depth, false);
    std::byte* result = top == first ? memory.scratch(step.depth, true) : first;
    if (step.op == ElementOp::load) {
      top = readers[step.operand].read(begin, n, first);
      continue;
    }
    if (step.op == ElementOp::constant) {
      top = constants + step.operand * block_bytes;
      continue;
    }
    if (&step == &steps_.back()) result = out;
    if (step.binary != nullptr) {
      step.binary(top, stack[step.depth + 1], result, n);
    } else {
      step.unary(top, result, n);
    }
    top = result;
  }
  return stack[0];
}

void Program::run(const CheckedCall& call, const std::vector<Reader>& readers) const {
  const std::int64_t total = element_count(params_.extents);
  const std::size_t blocks = 2 * depth_max_ + params_.constants.size();
  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  const std::unique_ptr<std::byte, Free> scratch(
      static_cast<std::byte*>(::operator new (blocks* block_bytes, std::align_val_t{64})));
  std::byte* constants = scratch.get() + 2 * depth_max_ * block_bytes;
  fill_constants(constants);

  const std::size_t element_bytes = dtype_bytes(params_.dtype);
  for (std::int64_t begin = 0; begin < total; begin += block_elements) {
    const std::size_t n =
        static_cast<std::size_t>(std::min<std::int64_t>(block_elements, total - begin));
    std::byte* out = call.output.data() + static_cast<std::size_t>(begin) * element_bytes;
    const std::byte* result = run_block(readers, begin, n, {scratch.get()}, constants, out);
    if (result != out) std::memcpy(out, result, n * element_bytes);
  }
}

void elementwise(const ElementwiseParams& params, const CheckedCall& call) {
  if (call.output.empty()) return;
  std::vector<Reader> readers;
  readers.reserve(params.inputs.size());
  for (std::size_t i = 0; i < params.inputs.size(); ++i) {
    readers.emplace_back(params, i, call.inputs[i].data());
  }
  Program(params).run(call, readers);
}

}  // namespace

void add_elementwise(Registry& registry) {
  registry.add(builtin_kernel<ElementwiseParams>(
      elementwise, [](const ElementwiseParams& params, std::uint32_t input) {
        return is_aligned(params, input) &&
               dtype_bytes(params.inputs[input].dtype) == dtype_bytes(params.dtype);
      }));
}

}  // namespace ashlar::kernels
