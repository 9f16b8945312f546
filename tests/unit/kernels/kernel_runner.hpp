#pragma once

#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "array/operations.hpp"
#include "base/random.hpp"
#include "base/shape.hpp"
#include "graph/task_graph.hpp"
#include "kernels/registry.hpp"

namespace ashlar::kernels::testing {

/// Aligned bytes between two guard zones, which show writes outside.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : words_(bytes / 8 + 1 + 2 * guard, pattern), bytes_(bytes) {}
  std::span<std::byte> span() {
    return {reinterpret_cast<std::byte*>(words_.data() + guard), bytes_};
  }
  bool is_intact() const {
    for (std::size_t i = 0; i < guard; ++i) {
      if (words_[i] != pattern || words_[words_.size() - 1 - i] != pattern) return false;
    }
    const auto* end = reinterpret_cast<const std::byte*>(words_.data() + guard) + bytes_;
    std::uint64_t last = pattern;
    std::memcpy(&last, end, 8 - bytes_ % 8);
    return last == pattern;
  }

 private:
  static constexpr std::size_t guard = 8;
  static constexpr std::uint64_t pattern = 0xA5A5A5A5A5A5A5A5u;
  std::vector<std::uint64_t> words_;
  std::size_t bytes_;
};

class Outputs final : public OutputBuffers {
 public:
  std::span<std::byte> allocate(std::size_t index, std::size_t bytes) override {
    EXPECT_EQ(index, 0u);
    if (taken_over != nullptr) {
      EXPECT_EQ(taken_over->span().size(), bytes);
      return taken_over->span();
    }
    memory = std::make_unique<Memory>(bytes);
    return memory->span();
  }
  std::unique_ptr<Memory> memory;
  Memory* taken_over = nullptr;
};

inline const Registry& registry() {
  static const Registry all = builtin_registry();
  return all;
}

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto view = std::as_bytes(std::span(values));
  return {view.begin(), view.end()};
}

template <class T>
std::vector<T> values_of(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Runs a kernel by name, as a slot would.
inline std::vector<std::byte> run_bytes(std::string_view name, std::span<const std::byte> params,
                                        const std::vector<std::vector<std::byte>>& inputs,
                                        std::uint64_t announced = graph::TaskGraph::dynamic_bytes,
                                        std::uint32_t reused = graph::TaskGraph::no_input) {
  const auto position = registry().find(name);
  if (position < 0) throw BadInput("no kernel " + std::string(name));
  std::vector<Memory> memories;
  std::vector<std::span<const std::byte>> spans;
  for (const auto& input : inputs) {
    memories.emplace_back(input.size());
    if (!input.empty()) std::memcpy(memories.back().span().data(), input.data(), input.size());
  }
  for (auto& memory : memories) spans.push_back(memory.span());
  Outputs outputs;
  if (reused < memories.size()) outputs.taken_over = &memories[reused];
  registry()
      .at(static_cast<std::size_t>(position))
      .cpu({params, spans, {&announced, 1}, outputs, reused});
  for (const auto& memory : memories) EXPECT_TRUE(memory.is_intact());
  Memory& out = outputs.taken_over != nullptr ? *outputs.taken_over : *outputs.memory;
  EXPECT_TRUE(out.is_intact());
  return {out.span().begin(), out.span().end()};
}

template <class Params>
std::vector<std::byte> run(const Params& params,
                           const std::vector<std::vector<std::byte>>& inputs = {},
                           std::uint32_t reused = graph::TaskGraph::no_input) {
  const auto encoded = array::encode(params);
  return run_bytes(Params::kernel, encoded, inputs, array::output_bytes(params), reused);
}

template <class T, class Params>
std::vector<T> run_as(const Params& params, const std::vector<std::vector<std::byte>>& inputs = {},
                      std::uint32_t reused = graph::TaskGraph::no_input) {
  return values_of<T>(run(params, inputs, reused));
}

template <class T>
std::vector<T> random_values(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<T> values(count);
  for (T& value : values) {
    if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(random.uniform() * 4 - 2);
    } else {
      value = static_cast<T>(random.next() % 201) - static_cast<T>(std::is_signed_v<T> ? 100 : 0);
    }
  }
  return values;
}

template <class F>
std::string bad_input_text(F f) {
  try {
    f();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "";
}

}  // namespace ashlar::kernels::testing
