#pragma once

#include <ashlar/error.hpp>
#include <ashlar/host_array.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ashlar {

static_assert(std::endian::native == std::endian::little, "encodings are little-endian");

/// Where encoded bytes go. Has the room that Codec::size() asked for.
class Writer {
 public:
  explicit Writer(std::span<std::byte> room) : room_(room) {}

  /// The next `bytes` bytes, for the caller to fill. Errors: BadInput when there is no room.
  std::span<std::byte> take(std::size_t bytes) {
    if (bytes > room_.size()) overrun(bytes);
    const auto taken = room_.first(bytes);
    room_ = room_.subspan(bytes);
    return taken;
  }

  void write(const void* from, std::size_t bytes) {
    const auto to = take(bytes);
    if (bytes >= large_bytes) return copy_large(to, from);
    if (bytes > 0) std::memcpy(to.data(), from, bytes);
  }

  template <class T>
  requires std::is_arithmetic_v<T>
  void write(T value) { write(&value, sizeof value); }

  std::size_t remaining() const { return room_.size(); }

 private:
  static constexpr std::size_t large_bytes = std::size_t{64} << 20;

  [[noreturn]] void overrun(std::size_t bytes) const;
  static void copy_large(std::span<std::byte> to, const void* from);
  std::span<std::byte> room_;
};

