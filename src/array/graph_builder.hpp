#pragma once

#include <cstdint>
#include <map>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "array/lower.hpp"
#include "array/operations.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::array {

/// Collects tasks of one output each, in an order that respects dependencies.
class GraphBuilder {
 public:
  /// Errors, here and below: BadInput for more tasks than `tasks_max` or more inputs of all of
  /// them.
  GraphBuilder(std::uint64_t tasks_max, std::uint64_t inputs_max)
      : tasks_max_(tasks_max), inputs_max_(inputs_max) {}

  /// Names a datum while the graph grows: an output, or an external if the top bit is set.
  using Ref = std::uint32_t;
  static bool is_external(Ref ref) { return (ref & external_bit) != 0; }

  /// Tasks added from now on were asked for here.
  void set_source(const std::source_location& where);

  /// Tasks added from now on do this cell, or several from it on, of the product that was begun
  /// last; no_cell: none.
  void set_cell(std::uint64_t cell) {
    cell_ = cell == graph::TaskGraph::no_cell ? graph::TaskGraph::no_cell
                                              : static_cast<std::uint32_t>(first_cell_ + cell);
  }
  void begin_product(const graph::Product& product);

  Ref add_external(External external, std::uint64_t bytes);
  /// Of an external: it is on workers.
  bool is_persisted(Ref ref) const {
    return std::holds_alternative<DatumRef>(externals_[ref & ~external_bit]);
  }

  /// Adds a task. `reuse_input`: position of the input whose buffer the output may take over.
  template <class Params>
  Ref add(const Params& params, std::span<const Ref> inputs,
          std::uint32_t reuse_input = graph::TaskGraph::no_input) {
    const Effort cost = effort(params);
    return add_task(Params::kernel, encode(params), inputs, output_bytes(params), cost,
                    reuse_input);
  }

  /// The task that makes this is run even when no root needs what it makes.
  void keep(Ref ref) { kept_.push_back(ref); }

  /// Drops what no root needs and is not kept, and numbers the rest: roots name references on
  /// entry, data after.
  Lowered finish(std::vector<LoweredRoot> roots) &&;

 private:
  static constexpr Ref external_bit = Ref{1} << 31;

  Ref add_task(std::string_view kernel, const std::vector<std::byte>& params,
               std::span<const Ref> inputs, std::uint64_t bytes, Effort cost,
               std::uint32_t reuse_input);

  std::uint64_t tasks_max_;
  std::uint64_t inputs_max_;
  graph::TaskGraph graph_;  ///< its inputs are references
  std::map<std::string, std::uint32_t, std::less<>> kernel_numbers_;
  std::map<std::string, std::uint32_t, std::less<>> source_numbers_;
  std::uint32_t source_ = 0;
  std::uint32_t cell_ = graph::TaskGraph::no_cell;
  std::uint64_t first_cell_ = 0, next_cell_ = 0;
  std::vector<External> externals_;
  std::vector<Ref> kept_;
};

}  // namespace ashlar::array
