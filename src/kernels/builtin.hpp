#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "array/operations.hpp"
#include "graph/task_graph.hpp"
#include "kernels/registry.hpp"

namespace ashlar::kernels {

void add_generators(Registry& registry);
void add_elementwise(Registry& registry);
void add_reductions(Registry& registry);
void add_matmul(Registry& registry);
void add_layout(Registry& registry);
void add_npy(Registry& registry);

/// How elements of type T lie in a chunk: booleans are bytes.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;

namespace detail {
template <class S>
struct WrappingOf {
  using type = S;
};
template <class S>
requires(std::is_integral_v<S>) struct WrappingOf<S> {
  using type = std::make_unsigned_t<S>;
};
}  // namespace detail

/// The type to compute in so that integers wrap: unsigned for integers, itself for floats.
template <class T>
using Wrapping = typename detail::WrappingOf<Stored<T>>::type;

using Inputs = std::span<const std::span<const std::byte>>;

/// A call whose buffers were checked against its parameters.
struct CheckedCall {
  Inputs inputs;
  std::span<std::byte> output;
  bool is_reused = false;  ///< the output holds the contents of the input it takes over

  template <class T>
  const T* input(std::size_t i) const {
    return reinterpret_cast<const T*>(inputs[i].data());
  }
  template <class T>
  T* out() const {
    return reinterpret_cast<T*>(output.data());
  }
};

/// The inputs of a call, checked against the sizes they must have; those that share memory with
/// an output that takes over another input are replaced by copies.
/// Errors: BadInput that names the kernel.
class CheckedInputs {
 public:
  CheckedInputs(std::string_view kernel, const Call& call, std::span<const std::uint64_t> expected,
                std::uint64_t output_bytes);
  Inputs spans() const { return inputs_; }

 private:
  std::vector<std::span<const std::byte>> inputs_;
  std::vector<std::vector<std::byte>> copies_;
};

/// Errors: BadInput that names the kernel.
void check_input_count(std::string_view kernel, const Call& call, std::uint64_t expected);

[[noreturn]] void refuse_reuse(std::string_view kernel, std::uint32_t input);

/// Makes a kernel of `compute(const Params&, const CheckedCall&)`. `may_reuse(params, i)` says
/// whether the output may take over input i's buffer.
template <class Params, class Compute, class MayReuse>
Kernel builtin_kernel(Compute compute, MayReuse may_reuse) {
  Kernel kernel;
  kernel.name = std::string(Params::kernel);
  kernel.is_repeatable = !std::is_same_v<Params, array::NpyWriteParams>;
  kernel.cpu = [compute, may_reuse](const Call& call) {
    const Params params = array::decode<Params>(call.params);
    // A bare count is checked before anything is made of it.
    if constexpr (std::is_same_v<Params, array::CombineParams>) {
      check_input_count(Params::kernel, call, params.inputs);
    }
    const std::uint64_t bytes = array::output_bytes(params);
    const CheckedInputs inputs(Params::kernel, call, array::input_bytes(params), bytes);
    const bool is_reused = call.reused_input != graph::TaskGraph::no_input;
    if (is_reused && !may_reuse(params, call.reused_input)) {
      refuse_reuse(Params::kernel, call.reused_input);
    }
    compute(params, CheckedCall{inputs.spans(), call.outputs.allocate(0, bytes), is_reused});
  };
  kernel.cost = [](std::span<const std::byte> params, std::span<const std::uint64_t>) {
    const array::Effort effort = array::effort(array::decode<Params>(params));
    return Cost{effort.flops, effort.moved_bytes};
  };
  return kernel;
}

template <class Params, class Compute>
Kernel builtin_kernel(Compute compute) {
  return builtin_kernel<Params>(compute, [](const Params&, std::uint32_t) { return false; });
}

}  // namespace ashlar::kernels
