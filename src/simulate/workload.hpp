#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "graph/task_graph.hpp"
#include "simulate/cluster.hpp"

namespace ashlar::simulate {

/// Stands for a datum's bytes.
struct Chunk {
  std::uint64_t value = 0;
  std::uint64_t bytes = 0;
};

/// Positions in the graphs' list of kernels.
enum class Kernel : std::uint32_t { mix, stir, fail };
inline constexpr const char* kernel_names[] = {"mix", "stir", "fail"};

/// Outputs whose size only the kernel knows are smaller.
inline constexpr std::uint64_t unforeseen_bytes_max = 2000;

/// The kernel of that name; any other name is one of mix.
Kernel kernel_named(std::string_view name);

/// What a kernel makes of its inputs: depends on all of them, their order and the parameters.
/// `announced` is the output's size in the graph.
Chunk compute(Kernel kernel, std::span<const std::byte> params, std::span<const Chunk> inputs,
              std::uint32_t output, std::uint64_t announced);

/// A datum that graphs may read, and what it must be.
struct Source {
  DatumId id;
  Chunk chunk;
  bool may_fail = false;
  bool fails = false;  ///< for certain: it descends from a kernel that throws
};

struct Job {
  std::shared_ptr<const graph::TaskGraph> graph;
  std::vector<DatumId> externals;
  std::map<std::uint32_t, Chunk> expected;  ///< of the wanted outputs
  bool may_fail = false;
  bool must_fail = false;  ///< some task does, and what descends from it
};

/// The graph, which has no external data, and its results when executed in sequence.
Job job_of(const graph::TaskGraph& graph);

/// The graph with any of the sources as its external data; no graph when there are none.
Job job_again(std::shared_ptr<const graph::TaskGraph> graph, SplitMix64& random,
              std::span<const Source> sources);

/// A random graph that reads some of the sources, and its results when executed in sequence.
Job make_job(const Config& config, SplitMix64& random, std::span<const Source> sources);

}  // namespace ashlar::simulate
