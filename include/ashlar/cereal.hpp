#pragma once

#include <ashlar/codec.hpp>

#include <cereal/archives/binary.hpp>
#include <cereal/cereal.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <istream>
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

/// Reads or writes a fixed piece of memory.
class MemoryBuffer final : public std::streambuf {
 public:
  explicit MemoryBuffer(std::span<std::byte> memory) {
    char* begin = reinterpret_cast<char*>(memory.data());
    setp(begin, begin + memory.size());
  }
  explicit MemoryBuffer(std::span<const std::byte> memory) {
    char* begin = const_cast<char*>(reinterpret_cast<const char*>(memory.data()));
    setg(begin, begin, begin + memory.size());
  }
  bool is_read() const { return gptr() == egptr(); }
  bool is_written() const { return pptr() == epptr(); }
};

template <class T>
concept CerealSerializable =
    cereal::traits::is_output_serializable<T, cereal::BinaryOutputArchive>::value &&
    cereal::traits::is_input_serializable<T, cereal::BinaryInputArchive>::value;

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
    MemoryBuffer buffer(reader.take(reader.read_count(1)));
    std::istream stream(&buffer);
    T value{};
    try {
      cereal::BinaryInputArchive archive(stream);
      archive(value);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {  // cereal's own, or a length that nothing backs
      throw BadInput(std::string("not a serialized value: ") + error.what());
    }
    if (!buffer.is_read()) throw BadInput("not a serialized value: bytes are left over");
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
