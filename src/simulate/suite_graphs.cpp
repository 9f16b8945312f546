#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "simulate/suite.hpp"
#include "simulate/workload.hpp"

namespace ashlar::simulate::suite {
namespace {

using Data = std::vector<std::uint32_t>;

constexpr std::uint64_t chunk = 1 << 20;
constexpr double unit_flops = 1e8;  // of a task of 10 ms

class Builder {
 public:
  explicit Builder(std::uint64_t seed) : random_(seed) {
    program_.graph.kernels.assign(std::begin(kernel_names), std::end(kernel_names));
  }

  struct Task {
    double units = 1;
    Kernel kernel = Kernel::mix;  ///< mix does 1e10 flops a second, stir half of it
    std::uint32_t outputs = 1;
    std::uint64_t bytes = chunk;                     ///< of each output
    bool takes_over = false;                         ///< its first input's buffer
    std::uint32_t cell = graph::TaskGraph::no_cell;  ///< of a product of matrices
  };

  /// Returns its first output; further ones follow.
  std::uint32_t add(const Task& task, std::span<const std::uint32_t> inputs) {
    graph::TaskGraph& g = program_.graph;
    const std::uint32_t first = g.output_count();
    g.kernel.push_back(static_cast<std::uint32_t>(task.kernel));
    g.inputs.insert(g.inputs.end(), inputs.begin(), inputs.end());
    g.input_offsets.push_back(static_cast<std::uint32_t>(g.inputs.size()));
    g.output_bytes.insert(g.output_bytes.end(), task.outputs, task.bytes);
    g.output_offsets.push_back(g.output_count());
    g.param_offsets.push_back(0);
    g.reuse_input.push_back(task.takes_over ? 0 : graph::TaskGraph::no_input);
    g.flops.push_back(static_cast<float>(task.units * unit_flops));
    g.cell.push_back(task.cell);
    const double rate = task.kernel == Kernel::mix ? 1e10 : 5e9;
    program_.task_seconds.push_back(task.units * unit_flops / rate *
                                    (0.9 + 0.2 * random_.uniform()));
    return first;
  }
  std::uint32_t add(const Task& task, std::initializer_list<std::uint32_t> inputs) {
    return add(task, std::span{inputs.begin(), inputs.size()});
  }

  /// What the array library says of a product of matrices in square chunks, n by n each.
  void begin_product(std::uint32_t n) {
    const auto side = static_cast<std::uint64_t>(std::sqrt(chunk / sizeof(double)));
    program_.graph.products.push_back({.rows = n,
                                       .columns = n,
                                       .inner = n,
                                       .m = n * side,
                                       .n = n * side,
                                       .k = n * side,
                                       .element_bytes = sizeof(double)});
  }

  /// The random numbers of shapes that have some.
  SplitMix64& random() { return random_; }

  /// What nobody reads is what is wanted.
  Program finish() {
    graph::TaskGraph& g = program_.graph;
    if (g.products.empty()) g.cell.clear();
    std::vector<bool> is_read(g.output_count(), false);
    for (const std::uint32_t datum : g.inputs) is_read[datum] = true;
    for (std::uint32_t d = 0; d < g.output_count(); ++d) {
      if (!is_read[d]) g.wanted.push_back(d);
    }
    return std::move(program_);
  }

