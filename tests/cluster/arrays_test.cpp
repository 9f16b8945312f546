#include <ashlar/eigen.hpp>

#include <gtest/gtest.h>

#include <Eigen/Dense>

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix to_matrix(HostArray array) { return as_eigen<double>(array); }

/// |found - expected| <= n eps |a||b|, the bound of a product in any order of summation.
void expect_product(const Matrix& found, const Matrix& a, const Matrix& b) {
  const Matrix expected = a * b;
  const Matrix bound = a.cwiseAbs() * b.cwiseAbs() *
                       (static_cast<double>(a.cols()) * std::numeric_limits<double>::epsilon());
  ASSERT_EQ(found.rows(), expected.rows());
  ASSERT_EQ(found.cols(), expected.cols());
  EXPECT_TRUE(((found - expected).cwiseAbs().array() <= bound.array() + 1e-300).all());
}

class Arrays : public SessionTest {};

TEST_F(Arrays, MultipliesRaggedChunksThatDoNotMatch) {
  const Matrix a = Matrix::Random(173, 211), b = Matrix::Random(211, 97);
  const auto product =
      matmul(from_eigen(a, {.chunks = {50, 40}}), from_eigen(b, {.chunks = {64, 97}}));
  RunReport report;
  expect_product(to_matrix(session().compute(product, &report)), a, b);
  EXPECT_GT(report.tasks, 0u);
  EXPECT_GT(report.makespan_seconds, 0);
  EXPECT_GE(report.makespan_over_bound, 1.0 - 1e-9);
  EXPECT_EQ(report.workers.size(), 2u);
}

TEST_F(Arrays, WhatReadsAPersistedArrayThatHasFailedSaysWhy) {
  TemporaryFolder folder;
  session().compute(save_npy(folder / "a.npy", ones({4})));
  const Array gone = load_npy(folder / "a.npy");
  std::filesystem::remove(folder / "a.npy");
  const Array kept = session().persist(gone);
  const auto failure_of = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  };
  const std::string cause = failure_of([&] { session().wait(kept); });
  EXPECT_NE(cause.find("a.npy"), std::string::npos) << cause;
  EXPECT_EQ(failure_of([&] { session().compute(kept + 1.0); }), cause);
  EXPECT_EQ(failure_of([&] { session().wait(session().persist(kept + 1.0)); }), cause);
}

TEST_F(Arrays, ManySmallChunksGiveTheProduct) {
  const Matrix a = Matrix::Random(300, 300), b = Matrix::Random(300, 300);
  const auto product =
      matmul(from_eigen(a, {.chunks = {20, 20}}), from_eigen(b, {.chunks = {20, 20}}));
  expect_product(to_matrix(session().compute(product)), a, b);
}

TEST_F(Arrays, BitsDoNotDependOnTheNumberOfWorkers) {
  const auto a = random::normal({260, 260}, {.chunks = {64, 64}, .seed = 5});
  const auto expression = sum(matmul(a, a.T()) / 3.0, {.axes = {0}});
  const HostArray two = session().compute(expression);
  auto alone = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  const HostArray one = alone.compute(expression);
  ASSERT_EQ(one.size_bytes(), two.size_bytes());
  EXPECT_EQ(0, std::memcmp(one.bytes().data(), two.bytes().data(), one.size_bytes()));
}

TEST_F(Arrays, ElementwiseBroadcastingAndReductions) {
  const Matrix a = Matrix::Random(60, 45);
  auto x = from_eigen(a, {.chunks = {16, 20}});
  const auto y = session().compute(
      sum(exp(x * 0.5) - abs(x) + 2.0 / (x + 3.0), {.axes = {1}, .keepdims = true}));
  for (int i = 0; i < 60; ++i) {
    double expected = 0;
    for (int j = 0; j < 45; ++j) {
      expected += std::exp(a(i, j) * 0.5) - std::abs(a(i, j)) + 2.0 / (a(i, j) + 3.0);
    }
    EXPECT_NEAR((y.view<double, 2>()(i, 0)), expected, 1e-12 * 45);
  }
  EXPECT_DOUBLE_EQ(session().compute(max(x)).item<double>(), a.maxCoeff());
  EXPECT_DOUBLE_EQ(session().compute(min(x)).item<double>(), a.minCoeff());
  EXPECT_NEAR(session().compute(mean(x)).item<double>(), a.mean(), 1e-14);
}

TEST_F(Arrays, SlicesTransposesAndRechunks) {
  const Matrix a = Matrix::Random(50, 70);
  auto x = from_eigen(a, {.chunks = {13, 17}});
  const Matrix part =
      to_matrix(session().compute(x.slice({{5, 45, 3}, {10, 60}}).T().rechunk({7, 7})));
  const Matrix kept = a(Eigen::seq(5, 44, 3), Eigen::seq(10, 59));
  const Matrix expected = kept.transpose();
  EXPECT_EQ(part, expected);
}

