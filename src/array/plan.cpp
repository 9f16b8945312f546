#include "array/plan.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "graph/process_grid.hpp"

namespace ashlar::array {
namespace {

using graph::TaskGraph;

/// The most bytes of outputs alive at once when tasks run one by one in depth-first order.
std::uint64_t peak_bytes(const TaskGraph& graph) {
  const auto ranks = graph::depth_first_ranks(graph);
  std::vector<std::uint32_t> order(ranks.size());
  for (std::uint32_t task = 0; task < ranks.size(); ++task) order[ranks[task]] = task;
  const auto consumers = graph::consumers(graph);
  std::vector<std::uint32_t> left(graph.data_count());
  for (std::uint32_t datum = 0; datum < graph.data_count(); ++datum) {
    left[datum] = static_cast<std::uint32_t>(consumers.of(datum).size());
  }
  for (std::uint32_t datum : graph.wanted) ++left[datum];
  std::uint64_t alive = 0;
  std::uint64_t peak = 0;
  for (std::uint32_t task : order) {
    // An output that takes over a dying input's buffer needs no memory of its own.
    const auto inputs = graph.inputs_of(task);
    const std::uint32_t reused = graph.reuse_input[task];
    const bool is_in_place = reused != TaskGraph::no_input &&
                             inputs[reused] < graph.output_count() && left[inputs[reused]] == 1;
    alive += graph.output_bytes[task];
    peak = std::max(peak, is_in_place ? alive - graph.output_bytes[inputs[reused]] : alive);
    for (std::uint32_t datum : inputs) {
      if (datum < graph.output_count() && --left[datum] == 0) alive -= graph.output_bytes[datum];
    }
  }
  return peak;
}

std::string digits(double value) {
  constexpr int precision = 3;
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value,
                                          std::chars_format::general, precision);
  return {text.data(), end};
}

std::string with_unit(double value, const char* unit) {
  constexpr std::array prefixes{"", "k", "M", "G", "T", "P", "E"};
  std::size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < prefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return digits(value) + " " + prefixes[prefix] + unit;
}

std::string seconds(double value) {
  if (value < 1e-3) return digits(value * 1e6) + " us";
  if (value < 1) return digits(value * 1e3) + " ms";
  return digits(value) + " s";
}

std::vector<PlannedProduct> plan_products(const TaskGraph& graph, const PlanOptions& options) {
  std::vector<PlannedProduct> planned;
  if (options.hosts < 2) return planned;
  for (const graph::Product& product : graph.products) {
    const auto grid = graph::best_grid(product, options.hosts, options.memory_bytes_per_host);
    planned.push_back({.m = product.m,
                       .n = product.n,
                       .k = product.k,
                       .grid_rows = grid.rows,
                       .grid_columns = grid.columns,
                       .grid_layers = grid.layers,
                       .moved_bytes = grid.hosts() == 0 ? 0 : graph::moved_bytes(product, grid),
                       .least_moved_bytes = graph::least_moved_bytes(
                           product, options.hosts, options.memory_bytes_per_host)});
  }
  return planned;
}

std::string text_of(const PlannedProduct& product, std::uint32_t hosts) {
  const auto times = [](auto a, auto b, auto c) {
    return std::to_string(a) + " x " + std::to_string(b) + " x " + std::to_string(c);
  };
  std::string text =
      times(product.m, product.n, product.k) + " on " + std::to_string(hosts) + " hosts";
  if (product.grid_rows == 0) {
    text += ", no grid fits";
  } else {
    text += " as " + times(product.grid_rows, product.grid_columns, product.grid_layers) +
            ", moves " + with_unit(product.moved_bytes, "B");
  }
  return text + ", lower bound " + with_unit(product.least_moved_bytes, "B");
}

}  // namespace

Plan plan(const Lowered& lowered, const PlanOptions& options) {
  if (options.hosts < 1 || !(options.memory_bytes_per_host >= 0)) {
    throw BadInput("a plan needs at least one host, and memory of 0 (enough) or more");
  }
  if (options.workers < 1 || options.slots_per_worker < 1 || !(options.flops_per_second > 0) ||
      !(options.moved_bytes_per_second > 0) || !(options.seconds_per_task >= 0)) {
    throw BadInput("a plan needs at least one worker, one slot, and rates above 0");
  }
  const TaskGraph& graph = *lowered.graph;
  Plan out{.tasks = graph.task_count(), .workers = options.workers};
  out.slots = options.workers * options.slots_per_worker;
  std::vector<double> task_seconds(graph.task_count());
  for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
    const double flops = graph.flops[task];
    const double moved = graph.moved_bytes[task];
    out.flops += flops;
    out.moved_bytes += moved;
    // Arithmetic and memory overlap: the slower of the two is what a task waits for.
    task_seconds[task] =
        options.seconds_per_task +
        std::max(flops / options.flops_per_second, moved / options.moved_bytes_per_second);
  }
  for (std::uint64_t bytes : graph.external_bytes) out.input_bytes += bytes;
  for (std::uint32_t datum : graph.wanted) out.output_bytes += graph.output_bytes[datum];
  out.memory_peak_bytes_per_worker = (peak_bytes(graph) + options.workers - 1) / options.workers;
  const auto bounds = graph::bounds(graph, task_seconds);
  out.total_seconds = bounds.total_seconds;
  out.critical_path_seconds = bounds.critical_path_seconds;
  out.lower_bound_seconds = bounds.lower_bound(out.slots);
  out.hosts = options.hosts;
  out.products = plan_products(graph, options);
  return out;
}

}  // namespace ashlar::array

namespace ashlar {

Plan Array::plan(const PlanOptions& options) const {
  return array::plan(array::lower({this, 1}), options);
}

std::string to_string(const Plan& plan) {
  using array::seconds;
  using array::with_unit;
  const auto line = [](const char* name, const std::string& value) {
    return std::string(name) + value + "\n";
  };
  std::string products;
  for (const PlannedProduct& product : plan.products) {
    products += line("product m x n x k      ", array::text_of(product, plan.hosts));
  }
  return line("tasks                  ", std::to_string(plan.tasks)) +
         line("arithmetic             ", with_unit(plan.flops, "flop")) +
         line("memory traffic         ", with_unit(plan.moved_bytes, "B")) +
         line("inputs                 ", with_unit(static_cast<double>(plan.input_bytes), "B")) +
         line("results                ", with_unit(static_cast<double>(plan.output_bytes), "B")) +
         line("memory peak per worker ",
              with_unit(static_cast<double>(plan.memory_peak_bytes_per_worker), "B")) +
         line("sum of task times      ", seconds(plan.total_seconds)) +
         line("critical path          ", seconds(plan.critical_path_seconds)) +
         line("lower bound            ",
              seconds(plan.lower_bound_seconds) + " on " + std::to_string(plan.slots) +
                  (plan.slots == 1 ? " slot" : " slots") + " at assumed rates") +
         products;
}

}  // namespace ashlar
