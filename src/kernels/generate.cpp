#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.hpp"
#include "base/shape.hpp"
#include "kernels/builtin.hpp"

namespace ashlar::kernels {

namespace {

using namespace array;

void fill(const FillParams& params, const CheckedCall& call) {
  visit_dtype(params.value.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* out = call.out<Stored<T>>();
    std::fill_n(out, element_count(params.extents), static_cast<Stored<T>>(params.value.as<T>()));
  });
}

void eye(const EyeParams& params, const CheckedCall& call) {
  visit_dtype(params.dtype, [&](auto tag) {
    using S = Stored<typename decltype(tag)::type>;
    auto* out = call.out<S>();
    const std::int64_t rows = params.extents[0];
    const std::int64_t columns = params.extents[1];
    std::fill_n(out, rows * columns, S{0});
    for (std::int64_t row = 0; row < rows; ++row) {
      // Unsigned, so that a diagonal far off wraps; a negative column is then too large.
      const std::uint64_t column = static_cast<std::uint64_t>(params.row_start) +
                                   static_cast<std::uint64_t>(row) +
                                   static_cast<std::uint64_t>(params.diagonal) -
                                   static_cast<std::uint64_t>(params.column_start);
      if (column < static_cast<std::uint64_t>(columns)) {
        out[row * columns + static_cast<std::int64_t>(column)] = S{1};
      }
    }
  });
}

void arange(const ArangeParams& params, const CheckedCall& call) {
  visit_dtype(params.start.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* out = call.out<Stored<T>>();
    for (std::int64_t i = 0; i < params.count; ++i) {
      const auto position =
          static_cast<std::uint64_t>(params.first) + static_cast<std::uint64_t>(i);
      T value{};
      if constexpr (std::is_floating_point_v<T>) {
        value = static_cast<T>(params.start.floating +
                               static_cast<double>(static_cast<std::int64_t>(position)) *
                                   params.step.floating);
      } else {
        value = static_cast<T>(
            static_cast<std::int64_t>(static_cast<std::uint64_t>(params.start.integer) +
                                      position * static_cast<std::uint64_t>(params.step.integer)));
      }
      if (params.last_index >= 0 && position == static_cast<std::uint64_t>(params.last_index)) {
        value = params.last.as<T>();
      }
      out[i] = static_cast<Stored<T>>(value);
    }
  });
}

double unit(std::uint32_t high, std::uint32_t low) {
  return static_cast<double>((std::uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

// Fills `count` elements whose global positions are consecutive from `position` on.
template <class T>
void random_run(const RandomParams& params, std::uint64_t position, T* out, std::int64_t count) {
  const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(params.seed),
                                            static_cast<std::uint32_t>(params.seed >> 32)};
  for (std::int64_t i = 0; i < count; ++i, ++position) {
    const auto words = philox4x32(
        {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32), 0, 0},
        key);
    const double u = unit(words[0], words[1]);
    if (params.distribution == Distribution::uniform) {
      out[i] = static_cast<T>(params.a + u * (params.b - params.a));
    } else {
      const double v = unit(words[2], words[3]);
      const double z = std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v);
      out[i] = static_cast<T>(params.a + params.b * z);
    }
  }
}

template <class T>
void random_chunk(const RandomParams& params, T* out) {
  const std::int64_t total = element_count(params.extents);
  const std::size_t dimensions = params.extents.size();
  const std::int64_t run = dimensions == 0 ? 1 : params.extents.back();
  Shape index(dimensions, 0);
  for (std::int64_t done = 0; done < total; done += run) {
    std::uint64_t position = 0;
    for (std::size_t d = 0; d < dimensions; ++d) {
      position = position * static_cast<std::uint64_t>(params.global_shape[d]) +
                 static_cast<std::uint64_t>(params.start[d] + index[d]);
    }
    random_run(params, position, out + done, run);
    for (std::size_t d = dimensions; d-- > 1;) {
      if (++index[d - 1] < params.extents[d - 1]) break;
      index[d - 1] = 0;
    }
  }
}

void random(const RandomParams& params, const CheckedCall& call) {
  if (params.dtype == DType::float32) {
    random_chunk(params, call.out<float>());
  } else {
    random_chunk(params, call.out<double>());
  }
}

}  // namespace

void add_generators(Registry& registry) {
  registry.add(builtin_kernel<FillParams>(fill));
  registry.add(builtin_kernel<EyeParams>(eye));
  registry.add(builtin_kernel<ArangeParams>(arange));
  registry.add(builtin_kernel<RandomParams>(random));
}

}  // namespace ashlar::kernels
