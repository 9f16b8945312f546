#include <ashlar/eigen.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"
#include "memory_watch.hpp"

namespace ashlar::testing {
namespace {

/// Element (i, j) is 1000 i + j.
Array numbered(std::int64_t rows, std::int64_t columns, Shape chunks) {
  HostArray values(DType::float64, {rows, columns});
  auto view = values.view<double, 2>();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j)
      view(i, j) = 1000.0 * static_cast<double>(i) + static_cast<double>(j);
  }
  return from_host(values, {.chunks = std::move(chunks)});
}

double number(std::int64_t i, std::int64_t j) {
  return 1000.0 * static_cast<double>(i) + static_cast<double>(j);
}

std::string error_of(auto call) {
  try {
    call();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing";
}

class Egress : public SessionTest {};

TEST_F(Egress, ComputesIntoMemoryOfTheProgram) {
  HostArray out(DType::float64, {50, 70});
  RunReport report;
  session().compute_into(numbered(50, 70, {16, 32}) + 1.0, out, &report);
  EXPECT_GT(report.tasks, 0u);
  for (std::int64_t i = 0; i < 50; ++i) {
    for (std::int64_t j = 0; j < 70; ++j)
      ASSERT_EQ((out.view<double, 2>()(i, j)), number(i, j) + 1);
  }
}

TEST_F(Egress, ComputesIntoPartOfALargerArray) {
  HostArray whole = HostArray::zeros<double>({100, 100});
  const View<double, 2> part(whole.data<double>() + 10 * 100 + 20, {50, 70}, {100, 1});
  session().compute_into(numbered(50, 70, {16, 32}), part);
  for (std::int64_t i = 0; i < 100; ++i) {
    for (std::int64_t j = 0; j < 100; ++j) {
      const bool is_part = i >= 10 && i < 60 && j >= 20 && j < 90;
      ASSERT_EQ((whole.view<double, 2>()(i, j)), is_part ? number(i - 10, j - 20) : 0.0);
    }
  }
}

TEST_F(Egress, ComputesIntoMatricesOfAnyLayout) {
  Eigen::MatrixXd columns(50, 70);  // column-major
  session().compute_into(numbered(50, 70, {16, 32}), as_view(columns));
  EigenMatrix<double> rows(50, 70);
  session().compute_into(numbered(50, 70, {16, 32}), as_view(rows));
  Eigen::MatrixXd larger = Eigen::MatrixXd::Zero(80, 80);
  session().compute_into(numbered(50, 70, {16, 32}), as_view(larger.block(5, 6, 50, 70)));
  Eigen::MatrixXd every_second(100, 210);
  session().compute_into(numbered(50, 70, {16, 32}),
                         View<double, 2>(every_second.data(), {50, 70}, {2, 300}));
  for (std::int64_t i = 0; i < 50; ++i) {
    for (std::int64_t j = 0; j < 70; ++j) {
      ASSERT_EQ(columns(i, j), number(i, j));
      ASSERT_EQ(rows(i, j), number(i, j));
      ASSERT_EQ(larger(5 + i, 6 + j), number(i, j));
      ASSERT_EQ(every_second(2 * i, 3 * j), number(i, j));
    }
  }
  EXPECT_EQ(larger(4, 6), 0);
  EXPECT_EQ(larger(55, 6), 0);
  Eigen::VectorXf vector(7);
  session().compute_into(ones({7}, {.chunks = {3}}).astype(DType::float32), as_view(vector));
  EXPECT_EQ(vector, Eigen::VectorXf::Ones(7));
}

TEST_F(Egress, StridesMayBeNegativeAndDimensionsMany) {
  HostArray out(DType::int32, {3, 4, 5});
  int* last = out.data<int>() + 59;
  session().compute_into(arange(0, 60, {.chunks = {7}}).astype(DType::int32),
                         View<int, 1>(last, {60}, {-1}));
  for (int i = 0; i < 60; ++i) ASSERT_EQ(out.data<int>()[i], 59 - i);
  HostArray values(DType::int64, {3, 4, 5});
  std::iota(values.data<std::int64_t>(), values.data<std::int64_t>() + 60, 0);
  const auto cube = from_host(values, {.chunks = {2, 3, 2}});
  std::vector<std::int64_t> there(60);
  session().compute_into(cube, View<std::int64_t, 3>(there.data(), {3, 4, 5}, {4, 1, 12}));
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < 4; ++j) {
      for (std::int64_t k = 0; k < 5; ++k) {
        ASSERT_EQ(there[static_cast<std::size_t>(4 * i + j + 12 * k)], 20 * i + 5 * j + k);
      }
    }
  }
}

