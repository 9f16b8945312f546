#include "simulate/workload.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace ashlar::simulate {

namespace {

std::uint64_t blend(std::uint64_t a, std::uint64_t b) {
  return SplitMix64(a * 0x9E3779B97F4A7C15u + b).next();
}

/// Inputs of task `task`: outputs of earlier tasks, near ones preferred, and externals.
void add_inputs(graph::TaskGraph& graph, SplitMix64& random, std::uint32_t externals) {
  const auto made = graph.output_count();
  std::uint64_t count = random.below(4);
  for (; count > 0; --count) {
    if (externals > 0 && random.below(5) == 0) {
      // Externals follow all outputs; the offset is added once these are counted.
      graph.inputs.push_back(~static_cast<std::uint32_t>(random.below(externals)));
    } else if (made > 0) {
      const std::uint64_t reach = random.below(3) == 0 ? made : std::min<std::uint64_t>(made, 6);
      graph.inputs.push_back(static_cast<std::uint32_t>(made - 1 - random.below(reach)));
    }
  }
  graph.input_offsets.push_back(static_cast<std::uint32_t>(graph.inputs.size()));
}

void add_task(graph::TaskGraph& graph, SplitMix64& random, Kernel kernel, std::uint32_t externals) {
  graph.kernel.push_back(static_cast<std::uint32_t>(kernel));
  add_inputs(graph, random, externals);
  const std::uint32_t first = graph.input_offsets[graph.kernel.size() - 1];
  const bool has_inputs = graph.inputs.size() > first;
  graph.reuse_input.push_back(has_inputs && random.below(2) == 0 ? 0 : graph::TaskGraph::no_input);
  for (std::uint64_t n = 1 + (random.below(5) == 0 ? 1 : 0); n > 0; --n) {
    const bool is_dynamic = random.below(6) == 0;
    const std::uint64_t sizes[] = {8, 8, 1000, 100'000};
    graph.output_bytes.push_back(is_dynamic ? graph::TaskGraph::dynamic_bytes
                                            : sizes[random.below(4)]);
  }
  graph.output_offsets.push_back(graph.output_count());
  graph.params.push_back(std::byte{static_cast<unsigned char>(random.below(256))});
  graph.param_offsets.push_back(static_cast<std::uint32_t>(graph.params.size()));
  graph.flops.push_back(static_cast<float>(random.below(10'000'000)));
  graph.moved_bytes.push_back(1000);
}

/// Runs the graph in order. Data of failed tasks and their descendants are left out.
std::map<std::uint32_t, Chunk> execute(const graph::TaskGraph& graph,
                                       std::span<const Source> externals) {
  std::map<std::uint32_t, Chunk> data;
  for (std::uint32_t i = 0; i < externals.size(); ++i) {
    if (!externals[i].fails) data[graph.output_count() + i] = externals[i].chunk;
  }
  for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
    const Kernel kernel = kernel_named(graph.kernels[graph.kernel[task]]);
    std::vector<Chunk> inputs;
    for (const std::uint32_t input : graph.inputs_of(task)) {
      const auto found = data.find(input);
      if (found != data.end()) inputs.push_back(found->second);
    }
    if (kernel == Kernel::fail || inputs.size() < graph.inputs_of(task).size()) continue;
    const std::uint32_t first = graph.output_offsets[task];
    for (std::uint32_t output = first; output < graph.output_offsets[task + 1]; ++output) {
      data[output] = compute(kernel, graph.params_of(task), inputs, output - first,
                             graph.output_bytes[output]);
    }
  }
  return data;
}

/// Calls the graph one that multiplies matrices, and any of its tasks any of the cells.
void mark_cells(graph::TaskGraph& graph, SplitMix64& random) {
  const auto chunks = [&] { return static_cast<std::uint32_t>(2 + random.below(6)); };
  const graph::Product product{chunks(), chunks(), chunks(), 800, 700, 600, 8};
  graph.products = {product};
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    const bool has_cell = random.below(3) > 0;
    graph.cell.push_back(has_cell ? static_cast<std::uint32_t>(random.below(product.cells()))
                                  : graph::TaskGraph::no_cell);
  }
}

