#include <ashlar/cereal.hpp>
#include <ashlar/eigen.hpp>

#include <gtest/gtest.h>

#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <map>

#include "fake_session.hpp"

namespace ashlar {
namespace {

using test::FakeSession;
using ColumnMajor = Eigen::MatrixXd;
using RowMajor = EigenMatrix<double>;

struct Particle {
  std::string name;
  std::vector<double> position;
  std::map<std::string, int> tags;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, position, tags);
  }
  friend bool operator==(const Particle&, const Particle&) = default;
};

ColumnMajor times_two(const ColumnMajor& matrix) { return 2 * matrix; }
double total(View<const double, 2> grid) { return as_eigen(grid).sum(); }
void negate(View<double, 2> grid) { as_eigen(grid) *= -1; }
Particle renamed(Particle particle, const std::string& name) {
  particle.name = name;
  return particle;
}

Tasks all_tasks() {
  Tasks tasks;
  tasks.add<times_two>("times_two").add<total>("total").add<negate>("negate");
  tasks.add<renamed>("renamed");
  return tasks;
}

template <class M>
M sample(Eigen::Index rows, Eigen::Index columns) {
  M matrix(rows, columns);
  for (Eigen::Index i = 0; i < rows; ++i) {
    for (Eigen::Index j = 0; j < columns; ++j) {
      matrix(i, j) = static_cast<typename M::Scalar>(10 * i + j);
    }
  }
  return matrix;
}

TEST(Eigen, MapsHostArraysWithoutACopy) {
  HostArray array = HostArray::zeros<double>({2, 3});
  as_eigen<double>(array)(1, 2) = 7;
  EXPECT_EQ((std::as_const(array).view<double, 2>()(1, 2)), 7.0);
  EXPECT_EQ(as_eigen<double>(std::as_const(array)).sum(), 7.0);
  HostArray vector = HostArray::zeros<float>({4});
  EXPECT_EQ(as_eigen<float>(vector).rows(), 4);
  EXPECT_EQ(as_eigen<float>(vector).cols(), 1);
  EXPECT_THROW(as_eigen<double>(vector), BadInput);
  HostArray cube = HostArray::zeros<double>({2, 2, 2});
  EXPECT_THROW(as_eigen<double>(cube), BadInput);
}

TEST(Eigen, MapsViewsWithTheirStrides) {
  HostArray array = to_host(sample<RowMajor>(4, 4));
  double* data = array.data<double>();
  const View<double, 2> corner(data + 5, {2, 3}, {4, 1});
  EXPECT_EQ(as_eigen(corner)(1, 2), 23.0);
  EXPECT_THROW(as_eigen(View<double, 2>(data, {4, 4}, {1, 4})), BadInput);
}

TEST(Eigen, BecomesAHostArray) {
  const ColumnMajor columns = sample<ColumnMajor>(2, 3);
  const HostArray copied = to_host(columns);
  EXPECT_EQ(copied.shape(), (Shape{2, 3}));
  EXPECT_EQ((copied.view<double, 2>()(1, 2)), 12.0);

  RowMajor rows = sample<RowMajor>(2, 3);
  EXPECT_NE(static_cast<const void*>(to_host(rows).bytes().data()), rows.data());
  const void* elements = rows.data();
  const HostArray taken = to_host(std::move(rows));
  EXPECT_EQ(static_cast<const void*>(taken.bytes().data()), elements);

  const auto shared = std::make_shared<RowMajor>(sample<RowMajor>(5, 1));
  EXPECT_EQ(static_cast<const void*>(to_host(shared).bytes().data()), shared->data());
  EXPECT_EQ(to_host(Eigen::VectorXf(Eigen::VectorXf::Zero(6))).shape(), (Shape{6}));
}

TEST(Eigen, MapsBlocksAndExpressionsBecomeHostArrays) {
  const ColumnMajor columns = sample<ColumnMajor>(4, 6);
  const auto at = [](const HostArray& array) { return array.view<double, 2>()(1, 2); };
  EXPECT_EQ(at(to_host(columns.block(1, 1, 2, 3))), columns(2, 3));
  EXPECT_EQ(at(to_host(columns.transpose())), columns(2, 1));
  EXPECT_EQ(at(to_host(columns + 2 * columns)), 3 * columns(1, 2));
  EXPECT_EQ(at(to_host(columns.array() * columns.array())), columns(1, 2) * columns(1, 2));
  EXPECT_EQ(to_host(columns.col(2)).shape(), (Shape{4}));
  const Eigen::Map<const RowMajor, 0, Eigen::Stride<12, 2>> strided(columns.data(), 2, 3);
  EXPECT_EQ(at(to_host(strided)), columns.data()[16]);
  HostArray host = to_host(columns);
  EXPECT_EQ(from_eigen(as_eigen<double>(host), {.chunks = {2, 3}}).shape(), (Shape{4, 6}));
}

