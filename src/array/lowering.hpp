#pragma once

#include <map>
#include <span>
#include <vector>

#include "array/fusion.hpp"
#include "array/graph_builder.hpp"
#include "array/lower.hpp"
#include "array/node.hpp"

namespace ashlar::array {

/// The work of lower(): nodes to chunks, each node once, inputs first.
class Lowering {
 public:
  using Ref = GraphBuilder::Ref;
  using Chunks = std::vector<Ref>;  ///< in grid order

  explicit Lowering(const LowerOptions& options)
      : options_(options), builder_(options.tasks_max, options.inputs_max) {}

  Lowered run(std::span<const Array> roots);

 private:
  /// What a node's tasks read after the optimiser has had its say.
  struct Step {
    std::vector<const Node*> inputs;
    FusedProgram fused;            ///< Elementwise only
    bool generates_input = false;  ///< Rechunk only: makes its input in its own chunks
    bool a_transposed = false;     ///< Matmul only
    bool b_transposed = false;
  };

  void count_uses(std::span<const Array> roots);
  /// One operation alone needs the node.
  bool is_private(const Node& node) const;
  Step plan_step(const Node& node) const;
  /// Refuses what would take too many tasks, before any are made. Errors: BadInput.
  void check_size(const Node& node, const Step& step) const;
  void lower_with_inputs(const Node& root);
  Chunks lower_node(const Node& node, const Step& step);

  Chunks generate(const Node& node, const ChunkGrid& grid);
  Ref generate_chunk(const Node& node, const ChunkGrid& grid, const Shape& position);
  Chunks elementwise(const Node& node, const FusedProgram& fused);
  Chunks reduce(const Node& node);
  Ref combine(Reduction reduction, DType dtype, std::int64_t count, double divisor,
              std::vector<Ref> parts);
  Chunks matmul(const Node& node, const Step& step);
  Ref multiply_chain(MatmulParams params, std::span<const std::int64_t> k,
                     std::span<const Ref> pairs, std::size_t per_task, std::uint64_t first_cell);
  Chunks permute(const Node& node, const Permute& operation);
  /// The box of `source` at start by step, cut as `grid`.
  Chunks gather(const Node& source, const Shape& start, const Shape& step, const ChunkGrid& grid);
  Chunks write_file(const Node& node, const NpySink& operation);
  void copy_externals(LoweredRoot& root);

  LowerOptions options_;
  GraphBuilder builder_;
  std::vector<WrittenFile> files_;
  // Looked up by identity, never listed: the order of pointers is no order.
  std::map<const Node*, std::size_t> uses_;  ///< being a root is a use
  std::map<const Node*, Chunks> chunks_;
};

}  // namespace ashlar::array
