#pragma once

#include <ashlar/codec.hpp>
#include <ashlar/detail/task_call.hpp>
#include <ashlar/detail/task_function.hpp>
#include <ashlar/future.hpp>
#include <ashlar/task_options.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

/// The caller's side of a task: from arguments to parameter bytes and inputs. Not for programs.
namespace ashlar::detail {

/// A value that is to become a datum: how large it is and how it is written.
struct EncodableValue {
  std::size_t bytes = 0;
  std::function<void(std::span<std::byte>)> write;
};

/// Larger arguments become data of their own: they travel once, not with every task.
inline constexpr std::size_t inline_bytes_max = 16 * 1024;

/// Where a call's inputs are appended.
class InputSink {
 public:
  virtual ~InputSink() = default;
  virtual void add(const DatumHandle& datum) = 0;
  virtual void add(const NodeRef& node) = 0;
  virtual void add(EncodableValue value) = 0;
};

/// One call in the making.
struct CallBuilder {
  std::vector<std::byte>& params;
  InputSink& inputs;
  std::uint32_t argument_count = 0;
  std::uint32_t input_count = 0;
  std::uint32_t reuse_input = TaskRequest::no_reuse;

  void add_word(ArgumentKind kind, std::size_t count);
  /// Errors: BadInput, naming the argument, unless dtype and number of dimensions are these.
  void require_next_array(const HostArray& array, DType dtype, std::size_t ndim) const;
  template <class Input>
  void add_input(Input&& input) {
    ++input_count;
    inputs.add(std::forward<Input>(input));
  }
};

template <class A>
struct VectorOfHandles {
  static constexpr bool value = false;
};
template <Handle H>
struct VectorOfHandles<std::vector<H>> {
  static constexpr bool value = true;
  using Element = H;
};

/// The handle's value may be read as `T`: same type, or both are encoded as arrays.
template <class H, class T, bool in_graph>
concept HandleOf = Handle<H> &&(in_graph || !HandleTraits<H>::needs_graph) &&
                   (std::is_same_v<typename HandleTraits<H>::Value, T> ||
                    (ArrayCodable<typename HandleTraits<H>::Value> && ArrayCodable<T>));

template <class P, class A, bool in_graph>
constexpr bool accepts() {
  using T = std::remove_cvref_t<P>;
  if constexpr (Handle<A>) {
    return HandleOf<A, std::conditional_t<ViewParameter<P>, HostArray, T>, in_graph>;
  } else if constexpr (VectorOfHandles<A>::value) {
    if constexpr (IsVector<T>::value) {
      return HandleOf<typename VectorOfHandles<A>::Element, typename T::value_type, in_graph>;
    } else {
      return false;
    }
  } else if constexpr (ViewParameter<P>) {
    return ArrayCodable<A>;
  } else {
    return Codable<T> && std::is_convertible_v<const A&, T>;
  }
}

/// An argument of type A may be given for a parameter of type P.
template <class P, class A, bool in_graph>
concept ArgumentFor = accepts<P, A, in_graph>();

/// Appends an encoded value, inline or, when it is large, as an input of its own.
template <bool in_graph, Codable T>
void append_value(const T& value, CallBuilder& call) {
  const std::size_t bytes = Codec<T>::size(value);
  const auto encode_into = [](const T& from, std::span<std::byte> to) {
    Writer writer(to);
    Codec<T>::encode(from, writer);
    if (writer.remaining() > 0) throw BadInput("a Codec wrote less than its size() announced");
  };
  if (bytes <= inline_bytes_max) {
    call.add_word(ArgumentKind::inlined, bytes);
    const std::size_t begin = call.params.size();
    call.params.resize(begin + bytes);
    encode_into(value, std::span(call.params).subspan(begin));
    return;
  }
  call.add_word(ArgumentKind::input, 1);
  if constexpr (in_graph) {  // the graph is run later, and again
    auto kept = std::make_shared<const T>(value);
    call.add_input(EncodableValue{
        bytes, [kept, encode_into](std::span<std::byte> to) { encode_into(*kept, to); }});
  } else {
    call.add_input(EncodableValue{
        bytes, [&value, encode_into](std::span<std::byte> to) { encode_into(value, to); }});
  }
}

template <class H>
void append_handle(const H& handle, CallBuilder& call) {
  ++call.input_count;
  HandleTraits<H>::add_to(handle, call.inputs);
}

/// Appends one argument. Errors: BadInput for an array of the wrong dtype or dimensions, an empty
/// Future, a Node of another graph.
template <class P, bool in_graph, class A>
void append_argument(const A& argument, CallBuilder& call) {
  using T = std::remove_cvref_t<P>;
  const std::uint32_t position = call.input_count;
  if constexpr (VectorOfHandles<A>::value) {
    call.add_word(ArgumentKind::inputs, argument.size());
    for (const auto& handle : argument) append_handle(handle, call);
  } else if constexpr (Handle<A>) {
    call.add_word(ArgumentKind::input, 1);
    append_handle(argument, call);
  } else if constexpr (ViewParameter<P>) {
    if constexpr (std::is_same_v<A, HostArray>) {
      call.require_next_array(argument, ViewTraits<T>::dtype, ViewTraits<T>::ndim);
    }
    append_value<in_graph, A>(argument, call);
  } else if constexpr (std::is_same_v<A, T>) {
    append_value<in_graph, T>(argument, call);
  } else {
    append_value<in_graph, T>(static_cast<T>(argument), call);
  }
  if (InOutParameter<P> && call.input_count > position) call.reuse_input = position;
}

/// The first argument of a call and the line in the user's program that made it. Refers to the
/// argument, which must live as long.
template <class P, bool in_graph>
class FirstArgument {
 public:
  template <class A>
  requires ArgumentFor<P, A, in_graph> FirstArgument(
      const A& argument,  // NOLINT: implicit on purpose
      std::source_location where = std::source_location::current())
      : argument_(&argument), where_(where) {
    append_ = [](const void* erased, CallBuilder& call) {
      append_argument<P, in_graph, A>(*static_cast<const A*>(erased), call);
    };
  }

