#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace ashlar {

/// A borrowed n-dimensional block of elements: a pointer, extents and strides.
///
/// View<const T, N> reads, View<T, N> writes. Strides count elements. The last dimension is the
/// fastest in a dense block. A view never owns what it shows.
template <class T, std::size_t N>
class View {
 public:
  using value_type = std::remove_cv_t<T>;
  using Extents = std::array<std::int64_t, N>;

  View() = default;

  /// A dense row-major block.
  View(T* data, const Extents& extents) : data_(data), extents_(extents) {
    std::int64_t stride = 1;
    for (std::size_t i = N; i-- > 0;) {
      strides_[i] = stride;
      stride *= extents_[i];
    }
  }

  View(T* data, const Extents& extents, const Extents& strides)
      : data_(data), extents_(extents), strides_(strides) {}

  /// A writing view may be passed where a reading one is expected.
  operator View<const T, N>() const
    requires(!std::is_const_v<T>)
  {
    return {data_, extents_, strides_};
  }

  template <class... I>
    requires(sizeof...(I) == N)
  T& operator()(I... index) const {
    const std::array<std::int64_t, N> at{static_cast<std::int64_t>(index)...};
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < N; ++i) offset += at[i] * strides_[i];
    return data_[offset];
  }

  T* data() const { return data_; }
  std::int64_t extent(std::size_t dimension) const { return extents_[dimension]; }
  std::int64_t stride(std::size_t dimension) const { return strides_[dimension]; }
  const Extents& extents() const { return extents_; }
  const Extents& strides() const { return strides_; }

  /// How many elements the view shows.
  std::int64_t size() const {
    std::int64_t n = 1;
    for (auto e : extents_) n *= e;
    return n;
  }

  bool is_dense() const {
    std::int64_t stride = 1;
    for (std::size_t i = N; i-- > 0;) {
      if (extents_[i] != 1 && strides_[i] != stride) return false;
      stride *= extents_[i];
    }
    return true;
  }

  /// The elements in order. Requires is_dense().
  std::span<T> span() const { return {data_, static_cast<std::size_t>(size())}; }

 private:
  T* data_ = nullptr;
  Extents extents_{};
  Extents strides_{};
};

}  // namespace ashlar
