#pragma once

#include <ashlar/array.hpp>
#include <ashlar/codec.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstring>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

/// Eigen's dense matrices and arrays as task arguments and results, and as HostArrays. A program
/// that includes this links Eigen3::Eigen itself.
namespace ashlar {

/// A row-major Eigen matrix of any size: what a HostArray of one or two dimensions looks like.
template <class T>
using EigenMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

/// What has elements, or computes them: maps, blocks, transposes, sums.
template <class M>
concept EigenExpression = std::is_base_of_v<Eigen::DenseBase<M>, M> && requires {
  DTypeOf<typename M::Scalar>::value;
};

/// What owns its elements.
template <class M>
concept EigenDense = std::is_base_of_v<Eigen::PlainObjectBase<M>, M> && requires {
  DTypeOf<typename M::Scalar>::value;
};

/// What has its elements in memory.
template <class M>
concept EigenDirect = EigenExpression<M> && requires(M& matrix) {
  matrix.data();
  matrix.rowStride();
};

struct EigenSize {
  Eigen::Index rows = 1;
  Eigen::Index columns = 1;
};

/// One dimension is a column. Errors: BadInput for more than two dimensions.
inline EigenSize eigen_size(const Shape& shape) {
  if (shape.size() > 2) {
    throw BadInput("an array of shape " + to_string(shape) + " is no matrix: it has " +
                   std::to_string(shape.size()) + " dimensions, expected at most 2");
  }
  return {shape.empty() ? 1 : shape[0], shape.size() < 2 ? 1 : shape[1]};
}

/// Eigen's vectors have one dimension, all else has two.
template <EigenExpression M>
Shape eigen_shape(const M& matrix) {
  if constexpr (M::IsVectorAtCompileTime) return {matrix.size()};
  return {matrix.rows(), matrix.cols()};
}

template <EigenDense M>
constexpr bool is_row_major() {
  return M::IsRowMajor || M::IsVectorAtCompileTime;
}

/// Copies a matrix to row-major elements.
template <EigenExpression M>
void copy_elements(const M& matrix, std::byte* to) {
  using T = typename M::Scalar;
  Eigen::Map<EigenMatrix<T>> elements(reinterpret_cast<T*>(to), matrix.rows(), matrix.cols());
  if constexpr (std::is_base_of_v<Eigen::ArrayBase<M>, M>) {
    elements.array() = matrix;
  } else {
    elements = matrix;
  }
}

}  // namespace detail

/// The array's elements as an Eigen matrix, without a copy; one dimension is a column. The matrix
/// holds as long as the array does.
/// Errors: BadInput if T is not the array's dtype or it has more than two dimensions.
template <class T>
Eigen::Map<EigenMatrix<T>> as_eigen(HostArray& array) {
  const auto [rows, columns] = detail::eigen_size(array.shape());
  return {array.data<T>(), rows, columns};
}
template <class T>
Eigen::Map<const EigenMatrix<T>> as_eigen(const HostArray& array) {
  const auto [rows, columns] = detail::eigen_size(array.shape());
  return {array.data<T>(), rows, columns};
}
template <class T>
void as_eigen(const HostArray&& array) = delete;  // the matrix would outlive the elements

/// A view's elements as an Eigen matrix, without a copy.
/// Errors: BadInput unless the elements of a row are adjacent.
template <class T>
auto as_eigen(View<T, 2> view) {
  using Matrix = std::conditional_t<std::is_const_v<T>, const EigenMatrix<std::remove_const_t<T>>,
                                    EigenMatrix<T>>;
  if (view.stride(1) != 1 && view.extent(1) > 1) {
    throw BadInput("as_eigen: elements of a row are " + std::to_string(view.stride(1)) +
                   " apart, expected 1");
  }
  return Eigen::Map<Matrix, 0, Eigen::OuterStride<>>(view.data(), view.extent(0), view.extent(1),
                                                     Eigen::OuterStride<>(view.stride(0)));
}

