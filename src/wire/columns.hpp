#pragma once

#include <ashlar/error.hpp>

#include <capnp/any.h>
#include <capnp/list.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ids.hpp"
#include "wire/messages.capnp.h"

/// Vectors to Cap'n Proto lists and back by one memcpy each, and the small values in between.
namespace ashlar::wire {

static_assert(std::endian::native == std::endian::little, "columns are copied as they lie");

/// What a decoder throws when bytes say the impossible; never leaves this module.
class Malformed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void require(bool holds, const char* problem) {
  if (!holds) [[unlikely]]
    throw Malformed(problem);
}

/// Every datum is smaller: few sizes cannot overflow in a sum before they are checked.
inline constexpr std::uint64_t datum_bytes_bound = std::uint64_t{1} << 62;

// ---- writing -----------------------------------------------------------------------------------

/// Words that these vectors take as lists.
template <class... Vectors>
std::size_t list_words(const Vectors&... vectors) {
  return (std::size_t{0} + ... + ((vectors.size() * sizeof(*vectors.data()) + 7) / 8));
}

inline unsigned list_size(std::size_t count) {
  constexpr std::size_t count_max = (std::size_t{1} << 29) - 1;
  if (count > count_max)
    throw BadInput("a list of " + std::to_string(count) + " entries is too long for a message");
  return static_cast<unsigned>(count);
}

/// Where a list of numbers lies in the message.
template <class ListBuilder>
std::byte* list_bytes(ListBuilder list) {
  const auto raw = capnp::AnyList::Reader(list.asReader()).getRawBytes();
  return reinterpret_cast<std::byte*>(const_cast<unsigned char*>(raw.begin()));
}

/// Writes a vector as a list of numbers of the same size; `init` is a builder's initX(count).
template <class T, class Init>
void write_column(const std::vector<T>& values, Init init) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (values.empty()) return;
  std::memcpy(list_bytes(init(list_size(values.size()))), values.data(), values.size() * sizeof(T));
}

inline kj::ArrayPtr<const unsigned char> as_blob(const std::vector<std::byte>& bytes) {
  list_size(bytes.size());
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

inline capnp::Text::Reader as_text(const std::string& text) {
  return {text.c_str(), list_size(text.size())};
}

template <class ListBuilder>
void write_texts(const std::vector<std::string>& texts, ListBuilder list) {
  for (unsigned i = 0; i < list.size(); ++i) list.set(i, as_text(texts[i]));
}

std::size_t text_words(const std::vector<std::string>& texts);

/// The most words that ids take.
inline std::size_t id_words(const std::vector<DatumId>& ids) {
  return 8 + (3 * ids.size() * sizeof(std::uint32_t) + 7) / 8;
}

enum class SessionColumn { written, implied };
void write_ids(const std::vector<DatumId>& ids, schema::DatumIds::Builder out,
               SessionColumn session = SessionColumn::written);
void write_id(const DatumId& id, schema::DatumId::Builder out);
void write_run(const RunId& run, schema::RunId::Builder out);

// ---- reading -----------------------------------------------------------------------------------

/// A list of numbers seen as values of the same size, in place when they lie packed.
template <class T, class U>
class ColumnView {
 public:
  explicit ColumnView(typename capnp::List<U>::Reader list) {
    static_assert(sizeof(T) == sizeof(U) && std::is_trivially_copyable_v<T>);
    constexpr auto packed = sizeof(U) == 1   ? capnp::ElementSize::BYTE
                            : sizeof(U) == 2 ? capnp::ElementSize::TWO_BYTES
                            : sizeof(U) == 4 ? capnp::ElementSize::FOUR_BYTES
                                             : capnp::ElementSize::EIGHT_BYTES;
    const capnp::AnyList::Reader any(list);
    if (any.getElementSize() == packed) {
      values_ = {reinterpret_cast<const T*>(any.getRawBytes().begin()), list.size()};
      return;
    }
    unpacked_.reserve(list.size());
    for (const U value : list) unpacked_.push_back(std::bit_cast<T>(value));
    values_ = unpacked_;
  }
  ColumnView(const ColumnView&) = delete;
  ColumnView& operator=(const ColumnView&) = delete;

  std::span<const T> values() const { return values_; }

 private:
  std::span<const T> values_;
  std::vector<T> unpacked_;
};

/// Reads a list of numbers into a vector of values of the same size.
template <class T, class U>
std::vector<T> read_column(typename capnp::List<U>::Reader list) {
  const ColumnView<T, U> column(list);
  return {column.values().begin(), column.values().end()};
}

inline std::vector<std::uint32_t> read_u32(capnp::List<std::uint32_t>::Reader list) {
  return read_column<std::uint32_t, std::uint32_t>(list);
}
inline std::vector<std::uint64_t> read_u64(capnp::List<std::uint64_t>::Reader list) {
  return read_column<std::uint64_t, std::uint64_t>(list);
}
inline std::vector<PeerId> read_peers(capnp::List<std::uint32_t>::Reader list) {
  return read_column<PeerId, std::uint32_t>(list);
}

inline std::string read_text(capnp::Text::Reader text) {
  return std::string(text.begin(), text.size());
}
std::vector<std::string> read_texts(capnp::List<capnp::Text>::Reader list);
std::vector<std::byte> read_blob(capnp::Data::Reader blob);

/// `implied` completes ids that travel without their session; others must then agree with it.
/// Without it, ids must name their session.
std::vector<DatumId> read_ids(schema::DatumIds::Reader in, SessionId implied = SessionId::none());
DatumId read_id(schema::DatumId::Reader in);
RunId read_run(schema::RunId::Reader in);
ErrorKind read_error_kind(schema::ErrorKind kind);

/// Sizes of data that exist.
std::vector<std::uint64_t> read_sizes(capnp::List<std::uint64_t>::Reader list);
/// Sizes of data, some of which are not known yet (TaskGraph::dynamic_bytes).
std::vector<std::uint64_t> read_planned_sizes(capnp::List<std::uint64_t>::Reader list);

}  // namespace ashlar::wire