template <class H>
constexpr bool is_mappable = requires(H&& host) { as_eigen<double>(std::forward<H>(host)); };
static_assert(is_mappable<HostArray&> && is_mappable<const HostArray&>);
static_assert(!is_mappable<HostArray>, "the matrix would outlive the elements");

TEST(Eigen, BecomesAChunkedArray) {
  const Array array = from_eigen(sample<ColumnMajor>(4, 6), {.chunks = {2, 3}});
  EXPECT_EQ(array.shape(), (Shape{4, 6}));
  EXPECT_EQ(array.chunks(), (Shape{2, 3}));
  EXPECT_EQ(array.dtype(), DType::float64);
}

template <class M>
void expect_round_trip(const M& matrix) {
  const auto bytes = encode(matrix);
  const M back = decode<M>(bytes);
  ASSERT_EQ(back.rows(), matrix.rows());
  ASSERT_EQ(back.cols(), matrix.cols());
  EXPECT_TRUE((back.array() == matrix.array()).all());
  for (std::size_t n = 0; n < bytes.size(); n += 5) {
    EXPECT_THROW(decode<M>(std::span(bytes).first(n)), BadInput);
  }
}

TEST(Eigen, EncodesEveryLayout) {
  expect_round_trip(sample<ColumnMajor>(3, 4));
  expect_round_trip(sample<RowMajor>(3, 4));
  expect_round_trip(sample<Eigen::MatrixXi>(3, 4));
  expect_round_trip(sample<Eigen::ArrayXXf>(2, 5));
  expect_round_trip(Eigen::Matrix3d(Eigen::Matrix3d::Identity()));
  expect_round_trip(Eigen::VectorXd(Eigen::VectorXd::LinSpaced(7, 0, 1)));
  expect_round_trip(Eigen::RowVectorXd(Eigen::RowVectorXd::LinSpaced(7, 0, 1)));
  expect_round_trip(ColumnMajor(0, 3));
  EXPECT_THROW(decode<Eigen::Matrix3d>(encode(sample<ColumnMajor>(3, 4))), BadInput);
  EXPECT_THROW(decode<Eigen::MatrixXf>(encode(sample<ColumnMajor>(3, 4))), BadInput);
  static_assert(!Codable<Eigen::MatrixXcd>);
}

TEST(Eigen, StandsForArraysInTasks) {
  FakeSession session{all_tasks()};
  const ColumnMajor matrix = sample<ColumnMajor>(2, 3);
  const auto twice = session.submit<times_two>(matrix);
  EXPECT_TRUE(twice.get().isApprox(2 * matrix));
  EXPECT_EQ(session.submit<total>(twice).get(), 2 * matrix.sum());
  EXPECT_EQ(session.submit<total>(matrix).get(), matrix.sum());
  const Future<HostArray> negated = session.submit<negate>(twice);
  EXPECT_TRUE(session.submit<times_two>(negated).get().isApprox(-4 * matrix));
}

TEST(Cereal, CarriesTypesWithSerializeFunctions) {
  FakeSession session{all_tasks()};
  const Particle particle{"a", {1, 2, 3}, {{"charge", -1}}};
  EXPECT_EQ(decode<Particle>(encode(particle)), particle);
  const auto moved = session.submit<renamed>(particle, "b").get();
  EXPECT_EQ(moved, (Particle{"b", {1, 2, 3}, {{"charge", -1}}}));
  const std::vector<Particle> both{particle, moved};
  EXPECT_EQ(decode<std::vector<Particle>>(encode(both)), both);
}

TEST(Cereal, RefusesPartsAndLeftovers) {
  const auto bytes = encode(Particle{"a", {1, 2, 3}, {{"charge", -1}}});
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_THROW(decode<Particle>(std::span(bytes).first(n)), BadInput);
  }
  auto inner = bytes;
  inner[8 + 8 + 1] = std::byte{4};  // four positions claimed, three there
  EXPECT_THROW(decode<Particle>(inner), BadInput);
  inner[8 + 8 + 1 + 7] = std::byte{0x7f};  // 2^62 and more positions
  EXPECT_THROW(decode<Particle>(inner), BadInput);
  auto fewer = bytes;
  fewer[8 + 8 + 1] = std::byte{0};
  EXPECT_THROW(decode<Particle>(fewer), BadInput);
}

}  // namespace
}  // namespace ashlar
