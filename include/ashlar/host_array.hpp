#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/error.hpp>
#include <ashlar/view.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ashlar {

/// Extents of an array, slowest dimension first; empty for a scalar.
using Shape = std::vector<std::int64_t>;

/// An n-dimensional array in this process's memory: dense, row-major, shared by copies.
///
/// Copying a HostArray copies a handle; clone() copies the elements. An array that shows published
/// data, such as a Future's value, is read-only: asking a handle that is not const for its elements
/// copies them first, for this handle alone. Threads: as a shared_ptr – handles are independent,
/// elements are not protected.
class HostArray {
 public:
  HostArray() = default;

  /// Allocates an array whose elements are not initialised. Memory is 64-byte aligned.
  /// Errors: BadInput for a negative extent or a size that overflows; Overloaded when there is
  /// not enough memory.
  HostArray(DType dtype, Shape shape);

  /// Shows memory that somebody else owns, as long as any handle lives.
  HostArray(DType dtype, Shape shape, std::shared_ptr<std::byte> data);

  /// The same for memory that must not be written.
  static HostArray read_only(DType dtype, Shape shape, std::shared_ptr<const std::byte> data);
  bool is_read_only() const { return is_read_only_; }

  /// Allocates an array of zeros. Errors: as the constructor that allocates.
  template <class T>
  static HostArray zeros(Shape shape) {
    HostArray array(dtype_of<T>, std::move(shape));
    array.fill_zero();
    return array;
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t ndim() const { return shape_.size(); }
  std::int64_t size() const;          ///< elements
  std::size_t size_bytes() const;     ///< bytes
  /// An array of its own with the same elements, which may be written. Errors: Overloaded.
  HostArray clone() const;

  std::span<std::byte> bytes() {
    make_writable();
    return {data_.get(), size_bytes()};
  }
  std::span<const std::byte> bytes() const { return {data_.get(), size_bytes()}; }

  /// The memory and its ownership; not for writing if is_read_only().
  const std::shared_ptr<std::byte>& storage() const { return data_; }

  /// The elements as T. Errors: BadInput if T is not the array's dtype.
  template <class T>
  T* data() {
    require(dtype_of<T>);
    make_writable();
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* data() const {
    require(dtype_of<T>);
    return reinterpret_cast<const T*>(data_.get());
  }

  /// A typed view. Errors: BadInput if T or N do not match the array.
  template <class T, std::size_t N>
  View<T, N> view() {
    if constexpr (std::is_const_v<T>) {
      return static_cast<const HostArray&>(*this).view<T, N>();
    } else {
      return {data<T>(), extents<N>()};
    }
  }
  template <class T, std::size_t N>
  View<const T, N> view() const {  // T may be const already
    return {data<std::remove_cv_t<T>>(), extents<N>()};
  }

  /// The only element of an array that has one. Errors: BadInput otherwise.
  template <class T>
  T item() const {
    if (size() != 1) not_one_element();
    return *data<T>();
  }

 private:
  void require(DType wanted) const;
  void require_ndim(std::size_t wanted) const;
  [[noreturn]] void not_one_element() const;
  void fill_zero();
  void make_writable() {
    if (is_read_only_) *this = clone();
  }

  template <std::size_t N>
  std::array<std::int64_t, N> extents() const {
    require_ndim(N);
    std::array<std::int64_t, N> out{};
    for (std::size_t i = 0; i < N; ++i) out[i] = shape_[i];
    return out;
  }

  DType dtype_ = DType::float64;
  Shape shape_;
  std::shared_ptr<std::byte> data_;
  bool is_read_only_ = false;
};

/// "(3, 4)", for messages.
std::string to_string(const Shape& shape);

}  // namespace ashlar