TEST_F(Egress, ScalarsAndSingleElementsHaveAPlaceToo) {
  double scalar = 0;
  const Array total = sum(ones({60}, {.chunks = {7}}));
  session().compute_into(total, View<double, 0>(&scalar, {}));
  EXPECT_EQ(scalar, 60);
  HostArray same(DType::float64, {});
  session().compute_into(total, same);
  session().compute_into(from_host(same) + 1.0, same);
  EXPECT_EQ(same.item<double>(), 61);
  std::vector<double> row(10);
  session().compute_into(ones({1, 5}), View<double, 2>(row.data(), {1, 5}, {0, 2}));
  EXPECT_EQ(row, (std::vector<double>{1, 0, 1, 0, 1, 0, 1, 0, 1, 0}));
}

TEST_F(Egress, TheMemoryMayOverlapWhatTheArrayReads) {
  const auto memory = std::make_shared<std::vector<double>>(100);
  std::iota(memory->begin(), memory->end(), 0.0);
  const HostArray first_half(
      DType::float64, {50},
      {memory, reinterpret_cast<std::byte*>(memory->data())});  // the vector owns it
  const Array array = from_host(first_half, {.chunks = {7}});
  session().compute_into(array, View<double, 1>(memory->data() + 10, {50}));
  for (std::size_t i = 0; i < 50; ++i) ASSERT_EQ((*memory)[10 + i], static_cast<double>(i));
}

