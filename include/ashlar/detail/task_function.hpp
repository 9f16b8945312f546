#pragma once

#include <ashlar/codec.hpp>
#include <ashlar/view.hpp>

#include <cstddef>
#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>

/// What the type of a task's function says about its call. Not for programs to use.
namespace ashlar::detail {

template <class F>
struct FunctionTraits : FunctionTraits<decltype(&F::operator())> {};  // captureless lambdas

template <class R, class... P>
struct FunctionTraits<R (*)(P...)> {
  using Result = R;
  using Parameters = std::tuple<P...>;
  static constexpr std::size_t arity = sizeof...(P);
};
template <class R, class... P>
struct FunctionTraits<R (*)(P...) noexcept> : FunctionTraits<R (*)(P...)> {};
template <class F, class R, class... P>
struct FunctionTraits<R (F::*)(P...) const> : FunctionTraits<R (*)(P...)> {};
template <class F, class R, class... P>
struct FunctionTraits<R (F::*)(P...) const noexcept> : FunctionTraits<R (*)(P...)> {};

template <auto fn>
using TraitsOf = FunctionTraits<std::remove_cv_t<decltype(fn)>>;
template <auto fn>
using ParametersOf = typename TraitsOf<fn>::Parameters;
template <auto fn, std::size_t i>
using ParameterOf = std::tuple_element_t<i, ParametersOf<fn>>;

template <class T>
struct ViewTraits {
  static constexpr bool is_view = false;
  static constexpr bool is_in_out = false;
};
template <class T, std::size_t N>
struct ViewTraits<View<T, N>> {
  static constexpr bool is_view = true;
  static constexpr bool is_in_out = !std::is_const_v<T>;
  static constexpr std::size_t ndim = N;
  static constexpr DType dtype = dtype_of<T>;
};

/// A parameter that reads an array in place.
template <class P>
concept ViewParameter = ViewTraits<std::remove_cvref_t<P>>::is_view;
/// A parameter that updates an array.
template <class P>
concept InOutParameter = ViewTraits<std::remove_cvref_t<P>>::is_in_out;
/// A parameter of one of the kinds that tasks may have: T, const T&, T&&, or a view by value.
template <class P>
concept TaskParameter = (ViewParameter<P> && std::is_same_v<P, std::remove_cvref_t<P>>) ||
                        (!ViewParameter<P> && Codable<std::remove_cvref_t<P>> &&
                         (!std::is_lvalue_reference_v<P> ||
                          std::is_const_v<std::remove_reference_t<P>>));

template <class R>
concept TaskResult = std::is_void_v<R> || Codable<std::remove_cvref_t<R>>;

template <class Parameters>
struct ParameterFacts;
template <class... P>
struct ParameterFacts<std::tuple<P...>> {
  static constexpr bool are_task_parameters = (TaskParameter<P> && ...);
  static constexpr std::size_t in_out_count =
      (std::size_t{0} + ... + std::size_t{InOutParameter<P>});
};

/// `fn` can be a task: its parameters and result are of the kinds that can travel. With a
/// parameter View<T, N>, of which there is at most one, it returns nothing.
template <auto fn>
concept TaskFunction = ParameterFacts<ParametersOf<fn>>::are_task_parameters &&
                           ParameterFacts<ParametersOf<fn>>::in_out_count <= 1 &&
                       TaskResult<typename TraitsOf<fn>::Result> &&
                       (ParameterFacts<ParametersOf<fn>>::in_out_count == 0 ||
                        std::is_void_v<typename TraitsOf<fn>::Result>);

template <auto fn>
struct ResultOfTask {
  using Returned = std::remove_cvref_t<typename TraitsOf<fn>::Result>;
  using type =
      std::conditional_t<ParameterFacts<ParametersOf<fn>>::in_out_count == 1, HostArray, Returned>;
};
/// What the future of a call of `fn` holds.
template <auto fn>
using TaskResultOf = typename ResultOfTask<fn>::type;

/// Bytes of the result's datum, or ~0 when they depend on its value.
template <class R>
constexpr std::uint64_t result_bytes() {
  if constexpr (std::is_void_v<R>) {
    return 0;
  } else if constexpr (FixedCodable<R>) {
    return Codec<R>::fixed_size;
  } else {
    return ~std::uint64_t{0};
  }
}

/// Distinguishes functions within one process.
using TaskKey = const void*;
template <auto fn>
inline char task_key_storage = 0;
template <auto fn>
TaskKey task_key() {
  return &task_key_storage<fn>;
}

template <auto fn>
constexpr std::string_view spelled_with_function() {
  return std::source_location::current().function_name();
}
/// How the compiler spells `fn`, for messages.
template <auto fn>
constexpr std::string_view task_spelling() {
  std::string_view text = spelled_with_function<fn>();
  const auto begin = text.find("fn = ");
  if (begin == std::string_view::npos) return "a function";
  text.remove_prefix(begin + 5);
  return text.substr(0, text.find_first_of("];"));
}

/// A function as data: what a registry and messages need of it.
struct TaskIdentity {
  TaskKey key = nullptr;
  std::string_view spelling;
};
template <auto fn>
TaskIdentity task_identity() {
  return {task_key<fn>(), task_spelling<fn>()};
}

}  // namespace ashlar::detail
