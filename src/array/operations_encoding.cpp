#include <array>
#include <bit>
#include <concepts>
#include <tuple>
#include <type_traits>

#include "array/operations.hpp"
#include "array/operations_check.hpp"

namespace ashlar::array {
namespace {

template <class P, class T>
concept Of = std::same_as<std::remove_const_t<P>, T>;

// The fields of each struct in the order they travel; one list serves both directions.
auto fields(Of<Constant> auto& p) { return std::tie(p.dtype, p.floating, p.integer); }
auto fields(Of<FillParams> auto& p) { return std::tie(p.extents, p.value); }
auto fields(Of<EyeParams> auto& p) {
  return std::tie(p.dtype, p.extents, p.row_start, p.column_start, p.diagonal);
}
auto fields(Of<ArangeParams> auto& p) {
  return std::tie(p.count, p.first, p.start, p.step, p.last_index, p.last);
}
auto fields(Of<RandomParams> auto& p) {
  return std::tie(p.dtype, p.distribution, p.a, p.b, p.seed, p.global_shape, p.start, p.extents);
}
auto fields(Of<Instruction> auto& p) { return std::tie(p.op, p.operand); }
auto fields(Of<ElementwiseInput> auto& p) { return std::tie(p.dtype, p.extents, p.strides); }
auto fields(Of<ElementwiseParams> auto& p) {
  return std::tie(p.dtype, p.extents, p.inputs, p.constants, p.program);
}
auto fields(Of<ReduceParams> auto& p) {
  return std::tie(p.reduction, p.input_dtype, p.dtype, p.input_extents, p.axes, p.divisor);
}
auto fields(Of<CombineParams> auto& p) {
  return std::tie(p.reduction, p.dtype, p.count, p.inputs, p.divisor);
}
auto fields(Of<MatmulParams> auto& p) {
  return std::tie(p.dtype, p.m, p.n, p.k, p.accumulates, p.a_transposed, p.b_transposed);
}
auto fields(Of<PermuteParams> auto& p) { return std::tie(p.dtype, p.input_extents, p.axes); }
auto fields(Of<Piece> auto& p) {
  return std::tie(p.input, p.input_extents, p.source_start, p.source_step, p.destination_start,
                  p.count);
}
auto fields(Of<AssembleParams> auto& p) { return std::tie(p.dtype, p.extents, p.inputs, p.pieces); }
auto fields(Of<NpyFile> auto& p) {
  return std::tie(p.path, p.dtype, p.shape, p.is_fortran, p.data_offset);
}
auto fields(Of<NpyReadParams> auto& p) { return std::tie(p.file, p.start, p.extents); }
auto fields(Of<NpyWriteParams> auto& p) { return std::tie(p.file, p.start, p.extents); }

/// Appends values, little-endian.
class Writer {
 public:
  std::vector<std::byte> bytes;

  template <class T>
  requires(std::integral<T> || std::is_enum_v<T>) void put(const T& value) {
    auto bits = static_cast<std::uint64_t>(value);
    std::array<std::byte, sizeof(T)> little;
    for (auto& byte : little) {
      byte = static_cast<std::byte>(bits & 0xff);
      bits >>= 8;
    }
    bytes.insert(bytes.end(), little.begin(), little.end());
  }
  void put(double value) { put(std::bit_cast<std::uint64_t>(value)); }
  void put(const std::string& value) {
    put(static_cast<std::uint32_t>(value.size()));
    for (char c : value) bytes.push_back(static_cast<std::byte>(c));
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values) put(value);
  }
  template <class T>
  requires requires(const T& value) { fields(value); }
  void put(const T& value) {
    std::apply([this](const auto&... field) { (put(field), ...); }, fields(value));
  }
};

/// Reads what Writer wrote. The bytes may be hostile: every length is checked before it is used.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool is_at_end() const { return bytes_.empty(); }

  template <std::integral T>
  void get(T& value) {
    require(sizeof(T));
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bits |= std::to_integer<std::uint64_t>(bytes_[i]) << (8 * i);
    }
    if (std::is_same_v<T, bool> && bits > 1) throw BadInput("a flag is neither 0 nor 1");
    value = static_cast<T>(bits);
    bytes_ = bytes_.subspan(sizeof(T));
  }
  template <class T>
  requires std::is_enum_v<T>
  void get(T& value) {
    std::underlying_type_t<T> number{};
    get(number);
    if (number >= enumerators(T{})) {
      throw BadInput("unknown enumerator " + std::to_string(number));
    }
    value = static_cast<T>(number);
  }
  void get(double& value) {
    std::uint64_t bits = 0;
    get(bits);
    value = std::bit_cast<double>(bits);
  }
  void get(std::string& value) {
    const std::size_t size = length();
    value.assign(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
  }
  template <class T>
  void get(std::vector<T>& values) {
    const std::size_t size = length();
    values.clear();
    for (std::size_t i = 0; i < size; ++i) get(values.emplace_back());
  }
  template <class T>
  requires requires(T& value) { fields(value); }
  void get(T& value) {
    std::apply([this](auto&... field) { (get(field), ...); }, fields(value));
  }

 private:
  static unsigned enumerators(DType) { return dtype_count; }
  static unsigned enumerators(Distribution) { return 2; }
  static unsigned enumerators(Reduction) { return 3; }
  static unsigned enumerators(ElementOp) {
    return static_cast<unsigned>(ElementOp::greater_equal) + 1;
  }

  void require(std::size_t size) const {
    if (bytes_.size() < size) throw BadInput("they end too early");
  }
  /// A count of values to come, each of which takes a byte at least.
  std::size_t length() {
    std::uint32_t size = 0;
    get(size);
    require(size);
    return size;
  }

  std::span<const std::byte> bytes_;
};

}  // namespace

template <class Params>
std::vector<std::byte> encode(const Params& params) {
  constexpr std::size_t usual_bytes = 256;
  Writer writer;
  writer.bytes.reserve(usual_bytes);
  writer.put(params);
  return std::move(writer.bytes);
}

template <class Params>
Params decode(std::span<const std::byte> bytes) {
  Params params;
  try {
    Reader reader(bytes);
    reader.get(params);
    if (!reader.is_at_end()) throw BadInput("bytes are left over");
    check(params);
  } catch (const BadInput& error) {
    throw BadInput("parameters of " + std::string(Params::kernel) + ": " + error.what());
  }
  return params;
}

#define ASHLAR_INSTANTIATE(Params)                               \
  template std::vector<std::byte> encode<Params>(const Params&); \
  template Params decode<Params>(std::span<const std::byte>);
ASHLAR_INSTANTIATE(FillParams)
ASHLAR_INSTANTIATE(EyeParams)
ASHLAR_INSTANTIATE(ArangeParams)
ASHLAR_INSTANTIATE(RandomParams)
ASHLAR_INSTANTIATE(ElementwiseParams)
ASHLAR_INSTANTIATE(ReduceParams)
ASHLAR_INSTANTIATE(CombineParams)
ASHLAR_INSTANTIATE(MatmulParams)
ASHLAR_INSTANTIATE(PermuteParams)
ASHLAR_INSTANTIATE(AssembleParams)
ASHLAR_INSTANTIATE(NpyReadParams)
ASHLAR_INSTANTIATE(NpyWriteParams)
#undef ASHLAR_INSTANTIATE

}  // namespace ashlar::array