 private:
  Program program_;
  SplitMix64 random_;
};

using Task = Builder::Task;

std::uint32_t at_least(double value, std::uint32_t least) {
  return std::max(static_cast<std::uint32_t>(std::lround(value)), least);
}

/// Square tiles of a matrix.
struct Tiles {
  Tiles(Builder& builder, std::uint32_t count, bool is_lower = false) : n(count) {
    for (std::uint32_t t = 0; t < n * n; ++t) {
      const bool is_there = !is_lower || t % n <= t / n;
      data.push_back(is_there ? builder.add({.units = 0.1}, {}) : ~0u);
    }
  }
  std::uint32_t& operator()(std::uint32_t i, std::uint32_t j) { return data[i * n + j]; }
  std::uint32_t n;
  Data data;
};

void matmul(Builder& b, std::uint32_t tasks) {
  const std::uint32_t n = at_least(std::cbrt(tasks), 2);
  Tiles left(b, n), right(b, n);
  b.begin_product(n);
  std::uint32_t cell = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    for (std::uint32_t j = 0; j < n; ++j) {
      std::uint32_t sum = b.add({.cell = cell++}, {left(i, 0), right(0, j)});
      for (std::uint32_t k = 1; k < n; ++k) {
        sum = b.add({.takes_over = true, .cell = cell++}, {sum, left(i, k), right(k, j)});
      }
    }
  }
}

void cholesky(Builder& b, std::uint32_t tasks) {
  const std::uint32_t n = at_least(std::cbrt(6.0 * tasks), 3);
  Tiles a(b, n, true);
  for (std::uint32_t k = 0; k < n; ++k) {
    a(k, k) = b.add({.units = 0.33, .kernel = Kernel::stir, .takes_over = true}, {a(k, k)});
    for (std::uint32_t i = k + 1; i < n; ++i) {
      a(i, k) =
          b.add({.units = 0.5, .kernel = Kernel::stir, .takes_over = true}, {a(i, k), a(k, k)});
    }
    for (std::uint32_t i = k + 1; i < n; ++i) {
      a(i, i) = b.add({.units = 0.5, .takes_over = true}, {a(i, i), a(i, k)});
      for (std::uint32_t j = k + 1; j < i; ++j) {
        a(i, j) = b.add({.takes_over = true}, {a(i, j), a(i, k), a(j, k)});
      }
    }
  }
}

void qr(Builder& b, std::uint32_t tasks) {
  const std::uint32_t n = at_least(std::cbrt(3.0 * tasks), 3);
  Tiles a(b, n);
  for (std::uint32_t k = 0; k < n; ++k) {
    const std::uint32_t factors =
        b.add({.units = 0.33, .kernel = Kernel::stir, .outputs = 2}, {a(k, k)});
    a(k, k) = factors;
    for (std::uint32_t j = k + 1; j < n; ++j) {
      a(k, j) = b.add({.units = 0.5, .takes_over = true}, {a(k, j), factors + 1});
    }
    for (std::uint32_t i = k + 1; i < n; ++i) {
      const std::uint32_t pair =
          b.add({.units = 0.5, .kernel = Kernel::stir, .outputs = 2}, {a(k, k), a(i, k)});
      a(k, k) = pair;
      a(i, k) = pair + 1;
      for (std::uint32_t j = k + 1; j < n; ++j) {
        const std::uint32_t updated = b.add({.outputs = 2}, {a(k, j), a(i, j), pair + 1});
        a(k, j) = updated;
        a(i, j) = updated + 1;
      }
    }
  }
}

void stencil(Builder& b, std::uint32_t tasks) {
  const std::uint32_t width = at_least(std::sqrt(8.0 * tasks), 4);
  const std::uint32_t steps = at_least(static_cast<double>(tasks) / width, 2);
  Data row;
  for (std::uint32_t c = 0; c < width; ++c) row.push_back(b.add({.units = 0.2}, {}));
  for (std::uint32_t s = 1; s < steps; ++s) {
    Data next;
    for (std::uint32_t c = 0; c < width; ++c) {
      next.push_back(b.add({}, {row[(c + width - 1) % width], row[c], row[(c + 1) % width]}));
    }
    row = std::move(next);
  }
}

void tree(Builder& b, std::uint32_t tasks) {
  Data level;
  for (std::uint32_t t = 0; t < std::max(tasks / 2, 2u); ++t) level.push_back(b.add({}, {}));
  while (level.size() > 1) {
    Data next;
    for (std::size_t t = 0; t + 1 < level.size(); t += 2) {
      next.push_back(b.add({.units = 0.3}, {level[t], level[t + 1]}));
    }
    if (level.size() % 2 == 1) next.push_back(level.back());
    level = std::move(next);
  }
}

void rechunk(Builder& b, std::uint32_t tasks) {
  constexpr std::uint32_t group = 16;
  for (std::uint32_t g = 0; g < std::max(tasks / (3 * group), 1u); ++g) {
    Data pieces;
    for (std::uint32_t r = 0; r < group; ++r) {
      const std::uint32_t rows = b.add({}, {});
      pieces.push_back(b.add({.units = 0.1, .outputs = group, .bytes = chunk / group}, {rows}));
    }
    for (std::uint32_t c = 0; c < group; ++c) {
      Data column;
      for (const std::uint32_t piece : pieces) column.push_back(piece + c);
      b.add({.units = 0.5}, column);
    }
  }
}

void fft(Builder& b, std::uint32_t tasks) {
  std::uint32_t levels = 2;
  while ((levels + 2) << (levels + 1) <= tasks) ++levels;
  const std::uint32_t width = 1u << levels;
  Data row;
  for (std::uint32_t c = 0; c < width; ++c) row.push_back(b.add({}, {}));
  for (std::uint32_t l = 0; l < levels; ++l) {
    Data next;
    for (std::uint32_t c = 0; c < width; ++c)
      next.push_back(b.add({}, {row[c], row[c ^ (1u << l)]}));
    row = std::move(next);
  }
}

void shuffle(Builder& b, std::uint32_t tasks) {
  const std::uint32_t reducers = std::min(at_least(tasks / 5.0, 2), 256u);
  const std::uint32_t maps = std::max(tasks - std::min(tasks, reducers), 2u);
  std::vector<Data> pieces(reducers);
  for (std::uint32_t m = 0; m < maps; ++m) {
    const std::uint32_t first = b.add({.outputs = reducers, .bytes = chunk / reducers}, {});
    for (std::uint32_t r = 0; r < reducers; ++r) pieces[r].push_back(first + r);
  }
  for (const Data& inputs : pieces) b.add({.units = 0.5 + 2 * b.random().uniform()}, inputs);
}

void layered(Builder& b, std::uint32_t tasks) {
  const std::uint32_t width = at_least(std::sqrt(4.0 * tasks), 4);
  Data made;
  for (std::uint32_t t = 0; t < tasks; ++t) {
    Data inputs;
    const std::uint64_t layer = made.size() / width * width;  // those before are of earlier layers
    const std::uint64_t reach = std::min<std::uint64_t>(layer, 2 * width);
    for (std::uint64_t n = reach > 0 ? 1 + b.random().below(3) : 0; n > 0; --n) {
      const std::uint32_t input = made[layer - 1 - b.random().below(reach)];
      if (std::ranges::find(inputs, input) == inputs.end()) inputs.push_back(input);
    }
    made.push_back(b.add({.units = 0.2 * std::pow(10.0, b.random().uniform()),
                          .kernel = Kernel{static_cast<std::uint32_t>(b.random().below(2))},
                          .bytes = chunk / 8 + b.random().below(2 * chunk)},
                         inputs));
  }
}

}  // namespace