void complete(Job& job, std::shared_ptr<const graph::TaskGraph> graph,
              std::span<const Source> externals) {
  const std::string wrong = graph::validate(*graph);
  ASHLAR_CHECK(wrong.empty(), wrong);
  const auto data = execute(*graph, externals);
  for (std::uint32_t d = 0; d < graph->output_count(); ++d) {
    job.must_fail = job.must_fail || !data.contains(d);
  }
  for (const std::uint32_t wanted : graph->wanted) {
    const auto found = data.find(wanted);
    if (found != data.end()) job.expected.insert(*found);
  }
  job.graph = std::move(graph);
}

}  // namespace

Kernel kernel_named(std::string_view name) {
  const auto known = std::ranges::find(kernel_names, name);
  return known == std::end(kernel_names)
             ? Kernel::mix
             : Kernel{static_cast<std::uint32_t>(known - std::begin(kernel_names))};
}

Chunk compute(Kernel kernel, std::span<const std::byte> params, std::span<const Chunk> inputs,
              std::uint32_t output, std::uint64_t announced) {
  std::uint64_t value = blend(static_cast<std::uint64_t>(kernel) + 1, output);
  for (const std::byte param : params) value = blend(value, std::to_integer<unsigned>(param));
  for (const Chunk& input : inputs) value = blend(value, input.value);
  const bool is_dynamic = announced == graph::TaskGraph::dynamic_bytes;
  return {value, is_dynamic ? value % unforeseen_bytes_max : announced};
}

Job job_of(const graph::TaskGraph& graph) {
  Job job;
  complete(job, std::make_shared<graph::TaskGraph>(graph), {});
  return job;
}

Job job_again(std::shared_ptr<const graph::TaskGraph> graph, SplitMix64& random,
              std::span<const Source> sources) {
  Job job;
  if (sources.empty() && graph->external_count() > 0) return job;
  std::vector<Source> externals;
  for (std::uint32_t i = 0; i < graph->external_count(); ++i) {
    externals.push_back(sources[random.below(sources.size())]);
    job.externals.push_back(externals.back().id);
    job.may_fail = job.may_fail || externals.back().may_fail;
  }
  job.may_fail = job.may_fail || std::ranges::any_of(graph->kernel, [&](std::uint32_t kernel) {
                   return kernel_named(graph->kernels[kernel]) == Kernel::fail;
                 });
  complete(job, std::move(graph), externals);
  return job;
}

Job make_job(const Config& config, SplitMix64& random, std::span<const Source> sources) {
  auto graph = std::make_shared<graph::TaskGraph>();
  graph->kernels.assign(std::begin(kernel_names), std::end(kernel_names));
  Job job;
  std::vector<Source> externals;
  for (const Source& source : sources) {
    if (random.below(2) == 0) continue;
    job.externals.push_back(source.id);
    job.may_fail = job.may_fail || source.may_fail;
    externals.push_back(source);
    graph->external_bytes.push_back(source.chunk.bytes);
  }
  const auto external_count = static_cast<std::uint32_t>(externals.size());
  for (std::uint64_t n = 1 + random.below(config.tasks_max); n > 0; --n) {
    const bool fails = random.below(1000) < config.failing_tasks;
    job.may_fail = job.may_fail || fails;
    const Kernel kernel =
        fails ? Kernel::fail : Kernel{static_cast<std::uint32_t>(random.below(2))};
    add_task(*graph, random, kernel, external_count);
  }
  const std::uint32_t outputs = graph->output_count();
  for (std::uint32_t& input : graph->inputs) {
    if (input >= outputs) input = outputs + ~input;
  }
  for (std::uint32_t output = 0; output < outputs; ++output) {
    if (random.below(6) == 0 || output + 1 == outputs) graph->wanted.push_back(output);
  }
  if (random.below(4) == 0) mark_cells(*graph, random);
  complete(job, std::move(graph), externals);
  return job;
}

}  // namespace ashlar::simulate
