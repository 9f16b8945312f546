#include <functional>
#include <limits>

#include "kernel_runner.hpp"

namespace ashlar::kernels::testing {
namespace {

using namespace array;

// op over two aligned vectors of T.
template <class T>
ElementwiseParams binary_program(ElementOp op, DType result, std::int64_t count) {
  const ElementwiseInput input{dtype_of<T>, {count}, {1}};
  return {.dtype = result,
          .extents = {count},
          .inputs = {input, input},
          .constants = {},
          .program = {{ElementOp::load, 0}, {ElementOp::load, 1}, {op, 0}}};
}

template <class T>
void check_binary(ElementOp op, const std::function<T(T, T)>& reference) {
  constexpr std::size_t count = 2500;  // more than two blocks, ragged
  auto a = random_values<T>(count, 1);
  const auto b = random_values<T>(count, 2);
  a[7] = b[7];
  const auto params = binary_program<T>(op, dtype_of<T>, count);
  const auto fresh = run_as<T>(params, {bytes_of(a), bytes_of(b)});
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(fresh[i], reference(a[i], b[i])) << "op " << static_cast<int>(op) << " at " << i;
  }
  for (const std::uint32_t reused : {0u, 1u}) {
    EXPECT_EQ(run_as<T>(params, {bytes_of(a), bytes_of(b)}, reused), fresh);
  }
}

template <class T>
void check_arithmetic() {
  check_binary<T>(ElementOp::add, [](T a, T b) { return static_cast<T>(a + b); });
  check_binary<T>(ElementOp::subtract, [](T a, T b) { return static_cast<T>(a - b); });
  check_binary<T>(ElementOp::multiply, [](T a, T b) { return static_cast<T>(a * b); });
  check_binary<T>(ElementOp::maximum, [](T a, T b) { return a > b ? a : b; });
  check_binary<T>(ElementOp::minimum, [](T a, T b) { return a < b ? a : b; });
  if constexpr (std::is_floating_point_v<T>) {
    check_binary<T>(ElementOp::divide, [](T a, T b) { return a / b; });
  }
}

TEST(Elementwise, ArithmeticOfEveryType) {
  check_arithmetic<double>();
  check_arithmetic<float>();
  check_arithmetic<std::int32_t>();
  check_arithmetic<std::int64_t>();
  check_arithmetic<std::uint8_t>();
}

template <class T>
void check_comparisons() {
  const std::size_t count = 1500;
  auto a = random_values<T>(count, 3);
  const auto b = random_values<T>(count, 4);
  for (std::size_t i = 0; i < count; i += 3) a[i] = b[i];
  const auto holds = [&](ElementOp op, auto reference) {
    const auto out = run_as<std::uint8_t>(
        binary_program<T>(op, DType::boolean, static_cast<std::int64_t>(count)),
        {bytes_of(a), bytes_of(b)});
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], reference(a[i], b[i]) ? 1 : 0);
  };
  holds(ElementOp::equal, std::equal_to<T>());
  holds(ElementOp::not_equal, std::not_equal_to<T>());
  holds(ElementOp::less, std::less<T>());
  holds(ElementOp::less_equal, std::less_equal<T>());
  holds(ElementOp::greater, std::greater<T>());
  holds(ElementOp::greater_equal, std::greater_equal<T>());
}

TEST(Elementwise, ComparisonsOfEveryType) {
  check_comparisons<double>();
  check_comparisons<float>();
  check_comparisons<std::int32_t>();
  check_comparisons<std::int64_t>();
  check_comparisons<std::uint8_t>();
}

TEST(Elementwise, BooleansAreOrAndAnd) {
  const std::vector<std::uint8_t> a = {0, 0, 1, 1};
  const std::vector<std::uint8_t> b = {0, 1, 0, 1};
  const auto of = [&](ElementOp op) {
    return run_as<std::uint8_t>(binary_program<bool>(op, DType::boolean, 4),
                                {bytes_of(a), bytes_of(b)});
  };
  EXPECT_EQ(of(ElementOp::add), (std::vector<std::uint8_t>{0, 1, 1, 1}));
  EXPECT_EQ(of(ElementOp::multiply), (std::vector<std::uint8_t>{0, 0, 0, 1}));
  EXPECT_EQ(of(ElementOp::equal), (std::vector<std::uint8_t>{1, 0, 0, 1}));
  EXPECT_NE(bad_input_text([&] { of(ElementOp::subtract); }), "");
}