TEST_F(Egress, TheMemoryMayBeAChunkOfAStream) {
  const auto kept = session().persist(ones({600'000}, {.chunks = {600'000}}));
  auto stream = session().stream(kept);
  HostArray elements = stream.next()->elements();  // read-only, in a worker's memory
  session().compute_into(zeros({600'000}), elements);
  EXPECT_EQ(std::as_const(elements).data<double>()[599'999], 0);
  EXPECT_EQ(session().compute(kept).data<double>()[599'999], 1);
}

TEST_F(Egress, TheMemoryMayBeWhatTheArrayReads) {
  HostArray values(DType::float64, {64, 64});
  for (std::int64_t i = 0; i < values.size(); ++i)
    values.data<double>()[i] = static_cast<double>(i);
  const Array turned = permute_dims(from_host(values, {.chunks = {8, 8}}), {1, 0});
  session().compute_into(turned, values);
  for (std::int64_t i = 0; i < 64; ++i) {
    for (std::int64_t j = 0; j < 64; ++j) {
      ASSERT_EQ((values.view<double, 2>()(i, j)), static_cast<double>(64 * j + i));
    }
  }
  EXPECT_NE(
      error_of([&] { session().compute_into_async(turned, values); }).find("reads the memory"),
      std::string::npos);
}

TEST_F(Egress, ComputesIntoMemoryWithoutBlocking) {
  HostArray out(DType::float64, {50, 70});
  const auto kept = session().persist(numbered(50, 70, {16, 32}));
  const Future<void> done = session().compute_into_async(kept, out);
  done.get();
  EXPECT_EQ((out.view<double, 2>()(49, 69)), number(49, 69));
  EXPECT_EQ(done.report().tasks, 0u) << "what is there is only copied";
}

TEST_F(Egress, LargeResultsAreCopiedToTheLastByte) {
  const std::int64_t n = 3001;  // past the cache: 72 MB, in runs that no cache line begins
  const auto x = random::uniform({n, n}, {.chunks = {1000, 777}, .seed = 11});
  HostArray around = HostArray::zeros<double>({n + 2, n + 2});
  double* first = around.data<double>() + n + 2 + 1;
  session().compute_into(x, View<double, 2>(first, {n, n}, {n + 2, 1}));
  const auto view = around.view<double, 2>();
  for (std::int64_t i = 0; i < n + 2; ++i) {
    ASSERT_EQ(view(i, 0), 0);
    ASSERT_EQ(view(i, n + 1), 0);
  }
  const Future<HostArray> put = session().put(around);
  const HostArray back = put.get();
  EXPECT_TRUE(std::ranges::equal(back.bytes(), std::as_const(around).bytes()));
  for (const auto& chunk : session().stream(x)) {
    const auto part = chunk.view<double, 2>();
    const std::int64_t row = chunk.offset()[0] + 1, column = chunk.offset()[1] + 1;
    for (std::int64_t i = 0; i < part.extent(0); ++i) {
      for (std::int64_t j = 0; j < part.extent(1); ++j) {
        ASSERT_EQ(view(row + i, column + j), part(i, j));
      }
    }
  }
}

TEST_F(Egress, MemoryThatDoesNotFitIsNamed) {
  const Array x = ones({3, 4}, {.chunks = {3, 4}});
  HostArray turned(DType::float64, {4, 3}), narrow(DType::float32, {3, 4});
  EXPECT_EQ(error_of([&] { session().compute_into(x, turned); }),
            "compute_into: the array is float64 of shape (3, 4), and the memory for it float64 of "
            "shape (4, 3): they must agree");
  EXPECT_NE(error_of([&] { session().compute_into(x, narrow); }).find("float32 of shape (3, 4)"),
            std::string::npos);
  std::vector<double> memory(100);
  for (const auto& strides : {View<double, 2>::Extents{1, 1}, View<double, 2>::Extents{3, 1},
                              View<double, 2>::Extents{4, 0}, View<double, 2>::Extents{-2, 1}}) {
    const View<double, 2> view(memory.data() + 50, {3, 4}, strides);
    EXPECT_NE(error_of([&] { session().compute_into(x, view); }).find("overwrite each other"),
              std::string::npos);
    EXPECT_NE(error_of([&] { session().compute_into_async(x, view); }).find("strides ("),
              std::string::npos);
  }
  EXPECT_NE(error_of([&] {
              session().compute_into(x, View<double, 2>(nullptr, {3, 4}));
            }).find("there is no memory"),
            std::string::npos);
  session().compute_into(zeros({0, 4}), View<double, 2>(nullptr, {0, 4}));
}

TEST_F(Egress, PersistedChunksComeWithoutATask) {
  const auto kept = session().persist(numbered(50, 70, {16, 32}));
  RunReport report;
  const HostArray found = session().compute(kept, &report);
  EXPECT_EQ(report.tasks, 0u);
  EXPECT_EQ((found.view<double, 2>()(33, 44)), number(33, 44));
  const auto both = session().compute(std::vector<Array>{kept, kept + 1.0, kept});
  EXPECT_EQ((both[0].view<double, 2>()(33, 44)), number(33, 44));
  EXPECT_EQ((both[1].view<double, 2>()(33, 44)), number(33, 44) + 1);
  EXPECT_EQ((both[2].view<double, 2>()(49, 69)), number(49, 69));
}

TEST_F(Egress, StreamsChunksInOrder) {
  std::vector<Shape> offsets, shapes;
  for (const auto& chunk : session().stream(numbered(50, 70, {32, 40}))) {
    offsets.push_back(chunk.offset());
    shapes.push_back(chunk.shape());
    EXPECT_EQ(chunk.dtype(), DType::float64);
    const auto view = chunk.view<double, 2>();
    for (std::int64_t i = 0; i < view.extent(0); ++i) {
      for (std::int64_t j = 0; j < view.extent(1); ++j) {
        ASSERT_EQ(view(i, j), number(chunk.offset()[0] + i, chunk.offset()[1] + j));
      }
    }
  }
  EXPECT_EQ(offsets, (std::vector<Shape>{{0, 0}, {0, 40}, {32, 0}, {32, 40}}));
  EXPECT_EQ(shapes, (std::vector<Shape>{{32, 40}, {32, 30}, {18, 40}, {18, 30}}));
  EXPECT_GT(session().report().tasks, 0u) << "the report of the stream is kept";
}

TEST_F(Egress, StreamsChunksAsTheyAreMade) {
  std::set<Shape> offsets;
  double sum = 0;
  for (const auto& chunk :
       session().stream(numbered(50, 70, {7, 9}), {.bytes_max = 1, .in_order = false})) {
    EXPECT_TRUE(offsets.insert(chunk.offset()).second);
    const auto all = chunk.view<double, 2>().span();
    sum = std::accumulate(all.begin(), all.end(), sum);
  }
  EXPECT_EQ(offsets.size(), 64u);
  EXPECT_EQ(sum, 50.0 * 70 * (1000 * 24.5 + 34.5));
}

TEST_F(Egress, SeveralStreamsGoOnAtOnce) {
  const auto kept = session().persist(numbered(64, 64, {8, 8}));
  auto one = session().stream(kept, {.bytes_max = 1});
  auto two = session().stream(kept, {.bytes_max = 2048});
  auto three = session().stream(kept + 1.0);
  auto a = one.begin(), b = two.begin(), c = three.begin();
  int chunks = 0;
  for (; a != Stream::end(); ++a, ++b, ++c, ++chunks) {
    ASSERT_EQ(a->offset(), b->offset());
    ASSERT_EQ((a->view<double, 2>()(3, 4)), (b->view<double, 2>()(3, 4)));
    ASSERT_EQ((a->view<double, 2>()(3, 4)) + 1, (c->view<double, 2>()(3, 4)));
  }
  EXPECT_EQ(chunks, 64);
  EXPECT_TRUE(b == Stream::end() && c == Stream::end());
  EXPECT_EQ(one.next(), nullptr);
  EXPECT_EQ(session().compute(sum(kept)).item<double>(), 64.0 * 64 * (1000 * 31.5 + 31.5))
      << "what was persisted is there as before";
}

TEST_F(Egress, AStreamKeepsWhatItReads) {
  std::optional<Array> kept = session().persist(ones({4096, 64}, {.chunks = {64, 64}}));
  auto stream = session().stream(*kept, {.bytes_max = 1});
  kept.reset();
  int chunks = 0;
  for (; const Chunk* chunk = stream.next(); ++chunks) {
    ASSERT_EQ((chunk->view<double, 2>()(63, 63)), 1.0);
  }
  EXPECT_EQ(chunks, 64);
}

TEST_F(Egress, AStreamMayBeReplacedHalfWay) {
  auto stream = session().stream(ones({64}, {.chunks = {8}}));
  ASSERT_NE(stream.next(), nullptr);
  stream = session().stream(zeros({16}, {.chunks = {8}}));
  int chunks = 0;
  for (const auto& chunk : stream) {
    EXPECT_EQ((chunk.view<double, 1>()(7)), 0.0);
    ++chunks;
  }
  EXPECT_EQ(chunks, 2);
}

TEST_F(Egress, AStreamOfEqualOrNoChunks) {
  int chunks = 0;
  for (const auto& chunk : session().stream(ones({60}, {.chunks = {10}}), {.bytes_max = 1})) {
    EXPECT_EQ((chunk.view<double, 1>()(9)), 1.0);
    ++chunks;
  }
  EXPECT_EQ(chunks, 6);
  for (const auto& chunk : session().stream(zeros({0, 4}))) FAIL() << chunk.size();
  auto scalar = session().stream(sum(ones({60})));
  EXPECT_EQ(scalar.next()->elements().item<double>(), 60.0);
  EXPECT_EQ(scalar.next(), nullptr);
}

TEST_F(Egress, ACopyOfAChunkStays) {
  std::vector<HostArray> kept;
  for (const auto& chunk : session().stream(numbered(64, 64, {8, 8}), {.bytes_max = 1})) {
    kept.push_back(chunk.elements());
  }
  EXPECT_EQ((kept[9].view<const double, 2>()(0, 0)), number(8, 8));
}

TEST_F(Egress, AFailureIsThrownOutOfTheLoop) {
  TemporaryFolder folder;
  session().compute(save_npy(folder / "a.npy", ones({64, 64}, {.chunks = {8, 64}})));
  const Array there = load_npy(folder / "a.npy", {.chunks = {8, 64}});
  std::filesystem::resize_file(folder / "a.npy", 64 * 64 * 8 / 2);
  int chunks = 0;
  try {
    for (auto& chunk : session().stream(there + 1.0)) chunks += chunk.size() > 0 ? 1 : 0;
    FAIL() << "half of the file is missing";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a.npy"), std::string::npos) << error.what();
  }
  EXPECT_LT(chunks, 8);
  EXPECT_EQ(session().compute(sum(ones({8}))).item<double>(), 8.0) << "the session lives on";
}

TEST_F(Egress, LeavingTheLoopCancelsTheRest) {
  for (int round = 0; round < 20; ++round) {
    for (auto& chunk : session().stream(random::uniform({512, 512}, {.chunks = {32, 32}}))) {
      if (chunk.offset()[0] >= 32 * (round % 4)) break;
    }
    { const auto never_begun = session().stream(ones({64}, {.chunks = {8}})); }
  }
  EXPECT_EQ(session().compute(sum(ones({8}))).item<double>(), 8.0);
}

LocalOptions small_workers(std::uint64_t memory) {
  return {.workers = 2, .threads_per_worker = 1, .memory_per_worker = memory, .progress = false};
}

/// The sum of a chunk's elements.
double sum_of(const Chunk& chunk) {
  const auto all = chunk.view<double, 2>().span();
  return std::accumulate(all.begin(), all.end(), 0.0);
}

TEST(EgressMemory, AResultLargerThanAnybodysMemoryStreamsThrough) {
  constexpr std::uint64_t limit = 160 * mebibyte, window = 16 * mebibyte;
  auto session = Session::local(small_workers(limit));
  const auto x = random::uniform({8192, 8192}, {.chunks = {1024, 256}, .seed = 7});  // 512 MiB
  const double expected = session.compute(sum(x)).item<double>();
  MemoryWatch workers;
  const std::uint64_t before = memory_of(::getpid());
  MemoryWatch driver({::getpid()});
  double found = 0;
  int chunks = 0;
  for (const auto& chunk : session.stream(x, {.bytes_max = window})) {
    found += sum_of(chunk);
    ++chunks;
  }
  EXPECT_EQ(chunks, 256);
  EXPECT_NEAR(found, expected, 1e-9 * expected);
#ifndef ASHLAR_SANITIZED  // which takes memory of its own
  EXPECT_LE(driver.peak(), before + window + 16 * mebibyte);
  EXPECT_LE(workers.peak(), limit);
#endif
}

TEST(EgressMemory, ChunksThatWaitGoToDisk) {
  // A half for each worker, 64 MiB, is more than it keeps in memory.
  auto session = Session::local(small_workers(64 * mebibyte));
  auto stream = session.stream(random::uniform({4096, 4096}, {.chunks = {512, 512}, .seed = 8}),
                               {.bytes_max = 1});
  ASSERT_NE(stream.next(), nullptr);
  // Until the last chunk is made, only two were pulled.
  session.compute(sum(ones({8})));
  int chunks = 1;
  while (stream.next() != nullptr) ++chunks;
  EXPECT_EQ(chunks, 64);
  EXPECT_GT(session.report().spilled_bytes, 0u);
}

TEST(EgressMemory, WithoutADiskChunksWaitInMemoryHoweverLongTheProgramTakes) {
  LocalOptions options = small_workers(96 * mebibyte);
  options.spill_per_worker = 0;
  auto session = Session::local(options);
  auto stream = session.stream(random::uniform({8192, 4096}, {.chunks = {512, 512}, .seed = 8}),
                               {.bytes_max = 1});
  int chunks = 0;
  while (stream.next() != nullptr) {
    // Longer than what is stuck may be stuck otherwise.
    if (++chunks == 2) std::this_thread::sleep_for(std::chrono::seconds(8));
  }
  EXPECT_EQ(chunks, 128);
}

TEST(EgressMemory, NothingOfAStreamThatWasLeftStays) {
  auto session = Session::local(small_workers(128 * mebibyte));
  const auto x = random::uniform({2048, 4096}, {.chunks = {512, 512}});  // 64 MiB
  const auto kept = session.persist(x);
  HostArray out(DType::float64, {2048, 4096});
  const std::uint64_t before = memory_of(::getpid());
  MemoryWatch driver({::getpid()});
  for (int round = 0; round < 4; ++round) {
    for (auto& chunk : session.stream(x)) {
      if (chunk.offset()[0] > 512) break;
    }
    for (auto& chunk : session.stream(kept)) {
      if (chunk.offset()[0] > 512) break;
    }
    static_cast<void>(session.compute_into_async(kept, out));  // nobody waits for it
    // Makes the workers spill what is kept. What was read here, they would ask back first.
    session.wait(session.persist(random::uniform({8192, 4096}, {.chunks = {512, 512}})));
  }
#ifndef ASHLAR_SANITIZED
  EXPECT_LE(driver.peak(), before + 64 * mebibyte + 16 * mebibyte) << "more than `out`";
#endif
}

TEST(EgressFaults, AWorkerThatDiesInTheMiddleIsMissedByNobody) {
  auto session = Session::local(small_workers(256 * mebibyte));
  const auto x = random::uniform({2048, 2048}, {.chunks = {128, 128}, .seed = 9});
  const HostArray expected = session.compute(x);
  const auto kept = session.persist(x);
  session.wait(kept);
  for (const auto& array : {x + 0.0, kept}) {
    int chunks = 0;
    for (const auto& chunk : session.stream(array, {.bytes_max = 1 * mebibyte})) {
      if (++chunks == 10) ::kill(child_processes().front(), SIGKILL);
      const auto view = chunk.view<double, 2>();
      for (std::int64_t i = 0; i < 128; ++i) {
        for (std::int64_t j = 0; j < 128; ++j) {
          ASSERT_EQ(view(i, j),
                    (expected.view<double, 2>()(chunk.offset()[0] + i, chunk.offset()[1] + j)));
        }
      }
    }
    EXPECT_EQ(chunks, 256);
  }
}

TEST(EgressFaults, AClosedSessionEndsTheLoop) {
  auto session = Session::local(small_workers(128 * mebibyte));
  auto stream = session.stream(ones({64, 64}, {.chunks = {8, 8}}), {.bytes_max = 1});
  ASSERT_NE(stream.next(), nullptr);
  session.close();
  EXPECT_THROW(while (stream.next() != nullptr){}, Disconnected);
}

TEST_F(Egress, AStreamOfAnotherSessionsArrayIsRefused) {
  auto other = two_workers();
  const auto kept = other.persist(ones({8}));
  EXPECT_THROW(session().stream(kept), BadInput);
  EXPECT_THROW(session().compute(kept), BadInput);
}

}  // namespace
}  // namespace ashlar::testing
