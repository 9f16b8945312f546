#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace ashlar {

// The one place that lists element types: name, C++ type, NumPy type code.
#define ASHLAR_DTYPES(X)              \
  X(float32, float, "f4")             \
  X(float64, double, "f8")            \
  X(int32, std::int32_t, "i4")        \
  X(int64, std::int64_t, "i8")        \
  X(uint8, std::uint8_t, "u1")        \
  X(boolean, bool, "b1")

/// The type of an array's elements.
enum class DType : std::uint8_t {
#define ASHLAR_DTYPE_ENUMERATOR(name, type, code) name,
  ASHLAR_DTYPES(ASHLAR_DTYPE_ENUMERATOR)
#undef ASHLAR_DTYPE_ENUMERATOR
};

/// How many element types there are; their enumerators are 0 … dtype_count - 1.
inline constexpr std::uint8_t dtype_count = 0
#define ASHLAR_DTYPE_ONE(name, type, code) +1
    ASHLAR_DTYPES(ASHLAR_DTYPE_ONE)
#undef ASHLAR_DTYPE_ONE
    ;

namespace detail {
template <class T>
struct DTypeOf;  // not an element type of Ashlar arrays
#define ASHLAR_DTYPE_TRAIT(name, type, code) \
  template <>                                \
  struct DTypeOf<type> : std::integral_constant<DType, DType::name> {};
ASHLAR_DTYPES(ASHLAR_DTYPE_TRAIT)
#undef ASHLAR_DTYPE_TRAIT
}  // namespace detail

/// The DType of a C++ element type.
template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<std::remove_cv_t<T>>::value;

/// Names one C++ type as a value; see visit_dtype.
template <class T>
struct TypeTag {
  using type = T;
};

/// Calls f(TypeTag<T>{}) with the C++ type T of the given dtype and returns its result.
template <class F>
constexpr decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
#define ASHLAR_DTYPE_CASE(name, type, code) \
  case DType::name:                         \
    return f(TypeTag<type>{});
    ASHLAR_DTYPES(ASHLAR_DTYPE_CASE)
#undef ASHLAR_DTYPE_CASE
  }
  return f(TypeTag<double>{});  // unreachable for valid enumerators
}

/// Bytes of one element.
constexpr std::size_t dtype_bytes(DType dtype) {
  return visit_dtype(dtype, [](auto tag) { return sizeof(typename decltype(tag)::type); });
}

/// The name of a dtype, such as "float64".
constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
#define ASHLAR_DTYPE_NAME(name, type, code) \
  case DType::name:                         \
    return #name;
    ASHLAR_DTYPES(ASHLAR_DTYPE_NAME)
#undef ASHLAR_DTYPE_NAME
  }
  return "?";
}

/// NumPy's code of a dtype without byte order, such as "f8".
constexpr std::string_view dtype_npy_code(DType dtype) {
  switch (dtype) {
#define ASHLAR_DTYPE_CODE(name, type, code) \
  case DType::name:                         \
    return code;
    ASHLAR_DTYPES(ASHLAR_DTYPE_CODE)
#undef ASHLAR_DTYPE_CODE
  }
  return "?";
}

/// The dtype with this NumPy code ("f8"), or none.
constexpr std::optional<DType> dtype_from_npy_code(std::string_view code) {
  for (std::uint8_t i = 0; i < dtype_count; ++i) {
    if (dtype_npy_code(DType{i}) == code) return DType{i};
  }
  return std::nullopt;
}

constexpr bool is_floating(DType dtype) {
  return visit_dtype(dtype, [](auto tag) {
    return std::is_floating_point_v<typename decltype(tag)::type>;
  });
}

}  // namespace ashlar
