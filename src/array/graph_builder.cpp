#include "array/graph_builder.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.hpp"

namespace ashlar::array {
namespace {

using graph::TaskGraph;

/// The position of a name in a list without repeats, adding it if need be.
std::uint32_t number_of(std::string_view name, std::vector<std::string>& names,
                        std::map<std::string, std::uint32_t, std::less<>>& numbers) {
  const auto known = numbers.find(name);
  if (known != numbers.end()) return known->second;
  const auto number = static_cast<std::uint32_t>(names.size());
  names.emplace_back(name);
  numbers.emplace(name, number);
  return number;
}

/// Appends task `task` of one graph to another, without inputs and names.
void copy_task(const TaskGraph& from, std::uint32_t task, TaskGraph& to) {
  to.kernel.push_back(from.kernel[task]);
  const auto params = from.params_of(task);
  to.params.insert(to.params.end(), params.begin(), params.end());
  to.param_offsets.push_back(static_cast<std::uint32_t>(to.params.size()));
  to.flops.push_back(from.flops[task]);
  to.moved_bytes.push_back(from.moved_bytes[task]);
  to.source.push_back(from.source[task]);
  to.reuse_input.push_back(from.reuse_input[task]);
  to.cell.push_back(from.cell[task]);
  to.output_bytes.push_back(from.output_bytes[task]);
  to.output_offsets.push_back(static_cast<std::uint32_t>(to.output_bytes.size()));
}

/// Drops products of which no task is left, and counts the cells of the other ones through anew.
void drop_unused_products(TaskGraph& graph) {
  std::vector<std::uint64_t> ends;
  for (const graph::Product& product : graph.products) {
    ends.push_back((ends.empty() ? 0 : ends.back()) + product.cells());
  }
  const auto product_of = [&](std::uint32_t cell) {
    return static_cast<std::size_t>(std::ranges::upper_bound(ends, cell) - ends.begin());
  };
  std::vector<bool> is_used(ends.size());
  for (const std::uint32_t cell : graph.cell) {
    if (cell != TaskGraph::no_cell) is_used[product_of(cell)] = true;
  }
  std::vector<std::uint64_t> dropped_before(ends.size());
  std::vector<graph::Product> used;
  std::uint64_t dropped = 0;
  for (std::size_t p = 0; p < ends.size(); ++p) {
    dropped_before[p] = dropped;
    if (is_used[p]) {
      used.push_back(graph.products[p]);
    } else {
      dropped += graph.products[p].cells();
    }
  }
  graph.products = std::move(used);
  for (std::uint32_t& cell : graph.cell) {
    if (cell != TaskGraph::no_cell) {
      cell -= static_cast<std::uint32_t>(dropped_before[product_of(cell)]);
    }
  }
  if (graph.products.empty()) graph.cell.clear();
}

}  // namespace

void GraphBuilder::set_source(const std::source_location& where) {
  const std::string text = std::string(where.file_name()) + ":" + std::to_string(where.line()) +
                           " (" + where.function_name() + ")";
  source_ = number_of(text, graph_.sources, source_numbers_);
}

void GraphBuilder::begin_product(const graph::Product& product) {
  graph_.products.push_back(product);
  first_cell_ = std::exchange(next_cell_, next_cell_ + product.cells());
}

GraphBuilder::Ref GraphBuilder::add_external(External external, std::uint64_t bytes) {
  externals_.push_back(std::move(external));
  graph_.external_bytes.push_back(bytes);
  return static_cast<Ref>(externals_.size() - 1) | external_bit;
}

GraphBuilder::Ref GraphBuilder::add_task(std::string_view kernel,
                                         const std::vector<std::byte>& params,
                                         std::span<const Ref> inputs, std::uint64_t bytes,
                                         Effort cost, std::uint32_t reuse_input) {
  constexpr std::size_t params_max = external_bit - 1;
  if (graph_.kernel.size() >= tasks_max_ || graph_.params.size() + params.size() > params_max ||
      graph_.inputs.size() + inputs.size() > inputs_max_) {
    throw BadInput("the expression takes too many tasks (" + std::to_string(graph_.kernel.size()) +
                   " and more): use larger chunks");
  }
  graph_.kernel.push_back(number_of(kernel, graph_.kernels, kernel_numbers_));
  graph_.inputs.insert(graph_.inputs.end(), inputs.begin(), inputs.end());
  graph_.input_offsets.push_back(static_cast<std::uint32_t>(graph_.inputs.size()));
  graph_.params.insert(graph_.params.end(), params.begin(), params.end());
  graph_.param_offsets.push_back(static_cast<std::uint32_t>(graph_.params.size()));
  graph_.flops.push_back(static_cast<float>(cost.flops));
  graph_.moved_bytes.push_back(static_cast<float>(cost.moved_bytes));
  graph_.source.push_back(source_);
  graph_.reuse_input.push_back(reuse_input);
  graph_.cell.push_back(cell_);
  graph_.output_bytes.push_back(bytes);
  graph_.output_offsets.push_back(static_cast<std::uint32_t>(graph_.output_bytes.size()));
  return static_cast<Ref>(graph_.kernel.size() - 1);
}

Lowered GraphBuilder::finish(std::vector<LoweredRoot> roots) && {
  const std::uint32_t tasks = graph_.task_count();
  std::vector<bool> is_needed(tasks);
  const auto need = [&](Ref ref) {
    if (!is_external(ref)) is_needed[ref] = true;
  };
  for (const auto& root : roots) {
    for (Ref ref : root.data) need(ref);
  }
  for (Ref ref : kept_) need(ref);
  // Inputs come before the tasks that read them.
  for (std::uint32_t task = tasks; task-- > 0;) {
    if (!is_needed[task]) continue;
    for (Ref ref : graph_.inputs_of(task)) need(ref);
  }

  Lowered lowered;
  auto out = std::make_shared<TaskGraph>();
  out->kernels = std::move(graph_.kernels);
  out->sources = std::move(graph_.sources);
  out->products = std::move(graph_.products);
  const auto kept =
      static_cast<std::uint32_t>(std::count(is_needed.begin(), is_needed.end(), true));
  // Externals in order of first use: so they are brought, and the first tasks need not wait.
  constexpr std::uint32_t unnamed = ~std::uint32_t{0};
  std::vector<std::uint64_t> read_bytes;
  std::vector<std::uint32_t> external_datum(externals_.size(), unnamed), datum(tasks);
  const auto datum_of = [&](Ref ref) {
    if (!is_external(ref)) return datum[ref];
    const std::uint32_t i = ref & ~external_bit;
    if (external_datum[i] == unnamed) {
      external_datum[i] = kept + static_cast<std::uint32_t>(lowered.externals.size());
      lowered.externals.push_back(std::move(externals_[i]));
      read_bytes.push_back(graph_.external_bytes[i]);
    }
    return external_datum[i];
  };
  for (std::uint32_t task = 0; task < tasks; ++task) {
    if (!is_needed[task]) continue;
    datum[task] = out->task_count();
    for (Ref ref : graph_.inputs_of(task)) out->inputs.push_back(datum_of(ref));
    out->input_offsets.push_back(static_cast<std::uint32_t>(out->inputs.size()));
    copy_task(graph_, task, *out);
  }
  drop_unused_products(*out);
  out->external_bytes = read_bytes;  // without what only roots name, from here on
  for (auto& root : roots) {
    for (auto& ref : root.data) {
      ref = datum_of(ref);
      if (ref < kept) out->wanted.push_back(ref);
    }
  }
  std::sort(out->wanted.begin(), out->wanted.end());
  out->wanted.erase(std::unique(out->wanted.begin(), out->wanted.end()), out->wanted.end());
  lowered.roots = std::move(roots);
  lowered.graph = std::move(out);
  return lowered;
}

}  // namespace ashlar::array
