#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "wire/columns.hpp"

namespace ashlar::wire {

/// Appends numbers, little-endian, and byte strings with their lengths.
class ByteWriter {
 public:
  template <std::integral T>
  void number(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void blob(std::span<const std::byte> bytes) {
    number(std::uint64_t{bytes.size()});
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void text(const std::string& text) { blob(std::as_bytes(std::span(text))); }
  void datum(const DatumId& id) {
    number(id.run.session.value);
    number(id.run.number);
    number(id.index);
  }

  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads what a ByteWriter wrote. Errors: Malformed past the end.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : left_(bytes) {}

  template <std::integral T>
  T number() {
    T value;
    std::memcpy(&value, next(sizeof value).data(), sizeof value);
    return value;
  }
  bool truth() {
    const auto value = number<std::uint8_t>();
    require(value <= 1, "neither true nor false");
    return value == 1;
  }
  std::span<const std::byte> blob() { return next(number<std::uint64_t>()); }
  std::string text() {
    const auto bytes = blob();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  DatumId datum() {
    DatumId id;
    id.run.session = SessionId{number<std::uint32_t>()};
    id.run.number = number<std::uint32_t>();
    id.index = number<std::uint32_t>();
    return id;
  }
  /// A count of things that take so many bytes each, at least.
  std::size_t count(std::size_t bytes_each) {
    const auto value = number<std::uint64_t>();
    require(value <= left_.size() / bytes_each, "more entries than bytes");
    return static_cast<std::size_t>(value);
  }
  bool is_at_end() const { return left_.empty(); }

 private:
  std::span<const std::byte> next(std::uint64_t bytes) {
    require(bytes <= left_.size(), "it ends too early");
    const auto found = left_.first(static_cast<std::size_t>(bytes));
    left_ = left_.subspan(static_cast<std::size_t>(bytes));
    return found;
  }

  std::span<const std::byte> left_;
};

}  // namespace ashlar::wire
