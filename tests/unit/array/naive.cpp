#include "naive.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "array/operations.hpp"
#include "base/random.hpp"
#include "base/shape.hpp"
#include "graph/task_graph.hpp"

namespace ashlar::test {
namespace {

using namespace array;

double get(DType dtype, const Buffer& buffer, std::int64_t index) {
  return visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T value{};
    std::memcpy(&value, buffer.data() + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
    return static_cast<double>(value);
  });
}

void set(DType dtype, std::byte* buffer, std::int64_t index, double value) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T typed = static_cast<T>(value);
    std::memcpy(buffer + static_cast<std::size_t>(index) * sizeof(T), &typed, sizeof(T));
  });
}

std::int64_t offset_of(const Shape& extents, const Shape& position) {
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < extents.size(); ++d) offset = offset * extents[d] + position[d];
  return offset;
}

/// The value of a double after storage as a dtype.
double stored(DType dtype, double value) {
  Buffer buffer(8);
  set(dtype, buffer.data(), 0, value);
  return get(dtype, buffer, 0);
}

double random_value(const RandomParams& p, std::uint64_t at) {
  const auto w =
      philox4x32({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), 0, 0},
                 {static_cast<std::uint32_t>(p.seed), static_cast<std::uint32_t>(p.seed >> 32)});
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
  };
  const double u = unit(w[0], w[1]);
  const double v = unit(w[2], w[3]);
  if (p.distribution == Distribution::uniform) return p.a + u * (p.b - p.a);
  return p.a + p.b * std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v);
}

double apply(ElementOp op, double a, double b) {
  switch (op) {
    case ElementOp::load:
    case ElementOp::constant:
    case ElementOp::cast:
      break;
    case ElementOp::negative:
      return -a;
    case ElementOp::abs:
      return std::abs(a);
    case ElementOp::exp:
      return std::exp(a);
    case ElementOp::log:
      return std::log(a);
    case ElementOp::sqrt:
      return std::sqrt(a);
    case ElementOp::add:
      return a + b;
    case ElementOp::subtract:
      return a - b;
    case ElementOp::multiply:
      return a * b;
    case ElementOp::divide:
      return a / b;
    case ElementOp::maximum:
      return std::max(a, b);
    case ElementOp::minimum:
      return std::min(a, b);
    case ElementOp::equal:
      return a == b;
    case ElementOp::not_equal:
      return a != b;
    case ElementOp::less:
      return a < b;
    case ElementOp::less_equal:
      return a <= b;
    case ElementOp::greater:
      return a > b;
    case ElementOp::greater_equal:
      return a >= b;
  }
  ADD_FAILURE() << "not an operation on values";
  return 0;
}

struct Task {
  std::span<const Buffer* const> inputs;
  Buffer& out;

