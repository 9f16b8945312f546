#include "graph/task_graph.hpp"

#include <algorithm>
#include <limits>

namespace ashlar::graph {
namespace {

constexpr std::size_t count_max = std::numeric_limits<std::uint32_t>::max() - 1;

std::string label(const TaskGraph& graph, std::size_t task) {
  std::string text = "task " + std::to_string(task);
  if (task < graph.kernel.size() && graph.kernel[task] < graph.kernels.size()) {
    text += " (kernel \"" + graph.kernels[graph.kernel[task]] + "\"";
    const bool has_source = task < graph.source.size() && graph.source[task] < graph.sources.size();
    text += has_source ? ", " + graph.sources[graph.source[task]] + ")" : ")";
  }
  return text;
}

std::string expected(const std::string& what, std::size_t expectation, std::size_t finding) {
  return what + ": expected " + std::to_string(expectation) + ", got " + std::to_string(finding);
}

std::string check_offsets(const char* name, const std::vector<std::uint32_t>& offsets,
                          std::size_t tasks, std::size_t entries) {
  const std::string what = std::string{name} + " of the graph";
  if (offsets.size() != tasks + 1) return expected(what, tasks + 1, offsets.size()) + " entries";
  if (offsets.front() != 0) return what + " start at " + std::to_string(offsets.front());
  for (std::size_t t = 0; t < tasks; ++t) {
    if (offsets[t + 1] < offsets[t]) {
      return "task " + std::to_string(t) + ": " + name + " go down from " +
             std::to_string(offsets[t]) + " to " + std::to_string(offsets[t + 1]);
    }
  }
  if (offsets.back() != entries) return expected(what + ", last", entries, offsets.back());
  return {};
}

std::string check_lengths(const TaskGraph& graph) {
  const std::size_t tasks = graph.kernel.size();
  if (tasks > count_max) return "too many tasks: " + std::to_string(tasks);
  if (graph.output_bytes.size() + graph.external_bytes.size() > count_max) {
    return "too many data: " +
           std::to_string(graph.output_bytes.size() + graph.external_bytes.size());
  }
  for (const auto& [name, offsets, entries] :
       {std::tuple{"input offsets", &graph.input_offsets, graph.inputs.size()},
        std::tuple{"output offsets", &graph.output_offsets, graph.output_bytes.size()},
        std::tuple{"parameter offsets", &graph.param_offsets, graph.params.size()}}) {
    if (auto wrong = check_offsets(name, *offsets, tasks, entries); !wrong.empty()) return wrong;
  }
  for (const auto& [name, size] :
       {std::pair{"flops", graph.flops.size()}, std::pair{"moved bytes", graph.moved_bytes.size()},
        std::pair{"priorities", graph.priority.size()},
        std::pair{"constraints of tasks", graph.constraint.size()},
        std::pair{"sources of tasks", graph.source.size()},
        std::pair{"reuse inputs", graph.reuse_input.size()},
        std::pair{"cells", graph.cell.size()}}) {
    if (size != 0 && size != tasks)
      return expected(std::string{name} + " of the graph", tasks, size);
  }
  for (const Constraint& constraint : graph.constraints) {
    for (const auto& [name, amount] : constraint.resources) {
      if (!(amount >= 0 && amount < 1e12)) return "resource \"" + name + "\": amount out of range";
    }
  }
  return {};
}

std::string check_product(const Product& product) {
  for (const auto& [side, chunks, extent] :
       {std::tuple{"m", product.rows, product.m}, std::tuple{"n", product.columns, product.n},
        std::tuple{"k", product.inner, product.k}}) {
    constexpr std::uint64_t extent_max = std::uint64_t{1} << 62;
    if (chunks == 0 || extent < chunks || extent > extent_max) {
      return std::to_string(extent) + " elements in " + std::to_string(chunks) + " chunks along " +
             side;
    }
  }
  return product.element_bytes == 0 ? "elements of no bytes" : "";
}

std::string check_products(const TaskGraph& graph) {
  if (graph.products.size() > graph.kernel.size()) {
    return "more products than tasks: " + std::to_string(graph.products.size());
  }
  std::uint64_t cells = 0;
  for (std::size_t i = 0; i < graph.products.size(); ++i) {
    const Product& product = graph.products[i];
    const std::string name = "product " + std::to_string(i) + " of the graph: ";
    if (auto wrong = check_product(product); !wrong.empty()) return name + wrong;
    // Of 96 bits: counted one factor at a time.
    const std::uint64_t chunks = std::uint64_t{product.rows} * product.columns;
    if (chunks > count_max || chunks * product.inner > count_max - cells) {
      return name + "too many cells, with those before it";
    }
    cells += product.cells();
  }
  for (std::size_t t = 0; t < graph.cell.size(); ++t) {
    if (graph.cell[t] != TaskGraph::no_cell && graph.cell[t] >= cells) {
      return label(graph, t) + ": cell " + std::to_string(graph.cell[t]) + " of " +
             std::to_string(cells);
    }
  }
  return {};
}

std::string check_task(const TaskGraph& graph, std::uint32_t task) {
  if (graph.kernel[task] >= graph.kernels.size()) {
    return label(graph, task) + ": kernel " + std::to_string(graph.kernel[task]) + " of " +
           std::to_string(graph.kernels.size());
  }
  for (const std::uint32_t datum : graph.inputs_of(task)) {
    if (datum >= graph.data_count()) {
      return label(graph, task) + ": input datum " + std::to_string(datum) + " of " +
             std::to_string(graph.data_count());
    }
  }
  if (!graph.constraint.empty() && graph.constraint[task] >= graph.constraints.size()) {
    return label(graph, task) + ": constraint " + std::to_string(graph.constraint[task]) + " of " +
           std::to_string(graph.constraints.size());
  }
  for (const float estimate : {graph.flops.empty() ? 0.0f : graph.flops[task],
                               graph.moved_bytes.empty() ? 0.0f : graph.moved_bytes[task]}) {
    if (!(estimate >= 0)) return label(graph, task) + ": negative or undefined cost estimate";
  }
  if (graph.reuse_input.empty() || graph.reuse_input[task] == TaskGraph::no_input) return {};
  if (graph.reuse_input[task] >= graph.inputs_of(task).size()) {
    return label(graph, task) + ": reuses input " + std::to_string(graph.reuse_input[task]) +
           " of " + std::to_string(graph.inputs_of(task).size());
  }
  if (graph.output_offsets[task] == graph.output_offsets[task + 1]) {
    return label(graph, task) + ": reuses an input but has no output";
  }
  return {};
}

/// The first task that reads from itself or a later one; task_count() if none does.
std::uint32_t first_out_of_order(const TaskGraph& graph) {
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum < graph.output_count() && datum >= graph.output_offsets[t]) return t;
    }
  }
  return graph.task_count();
}

