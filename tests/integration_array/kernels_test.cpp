// The real kernels compute what the contract says: random expressions, against references.
#include <ashlar/array.hpp>
#include <ashlar/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "array/operations.hpp"
#include "graph/task_graph.hpp"
#include "kernels/registry.hpp"
#include "unit/array/expressions.hpp"
#include "unit/array/naive.hpp"

namespace ashlar::test {
namespace {

/// One output, aligned, in place over a copy of the reused input if there is one.
class Output : public kernels::OutputBuffers {
 public:
  Output(std::size_t bytes, const Buffer* reused) : bytes_(bytes) {
    memory_ = static_cast<std::byte*>(::operator new (bytes + 1, std::align_val_t{64}));
    std::fill(memory_, memory_ + bytes, std::byte{0xa5});
    if (reused != nullptr) std::copy(reused->begin(), reused->end(), memory_);
  }
  ~Output() override { ::operator delete (memory_, std::align_val_t{64}); }

  std::span<std::byte> allocate(std::size_t index, std::size_t bytes) override {
    EXPECT_EQ(index, 0u);
    EXPECT_EQ(bytes, bytes_);
    is_allocated_ = true;
    return span();
  }
  std::span<std::byte> span() { return {memory_, bytes_}; }
  bool is_allocated() const { return is_allocated_; }

 private:
  std::byte* memory_;
  std::size_t bytes_;
  bool is_allocated_ = false;
};

Buffer run_kernel(std::string_view name, std::span<const std::byte> params,
                  std::span<const Buffer* const> inputs, std::uint64_t bytes,
                  std::uint32_t reused) {
  static const kernels::Registry registry = kernels::builtin_registry();
  const auto position = registry.find(name);
  EXPECT_GE(position, 0) << name;
  const bool is_in_place = reused != graph::TaskGraph::no_input;
  Output output(bytes, is_in_place ? inputs[reused] : nullptr);
  std::vector<std::span<const std::byte>> spans;
  for (const Buffer* input : inputs) spans.emplace_back(*input);
  if (is_in_place) spans[reused] = output.span();
  registry.at(static_cast<std::size_t>(position))
      .cpu({.params = params,
            .inputs = spans,
            .output_bytes = {&bytes, 1},
            .outputs = output,
            .reused_input = reused});
  EXPECT_TRUE(output.is_allocated()) << name;
  return {output.span().begin(), output.span().end()};
}

Buffer run_without_reuse(std::string_view name, std::span<const std::byte> params,
                         std::span<const Buffer* const> inputs, std::uint64_t bytes,
                         std::uint32_t) {
  return run_kernel(name, params, inputs, bytes, graph::TaskGraph::no_input);
}

TEST(ArrayKernels, random_expressions) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    const auto x = random_expression(seed, 1 + static_cast<int>(seed % 8));
    const auto found = compute(x.array, run_kernel);
    expect_close(found, x.expected, "seed " + std::to_string(seed));
    EXPECT_TRUE(std::ranges::equal(found.bytes(), compute(x.array, run_without_reuse).bytes()))
        << "seed " << seed;
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

TEST(ArrayKernels, generators) {
  const std::vector<Array> arrays{
      random::uniform({9, 40}, {.chunks = {4, 13}, .seed = 3, .low = -1, .high = 5}),
      random::normal({9, 41}, {.chunks = {4, 13}, .seed = 4, .dtype = DType::float32}),
      eye(13, {.columns = 7, .diagonal = -2, .chunks = {4, 3}, .dtype = DType::int32}),
      arange(5, 300, {.step = 7, .chunks = {10}}),
      linspace(-1, 1, 57, {.chunks = {10}}),
      full({5, 5}, true, {.chunks = {2, 3}}),
  };
  for (const auto& x : arrays) {
    expect_close(compute(x, run_kernel), dense(compute(x)), to_string(x.shape()));
  }
}

TEST(ArrayKernels, larger_chunks) {
  const auto a = random::uniform({150, 230}, {.chunks = {64, 70}, .seed = 1, .low = -1});
  const auto b = random::uniform({230, 90}, {.chunks = {100, 90}, .seed = 2});
  for (DType dtype : {DType::float64, DType::float32}) {
    const auto x = exp(matmul(a.astype(dtype), b.astype(dtype)) / 50) - 1;
    expect_close(compute(x, run_kernel), dense(compute(x)), "exp of product");
    const auto y = mean(x.T().slice({{.step = -2}, {1, 140, 3}}), {.axes = {1}});
    expect_close(compute(y, run_kernel), dense(compute(y)), "mean of slice");
  }
}

}  // namespace
}  // namespace ashlar::test