std::string name_of(Shape shape) {
  switch (shape) {
    case Shape::matmul:
      return "blocked matmul";
    case Shape::cholesky:
      return "Cholesky";
    case Shape::qr:
      return "QR";
    case Shape::stencil:
      return "stencil";
    case Shape::tree:
      return "tree reduction";
    case Shape::rechunk:
      return "rechunk";
    case Shape::fft:
      return "FFT butterfly";
    case Shape::shuffle:
      return "map-shuffle-reduce";
    case Shape::layered:
      return "random layered";
  }
  return "?";
}

Program make_program(Shape shape, std::uint32_t tasks, std::uint64_t seed) {
  Builder builder(seed);
  switch (shape) {
    case Shape::matmul:
      matmul(builder, tasks);
      break;
    case Shape::cholesky:
      cholesky(builder, tasks);
      break;
    case Shape::qr:
      qr(builder, tasks);
      break;
    case Shape::stencil:
      stencil(builder, tasks);
      break;
    case Shape::tree:
      tree(builder, tasks);
      break;
    case Shape::rechunk:
      rechunk(builder, tasks);
      break;
    case Shape::fft:
      fft(builder, tasks);
      break;
    case Shape::shuffle:
      shuffle(builder, tasks);
      break;
    case Shape::layered:
      layered(builder, tasks);
      break;
  }
  return builder.finish();
}

}  // namespace ashlar::simulate::suite
