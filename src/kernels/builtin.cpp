#include "kernels/builtin.hpp"

#include <ashlar/error.hpp>

#include <cstdint>
#include <string>

namespace ashlar::kernels {

namespace {

[[noreturn]] void refuse(std::string_view kernel, const std::string& finding) {
  throw BadInput("kernel \"" + std::string(kernel) + "\": " + finding);
}

}  // namespace

void refuse_reuse(std::string_view kernel, std::uint32_t input) {
  refuse(kernel, "its output cannot take over the buffer of input " + std::to_string(input));
}

void check_input_count(std::string_view kernel, const Call& call, std::uint64_t expected) {
  if (call.inputs.size() == expected) return;
  refuse(kernel, "expected " + std::to_string(expected) + " inputs, got " +
                     std::to_string(call.inputs.size()));
}

CheckedInputs::CheckedInputs(std::string_view kernel, const Call& call,
                             std::span<const std::uint64_t> expected, std::uint64_t output_bytes) {
  check_input_count(kernel, call, expected.size());
  if (call.output_bytes.size() != 1) {
    refuse(kernel, "expected 1 output, got " + std::to_string(call.output_bytes.size()));
  }
  const std::uint64_t announced = call.output_bytes[0];
  if (announced != output_bytes && announced != graph::TaskGraph::dynamic_bytes) {
    refuse(kernel, "its output has " + std::to_string(output_bytes) + " bytes, announced were " +
                       std::to_string(announced));
  }
  inputs_.assign(call.inputs.begin(), call.inputs.end());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].size() != expected[i]) {
      refuse(kernel, "input " + std::to_string(i) + ": expected " + std::to_string(expected[i]) +
                         " bytes, got " + std::to_string(inputs_[i].size()));
    }
    if (reinterpret_cast<std::uintptr_t>(inputs_[i].data()) % alignof(double) != 0) {
      refuse(kernel, "input " + std::to_string(i) + " is not aligned");
    }
  }
  if (call.reused_input == graph::TaskGraph::no_input) return;
  if (call.reused_input >= inputs_.size()) refuse_reuse(kernel, call.reused_input);
  const auto reused = inputs_[call.reused_input];
  if (reused.size() != output_bytes) {
    refuse(kernel, "the output is of another size than input " + std::to_string(call.reused_input) +
                       ", whose buffer it would take over");
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (i == call.reused_input || inputs_[i].empty()) continue;
    const bool overlaps = inputs_[i].data() < reused.data() + reused.size() &&
                          reused.data() < inputs_[i].data() + inputs_[i].size();
    if (!overlaps) continue;
    copies_.emplace_back(inputs_[i].begin(), inputs_[i].end());
    inputs_[i] = copies_.back();
  }
}

}  // namespace ashlar::kernels
