#pragma once

#include <ashlar/dtype.hpp>
#include <ashlar/host_array.hpp>
#include <ashlar/view.hpp>

#include <cstddef>
#include <type_traits>

namespace ashlar::detail {

/// Where the elements of a result go. Strides count elements.
struct Destination {
  DType dtype = DType::float64;
  std::byte* data = nullptr;
  Shape shape;
  Shape strides;
};

template <class T, std::size_t N>
Destination destination_of(const View<T, N>& view) {
  static_assert(!std::is_const_v<T>, "results go into a View<T, N> that may be written");
  return {dtype_of<T>,
          reinterpret_cast<std::byte*>(view.data()),
          {view.extents().begin(), view.extents().end()},
          {view.strides().begin(), view.strides().end()}};
}

}  // namespace ashlar::detail
