#pragma once

#include <ashlar/codec.hpp>
#include <ashlar/detail/task_function.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

/// The worker's side of a task: from bytes to the user's function and back. Not for programs.
///
/// A parameter blob has one 32-bit word per argument: two bits of ArgumentKind and a 30-bit
/// count; the bytes of an inlined argument follow its word. Inputs are used in order.
namespace ashlar::detail {

enum class ArgumentKind : std::uint32_t {
  inlined = 0,  ///< count bytes follow
  input = 1,    ///< the next input; count is 1
  inputs = 2,   ///< the next count inputs are the elements of a vector
};
inline constexpr std::uint32_t argument_count_bits = 30;
inline constexpr std::uint32_t argument_count_max = (1u << argument_count_bits) - 1;

struct ArgumentWord {
  ArgumentKind kind = ArgumentKind::inlined;
  std::uint32_t count = 0;
};

/// Gives a task the memory of its output.
class TaskOutputs {
 public:
  virtual ~TaskOutputs() = default;
  virtual std::span<std::byte> allocate(std::size_t index, std::size_t bytes) = 0;
};

/// One call of a user's function.
struct TaskCall {
  std::span<const std::byte> params;
  std::span<const std::span<const std::byte>> inputs;
  /// The input whose buffer output 0 takes over with its contents; TaskRequest::no_reuse: none.
  std::uint32_t reused_input;
  TaskOutputs& outputs;
};

using Thunk = void (*)(const TaskCall&);

/// Walks the arguments of a call. Errors: BadInput for anything that does not add up.
class ArgumentCursor {
 public:
  explicit ArgumentCursor(const TaskCall& call) : call_(call), params_(call.params) {}

  ArgumentWord next_word();
  std::span<const std::byte> next_input();
  /// The bytes of an argument that is one value, inlined or input.
  std::span<const std::byte> next_value();
  void finish() const { params_.finish(); }

  const TaskCall& call() const { return call_; }
  /// How many arguments have been begun.
  std::uint32_t argument() const { return argument_; }
  /// Position of the input that next_input() gave last; TaskRequest::no_reuse for none.
  std::uint32_t last_input() const { return last_input_; }

 private:
  std::span<const std::byte> bytes_of(ArgumentWord word);

  const TaskCall& call_;
  Reader params_;
  std::uint32_t argument_ = 0;
  std::uint32_t next_input_ = 0;
  std::uint32_t last_input_ = ~std::uint32_t{0};
};

/// An encoded array of this dtype and number of dimensions. Errors: BadInput.
struct ArrayBytes {
  ArrayHeader header;
  const std::byte* elements = nullptr;

  template <std::size_t N>
  std::array<std::int64_t, N> extents() const {
    std::array<std::int64_t, N> out{};
    std::copy_n(header.shape.begin(), N, out.begin());
    return out;
  }
};
ArrayBytes read_array(std::span<const std::byte> bytes, DType dtype, std::size_t ndim);

/// Makes the next argument, an array, the output: by taking over its buffer or by copying it.
/// Gives the output's bytes.
std::span<std::byte> take_over_next_array(ArgumentCursor& cursor, DType dtype, std::size_t ndim);

/// Holds one decoded argument for the time of the call. `T` values are the function's own;
/// `const T&` may show the input's bytes in place.
template <class P>
struct ArgumentHolder {
  using T = std::remove_cvref_t<P>;
  T value;

  explicit ArgumentHolder(ArgumentCursor& cursor) : value(decode_next(cursor)) {}
  P get() { return static_cast<P>(std::move(value)); }

 private:
  static std::shared_ptr<const void> owner() {
    if constexpr (std::is_lvalue_reference_v<P>) return borrowed();
    return nullptr;
  }
  static T decode_next(ArgumentCursor& cursor) {
    if constexpr (IsVector<T>::value) {
      using Element = typename T::value_type;
      ArgumentCursor ahead = cursor;
      const ArgumentWord word = ahead.next_word();
      if (word.kind == ArgumentKind::inputs) {
        cursor.next_word();
        T values;
        for (std::uint32_t i = 0; i < word.count; ++i) {
          values.push_back(decode<Element>(cursor.next_input(), owner()));
        }
        return values;
      }
    }
    return decode<T>(cursor.next_value(), owner());
  }
};

template <class T, std::size_t N>
struct ArgumentHolder<View<const T, N>> {
  HostArray copy;  ///< only when the bytes lie where T cannot be read
  View<const T, N> view;

  explicit ArgumentHolder(ArgumentCursor& cursor) {
    const ArrayBytes array = read_array(cursor.next_value(), dtype_of<T>, N);
    const std::byte* elements = array.elements;
    if (!is_aligned_for(elements, dtype_of<T>)) {
      copy = HostArray(dtype_of<T>, array.header.shape_vector());
      std::memcpy(copy.bytes().data(), elements, copy.size_bytes());
      elements = copy.bytes().data();
    }
    view = {reinterpret_cast<const T*>(elements), array.extents<N>()};
  }
  View<const T, N> get() { return view; }
};

template <class T, std::size_t N>
requires(!std::is_const_v<T>) struct ArgumentHolder<View<T, N>> {
  View<T, N> view;

  explicit ArgumentHolder(ArgumentCursor& cursor) {
    const auto bytes = take_over_next_array(cursor, dtype_of<T>, N);
    const ArrayBytes array = read_array(bytes, dtype_of<T>, N);
    const auto offset = static_cast<std::size_t>(array.elements - bytes.data());
    view = {reinterpret_cast<T*>(bytes.data() + offset), array.extents<N>()};
  }
  View<T, N> get() { return view; }
};

template <class Parameters>
struct Arguments;
template <class... P>
struct Arguments<std::tuple<P...>> {
  std::tuple<ArgumentHolder<P>...> holders;

  explicit Arguments(ArgumentCursor& cursor) : holders{ArgumentHolder<P>(cursor)...} {}

  template <class F>
  decltype(auto) apply(F fn) {
    return std::apply([&](auto&... holder) -> decltype(auto) { return fn(holder.get()...); },
                      holders);
  }
};

template <class A>
A decode_arguments(const TaskCall& call) {
  ArgumentCursor cursor(call);
  try {
    A arguments(cursor);
    cursor.finish();
    return arguments;
  } catch (const BadInput& error) {
    throw BadInput("argument " + std::to_string(cursor.argument()) + ": " + error.what());
  }
}

/// Calls `fn` with the arguments of `call` and encodes what it returns into output 0.
/// Errors: what `fn` throws; BadInput when the call is not one of `fn`.
template <auto fn>
void run_task(const TaskCall& call) {
  using R = std::remove_cvref_t<typename TraitsOf<fn>::Result>;
  constexpr bool is_in_out = ParameterFacts<ParametersOf<fn>>::in_out_count == 1;
  auto arguments = decode_arguments<Arguments<ParametersOf<fn>>>(call);
  if constexpr (std::is_void_v<R>) {
    arguments.apply(fn);
    if constexpr (!is_in_out) call.outputs.allocate(0, 0);
  } else {
    const R result = arguments.apply(fn);
    const std::size_t bytes = Codec<R>::size(result);
    Writer writer(call.outputs.allocate(0, bytes).first(bytes));
    Codec<R>::encode(result, writer);
    if (writer.remaining() > 0) throw BadInput("a Codec wrote less than its size() announced");
  }
}

}  // namespace ashlar::detail
