#include <ashlar/codec.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "base/shape.hpp"
#include "session/machine.hpp"

namespace ashlar {

/// One thread does not fill the memory's bandwidth.
void Writer::copy_large(std::span<std::byte> to, const void* from) {
  constexpr std::size_t threads_max = 4;
  const std::size_t threads = std::min<std::size_t>(session::usable_cores(), threads_max);
  const std::size_t part = (to.size() / threads + 63) / 64 * 64;
  const auto copy = [&](std::size_t begin) {
    const std::size_t bytes = std::min(part, to.size() - begin);
    std::memcpy(to.data() + begin, static_cast<const std::byte*>(from) + begin, bytes);
  };
  std::vector<std::jthread> others;
  for (std::size_t begin = part; begin < to.size(); begin += part) others.emplace_back(copy, begin);
  copy(0);
}

void Writer::overrun(std::size_t bytes) const {
  throw BadInput("a Codec wrote more than its size() announced: " + std::to_string(bytes) +
                 " bytes into " + std::to_string(room_.size()));
}

void Reader::truncated(std::size_t bytes) const {
  throw BadInput("truncated value: expected " + std::to_string(bytes) + " bytes, found " +
                 std::to_string(bytes_.size()));
}

void Reader::left_over() const {
  throw BadInput("not a value of this type: " + std::to_string(bytes_.size()) +
                 " bytes are left over");
}

std::size_t Reader::read_count(std::size_t element_bytes) {
  const auto count = read<std::uint64_t>();
  if (count > bytes_.size() / element_bytes) {
    throw BadInput("truncated value: expected " + std::to_string(count) + " elements, found " +
                   std::to_string(bytes_.size()) + " bytes");
  }
  return count;
}

namespace detail {
namespace {

constexpr std::uint32_t array_magic = 0x31414841;  // "AHA1"
constexpr std::size_t header_fixed_bytes = 8;

}  // namespace

std::size_t ArrayHeader::size(std::size_t ndim) {
  const std::size_t bytes = header_fixed_bytes + ndim * sizeof(std::int64_t);
  return (bytes + array_alignment - 1) / array_alignment * array_alignment;
}

std::size_t encoded_array_size(std::size_t ndim, std::size_t element_bytes) {
  if (ndim > array_ndim_max) {
    throw BadInput("an array of " + std::to_string(ndim) + " dimensions cannot be sent; at most " +
                   std::to_string(array_ndim_max) + " can");
  }
  return ArrayHeader::size(ndim) + element_bytes;
}

void write_array_header(Writer& writer, DType dtype, std::span<const std::int64_t> shape,
                        bool is_empty_handle) {
  Writer header(writer.take(encoded_array_size(shape.size(), 0)));
  header.write(array_magic);
  header.write(static_cast<std::uint8_t>(dtype));
  header.write(static_cast<std::uint8_t>(shape.size()));
  header.write(std::uint16_t{is_empty_handle});
  header.write(shape.data(), shape.size_bytes());
  const auto padding = header.take(header.remaining());
  if (!padding.empty()) std::memset(padding.data(), 0, padding.size());
}

ArrayHeader read_array_header(Reader& reader) {
  Reader peek(reader.rest());
  if (peek.read<std::uint32_t>() != array_magic) throw BadInput("not an encoded array");
  const auto dtype = peek.read<std::uint8_t>();
  const auto ndim = peek.read<std::uint8_t>();
  const auto flags = peek.read<std::uint16_t>();
  if (dtype >= dtype_count || ndim > array_ndim_max || flags > 1 || (flags == 1 && ndim > 0)) {
    throw BadInput("not an encoded array: dtype " + std::to_string(dtype) + ", " +
                   std::to_string(ndim) + " dimensions, flags " + std::to_string(flags));
  }
  ArrayHeader header;
  header.dtype = DType{dtype};
  header.ndim = ndim;
  header.is_empty_handle = flags == 1;
  reader.take(ArrayHeader::size(ndim));
  bool has_no_elements = header.is_empty_handle;
  std::size_t bytes = dtype_bytes(header.dtype);
  for (std::size_t i = 0; i < ndim; ++i) {
    header.shape[i] = peek.read<std::int64_t>();
    if (header.shape[i] < 0) {
      throw BadInput("encoded array: extent " + std::to_string(header.shape[i]));
    }
    has_no_elements = has_no_elements || header.shape[i] == 0;
  }
  const std::size_t room = reader.rest().size();
  for (std::size_t i = 0; i < ndim && !has_no_elements; ++i) {
    const auto extent = static_cast<std::size_t>(header.shape[i]);
    if (extent > room / bytes) {
      throw BadInput("truncated array: expected shape " + to_string(header.shape_vector()) +
                     " of " + std::string(dtype_name(header.dtype)) + ", found " +
                     std::to_string(room) + " bytes");
    }
    bytes *= extent;
  }
  header.element_bytes = has_no_elements ? 0 : bytes;
  if (header.element_bytes > room) {
    throw BadInput("truncated array: expected " + std::to_string(header.element_bytes) +
                   " bytes, found " + std::to_string(room));
  }
  return header;
}

void require_array(DType dtype, std::size_t ndim, DType wanted, std::size_t wanted_ndim) {
  if (dtype == wanted && ndim == wanted_ndim) return;
  throw BadInput("expected an array of " + std::to_string(wanted_ndim) + " dimensions and " +
                 std::string(dtype_name(wanted)) + ", found " + std::to_string(ndim) +
                 " dimensions and " + std::string(dtype_name(dtype)));
}

std::shared_ptr<const void> borrowed() {
  static constexpr char anything = 0;
  return {&anything, [](const void*) {}};
}

HostArray decode_array(Reader& reader) {
  const ArrayHeader header = read_array_header(reader);
  const auto elements = reader.take(header.element_bytes);
  if (header.is_empty_handle) return {};
  if (reader.owner() != nullptr && is_aligned_for(elements.data(), header.dtype)) {
    return HostArray::read_only(header.dtype, header.shape_vector(),
                                std::shared_ptr<const std::byte>(reader.owner(), elements.data()));
  }
  HostArray array(header.dtype, header.shape_vector());
  if (!elements.empty()) std::memcpy(array.bytes().data(), elements.data(), elements.size());
  return array;
}

}  // namespace detail
}  // namespace ashlar