/// Where encoded bytes come from: nothing about them is trusted.
///
/// With an owner, what is decoded may show the bytes in place and keep the owner; without one it
/// copies them.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr)
      : bytes_(bytes), owner_(std::move(owner)) {}

  /// The next `bytes` bytes. Errors: BadInput when there are fewer.
  std::span<const std::byte> take(std::size_t bytes) {
    if (bytes > bytes_.size()) truncated(bytes);
    const auto taken = bytes_.first(bytes);
    bytes_ = bytes_.subspan(bytes);
    return taken;
  }

  template <class T>
  requires std::is_arithmetic_v<T> T read() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  /// How many elements follow, each of at least `element_bytes`.
  /// Errors: BadInput when the bytes that are left cannot hold them.
  std::size_t read_count(std::size_t element_bytes);

  /// Errors: BadInput when bytes are left.
  void finish() const {
    if (!bytes_.empty()) left_over();
  }

  std::span<const std::byte> rest() const { return bytes_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  [[noreturn]] void truncated(std::size_t bytes) const;
  [[noreturn]] void left_over() const;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

namespace detail {
/// Codecs of whole families of types come from opt-in adapters (ashlar/cereal.hpp).
template <class T>
struct AdaptedCodec {};
}  // namespace detail

/// How values of T become the bytes of arguments and results, and back.
///
/// Built in: arithmetic types, enums, std::string, vector, pair, tuple, optional, array,
/// HostArray. Specialise it for a type of your own with three static functions (or include
/// ashlar/cereal.hpp and give the type a cereal `serialize`):
///   std::size_t size(const T&)        bytes that encode() will write; at least 1
///   void encode(const T&, Writer&)    writes exactly size() bytes
///   T decode(Reader&)                 throws BadInput for impossible bytes, never trusts them
template <class T>
struct Codec : detail::AdaptedCodec<T> {};

/// T can be an argument or a result of a task.
template <class T>
concept Codable = requires(const T& value, Writer& writer, Reader& reader) {
  { Codec<T>::size(value) } -> std::convertible_to<std::size_t>;
  Codec<T>::encode(value, writer);
  { Codec<T>::decode(reader) } -> std::same_as<T>;
};

namespace detail {

/// T is encoded as a HostArray is, so that one may stand for the other.
template <class T>
concept ArrayCodable = Codable<T> && requires {
  requires Codec<T>::is_array;
};

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

/// T takes the same number of bytes whatever its value.
template <class T>
concept FixedCodable = Codable<T> && requires {
  std::size_t{Codec<T>::fixed_size};
};

/// Values of T are copied as raw bytes, many at once.
template <class T>
concept RawCopied = (std::is_arithmetic_v<T> && !std::same_as<T, bool>) || std::is_enum_v<T>;

inline constexpr std::size_t array_alignment = 64;
inline constexpr std::size_t array_ndim_max = 32;

/// What precedes an encoded array's elements: 64-byte blocks, so that elements stay aligned.
struct ArrayHeader {
  DType dtype = DType::float64;
  std::size_t ndim = 0;
  std::array<std::int64_t, array_ndim_max> shape{};
  bool is_empty_handle = false;  ///< HostArray{}: no elements at all
  std::size_t element_bytes = 0;

  static std::size_t size(std::size_t ndim);
  Shape shape_vector() const { return {shape.begin(), shape.begin() + ndim}; }
};

/// Errors: BadInput for more than array_ndim_max dimensions.
std::size_t encoded_array_size(std::size_t ndim, std::size_t element_bytes);
void write_array_header(Writer& writer, DType dtype, std::span<const std::int64_t> shape,
                        bool is_empty_handle);
/// Reads a header and sees to it that the elements follow. Errors: BadInput.
ArrayHeader read_array_header(Reader& reader);
/// Errors: BadInput unless dtype and number of dimensions are these.
void require_array(DType dtype, std::size_t ndim, DType wanted, std::size_t wanted_ndim);

/// Decodes an array in place where the reader has an owner and alignment allows, else copies.
HostArray decode_array(Reader& reader);

/// An owner for bytes that outlive their reader anyway.
std::shared_ptr<const void> borrowed();

inline bool is_aligned_for(const void* data, DType dtype) {
  return reinterpret_cast<std::uintptr_t>(data) % dtype_bytes(dtype) == 0;
}

}  // namespace detail

template <class T>
requires std::is_arithmetic_v<T>
struct Codec<T> {
  static constexpr std::size_t fixed_size = sizeof(T);
  static std::size_t size(T) { return sizeof(T); }
  static void encode(T value, Writer& writer) { writer.write(value); }
  static T decode(Reader& reader) { return reader.read<T>(); }
};

template <>
struct Codec<bool> {
  static constexpr std::size_t fixed_size = 1;
  static std::size_t size(bool) { return 1; }
  static void encode(bool value, Writer& writer) { writer.write(std::uint8_t{value}); }
  static bool decode(Reader& reader) {
    const auto value = reader.read<std::uint8_t>();
    if (value > 1) throw BadInput("a bool must be 0 or 1, found " + std::to_string(value));
    return value == 1;
  }
};

template <class T>
requires std::is_enum_v<T>
struct Codec<T> {
  using Number = std::underlying_type_t<T>;
  static constexpr std::size_t fixed_size = sizeof(T);
  static std::size_t size(T) { return sizeof(T); }
  static void encode(T value, Writer& writer) {
    Codec<Number>::encode(static_cast<Number>(value), writer);
  }
  static T decode(Reader& reader) { return static_cast<T>(Codec<Number>::decode(reader)); }
};

template <>
struct Codec<std::string> {
  static std::size_t size(const std::string& text) { return sizeof(std::uint64_t) + text.size(); }
  static void encode(const std::string& text, Writer& writer) {
    writer.write(std::uint64_t{text.size()});
    writer.write(text.data(), text.size());
  }
  static std::string decode(Reader& reader) {
    const auto bytes = reader.take(reader.read_count(1));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

template <Codable T>
struct Codec<std::vector<T>> {
  static std::size_t size(const std::vector<T>& values) {
    std::size_t bytes = sizeof(std::uint64_t);
    if constexpr (detail::FixedCodable<T>) {
      bytes += values.size() * Codec<T>::fixed_size;
    } else {
      for (const T& value : values) bytes += Codec<T>::size(value);
    }
    return bytes;
  }
  static void encode(const std::vector<T>& values, Writer& writer) {
    writer.write(std::uint64_t{values.size()});
    if constexpr (detail::RawCopied<T>) {
      writer.write(values.data(), values.size() * sizeof(T));
    } else {
      for (const T& value : values) Codec<T>::encode(value, writer);
    }
  }
  static std::vector<T> decode(Reader& reader) {
    if constexpr (detail::RawCopied<T>) {
      std::vector<T> values(reader.read_count(sizeof(T)));
      const auto bytes = reader.take(values.size() * sizeof(T));
      if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
      return values;
    } else {
      const std::size_t count = reader.read_count(1);
      std::vector<T> values;
      for (std::size_t i = 0; i < count; ++i) values.push_back(Codec<T>::decode(reader));
      return values;
    }
  }
};

template <Codable T, std::size_t N>
requires(N > 0) struct Codec<std::array<T, N>> {
  static std::size_t size(const std::array<T, N>& values) {
    std::size_t bytes = 0;
    for (const T& value : values) bytes += Codec<T>::size(value);
    return bytes;
  }
  static void encode(const std::array<T, N>& values, Writer& writer) {
    for (const T& value : values) Codec<T>::encode(value, writer);
  }
  static std::array<T, N> decode(Reader& reader) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::array<T, N>{(static_cast<void>(I), Codec<T>::decode(reader))...};
    }
    (std::make_index_sequence<N>{});
  }
};

template <Codable... T>
requires(sizeof...(T) > 0) struct Codec<std::tuple<T...>> {
  static std::size_t size(const std::tuple<T...>& values) {
    return std::apply([](const T&... value) { return (Codec<T>::size(value) + ...); }, values);
  }
  static void encode(const std::tuple<T...>& values, Writer& writer) {
    std::apply([&](const T&... value) { (Codec<T>::encode(value, writer), ...); }, values);
  }
  static std::tuple<T...> decode(Reader& reader) {
    return std::tuple<T...>{Codec<T>::decode(reader)...};
  }
};

template <Codable A, Codable B>
struct Codec<std::pair<A, B>> {
  static std::size_t size(const std::pair<A, B>& values) {
    return Codec<A>::size(values.first) + Codec<B>::size(values.second);
  }
  static void encode(const std::pair<A, B>& values, Writer& writer) {
    Codec<A>::encode(values.first, writer);
    Codec<B>::encode(values.second, writer);
  }
  static std::pair<A, B> decode(Reader& reader) {
    return std::pair<A, B>{Codec<A>::decode(reader), Codec<B>::decode(reader)};
  }
};

template <Codable T>
struct Codec<std::optional<T>> {
  static std::size_t size(const std::optional<T>& value) {
    return 1 + (value ? Codec<T>::size(*value) : 0);
  }
  static void encode(const std::optional<T>& value, Writer& writer) {
    Codec<bool>::encode(value.has_value(), writer);
    if (value) Codec<T>::encode(*value, writer);
  }
  static std::optional<T> decode(Reader& reader) {
    if (!Codec<bool>::decode(reader)) return std::nullopt;
    return Codec<T>::decode(reader);
  }
};

template <>
struct Codec<HostArray> {
  static constexpr bool is_array = true;
  static std::size_t size(const HostArray& array) {
    return detail::encoded_array_size(shape_of(array).size(), array.size_bytes());
  }
  static void encode(const HostArray& array, Writer& writer) {
    detail::write_array_header(writer, array.dtype(), shape_of(array), !array.storage());
    writer.write(array.bytes().data(), array.size_bytes());
  }
  static HostArray decode(Reader& reader) { return detail::decode_array(reader); }

 private:
  static std::span<const std::int64_t> shape_of(const HostArray& array) {
    return array.storage() ? std::span<const std::int64_t>(array.shape())
                           : std::span<const std::int64_t>();
  }
};

/// The encoding of one value. Errors: BadInput when its Codec contradicts itself.
template <Codable T>
std::vector<std::byte> encode(const T& value) {
  std::vector<std::byte> bytes(Codec<T>::size(value));
  Writer writer(bytes);
  Codec<T>::encode(value, writer);
  return bytes;
}

/// The value that `bytes` encode, all of them. With an owner, arrays show the bytes in place.
/// Errors: BadInput.
template <Codable T>
T decode(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr) {
  Reader reader(bytes, std::move(owner));
  T value = Codec<T>::decode(reader);
  reader.finish();
  return value;
}

}  // namespace ashlar
