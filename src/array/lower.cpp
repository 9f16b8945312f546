#include "array/lower.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "array/lowering.hpp"
#include "base/check.hpp"
#include "base/shape.hpp"

namespace ashlar::array {
namespace {

template <class... F>
struct Visitor : F... {
  using F::operator()...;
};
template <class... F>
Visitor(F...) -> Visitor<F...>;

/// Chunks of any size can be made of it for the same price.
bool is_generator(const Node& node) {
  return std::visit(
      Visitor{[](const Fill&) { return true; }, [](const Eye&) { return true; },
              [](const Arange&) { return true; }, [](const Random&) { return true; },
              [](const NpySource&) { return true; }, [](const HostSource&) { return true; },
              [](const auto&) { return false; }},
      node.operation);
}

/// The matrix under any transpositions of it, and whether they swap its dimensions.
std::pair<const Node*, bool> without_transposes(const Node* node) {
  bool is_transposed = false;
  while (std::holds_alternative<Permute>(node->operation)) {
    node = node->inputs[0].get();
    is_transposed = !is_transposed;
  }
  return {node, is_transposed};
}

}  // namespace

Lowered lower(std::span<const Array> roots, const LowerOptions& options) {
  return Lowering(options).run(roots);
}

Lowered Lowering::run(std::span<const Array> roots) {
  count_uses(roots);
  std::vector<LoweredRoot> lowered;
  for (const Array& root : roots) {
    lower_with_inputs(*root.node());
    lowered.push_back({.dtype = root.dtype(),
                       .grid = ChunkGrid(root.shape(), root.chunks()),
                       .data = chunks_.at(root.node().get())});
  }
  if (options_.copies_external_results) {
    for (std::size_t i = 0; i < roots.size(); ++i) {
      builder_.set_source(roots[i].node()->where);
      copy_externals(lowered[i]);
    }
  }
  Lowered out = std::move(builder_).finish(std::move(lowered));
  out.files = std::move(files_);
  return out;
}

void Lowering::count_uses(std::span<const Array> roots) {
  std::vector<const Node*> open;
  const auto use = [&](const Node* node) {
    if (uses_[node]++ == 0) open.push_back(node);
  };
  for (const Array& root : roots) use(root.node().get());
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (const auto& input : node->inputs) use(input.get());
  }
}

bool Lowering::is_private(const Node& node) const { return uses_.at(&node) == 1; }

Lowering::Step Lowering::plan_step(const Node& node) const {
  Step step;
  if (std::holds_alternative<Elementwise>(node.operation)) {
    step.fused = fuse(node, [this](const Node& input) { return is_private(input); });
    step.inputs = step.fused.inputs;
  } else if (std::holds_alternative<Matmul>(node.operation)) {
    const auto [a, a_transposed] = without_transposes(node.inputs[0].get());
    const auto [b, b_transposed] = without_transposes(node.inputs[1].get());
    step.inputs = {a, b};
    step.a_transposed = a_transposed;
    step.b_transposed = b_transposed;
  } else if (std::holds_alternative<Rechunk>(node.operation) && is_generator(*node.inputs[0]) &&
             is_private(*node.inputs[0])) {
    step.generates_input = true;
  } else {
    for (const auto& input : node.inputs) step.inputs.push_back(input.get());
  }
  return step;
}