TEST_F(Arrays, SeveralAtOnceShareWork) {
  auto a = random::uniform({100, 100}, {.chunks = {50, 50}, .seed = 1});
  RunReport together, alone;
  auto both = session().compute({a + 1.0, sum(a)}, &together);
  EXPECT_NEAR(both[1].item<double>(), to_matrix(both[0]).sum() - 100.0 * 100.0, 1e-8);
  session().compute(a + 1.0, &alone);
  EXPECT_GT(together.tasks, alone.tasks);
}

TEST_F(Arrays, PersistedArraysAreComputedOnce) {
  auto a = session().persist(random::uniform({128, 128}, {.chunks = {32, 32}, .seed = 9}));
  session().wait(a);
  EXPECT_EQ(session().report().tasks, 16u);
  const auto first = session().compute(a);
  const auto direct =
      session().compute(random::uniform({128, 128}, {.chunks = {64, 64}, .seed = 9}));
  EXPECT_EQ(0, std::memcmp(first.bytes().data(), direct.bytes().data(), first.size_bytes()));
  const auto product = session().persist(matmul(a, a));
  expect_product(to_matrix(session().compute(product)), to_matrix(first), to_matrix(first));
}

TEST_F(Arrays, ComputesWithoutBlocking) {
  auto a = random::uniform({64, 64}, {.chunks = {32, 32}, .seed = 2});
  Future<HostArray> future = session().compute_async(a * 2.0);
  const HostArray expected = session().compute(a);
  const HostArray found = future.get();
  for (std::int64_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found.data<double>()[i], 2 * expected.data<double>()[i]);
  }
}

TEST_F(Arrays, NpyFilesAreReadAndWrittenByWorkers) {
  TemporaryFolder folder;
  const Matrix a = Matrix::Random(90, 40), b = Matrix::Random(40, 70);
  const auto x = from_eigen(a, {.chunks = {25, 15}});
  session().compute(save_npy(folder / "a.npy", x));
  session().compute(
      save_npy(folder / "b.npy", from_eigen(b, {.chunks = {20, 20}}), {.fortran_order = true}));
  const auto product = matmul(load_npy(folder / "a.npy", {.chunks = {30, 20}}),
                              load_npy(folder / "b.npy", {.chunks = {40, 35}}));
  session().compute(save_npy(folder / "c.npy", product));
  expect_product(to_matrix(session().compute(load_npy(folder / "c.npy"))), a, b);
}

TEST_F(Arrays, AFileThatIsReadCanBeReplaced) {
  TemporaryFolder folder;
  const Matrix a = Matrix::Random(20, 20);
  session().compute(save_npy(folder / "a.npy", from_eigen(a, {.chunks = {10, 10}})));
  std::filesystem::create_symlink("a.npy", folder / "link.npy");
  const auto x = load_npy(folder / "a.npy", {.chunks = {10, 10}});
  session().compute(save_npy(folder / "link.npy", x.T() * 2.0));
  EXPECT_EQ(to_matrix(session().compute(x)), a.transpose() * 2.0);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a.npy", "link.npy"}));
}

TEST_F(Arrays, AFileThatIsNotFinishedIsRemoved) {
  TemporaryFolder folder;
  const auto old = ones({20, 20}, {.chunks = {10, 10}});
  session().compute(save_npy(folder / "out.npy", old));
  session().compute(save_npy(folder / "in.npy", old));
  const auto x = load_npy(folder / "in.npy", {.chunks = {10, 10}});
  std::filesystem::remove(folder / "in.npy");
  EXPECT_THROW(session().compute(save_npy(folder / "out.npy", x * 2.0)), Error);
  EXPECT_THROW(session().compute_async(save_npy(folder / "out.npy", x * 3.0)).get(), Error);
  const auto kept = session().persist(save_npy(folder / "out.npy", x * 4.0));
  EXPECT_THROW(session().wait(kept), Error);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"out.npy"});
  EXPECT_EQ(session().compute(sum(load_npy(folder / "out.npy"))).item<double>(), 400);
  const std::vector<Array> both{save_npy(folder / "new.npy", old),
                                save_npy(folder / "no/such/folder.npy", old)};
  EXPECT_THROW(session().compute(both), BadInput);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"out.npy"});
}

TEST_F(Arrays, AFileOfAnEndedSessionIsRemoved) {
  TemporaryFolder folder;
  Future<HostArray> pending;
  {
    const auto others = child_processes();
    auto own = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
    for (const int pid : child_processes()) {
      if (std::count(others.begin(), others.end(), pid) == 0) ::kill(pid, SIGSTOP);
    }
    pending = own.compute_async(save_npy(folder / "out.npy", ones({20, 20})));
    ASSERT_EQ(folder.names().size(), 1u);
    EXPECT_TRUE(folder.names().front().starts_with("out.npy.partial-")) << folder.names().front();
  }
  EXPECT_THROW(pending.get(), Disconnected);
  EXPECT_TRUE(folder.names().empty());
}