/// Kahn's algorithm: what is left over lies on a cycle or behind one.
std::string check_cycles(const TaskGraph& graph) {
  // Graphs whose inputs come from earlier tasks, the common case, have no cycle.
  const std::uint32_t out_of_order = first_out_of_order(graph);
  if (out_of_order == graph.task_count()) return {};
  if (!graph.products.empty()) {
    return label(graph, out_of_order) +
           " reads from itself or a later task: expected tasks after what they read, as the graph "
           "has products of matrices";
  }

  const auto users = consumers(graph);
  std::vector<std::uint32_t> missing(graph.task_count(), 0);
  std::vector<std::uint32_t> ready;
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    for (const std::uint32_t datum : graph.inputs_of(t)) missing[t] += datum < graph.output_count();
    if (missing[t] == 0) ready.push_back(t);
  }
  for (std::size_t next = 0; next < ready.size(); ++next) {
    const std::uint32_t t = ready[next];
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      for (const std::uint32_t user : users.of(d)) {
        if (--missing[user] == 0) ready.push_back(user);
      }
    }
  }
  if (ready.size() == graph.task_count()) return {};
  const auto stuck = std::ranges::find_if(missing, [](std::uint32_t m) { return m != 0; });
  return label(graph, static_cast<std::size_t>(stuck - missing.begin())) +
         " is on a cycle of dependencies, or waits for one";
}

}  // namespace

std::string validate(const TaskGraph& graph) {
  if (auto wrong = check_lengths(graph); !wrong.empty()) return wrong;
  if (auto wrong = check_products(graph); !wrong.empty()) return wrong;
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    if (auto wrong = check_task(graph, t); !wrong.empty()) return wrong;
  }
  for (std::size_t i = 0; i < graph.wanted.size(); ++i) {
    if (graph.wanted[i] >= graph.output_count()) {
      return "wanted datum " + std::to_string(graph.wanted[i]) + " is none of the " +
             std::to_string(graph.output_count()) + " outputs";
    }
    if (i > 0 && graph.wanted[i] <= graph.wanted[i - 1]) {
      return "wanted datum " + std::to_string(graph.wanted[i]) + " is listed after " +
             std::to_string(graph.wanted[i - 1]) + ": expected ascending order";
    }
  }
  return check_cycles(graph);
}

std::vector<std::uint32_t> producers(const TaskGraph& graph) {
  std::vector<std::uint32_t> producer(graph.output_count());
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      producer[d] = t;
    }
  }
  return producer;
}

Consumers consumers(const TaskGraph& graph) {
  Consumers result;
  result.offsets.assign(graph.data_count() + 1, 0);
  for (const std::uint32_t datum : graph.inputs) ++result.offsets[datum + 1];
  for (std::uint32_t d = 0; d < graph.data_count(); ++d) result.offsets[d + 1] += result.offsets[d];
  result.tasks.resize(graph.inputs.size());
  std::vector<std::uint32_t> next(result.offsets.begin(), result.offsets.end() - 1);
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    for (const std::uint32_t datum : graph.inputs_of(t)) result.tasks[next[datum]++] = t;
  }
  return result;
}

}  // namespace ashlar::graph
