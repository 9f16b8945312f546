#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::kernels {

/// Gives a task the memory of its outputs. Called from a compute slot.
class OutputBuffers {
 public:
  virtual ~OutputBuffers() = default;

  /// Memory of output `index`, 64-byte aligned. `bytes` must be the announced size unless that
  /// was dynamic. Called once per output. When the task takes over an input's buffer, output 0
  /// is that buffer with its contents.
  /// Errors: Overloaded when memory does not suffice.
  virtual std::span<std::byte> allocate(std::size_t index, std::size_t bytes) = 0;
};

/// One call of a kernel.
struct Call {
  std::span<const std::byte> params;
  std::span<const std::span<const std::byte>> inputs;
  /// Announced bytes per output; graph::TaskGraph::dynamic_bytes: the kernel decides.
  std::span<const std::uint64_t> output_bytes;
  OutputBuffers& outputs;
  /// Position of the input whose buffer output 0 takes over; graph::TaskGraph::no_input: none.
  /// The input's span then shows the same memory as output 0.
  std::uint32_t reused_input;
};

/// Runs one task on the calling thread. May throw; ashlar::Error keeps its kind.
using CpuFunction = std::function<void(const Call&)>;

/// Runs one task on a device stream; filled by the CUDA component.
using DeviceFunction = std::function<void(const Call&, void* stream)>;

/// Estimates of one call, from its parameters and input sizes.
struct Cost {
  double flops = 0;
  double moved_bytes = 0;
};
using CostFunction = std::function<Cost(std::span<const std::byte> params,
                                        std::span<const std::uint64_t> input_bytes)>;

/// A registered, named function over buffers.
struct Kernel {
  std::string name;
  CpuFunction cpu;
  DeviceFunction device;  ///< or empty
  CostFunction cost;      ///< or empty: bytes only
  /// Has no side effects: may run twice at once, and either's outputs do.
  bool is_repeatable = false;
};

/// The kernels a process can run, by name. Filled in main, then read by many threads.
class Registry {
 public:
  /// Errors: BadInput for an empty or a taken name, or no function at all.
  void add(Kernel kernel);

  /// The kernel's position, or -1. Positions count up in order of addition.
  std::int64_t find(std::string_view name) const;
  const Kernel& at(std::size_t position) const { return kernels_[position]; }
  std::size_t size() const { return kernels_.size(); }
  std::vector<std::string> names() const;
  /// Positions of the kernels without side effects.
  std::vector<std::uint32_t> repeatable() const;

 private:
  std::vector<Kernel> kernels_;
  std::map<std::string, std::size_t, std::less<>> positions_;
};

/// The built-in kernels of the array language (array/operations.hpp says what each computes).
Registry builtin_registry();

}  // namespace ashlar::kernels
