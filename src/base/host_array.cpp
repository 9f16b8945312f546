#include <ashlar/host_array.hpp>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "base/shape.hpp"

namespace ashlar {

std::string to_string(const Shape& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(shape[i]);
  }
  if (shape.size() == 1) out += ",";
  return out + ")";
}

HostArray::HostArray(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = checked_bytes(dtype_, shape_);
  void* memory = std::aligned_alloc(alignment, (bytes / alignment + 1) * alignment);
  if (memory == nullptr) {
    throw Overloaded("no memory for an array of " + std::to_string(bytes) + " bytes");
  }
  data_ = {static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); }};
}

HostArray::HostArray(DType dtype, Shape shape, std::shared_ptr<std::byte> data)
    : dtype_(dtype), shape_(std::move(shape)), data_(std::move(data)) {
  checked_bytes(dtype_, shape_);
}

HostArray HostArray::read_only(DType dtype, Shape shape, std::shared_ptr<const std::byte> data) {
  HostArray array(dtype, std::move(shape), std::const_pointer_cast<std::byte>(std::move(data)));
  array.is_read_only_ = true;
  return array;
}

std::int64_t HostArray::size() const { return data_ ? element_count(shape_) : 0; }

std::size_t HostArray::size_bytes() const {
  return static_cast<std::size_t>(size()) * dtype_bytes(dtype_);
}

HostArray HostArray::clone() const {
  if (!data_) return {};
  HostArray copy(dtype_, shape_);
  if (size_bytes() > 0) std::memcpy(copy.data_.get(), data_.get(), size_bytes());
  return copy;
}

void HostArray::fill_zero() {
  if (size_bytes() > 0) std::memset(data_.get(), 0, size_bytes());
}

void HostArray::require(DType wanted) const {
  if (wanted != dtype_) {
    throw BadInput("array " + to_string(shape_) + ": asked for as " +
                   std::string(dtype_name(wanted)) + ", but its elements are " +
                   std::string(dtype_name(dtype_)));
  }
}

void HostArray::require_ndim(std::size_t wanted) const {
  if (wanted != shape_.size()) {
    throw BadInput("array " + to_string(shape_) + ": asked for a view of " +
                   std::to_string(wanted) + " dimensions, but it has " +
                   std::to_string(shape_.size()));
  }
}

void HostArray::not_one_element() const {
  throw BadInput("item() needs an array with exactly one element; this one has shape " +
                 to_string(shape_));
}

}  // namespace ashlar
