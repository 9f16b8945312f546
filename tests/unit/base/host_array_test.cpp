#include <gtest/gtest.h>
#include <ashlar/host_array.hpp>

#include <cstdint>

namespace ashlar {
namespace {

TEST(HostArray, MemoryIsAlignedAndSized) {
  for (std::int64_t n : {0, 1, 7, 8, 1000}) {
    HostArray array(DType::float64, {n, 3});
    EXPECT_EQ(array.size(), n * 3);
    EXPECT_EQ(array.size_bytes(), static_cast<std::size_t>(n) * 24);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data<double>()) % 64, 0u);
  }
}

TEST(HostArray, TheDefaultOneIsEmpty) {
  HostArray array;
  EXPECT_EQ(array.size(), 0);
  EXPECT_TRUE(array.bytes().empty());
  EXPECT_TRUE(array.clone().bytes().empty());
}

TEST(HostArray, CopiesShareAndClonesDoNot) {
  auto array = HostArray::zeros<int>({2, 2});
  HostArray copy = array;
  HostArray clone = array.clone();
  array.view<int, 2>()(1, 1) = 5;
  EXPECT_EQ((copy.view<const int, 2>()(1, 1)), 5);
  EXPECT_EQ((clone.view<const int, 2>()(1, 1)), 0);
}

TEST(HostArray, ForeignMemoryIsHeldByItsOwner) {
  auto owner = std::shared_ptr<std::byte>(new std::byte[16], std::default_delete<std::byte[]>());
  std::weak_ptr<std::byte> watch = owner;
  {
    HostArray array(DType::float64, {2}, std::move(owner));
    EXPECT_FALSE(watch.expired());
    array.data<double>()[1] = 2.5;
  }
  EXPECT_TRUE(watch.expired());
}

TEST(HostArray, ScalarsAndItems) {
  auto scalar = HostArray::zeros<double>({});
  EXPECT_EQ(scalar.size(), 1);
  EXPECT_EQ(scalar.item<double>(), 0.0);
  EXPECT_EQ(HostArray::zeros<bool>({1, 1}).item<bool>(), false);
  EXPECT_THROW(HostArray::zeros<double>({2}).item<double>(), BadInput);
}

TEST(HostArray, WrongTypesAndDimensionsAreNamed) {
  const auto array = HostArray::zeros<double>({2, 3});
  try {
    array.data<float>();
    FAIL() << "expected BadInput";
  } catch (const BadInput& error) {
    EXPECT_STREQ(error.what(), "array (2, 3): asked for as float32, but its elements are float64");
  }
  EXPECT_THROW((array.view<const double, 1>()), BadInput);
  EXPECT_THROW(HostArray(DType::float64, {-1}), BadInput);
}

TEST(HostArray, MoreThanTheMachineHasIsOverloaded) {
  EXPECT_THROW(HostArray(DType::uint8, {std::int64_t{1} << 61}), Overloaded);
}

TEST(Error, KindsChooseTheirClass) {
  EXPECT_THROW(throw_error(ErrorKind::bad_input, ""), BadInput);
  EXPECT_THROW(throw_error(ErrorKind::task_failed, ""), TaskFailed);
  EXPECT_THROW(throw_error(ErrorKind::disconnected, ""), Disconnected);
  EXPECT_THROW(throw_error(ErrorKind::overloaded, ""), Overloaded);
  EXPECT_THROW(throw_error(ErrorKind::unsupported, ""), Unsupported);
  EXPECT_THROW(throw_error(ErrorKind::cancelled, ""), Cancelled);
}

}  // namespace
}  // namespace ashlar