  void append_to(CallBuilder& call) const { append_(argument_, call); }
  const std::source_location& where() const { return where_; }

 private:
  const void* argument_;
  void (*append_)(const void*, CallBuilder&);
  std::source_location where_;
};

struct NoParameter {};
template <auto fn, bool in_graph>
struct FirstOf {
  static auto parameter() {
    if constexpr (TraitsOf<fn>::arity == 0) {
      return TypeTag<NoParameter>{};
    } else {
      return TypeTag<ParameterOf<fn, 0>>{};
    }
  }
  using type = FirstArgument<typename decltype(parameter())::type, in_graph>;
};
template <auto fn, bool in_graph>
using FirstArgumentOf = typename FirstOf<fn, in_graph>::type;

template <auto fn, bool in_graph, std::size_t first, class... A>
constexpr bool accepts_from() {
  if constexpr (first + sizeof...(A) != TraitsOf<fn>::arity) {
    return false;
  } else {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (ArgumentFor<ParameterOf<fn, first + I>, A, in_graph> && ...);
    }
    (std::index_sequence_for<A...>{});
  }
}

/// A...  are arguments for the parameters of `fn` from number `first` on.
template <auto fn, bool in_graph, std::size_t first, class... A>
concept ArgumentsFrom = TaskFunction<fn> && accepts_from<fn, in_graph, first, A...>();

template <auto fn, bool in_graph, std::size_t first, class... A>
void append_arguments(CallBuilder& call, const A&... arguments) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (append_argument<ParameterOf<fn, first + I>, in_graph, A>(arguments, call), ...);
  }
  (std::index_sequence_for<A...>{});
}

}  // namespace ashlar::detail