TEST(Elementwise, IntegersWrap) {
  const auto low = std::numeric_limits<std::int32_t>::min();
  const auto high = std::numeric_limits<std::int32_t>::max();
  const std::vector<std::int32_t> a = {high, low, 1 << 30};
  const std::vector<std::int32_t> b = {1, -1, 4};
  const auto of = [&](ElementOp op) {
    return run_as<std::int32_t>(binary_program<std::int32_t>(op, DType::int32, 3),
                                {bytes_of(a), bytes_of(b)});
  };
  EXPECT_EQ(of(ElementOp::add)[0], low);
  EXPECT_EQ(of(ElementOp::add)[1], high);
  EXPECT_EQ(of(ElementOp::multiply)[2], 0);
  EXPECT_NE(bad_input_text([&] { of(ElementOp::divide); }), "");
}

TEST(Elementwise, NotANumberWins) {
  const double nan = std::nan("");
  const std::vector<double> a = {nan, 1, nan};
  const std::vector<double> b = {1, nan, nan};
  for (const auto op : {ElementOp::maximum, ElementOp::minimum}) {
    for (const double x : run_as<double>(binary_program<double>(op, DType::float64, 3),
                                         {bytes_of(a), bytes_of(b)})) {
      EXPECT_TRUE(std::isnan(x));
    }
  }
}

template <class T>
std::vector<T> unary(ElementOp op, const std::vector<T>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return run_as<T>(ElementwiseParams{.dtype = dtype_of<T>,
                                     .extents = {count},
                                     .inputs = {{dtype_of<T>, {count}, {1}}},
                                     .constants = {},
                                     .program = {{ElementOp::load, 0}, {op, 0}}},
                   {bytes_of(values)});
}

TEST(Elementwise, UnaryOperations) {
  const std::vector<double> x = {0.25, 1, 2.5, 100};
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(unary(ElementOp::exp, x)[i], std::exp(x[i]));
    EXPECT_EQ(unary(ElementOp::log, x)[i], std::log(x[i]));
    EXPECT_EQ(unary(ElementOp::sqrt, x)[i], std::sqrt(x[i]));
    EXPECT_EQ(unary(ElementOp::negative, x)[i], -x[i]);
  }
  EXPECT_TRUE(std::signbit(unary<float>(ElementOp::negative, {0.0f})[0]));
  EXPECT_EQ(unary<double>(ElementOp::abs, {-2.5, 2})[0], 2.5);
  const auto low = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(unary<std::int64_t>(ElementOp::abs, {-5, 5, low}),
            (std::vector<std::int64_t>{5, 5, low}));
  EXPECT_EQ(unary<std::uint8_t>(ElementOp::negative, {1})[0], 255);
}

TEST(Elementwise, CastsBetweenAllTypes) {
  for (std::uint8_t from = 0; from < dtype_count; ++from) {
    for (std::uint8_t to = 0; to < dtype_count; ++to) {
      const ElementwiseParams params{.dtype = DType{to},
                                     .extents = {3},
                                     .inputs = {},
                                     .constants = {{DType{from}, 1, 1}},
                                     .program = {{ElementOp::constant, 0}, {ElementOp::cast, to}}};
      const auto out = run(params);
      visit_dtype(DType{to}, [&](auto tag) {
        using T = typename decltype(tag)::type;
        using S = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
        EXPECT_EQ(values_of<S>(out), std::vector<S>(3, S{1}));
      });
    }
  }
  const std::vector<double> x = {0, -0.5, 3.9};
  ElementwiseParams params{
      .dtype = DType::boolean,
      .extents = {3},
      .inputs = {{DType::float64, {3}, {1}}},
      .constants = {},
      .program = {{ElementOp::load, 0},
                  {ElementOp::cast, static_cast<std::uint16_t>(DType::boolean)}}};
  EXPECT_EQ(run_as<std::uint8_t>(params, {bytes_of(x)}), (std::vector<std::uint8_t>{0, 1, 1}));
  params.dtype = DType::int64;
  params.program[1].operand = static_cast<std::uint16_t>(DType::int64);
  for (const std::uint32_t reused : {0u, graph::TaskGraph::no_input}) {
    EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(x)}, reused),
              (std::vector<std::int64_t>{0, 0, 3}));
  }
}