  void run(const FillParams& p) {
    for (std::int64_t i = 0; i < element_count(p.extents); ++i) {
      set(p.value.dtype, out.data(), i, p.value.as<double>());
    }
  }
  void run(const EyeParams& p) {
    for_each_position(p.extents, [&](const Shape& at) {
      const bool is_one = p.column_start + at[1] - p.row_start - at[0] == p.diagonal;
      set(p.dtype, out.data(), offset_of(p.extents, at), is_one);
    });
  }
  void run(const ArangeParams& p) {
    for (std::int64_t i = 0; i < p.count; ++i) {
      const auto step = static_cast<double>(p.first + i) * p.step.as<double>();
      const double value =
          p.first + i == p.last_index ? p.last.as<double>() : p.start.as<double>() + step;
      set(p.start.dtype, out.data(), i, value);
    }
  }
  void run(const RandomParams& p) {
    for_each_position(p.extents, [&](const Shape& at) {
      Shape global = p.start;
      for (std::size_t d = 0; d < at.size(); ++d) global[d] += at[d];
      const auto position = static_cast<std::uint64_t>(offset_of(p.global_shape, global));
      set(p.dtype, out.data(), offset_of(p.extents, at), random_value(p, position));
    });
  }
  void run(const ElementwiseParams& p) {
    for_each_position(p.extents, [&](const Shape& at) {
      std::vector<std::pair<DType, double>> stack;
      for (const auto& [op, operand] : p.program) {
        if (op == ElementOp::load) {
          std::int64_t offset = 0;
          for (std::size_t d = 0; d < at.size(); ++d) {
            offset += at[d] * p.inputs[operand].strides[d];
          }
          const DType dtype = p.inputs[operand].dtype;
          stack.emplace_back(dtype, get(dtype, *inputs[operand], offset));
        } else if (op == ElementOp::constant) {
          stack.emplace_back(p.constants[operand].dtype, p.constants[operand].as<double>());
        } else if (op == ElementOp::cast) {
          const DType dtype{static_cast<std::uint8_t>(operand)};
          stack.back() = {dtype, stored(dtype, stack.back().second)};
        } else {
          double right = 0;
          if (op >= ElementOp::add) {
            right = stack.back().second;
            stack.pop_back();
          }
          auto& [dtype, value] = stack.back();
          value = stored(dtype, apply(op, value, right));
          if (op >= ElementOp::equal) dtype = DType::boolean;
        }
      }
      set(p.dtype, out.data(), offset_of(p.extents, at), stack.back().second);
    });
  }
  static double reduce(Reduction reduction, double a, double b) {
    return reduction == Reduction::sum   ? a + b
           : reduction == Reduction::min ? std::min(a, b)
                                         : std::max(a, b);
  }
  void run(const ReduceParams& p) {
    Shape kept;
    for (std::size_t d = 0; d < p.input_extents.size(); ++d) {
      if (std::count(p.axes.begin(), p.axes.end(), d) == 0) kept.push_back(p.input_extents[d]);
    }
    std::vector<double> results(static_cast<std::size_t>(element_count(kept)), 0);
    std::vector<bool> is_begun(results.size());
    for_each_position(p.input_extents, [&](const Shape& at) {
      Shape target;
      for (std::size_t d = 0; d < at.size(); ++d) {
        if (std::count(p.axes.begin(), p.axes.end(), d) == 0) target.push_back(at[d]);
      }
      const auto i = static_cast<std::size_t>(offset_of(kept, target));
      const double x =
          stored(p.dtype, get(p.input_dtype, *inputs[0], offset_of(p.input_extents, at)));
      results[i] = is_begun[i] ? reduce(p.reduction, results[i], x) : x;
      is_begun[i] = true;
    });
    for (std::size_t i = 0; i < results.size(); ++i) {
      set(p.dtype, out.data(), static_cast<std::int64_t>(i), results[i] / p.divisor);
    }
  }
  void run(const CombineParams& p) {
    for (std::int64_t i = 0; i < p.count; ++i) {
      double x = get(p.dtype, *inputs[0], i);
      for (std::size_t j = 1; j < p.inputs; ++j) {
        x = stored(p.dtype, reduce(p.reduction, x, get(p.dtype, *inputs[j], i)));
      }
      set(p.dtype, out.data(), i, x / p.divisor);
    }
  }
  void run(const MatmulParams& p) {
    for (std::int64_t i = 0; i < p.m * p.n; ++i) {
      const std::int64_t row = i / p.n;
      const std::int64_t column = i % p.n;
      double x = p.accumulates ? get(p.dtype, *inputs[0], i) : 0;
      for (std::size_t j = 0; j < p.k.size(); ++j) {
        const Buffer& a = *inputs[2 * j + p.accumulates];
        const Buffer& b = *inputs[2 * j + p.accumulates + 1];
        for (std::int64_t k = 0; k < p.k[j]; ++k) {
          x += get(p.dtype, a, p.a_transposed ? k * p.m + row : row * p.k[j] + k) *
               get(p.dtype, b, p.b_transposed ? column * p.k[j] + k : k * p.n + column);
        }
      }
      set(p.dtype, out.data(), i, x);
    }
  }
  void run(const PermuteParams& p) {
    Shape extents;
    for (auto axis : p.axes) extents.push_back(p.input_extents[axis]);
    for_each_position(extents, [&](const Shape& at) {
      Shape from(at.size());
      for (std::size_t d = 0; d < at.size(); ++d) from[p.axes[d]] = at[d];
      set(p.dtype, out.data(), offset_of(extents, at),
          get(p.dtype, *inputs[0], offset_of(p.input_extents, from)));
    });
  }
  void run(const AssembleParams& p) {
    for (const auto& piece : p.pieces) {
      for_each_position(piece.count, [&](const Shape& at) {
        Shape from(at.size()), to(at.size());
        for (std::size_t d = 0; d < at.size(); ++d) {
          from[d] = piece.source_start[d] + at[d] * piece.source_step[d];
          to[d] = piece.destination_start[d] + at[d];
        }
        set(p.dtype, out.data(), offset_of(p.extents, to),
            get(p.dtype, *inputs[piece.input], offset_of(piece.input_extents, from)));
      });
    }
  }
};