void Lowering::check_size(const Node& node, const Step& step) const {
  const ChunkGrid grid(node.shape, node.chunks);
  const auto refuse_more = [&](const std::string& what, double count, double most) {
    if (count <= most) return;
    throw BadInput("the expression takes too many tasks: making an array of shape " +
                   to_string(node.shape) + " in chunks " + to_string(node.chunks) + " " + what +
                   " " + std::to_string(static_cast<std::int64_t>(count)) + " chunks, and " +
                   std::to_string(static_cast<std::int64_t>(most)) +
                   " is the most: use larger chunks");
  };
  const auto chunks = static_cast<double>(grid.size());
  refuse_more("makes", chunks, static_cast<double>(options_.chunks_max));
  if (step.inputs.empty()) return;
  const ChunkGrid from(node.inputs[0]->shape, node.inputs[0]->chunks);
  double read = chunks;
  if (std::holds_alternative<Matmul>(node.operation)) {
    read = 2 * chunks * static_cast<double>(from.counts()[1]);
  } else if (std::holds_alternative<Rechunk>(node.operation)) {
    read = 1;  // the borders of both grids cut the array
    for (std::size_t d = 0; d < grid.ndim(); ++d) {
      read *= static_cast<double>(std::max(grid.counts()[d], from.counts()[d]));
    }
  }
  refuse_more("reads", read, static_cast<double>(options_.inputs_max));
}

void Lowering::lower_with_inputs(const Node& root) {
  struct Open {
    const Node* node;
    Step step;
    std::size_t next_input = 0;
  };
  std::vector<Open> open;
  const auto visit = [&](const Node& node) {
    if (chunks_.contains(&node)) return;
    open.push_back({&node, plan_step(node)});
    check_size(node, open.back().step);
  };
  visit(root);
  while (!open.empty()) {
    Open& top = open.back();
    if (top.next_input < top.step.inputs.size()) {
      visit(*top.step.inputs[top.next_input++]);
      continue;
    }
    const Open done = std::move(open.back());
    open.pop_back();
    builder_.set_source(done.node->where);
    chunks_.emplace(done.node, lower_node(*done.node, done.step));
  }
}

Lowering::Chunks Lowering::lower_node(const Node& node, const Step& step) {
  const ChunkGrid grid(node.shape, node.chunks);
  if (is_generator(node)) return generate(node, grid);
  return std::visit(
      Visitor{[&](const DataSource& source) {
                Chunks out;
                Shape position(grid.ndim());
                for (const DatumRef& datum : source.data) {
                  const Shape extents = grid.extents(position);
                  out.push_back(builder_.add_external(datum, checked_bytes(node.dtype, extents)));
                  next_position(position, grid.counts());
                }
                return out;
              },
              [&](const Elementwise&) { return elementwise(node, step.fused); },
              [&](const Reduce&) { return reduce(node); },
              [&](const Matmul&) { return matmul(node, step); },
              [&](const Permute& operation) { return permute(node, operation); },
              [&](const Slicing& operation) {
                return gather(*node.inputs[0], operation.start, operation.step, grid);
              },
              [&](const Rechunk&) {
                if (step.generates_input) return generate(*node.inputs[0], grid);
                return gather(*node.inputs[0], Shape(grid.ndim(), 0), Shape(grid.ndim(), 1), grid);
              },
              [&](const Reshape&) { return chunks_.at(node.inputs[0].get()); },
              [&](const NpySink& operation) { return write_file(node, operation); },
              [](const auto&) {
                ASHLAR_CHECK(false, "a generator is lowered elsewhere");
                return Chunks{};
              }},
      node.operation);
}

void Lowering::copy_externals(LoweredRoot& root) {
  for (std::size_t i = 0; i < root.data.size(); ++i) {
    if (!GraphBuilder::is_external(root.data[i])) continue;
    if (options_.shares_persisted_results && builder_.is_persisted(root.data[i])) continue;
    const Shape extents = root.grid.extents(root.grid.position(static_cast<std::int64_t>(i)));
    const std::size_t ndim = extents.size();
    const AssembleParams params{.dtype = root.dtype,
                                .extents = extents,
                                .inputs = 1,
                                .pieces = {{.input = 0,
                                            .input_extents = extents,
                                            .source_start = Shape(ndim, 0),
                                            .source_step = Shape(ndim, 1),
                                            .destination_start = Shape(ndim, 0),
                                            .count = extents}}};
    const Ref input = root.data[i];
    root.data[i] =
        builder_.add(params, {&input, 1}, 0);  // what came from another host is taken over
  }
}

}  // namespace ashlar::array
