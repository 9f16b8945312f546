#include "kernels/element_ops.hpp"

#include <cmath>
#include <type_traits>

#include "kernels/builtin.hpp"

namespace ashlar::kernels {

namespace {

using array::ElementOp;

template <ElementOp op, class T>
constexpr bool is_unary_of() {
  switch (op) {
    case ElementOp::negative:
      return !std::is_same_v<T, bool>;
    case ElementOp::abs:
      return true;
    case ElementOp::exp:
    case ElementOp::log:
    case ElementOp::sqrt:
      return std::is_floating_point_v<T>;
    default:
      return false;
  }
}

template <ElementOp op, class T>
constexpr bool is_binary_of() {
  if (op == ElementOp::divide) return std::is_floating_point_v<T>;
  if (op == ElementOp::subtract) return !std::is_same_v<T, bool>;
  return true;
}

template <ElementOp op, class T>
Stored<T> unary(Stored<T> a) {
  using S = Stored<T>;
  if constexpr (op == ElementOp::negative) {
    if constexpr (std::is_floating_point_v<T>) return -a;
    return static_cast<S>(Wrapping<T>{0} - static_cast<Wrapping<T>>(a));
  }
  if constexpr (op == ElementOp::exp) return std::exp(a);
  if constexpr (op == ElementOp::log) return std::log(a);
  if constexpr (op == ElementOp::sqrt) return std::sqrt(a);
  if constexpr (op == ElementOp::abs) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fabs(a);
    } else if constexpr (std::is_signed_v<T>) {
      return a < 0 ? static_cast<S>(Wrapping<T>{0} - static_cast<Wrapping<T>>(a)) : a;
    } else {
      return a;
    }
  }
}

template <ElementOp op, class T>
Stored<T> arithmetic(Stored<T> a, Stored<T> b) {
  using S = Stored<T>;
  using W = Wrapping<T>;
  if constexpr (std::is_same_v<T, bool>) {
    const bool is_or = op == ElementOp::add || op == ElementOp::maximum;
    return static_cast<S>(is_or ? a | b : a & b);
  } else if constexpr (op == ElementOp::add) {
    return static_cast<S>(static_cast<W>(a) + static_cast<W>(b));
  } else if constexpr (op == ElementOp::subtract) {
    return static_cast<S>(static_cast<W>(a) - static_cast<W>(b));
  } else if constexpr (op == ElementOp::multiply) {
    return static_cast<S>(static_cast<W>(a) * static_cast<W>(b));
  } else if constexpr (op == ElementOp::divide) {
    return a / b;
  } else if constexpr (op == ElementOp::maximum) {
    return a > b || a != a ? a : b;
  } else {
    return a < b || a != a ? a : b;
  }
}

template <ElementOp op, class S>
bool compare(S a, S b) {
  switch (op) {
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
    default:
      return a >= b;
  }
}

constexpr bool compares(ElementOp op) {
  return op >= ElementOp::equal && op <= ElementOp::greater_equal;
}

// The pragmas: out is one of the operands or overlaps none, so iterations are independent.
template <ElementOp op, class T>
void run_unary(const void* a, void* out, std::size_t n) {
  const auto* from = static_cast<const Stored<T>*>(a);
  auto* to = static_cast<Stored<T>*>(out);
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) to[i] = unary<op, T>(from[i]);
}

template <ElementOp op, class T>
void run_binary(const void* a, const void* b, void* out, std::size_t n) {
  const auto* left = static_cast<const Stored<T>*>(a);
  const auto* right = static_cast<const Stored<T>*>(b);
  if constexpr (compares(op)) {
    auto* to = static_cast<std::uint8_t*>(out);
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) {
      to[i] = static_cast<std::uint8_t>(compare<op>(left[i], right[i]));
    }
  } else {
    auto* to = static_cast<Stored<T>*>(out);
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) to[i] = arithmetic<op, T>(left[i], right[i]);
  }
}

template <class From, class To>
void run_cast(const void* a, void* out, std::size_t n) {
  const auto* from = static_cast<const Stored<From>*>(a);
  auto* to = static_cast<Stored<To>*>(out);
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<To, bool>) {
      to[i] = static_cast<std::uint8_t>(from[i] != Stored<From>{0});
    } else {
      to[i] = static_cast<To>(from[i]);
    }
  }
}

template <ElementOp op>
UnaryLoop unary_of(DType type) {
  return visit_dtype(type, [](auto tag) -> UnaryLoop {
    using T = typename decltype(tag)::type;
    if constexpr (is_unary_of<op, T>()) return run_unary<op, T>;
    return nullptr;
  });
}

template <ElementOp op>
BinaryLoop binary_of(DType type) {
  return visit_dtype(type, [](auto tag) -> BinaryLoop {
    using T = typename decltype(tag)::type;
    if constexpr (is_binary_of<op, T>()) return run_binary<op, T>;
    return nullptr;
  });
}

}  // namespace

UnaryLoop unary_loop(ElementOp op, DType operand) {
  switch (op) {
    case ElementOp::negative:
      return unary_of<ElementOp::negative>(operand);
    case ElementOp::abs:
      return unary_of<ElementOp::abs>(operand);
    case ElementOp::exp:
      return unary_of<ElementOp::exp>(operand);
    case ElementOp::log:
      return unary_of<ElementOp::log>(operand);
    case ElementOp::sqrt:
      return unary_of<ElementOp::sqrt>(operand);
    default:
      return nullptr;
  }
}

BinaryLoop binary_loop(ElementOp op, DType operands) {
  switch (op) {
    case ElementOp::add:
      return binary_of<ElementOp::add>(operands);
    case ElementOp::subtract:
      return binary_of<ElementOp::subtract>(operands);
    case ElementOp::multiply:
      return binary_of<ElementOp::multiply>(operands);
    case ElementOp::divide:
      return binary_of<ElementOp::divide>(operands);
    case ElementOp::maximum:
      return binary_of<ElementOp::maximum>(operands);
    case ElementOp::minimum:
      return binary_of<ElementOp::minimum>(operands);
    case ElementOp::equal:
      return binary_of<ElementOp::equal>(operands);
    case ElementOp::not_equal:
      return binary_of<ElementOp::not_equal>(operands);
    case ElementOp::less:
      return binary_of<ElementOp::less>(operands);
    case ElementOp::less_equal:
      return binary_of<ElementOp::less_equal>(operands);
    case ElementOp::greater:
      return binary_of<ElementOp::greater>(operands);
    case ElementOp::greater_equal:
      return binary_of<ElementOp::greater_equal>(operands);
    default:
      return nullptr;
  }
}

UnaryLoop cast_loop(DType from, DType to) {
  return visit_dtype(from, [to](auto from_tag) {
    using From = typename decltype(from_tag)::type;
    return visit_dtype(to, [](auto to_tag) -> UnaryLoop {
      return run_cast<From, typename decltype(to_tag)::type>;
    });
  });
}

bool is_binary(ElementOp op) { return op >= ElementOp::add && op <= ElementOp::greater_equal; }

bool is_comparison(ElementOp op) { return compares(op); }

}  // namespace ashlar::kernels