/// The elements of an Eigen matrix, map or block, of whatever layout, as a view without a copy:
/// what Session::compute_into writes to. Vectors have one dimension, all else has two.
template <class M>
requires detail::EigenDirect<std::remove_cvref_t<M>>
auto as_view(M&& matrix) {
  using Matrix = std::remove_cvref_t<M>;
  using T = std::remove_pointer_t<decltype(matrix.data())>;
  if constexpr (Matrix::IsVectorAtCompileTime) {
    return View<T, 1>(matrix.data(), {matrix.size()}, {matrix.innerStride()});
  } else {
    return View<T, 2>(matrix.data(), {matrix.rows(), matrix.cols()},
                      {matrix.rowStride(), matrix.colStride()});
  }
}

/// A HostArray with the matrix's elements: shares those of a shared row-major matrix, takes over
/// those of a row-major rvalue, copies all others, which may be maps, blocks and expressions.
/// Vectors have one dimension, all else has two.
template <detail::EigenDense M>
HostArray to_host(std::shared_ptr<M> matrix) {
  using T = typename M::Scalar;
  Shape shape = detail::eigen_shape(*matrix);
  if constexpr (detail::is_row_major<M>()) {
    auto* data = reinterpret_cast<std::byte*>(matrix->data());
    return {dtype_of<T>, std::move(shape), std::shared_ptr<std::byte>(std::move(matrix), data)};
  }
  HostArray array(dtype_of<T>, std::move(shape));
  detail::copy_elements(*matrix, array.bytes().data());
  return array;
}
template <class M>
requires detail::EigenExpression<std::remove_cvref_t<M>> HostArray to_host(M&& matrix) {
  using Matrix = std::remove_cvref_t<M>;
  if constexpr (detail::EigenDense<Matrix> && !std::is_reference_v<M> && !std::is_const_v<M>) {
    if constexpr (detail::is_row_major<Matrix>()) {
      return to_host(std::make_shared<Matrix>(std::move(matrix)));
    }
  }
  HostArray array(dtype_of<typename Matrix::Scalar>, detail::eigen_shape(matrix));
  detail::copy_elements(matrix, array.bytes().data());
  return array;
}

/// A chunked array with the matrix's elements. Copies as to_host does.
template <class M>
requires requires(M&& matrix) { to_host(std::forward<M>(matrix)); }
Array from_eigen(M&& matrix, const ChunkOptions& options = {},
                 std::source_location where = std::source_location::current()) {
  return from_host(to_host(std::forward<M>(matrix)), options, where);
}

/// Encoded as HostArrays are: a future of one may be read as the other, or as a view.
template <detail::EigenDense M>
struct Codec<M> {
  static constexpr bool is_array = true;
  using T = typename M::Scalar;

  static std::size_t size(const M& matrix) {
    return detail::encoded_array_size(detail::eigen_shape(matrix).size(),
                                      static_cast<std::size_t>(matrix.size()) * sizeof(T));
  }
  static void encode(const M& matrix, Writer& writer) {
    detail::write_array_header(writer, dtype_of<T>, detail::eigen_shape(matrix), false);
    const auto bytes = static_cast<std::size_t>(matrix.size()) * sizeof(T);
    if constexpr (detail::is_row_major<M>()) {
      writer.write(matrix.data(), bytes);
    } else {
      const auto room = writer.take(bytes);
      if (detail::is_aligned_for(room.data(), dtype_of<T>)) {
        detail::copy_elements(matrix, room.data());
      } else {
        const EigenMatrix<T> rows = matrix.matrix();
        if (bytes > 0) std::memcpy(room.data(), rows.data(), bytes);
      }
    }
  }
  static M decode(Reader& reader) {
    Reader in_place(reader.rest(), detail::borrowed());
    const HostArray array = detail::decode_array(in_place);
    reader.take(reader.rest().size() - in_place.rest().size());
    auto [rows, columns] = detail::eigen_size(array.shape());
    if (M::RowsAtCompileTime == 1 && array.ndim() == 1) std::swap(rows, columns);
    check_extent(M::RowsAtCompileTime, rows);
    check_extent(M::ColsAtCompileTime, columns);
    M matrix;
    matrix.resize(rows, columns);
    matrix.matrix() = Eigen::Map<const EigenMatrix<T>>(array.data<T>(), rows, columns);
    return matrix;
  }

 private:
  static void check_extent(Eigen::Index fixed, Eigen::Index found) {
    if (fixed == Eigen::Dynamic || fixed == found) return;
    throw BadInput("expected an Eigen type with an extent of " + std::to_string(fixed) +
                   ", found an array with " + std::to_string(found));
  }
};

}  // namespace ashlar
