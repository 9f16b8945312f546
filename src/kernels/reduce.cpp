#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/shape.hpp"
#include "kernels/builtin.hpp"

namespace ashlar::kernels {

namespace {

using namespace array;

template <class T>
struct Sum {
  // float32 is summed in float64, integers wrap.
  using Partial = std::conditional_t<std::is_floating_point_v<T>, double, Wrapping<T>>;
  static Partial first() { return 0; }
  static Partial combine(Partial a, Partial b) {
    if constexpr (std::is_same_v<T, bool>) return a | b;
    return static_cast<Partial>(a + b);
  }
};

template <class T>
struct Min {
  using Partial = Stored<T>;
  static Partial first() {
    if constexpr (std::is_same_v<T, bool>) return 1;
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::infinity();
    return std::numeric_limits<Partial>::max();
  }
  static Partial combine(Partial a, Partial b) { return b < a || b != b ? b : a; }
};

template <class T>
struct Max {
  using Partial = Stored<T>;
  static Partial first() {
    if constexpr (std::is_same_v<T, bool>) return 0;
    if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
    return std::numeric_limits<Partial>::lowest();
  }
  static Partial combine(Partial a, Partial b) { return b > a || b != b ? b : a; }
};

template <class T, class In>
Stored<T> converted(In value) {
  if constexpr (std::is_same_v<T, bool>) return static_cast<Stored<T>>(value != 0);
  return static_cast<Stored<T>>(value);
}

struct Dimension {
  std::int64_t extent = 1;
  std::int64_t input_stride = 0;
  std::int64_t output_stride = 0;
  bool is_reduced = false;
};

// Neighbours that are both kept or both reduced are one dimension of a dense chunk.
std::vector<Dimension> dimensions_of(const ReduceParams& params) {
  std::vector<Dimension> dimensions;
  for (std::size_t d = 0; d < params.input_extents.size(); ++d) {
    const bool is_reduced =
        std::find(params.axes.begin(), params.axes.end(), d) != params.axes.end();
    const std::int64_t extent = params.input_extents[d];
    if (!dimensions.empty() && dimensions.back().is_reduced == is_reduced) {
      dimensions.back().extent *= extent;
    } else {
      dimensions.push_back({.extent = extent, .is_reduced = is_reduced});
    }
  }
  if (dimensions.empty()) dimensions.push_back({});
  std::int64_t input_stride = 1;
  std::int64_t output_stride = 1;
  for (std::size_t d = dimensions.size(); d-- > 0;) {
    dimensions[d].input_stride = input_stride;
    dimensions[d].output_stride = output_stride;
    input_stride *= dimensions[d].extent;
    if (!dimensions[d].is_reduced) output_stride *= dimensions[d].extent;
  }
  return dimensions;
}

template <class T, class Op, class In>
class Reducer {
  using Partial = typename Op::Partial;

 public:
  explicit Reducer(std::span<const Dimension> dimensions) : dimensions_(dimensions) {}

  void reduce(std::size_t d, const In* in, Partial* out) const {
    const Dimension& dimension = dimensions_[d];
    if (d + 1 == dimensions_.size()) {
      if (dimension.is_reduced) {
        *out = Op::combine(*out, run(in, dimension.extent));
      } else {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < dimension.extent; ++i) {
          out[i] = Op::combine(out[i], static_cast<Partial>(converted<T>(in[i])));
        }
      }
      return;
    }
    const std::int64_t output_stride = dimension.is_reduced ? 0 : dimension.output_stride;
    for (std::int64_t i = 0; i < dimension.extent; ++i) {
      reduce(d + 1, in + i * dimension.input_stride, out + i * output_stride);
    }
  }

 private:
  // Pairwise over blocks, eight lanes within a block: rounding grows with the logarithm.
  static Partial run(const In* in, std::int64_t n) {
    constexpr std::int64_t lanes = 8;
    constexpr std::int64_t block = 512;
    if (n > block) {
      const std::int64_t half = n / 2 / block * block;
      const std::int64_t split = half == 0 ? block : half;
      return Op::combine(run(in, split), run(in + split, n - split));
    }
    Partial lane[lanes];
    std::fill_n(lane, lanes, Op::first());
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      for (std::int64_t j = 0; j < lanes; ++j) {
        lane[j] = Op::combine(lane[j], static_cast<Partial>(converted<T>(in[i + j])));
      }
    }
    for (; i < n; ++i) {
      lane[0] = Op::combine(lane[0], static_cast<Partial>(converted<T>(in[i])));
    }
    Partial total = lane[0];
    for (std::int64_t j = 1; j < lanes; ++j) total = Op::combine(total, lane[j]);
    return total;
  }

  std::span<const Dimension> dimensions_;
};

template <class T, class Op>
void reduce_as(const ReduceParams& params, const CheckedCall& call) {
  using Partial = typename Op::Partial;
  const auto dimensions = dimensions_of(params);
  const std::size_t count = call.output.size() / sizeof(Stored<T>);
  std::vector<Partial> partials(count, Op::first());
  if (!call.inputs[0].empty()) {
    visit_dtype(params.input_dtype, [&](auto tag) {
      using In = Stored<typename decltype(tag)::type>;
      Reducer<T, Op, In>(dimensions).reduce(0, call.input<In>(0), partials.data());
    });
  }
  auto* out = call.out<Stored<T>>();
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      const auto value = params.divisor == 1 ? partials[i] : partials[i] / params.divisor;
      out[i] = static_cast<T>(value);
    } else {
      out[i] = static_cast<Stored<T>>(partials[i]);
    }
  }
}

void reduce(const ReduceParams& params, const CheckedCall& call) {
  visit_dtype(params.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    switch (params.reduction) {
      case Reduction::sum:
        return reduce_as<T, Sum<T>>(params, call);
      case Reduction::min:
        return reduce_as<T, Min<T>>(params, call);
      case Reduction::max:
        return reduce_as<T, Max<T>>(params, call);
    }
  });
}

template <class T, class Op>
void combine_as(const CombineParams& params, const CheckedCall& call) {
  using S = Stored<T>;
  using Partial = typename Op::Partial;
  S* out = call.out<S>();
  if (!call.is_reused && !call.output.empty()) {
    std::memcpy(out, call.inputs[0].data(), call.output.size());
  }
  for (std::size_t input = 1; input < call.inputs.size(); ++input) {
    const S* in = call.input<S>(input);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < params.count; ++i) {
      out[i] =
          static_cast<S>(Op::combine(static_cast<Partial>(out[i]), static_cast<Partial>(in[i])));
    }
  }
  if constexpr (std::is_floating_point_v<T>) {
    if (params.divisor == 1) return;
    for (std::int64_t i = 0; i < params.count; ++i) {
      out[i] = static_cast<T>(out[i] / params.divisor);
    }
  }
}

void combine(const CombineParams& params, const CheckedCall& call) {
  visit_dtype(params.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    switch (params.reduction) {
      case Reduction::sum:
        return combine_as<T, Sum<T>>(params, call);
      case Reduction::min:
        return combine_as<T, Min<T>>(params, call);
      case Reduction::max:
        return combine_as<T, Max<T>>(params, call);
    }
  });
}

}  // namespace

void add_reductions(Registry& registry) {
  registry.add(builtin_kernel<ReduceParams>(reduce));
  registry.add(builtin_kernel<CombineParams>(
      combine, [](const CombineParams&, std::uint32_t input) { return input == 0; }));
}

}  // namespace ashlar::kernels
