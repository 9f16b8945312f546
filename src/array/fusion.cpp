#include "array/fusion.hpp"

#include <algorithm>
#include <set>

#include "array/operations.hpp"

namespace ashlar::array {
namespace {

// With n fused nodes: at most n + 1 inputs and values on the stack, 5 n instructions.
constexpr std::size_t nodes_max = 24;
static_assert(nodes_max < ElementwiseParams::max_stack &&
              nodes_max < ElementwiseParams::max_inputs &&
              5 * nodes_max <= ElementwiseParams::max_instructions);

class Fusion {
 public:
  Fusion(const Node& last, const std::function<bool(const Node&)>& may_absorb) {
    // Breadth first, so that a long chain does not starve its siblings.
    std::vector<const Node*> queue{&last};
    for (std::size_t next = 0; next < queue.size(); ++next) {
      for (const auto& input : queue[next]->inputs) {
        const bool is_absorbed =
            queue.size() < nodes_max && std::holds_alternative<Elementwise>(input->operation) &&
            input->shape == last.shape && input->chunks == last.chunks && may_absorb(*input);
        if (is_absorbed && absorbed_.insert(input.get()).second) queue.push_back(input.get());
      }
    }
    emit(last);
  }

  FusedProgram take() { return std::move(out_); }

 private:
  void push(ElementOp op, std::size_t operand = 0) {
    out_.program.push_back({op, static_cast<std::uint16_t>(operand)});
  }

  void push_constant(const Constant& constant) {
    const auto known = std::find(out_.constants.begin(), out_.constants.end(), constant);
    push(ElementOp::constant, static_cast<std::size_t>(known - out_.constants.begin()));
    if (known == out_.constants.end()) out_.constants.push_back(constant);
  }

  void push_load(const Node& node) {
    const auto known = std::find(out_.inputs.begin(), out_.inputs.end(), &node);
    push(ElementOp::load, static_cast<std::size_t>(known - out_.inputs.begin()));
    if (known == out_.inputs.end()) out_.inputs.push_back(&node);
  }

  /// Leaves the node's value on the stack. Recursion is as deep as nodes_max at most.
  void emit(const Node& node) {
    const auto& operation = std::get<Elementwise>(node.operation);
    for (const auto& operand : operation.operands) {
      const DType dtype = emit_operand(node, operand);
      if (dtype != operation.compute) {
        push(ElementOp::cast, static_cast<std::size_t>(operation.compute));
      }
    }
    if (operation.op != ElementOp::cast) push(operation.op);
  }

  DType emit_operand(const Node& node, const ElementOperand& operand) {
    if (const auto* constant = std::get_if<Constant>(&operand)) {
      push_constant(*constant);
      return constant->dtype;
    }
    const Node& input = *node.inputs[std::get<std::uint32_t>(operand)];
    if (const auto* fill = std::get_if<Fill>(&input.operation)) {
      push_constant(fill->value);
    } else if (absorbed_.contains(&input)) {
      emit(input);
    } else {
      push_load(input);
    }
    return input.dtype;
  }

  std::set<const Node*> absorbed_;  // looked up, never listed: the order of pointers is no order
  FusedProgram out_;
};

}  // namespace

FusedProgram fuse(const Node& last, const std::function<bool(const Node&)>& may_absorb) {
  return Fusion(last, may_absorb).take();
}

}  // namespace ashlar::array