// Any strides: dimensions permuted, broadcast or dense, against the definition.
TEST(Elementwise, StridedInputsFollowTheDefinition) {
  SplitMix64 random(5);
  for (int round = 0; round < 200; ++round) {
    const std::size_t dimensions = 1 + random.below(4);
    Shape extents;
    for (std::size_t d = 0; d < dimensions; ++d) {
      extents.push_back(1 + static_cast<std::int64_t>(random.below(14)));
    }
    ElementwiseParams params{.dtype = DType::float64,
                             .extents = extents,
                             .inputs = {},
                             .constants = {{DType::float64, 3, 0}},
                             .program = {}};
    std::vector<std::vector<double>> inputs;
    for (std::uint16_t i = 0; i < 3; ++i) {
      std::vector<std::size_t> order(dimensions);
      for (std::size_t d = 0; d < dimensions; ++d) order[d] = d;
      if (i > 0) {
        for (std::size_t d = dimensions; d-- > 1;) std::swap(order[d], order[random.below(d + 1)]);
      }
      std::vector<std::int64_t> strides(dimensions, 0);
      Shape input_extents(dimensions, 1);
      std::int64_t stride = 1;
      for (std::size_t p = dimensions; p-- > 0;) {
        if (i > 0 && random.below(3) == 0) continue;
        strides[order[p]] = stride;
        input_extents[p] = extents[order[p]];
        stride *= extents[order[p]];
      }
      params.inputs.push_back({DType::float64, input_extents, strides});
      inputs.push_back(random_values<double>(static_cast<std::size_t>(stride), random.next()));
    }
    // (in0 - in1) * 3 + in2
    params.program = {{ElementOp::load, 0},     {ElementOp::load, 1},     {ElementOp::subtract, 0},
                      {ElementOp::constant, 0}, {ElementOp::multiply, 0}, {ElementOp::load, 2},
                      {ElementOp::add, 0}};
    const auto out =
        run_as<double>(params, {bytes_of(inputs[0]), bytes_of(inputs[1]), bytes_of(inputs[2])},
                       round % 2 == 0 ? 0u : graph::TaskGraph::no_input);
    for (std::int64_t p = 0; p < element_count(extents); ++p) {
      std::size_t at[3] = {};
      std::int64_t rest = p;
      for (std::size_t d = dimensions; d-- > 0;) {
        for (std::size_t i = 0; i < 3; ++i) {
          at[i] += static_cast<std::size_t>((rest % extents[d]) * params.inputs[i].strides[d]);
        }
        rest /= extents[d];
      }
      const double expected = (inputs[0][at[0]] - inputs[1][at[1]]) * 3 + inputs[2][at[2]];
      ASSERT_EQ(out[static_cast<std::size_t>(p)], expected) << "round " << round;
    }
  }
}

TEST(Elementwise, DeepStacksAndScalars) {
  ElementwiseParams params{.dtype = DType::int64,
                           .extents = {},
                           .inputs = {{DType::int64, {}, {}}},
                           .constants = {{DType::int64, 0, 1}},
                           .program = {}};
  for (int i = 0; i < 16; ++i) {
    params.program.push_back({i % 2 == 0 ? ElementOp::load : ElementOp::constant, 0});
    params.program.push_back({ElementOp::negative, 0});
  }
  for (int i = 0; i < 15; ++i) params.program.push_back({ElementOp::add, 0});
  EXPECT_EQ(run_as<std::int64_t>(params, {bytes_of(std::vector<std::int64_t>{5})}),
            std::vector<std::int64_t>{-48});
}

TEST(Elementwise, ATakenOverBufferReadTwiceIsSafe) {
  // out = a + transpose(a), where output takes over a, given twice.
  const ElementwiseParams params{
      .dtype = DType::float64,
      .extents = {40, 40},
      .inputs = {{DType::float64, {40, 40}, {40, 1}}, {DType::float64, {40, 40}, {1, 40}}},
      .constants = {},
      .program = {{ElementOp::load, 0}, {ElementOp::load, 1}, {ElementOp::add, 0}}};
  auto a = random_values<double>(1600, 9);
  const auto expected = run_as<double>(params, {bytes_of(a), bytes_of(a)});
  const auto encoded = encode(params);
  const std::uint64_t announced = output_bytes(params);
  Memory memory(1600 * 8);
  std::memcpy(memory.span().data(), a.data(), 1600 * 8);
  Outputs outputs;
  outputs.taken_over = &memory;
  const std::span<const std::byte> both[] = {memory.span(), memory.span()};
  const auto kernel = static_cast<std::size_t>(registry().find(ElementwiseParams::kernel));
  registry().at(kernel).cpu({encoded, both, {&announced, 1}, outputs, 0});
  EXPECT_EQ(values_of<double>(memory.span()), expected);
}

}  // namespace
}  // namespace ashlar::kernels::testing
