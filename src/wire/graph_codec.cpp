#include "wire/channel.hpp"

namespace ashlar::wire {
namespace {

void write_product(const graph::Product& product, schema::Product::Builder out) {
  out.setRows(product.rows);
  out.setColumns(product.columns);
  out.setInner(product.inner);
  out.setM(product.m);
  out.setN(product.n);
  out.setK(product.k);
  out.setElementBytes(product.element_bytes);
}

graph::Product read_product(schema::Product::Reader in) {
  return {.rows = in.getRows(),
          .columns = in.getColumns(),
          .inner = in.getInner(),
          .m = in.getM(),
          .n = in.getN(),
          .k = in.getK(),
          .element_bytes = in.getElementBytes()};
}

}  // namespace

std::size_t graph_words(const graph::TaskGraph& g) {
  constexpr std::size_t product_words = 6;
  std::size_t words =
      64 + product_words * g.products.size() + text_words(g.kernels) + text_words(g.sources);
  for (const graph::Constraint& constraint : g.constraints)
    words += 2 + resource_words(constraint.resources);
  return words + list_words(g.kernel, g.input_offsets, g.inputs, g.output_offsets, g.param_offsets,
                            g.params, g.flops, g.moved_bytes, g.priority, g.constraint, g.source,
                            g.reuse_input, g.cell, g.output_bytes, g.external_bytes, g.wanted);
}

void write_graph(const graph::TaskGraph& g, schema::TaskGraph::Builder out) {
  write_texts(g.kernels, out.initKernels(list_size(g.kernels.size())));
  if (!g.constraints.empty()) {
    auto constraints = out.initConstraints(list_size(g.constraints.size()));
    for (unsigned i = 0; i < constraints.size(); ++i) {
      const auto& resources = g.constraints[i].resources;
      write_resources(resources, constraints[i].initResources(list_size(resources.size())));
    }
  }
  if (!g.sources.empty()) write_texts(g.sources, out.initSources(list_size(g.sources.size())));
  write_column(g.kernel, [&](unsigned n) { return out.initKernel(n); });
  write_column(g.input_offsets, [&](unsigned n) { return out.initInputOffsets(n); });
  write_column(g.inputs, [&](unsigned n) { return out.initInputs(n); });
  write_column(g.output_offsets, [&](unsigned n) { return out.initOutputOffsets(n); });
  write_column(g.param_offsets, [&](unsigned n) { return out.initParamOffsets(n); });
  if (!g.params.empty()) out.setParams(as_blob(g.params));
  write_column(g.flops, [&](unsigned n) { return out.initFlops(n); });
  write_column(g.moved_bytes, [&](unsigned n) { return out.initMovedBytes(n); });
  write_column(g.priority, [&](unsigned n) { return out.initPriority(n); });
  write_column(g.constraint, [&](unsigned n) { return out.initConstraint(n); });
  write_column(g.source, [&](unsigned n) { return out.initSource(n); });
  write_column(g.reuse_input, [&](unsigned n) { return out.initReuseInput(n); });
  write_column(g.output_bytes, [&](unsigned n) { return out.initOutputBytes(n); });
  write_column(g.external_bytes, [&](unsigned n) { return out.initExternalBytes(n); });
  write_column(g.wanted, [&](unsigned n) { return out.initWanted(n); });
  write_column(g.cell, [&](unsigned n) { return out.initCell(n); });
  if (g.products.empty()) return;
  auto products = out.initProducts(list_size(g.products.size()));
  for (unsigned i = 0; i < products.size(); ++i) write_product(g.products[i], products[i]);
}

graph::TaskGraph read_graph(schema::TaskGraph::Reader in) {
  graph::TaskGraph g;
  g.kernels = read_texts(in.getKernels());
  for (const auto constraint : in.getConstraints())
    g.constraints.push_back({.resources = read_resources(constraint.getResources())});
  g.sources = read_texts(in.getSources());
  g.kernel = read_u32(in.getKernel());
  g.input_offsets = read_u32(in.getInputOffsets());
  g.inputs = read_u32(in.getInputs());
  g.output_offsets = read_u32(in.getOutputOffsets());
  g.param_offsets = read_u32(in.getParamOffsets());
  g.params = read_blob(in.getParams());
  g.flops = read_column<float, float>(in.getFlops());
  g.moved_bytes = read_column<float, float>(in.getMovedBytes());
  g.priority = read_column<std::int32_t, std::int32_t>(in.getPriority());
  g.constraint = read_column<std::uint16_t, std::uint16_t>(in.getConstraint());
  g.source = read_u32(in.getSource());
  g.reuse_input = read_u32(in.getReuseInput());
  g.output_bytes = read_planned_sizes(in.getOutputBytes());
  g.external_bytes = read_planned_sizes(in.getExternalBytes());
  g.wanted = read_u32(in.getWanted());
  for (const auto product : in.getProducts()) g.products.push_back(read_product(product));
  g.cell = read_u32(in.getCell());
  if (const std::string problem = graph::validate(g); !problem.empty())
    throw Malformed("unsound graph: " + problem);
  return g;
}

}  // namespace ashlar::wire