template <class Params>
bool run_if(std::string_view kernel, std::span<const std::byte> bytes,
            std::span<const Buffer* const> inputs, Buffer& out) {
  if (kernel != Params::kernel) return false;
  const auto params = decode<Params>(bytes);
  const auto sizes = input_bytes(params);
  EXPECT_EQ(sizes.size(), inputs.size()) << kernel;
  for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(sizes[i], inputs[i]->size()) << kernel;
  EXPECT_EQ(output_bytes(params), out.size()) << kernel;
  Task{inputs, out}.run(params);
  return true;
}

}  // namespace

Buffer run_naively(std::string_view kernel, std::span<const std::byte> params,
                   std::span<const Buffer* const> inputs, std::uint64_t bytes,
                   std::uint32_t reused) {
  Buffer out(bytes);
  if (reused != graph::TaskGraph::no_input) {
    EXPECT_EQ(inputs[reused]->size(), bytes);
  }
  const bool is_known = run_if<FillParams>(kernel, params, inputs, out) ||
                        run_if<EyeParams>(kernel, params, inputs, out) ||
                        run_if<ArangeParams>(kernel, params, inputs, out) ||
                        run_if<RandomParams>(kernel, params, inputs, out) ||
                        run_if<ElementwiseParams>(kernel, params, inputs, out) ||
                        run_if<ReduceParams>(kernel, params, inputs, out) ||
                        run_if<CombineParams>(kernel, params, inputs, out) ||
                        run_if<MatmulParams>(kernel, params, inputs, out) ||
                        run_if<PermuteParams>(kernel, params, inputs, out) ||
                        run_if<AssembleParams>(kernel, params, inputs, out);
  EXPECT_TRUE(is_known) << kernel;
  return out;
}

namespace {

Buffer bind(const External& external) {
  const auto& region = std::get<HostRegion>(external);
  const DType dtype = region.array.dtype();
  const Buffer all(region.array.bytes().begin(), region.array.bytes().end());
  Buffer out(checked_bytes(dtype, region.extents));
  for_each_position(region.extents, [&](const Shape& at) {
    Shape global = region.start;
    for (std::size_t d = 0; d < at.size(); ++d) global[d] += at[d];
    set(dtype, out.data(), offset_of(region.extents, at),
        get(dtype, all, offset_of(region.array.shape(), global)));
  });
  return out;
}

HostArray merge(const LoweredRoot& root, const std::vector<Buffer>& data) {
  HostArray out(root.dtype, root.grid.shape());
  for (std::int64_t i = 0; i < root.grid.size(); ++i) {
    const Shape chunk = root.grid.position(i);
    const Shape start = root.grid.start(chunk);
    const Shape extents = root.grid.extents(chunk);
    const Buffer& from = data[root.data[static_cast<std::size_t>(i)]];
    EXPECT_EQ(from.size(), checked_bytes(root.dtype, extents));
    for_each_position(extents, [&](const Shape& at) {
      Shape global = start;
      for (std::size_t d = 0; d < at.size(); ++d) global[d] += at[d];
      set(root.dtype, out.bytes().data(), offset_of(out.shape(), global),
          get(root.dtype, from, offset_of(extents, at)));
    });
  }
  return out;
}

}  // namespace

std::vector<HostArray> run(const Lowered& lowered, const RunTask& run_task, bool newest_first) {
  const auto& graph = *lowered.graph;
  EXPECT_EQ(graph::validate(graph), "");
  std::vector<Buffer> data(graph.data_count());
  std::vector<std::uint32_t> missing(graph.task_count());
  const auto consumers = graph::consumers(graph);
  for (std::size_t i = 0; i < lowered.externals.size(); ++i) {
    data[graph.output_count() + i] = bind(lowered.externals[i]);
    EXPECT_EQ(data[graph.output_count() + i].size(), graph.external_bytes[i]);
  }
  std::vector<std::uint32_t> ready;
  for (std::uint32_t task = 0; task < graph.task_count(); ++task) {
    for (auto datum : graph.inputs_of(task)) missing[task] += datum < graph.output_count();
    if (missing[task] == 0) ready.push_back(task);
  }
  std::uint32_t done = 0;
  while (!ready.empty()) {
    const auto next = newest_first ? ready.end() - 1 : ready.begin();
    const std::uint32_t task = *next;
    ready.erase(next);
    std::vector<const Buffer*> inputs;
    for (auto datum : graph.inputs_of(task)) inputs.push_back(&data[datum]);
    data[task] = run_task(graph.kernels[graph.kernel[task]], graph.params_of(task), inputs,
                          graph.output_bytes[task], graph.reuse_input[task]);
    ++done;
    for (auto consumer : consumers.of(task)) {
      if (--missing[consumer] == 0) ready.push_back(consumer);
    }
  }
  EXPECT_EQ(done, graph.task_count());
  std::vector<HostArray> results;
  for (const auto& root : lowered.roots) results.push_back(merge(root, data));
  return results;
}

