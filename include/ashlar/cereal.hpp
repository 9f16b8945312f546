#pragma once

#include <ashlar/codec.hpp>

#include <cereal/archives/binary.hpp>
#include <cereal/cereal.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <ostream>
#include <span>
#include <streambuf>
#include <string>
#include <type_traits>

/// Include this, and types with cereal's serialize (or save and load) functions can be arguments
/// and results of tasks. Types with a Codec of their own keep it. Include it, and the cereal/types
/// headers that the type needs, wherever its tasks are named or called.
namespace ashlar::detail {

/// Counts what is written.
class CountingBuffer final : public std::streambuf {
 public:
  std::size_t count() const { return count_; }

 protected:
  std::streamsize xsputn(const char*, std::streamsize n) override {
    count_ += static_cast<std::size_t>(n);
    return n;
  }
  int_type overflow(int_type c) override {
    ++count_;
    return traits_type::not_eof(c);
  }

 private:
  std::size_t count_ = 0;
};

/// Writes into a fixed piece of memory.
class MemoryBuffer final : public std::streambuf {
 public:
  explicit MemoryBuffer(std::span<std::byte> memory) {
    char* begin = reinterpret_cast<char*>(memory.data());
    setp(begin, begin + memory.size());
  }
  bool is_written() const { return pptr() == epptr(); }
};

/// Reads what cereal::BinaryOutputArchive writes from bytes that nobody has checked: a length
/// that the bytes left cannot hold is refused before memory is asked for.
class MemoryArchive : public cereal::InputArchive<MemoryArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit MemoryArchive(std::span<const std::byte> bytes) : InputArchive(this), bytes_(bytes) {}

  void loadBinary(void* destination, std::size_t n) {
    if (n > bytes_.size()) throw BadInput("not a serialized value: bytes are missing");
    if (n != 0) std::memcpy(destination, bytes_.data(), n);
    bytes_ = bytes_.subspan(n);
  }

  void check_length(std::uint64_t elements) const {
    constexpr std::uint64_t harmless = 1 << 16;  // elements of an empty class take no bytes
    if (elements > std::max<std::uint64_t>(bytes_.size(), harmless)) {
      throw BadInput("not a serialized value: a length is beyond the end");
    }
  }

  bool is_read() const { return bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
};

// The functions cereal asks of an archive; it finds them by their first argument.

template <class T>
requires std::is_arithmetic_v<T>
void load(MemoryArchive& archive, T& value) { archive.loadBinary(&value, sizeof value); }

template <class T>
void load(MemoryArchive& archive, cereal::BinaryData<T>& data) {
  archive.loadBinary(data.data, static_cast<std::size_t>(data.size));
}

template <class T>
void load(MemoryArchive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

template <class T>
void load(MemoryArchive& archive, cereal::SizeTag<T>& tag) {
  archive(tag.size);
  archive.check_length(tag.size);
}

template <class T>
concept CerealSerializable =
    cereal::traits::is_output_serializable<T, cereal::BinaryOutputArchive>::value &&
    cereal::traits::is_input_serializable<T, MemoryArchive>::value;

template <class T>
requires std::is_class_v<T> && std::is_default_constructible_v<T> && CerealSerializable<T>
struct AdaptedCodec<T> {
  static std::size_t size(const T& value) { return sizeof(std::uint64_t) + count(value); }

  static void encode(const T& value, Writer& writer) {
    const std::size_t bytes = count(value);
    writer.write(std::uint64_t{bytes});
    MemoryBuffer buffer(writer.take(bytes));
    std::ostream stream(&buffer);
    cereal::BinaryOutputArchive archive(stream);
    archive(value);
    if (!buffer.is_written()) throw BadInput("a serialize function wrote less the second time");
  }

  static T decode(Reader& reader) {
    MemoryArchive archive(reader.take(reader.read_count(1)));
    T value{};
    try {
      archive(value);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // cereal's own, or the type's
      throw BadInput(std::string("not a serialized value: ") + error.what());
    }
    if (!archive.is_read()) throw BadInput("not a serialized value: bytes are left over");
    return value;
  }

 private:
  static std::size_t count(const T& value) {
    CountingBuffer buffer;
    std::ostream stream(&buffer);
    cereal::BinaryOutputArchive archive(stream);
    archive(value);
    return buffer.count();
  }
};

}  // namespace ashlar::detail

CEREAL_REGISTER_ARCHIVE(ashlar::detail::MemoryArchive)
template <>
struct cereal::traits::detail::get_output_from_input<ashlar::detail::MemoryArchive> {
  using type = cereal::BinaryOutputArchive;
};
