#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "simulate/cluster.hpp"

/// What the quality of decisions is measured on: well-known shapes of graphs, on clusters.
namespace ashlar::simulate::suite {

enum class Shape : std::uint8_t {
  matmul,    ///< blocked; each output chunk is a chain that adds into one buffer
  cholesky,  ///< by tiles, right-looking
  qr,        ///< by tiles, flat tree
  stencil,   ///< one dimension, three inputs
  tree,      ///< reduction in pairs
  rechunk,   ///< blocks of rows to blocks of columns, in groups
  fft,       ///< butterfly
  shuffle,   ///< map, shuffle, reduce; some reducers get more than others
  layered,   ///< random layers, task times over a factor of ten
};
inline constexpr Shape shapes[] = {Shape::matmul,  Shape::cholesky, Shape::qr,
                                   Shape::stencil, Shape::tree,     Shape::rechunk,
                                   Shape::fft,     Shape::shuffle,  Shape::layered};
std::string name_of(Shape shape);

/// A graph of about so many tasks of about 10 ms and data of 1 MB. Times differ by up to a tenth
/// from what the graph's estimates suggest, by the seed.
Program make_program(Shape shape, std::uint32_t tasks, std::uint64_t seed);

struct Site {
  std::string name;
  Machine machine;
};
/// Workers of two slots: equal, of two speeds, one slow, one vanishing, slow network.
std::vector<Site> sites(std::uint32_t workers);

struct Trial {
  std::string problem;  ///< empty: results are right and nothing was left
  double seconds = 0;   ///< makespan
  double ratio = 0;     ///< to the lower bound
  std::uint64_t remote_bytes = 0;
  std::uint64_t peak_bytes = 0;  ///< the most all stores held
  std::uint64_t digest = 0;
};
/// Runs the program in virtual time, after another one from which the scheduler learns the
/// kernels' times and the workers' speeds: random layers, if null. A worker that vanishes does so
/// at a third of what the bound would be if it stayed.
Trial try_policy(std::shared_ptr<const Program> program, const Site& site,
                 scheduler::PolicyKind policy, std::uint64_t seed,
                 std::shared_ptr<const Program> before = nullptr);

}  // namespace ashlar::simulate::suite