HostArray compute(const Array& x, const RunTask& run_task) {
  return run(lower({&x, 1}), run_task).front();
}

double Dense::at(const Shape& position) const {
  return values[static_cast<std::size_t>(offset_of(shape, position))];
}

Dense dense(const HostArray& host) {
  const Buffer bytes(host.bytes().begin(), host.bytes().end());
  Dense out{host.shape(), {}};
  for (std::int64_t i = 0; i < host.size(); ++i) {
    out.values.push_back(get(host.dtype(), bytes, i));
  }
  return out;
}

HostArray host(DType dtype, const Dense& x) {
  HostArray out(dtype, x.shape);
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    set(dtype, out.bytes().data(), static_cast<std::int64_t>(i), x.values[i]);
  }
  return out;
}

void for_each_position(const Shape& shape, const std::function<void(const Shape&)>& f) {
  if (element_count(shape) == 0) return;
  Shape position(shape.size());
  do f(position);
  while (next_position(position, shape));
}

Dense map(const Dense& x, const std::function<double(double)>& f) {
  Dense out = x;
  for (auto& value : out.values) value = f(value);
  return out;
}

Dense zip(const Dense& a, const Dense& b, const std::function<double(double, double)>& f) {
  const std::size_t ndim = std::max(a.shape.size(), b.shape.size());
  const auto extent = [&](const Dense& x, std::size_t d) {
    const std::size_t added = ndim - x.shape.size();
    return d < added ? 1 : x.shape[d - added];
  };
  Dense out;
  for (std::size_t d = 0; d < ndim; ++d) {
    out.shape.push_back(extent(a, d) == 1 ? extent(b, d) : extent(a, d));
  }
  const auto value = [&](const Dense& x, const Shape& at) {
    Shape from(at.end() - static_cast<std::ptrdiff_t>(x.shape.size()), at.end());
    for (std::size_t d = 0; d < from.size(); ++d) from[d] = x.shape[d] == 1 ? 0 : from[d];
    return x.at(from);
  };
  for_each_position(out.shape,
                    [&](const Shape& at) { out.values.push_back(f(value(a, at), value(b, at))); });
  return out;
}

Dense fold(const Dense& x, const std::vector<bool>& is_reduced, bool keepdims,
           const std::function<double(double, double)>& f, double start) {
  Dense out;
  Shape kept;
  for (std::size_t d = 0; d < x.shape.size(); ++d) {
    kept.push_back(is_reduced[d] ? 1 : x.shape[d]);
    if (keepdims || !is_reduced[d]) out.shape.push_back(kept.back());
  }
  out.values.assign(static_cast<std::size_t>(element_count(kept)), start);
  for_each_position(x.shape, [&](const Shape& at) {
    Shape to = at;
    for (std::size_t d = 0; d < to.size(); ++d) to[d] = is_reduced[d] ? 0 : to[d];
    auto& value = out.values[static_cast<std::size_t>(offset_of(kept, to))];
    value = f(value, x.at(at));
  });
  return out;
}

Dense permute(const Dense& x, const std::vector<int>& axes) {
  Dense out;
  for (int axis : axes) out.shape.push_back(x.shape[static_cast<std::size_t>(axis)]);
  for_each_position(out.shape, [&](const Shape& at) {
    Shape from(at.size());
    for (std::size_t d = 0; d < at.size(); ++d) from[static_cast<std::size_t>(axes[d])] = at[d];
    out.values.push_back(x.at(from));
  });
  return out;
}

Dense slice(const Dense& x, const Shape& start, const Shape& step, const Shape& count) {
  Dense out{count, {}};
  for_each_position(count, [&](const Shape& at) {
    Shape from(at.size());
    for (std::size_t d = 0; d < at.size(); ++d) from[d] = start[d] + at[d] * step[d];
    out.values.push_back(x.at(from));
  });
  return out;
}

Dense matmul(const Dense& a, const Dense& b) {
  Dense out{{a.shape[0], b.shape[1]}, {}};
  for_each_position(out.shape, [&](const Shape& at) {
    double sum = 0;
    for (std::int64_t k = 0; k < a.shape[1]; ++k) sum += a.at({at[0], k}) * b.at({k, at[1]});
    out.values.push_back(sum);
  });
  return out;
}

}  // namespace ashlar::test