TEST_F(Arrays, EndingASessionFailsNoTaskThatWrites) {
  TemporaryFolder folder;
  for (int round = 0; round < 20; ++round) {
    auto own = Session::local({.workers = 2, .threads_per_worker = 1, .progress = false});
    const auto x = ones({400, 400}, {.chunks = {400, 1}});
    const auto pending = own.compute_async(save_npy(folder / "out.npy", x));
    own.close();
    EXPECT_THROW(pending.get(), Disconnected);
    EXPECT_TRUE(folder.names().empty());
  }
}

TEST_F(Arrays, FilesAppearWithTheirWholeContent) {
  TemporaryFolder folder;
  const auto saved = session().persist(save_npy(folder / "a.npy", ones({20, 20})));
  session().wait(saved);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a.npy"});
  const auto twice = save_npy(folder / "b.npy", ones({30}, {.chunks = {10}}));
  session().compute(twice);
  session().compute(twice);
  EXPECT_EQ(session().compute(sum(load_npy(folder / "b.npy"))).item<double>(), 30);
}

TEST_F(Arrays, AFileIsWrittenWholeWhenAPartIsAskedFor) {
  TemporaryFolder folder;
  const auto x = ones({20, 20}, {.chunks = {10, 10}});
  session().compute(save_npy(folder / "a.npy", x).slice({{.start = 0, .stop = 1}}));
  EXPECT_EQ(session().compute(sum(load_npy(folder / "a.npy"))).item<double>(), 400);
  session().compute(save_npy(folder / "b.npy", x).slice({{.start = 1, .stop = 1}}));
  EXPECT_EQ(session().compute(sum(load_npy(folder / "b.npy"))).item<double>(), 400);
  const auto kept = session().persist(
      save_npy(folder / "c.npy", x + 1.0).slice({{.start = 0, .stop = 1}}));
  session().wait(kept);
  EXPECT_EQ(session().compute(sum(load_npy(folder / "c.npy"))).item<double>(), 800);
}

TEST_F(Arrays, TheReportCountsEveryByteThatMoves) {
  auto own = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  RunReport report;
  const HostArray x = own.compute(ones({100, 100}, {.chunks = {50, 100}}), &report);
  EXPECT_EQ(report.local_bytes, 80'000u) << "chunks come home";
  EXPECT_EQ(report.remote_bytes, 0u);
  own.compute(from_host(x, {.chunks = {50, 100}}) + 1.0, &report);
  EXPECT_EQ(report.local_bytes, 160'000u) << "and the driver's go to the worker";
  own.compute(sum(from_host(x, {.chunks = {10, 10}})), &report);
  EXPECT_EQ(report.local_bytes, 80'008u) << "small ones, which are sent, count as well";
  const auto kept = own.persist(from_host(x, {.chunks = {50, 100}}));
  own.wait(kept);
  EXPECT_EQ(own.report().local_bytes, 80'000u);
  own.compute(kept + 1.0, &report);
  EXPECT_EQ(report.local_bytes, 80'000u) << "what is there already does not move";
}

TEST_F(Arrays, IdleWorkersCountInTheUtilisation) {
  auto four = Session::local({.workers = 4, .threads_per_worker = 1, .progress = false});
  RunReport report;
  four.compute(random::uniform({40}, {.chunks = {20}, .seed = 1}), &report);
  EXPECT_EQ(report.tasks, 2u);
  EXPECT_EQ(report.workers.size(), 4u);
}

TEST_F(Arrays, EmptyAndScalarArrays) {
  EXPECT_EQ(session().compute(zeros({0, 5})).size(), 0);
  EXPECT_EQ(session().compute(sum(ones({10}, {.chunks = {3}}))).item<double>(), 10);
  const auto integers = session().compute(arange(0, 10, {.chunks = {4}}) * 3);
  EXPECT_EQ((integers.view<std::int64_t, 1>()(9)), 27);
}

TEST_F(Arrays, ErrorsOfKernelsNameTheLine) {
  TemporaryFolder folder;
  session().compute(save_npy(folder / "x.npy", ones({10, 10}, {.chunks = {5, 5}})));
  const auto x = load_npy(folder / "x.npy", {.chunks = {5, 5}});
  std::filesystem::remove(folder / "x.npy");
  try {
    session().compute(x + 1.0);
    FAIL() << "the file is gone";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("x.npy"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("arrays_test.cpp"), std::string::npos) << error.what();
  }
  EXPECT_EQ(session().compute(sum(ones({4}))).item<double>(), 4) << "the session lives on";
}

}  // namespace
}  // namespace ashlar::testing
