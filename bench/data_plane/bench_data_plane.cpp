// Times how data come to the driver and go between workers of one host, on real processes; medians
// over repetitions, with the range. The jobs: `merge`, into memory of the program's beside a memcpy
// into the same memory by one thread as well; `get`, of chunks of any size; `rechunk`, from rows to
// columns between two workers; `put`, and get, of one large array. The peers of the last two are
// dask_data_plane.py and ray_data_plane.py.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../statistics.hpp"

namespace {

namespace bench = ashlar::bench;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string job = "get";
  std::int64_t n = 16384;
  int repeats = 5;
};

double seconds_of(const auto& f) {
  const auto begin = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

ashlar::Session two_workers() {
  return ashlar::Session::local({.workers = 2, .threads_per_worker = 1, .progress = false});
}

/// The memory is touched before either writes there, and so is what is read, after a first merge.
void run_merge(const Options& o, const ashlar::Shape& chunks) {
  auto session = two_workers();
  const auto kept = session.persist(ashlar::random::uniform({o.n, o.n}, {.chunks = chunks}));
  session.wait(kept);
  ashlar::HostArray out = ashlar::HostArray::zeros<double>({o.n, o.n});
  const ashlar::HostArray source = session.compute(kept);
  std::vector<double> merge, copy, ratio;
  const double first = seconds_of([&] { session.compute_into(kept, out); });
  for (int i = 0; i < o.repeats; ++i) {
    copy.push_back(seconds_of(
        [&] { std::memcpy(out.bytes().data(), source.bytes().data(), out.size_bytes()); }));
    merge.push_back(seconds_of([&] { session.compute_into(kept, out); }));
    ratio.push_back(merge.back() / copy.back());
  }
  if (std::memcmp(out.bytes().data(), source.bytes().data(), out.size_bytes()) != 0) {
    throw std::runtime_error("the merged array is wrong");
  }
  const std::string what = "of " + std::to_string(out.size_bytes() >> 20) + " MiB in chunks " +
                           ashlar::to_string(chunks);
  bench::print(("merge " + what).c_str(), merge, "s");
  bench::print("  memcpy into the same memory", copy, "s");
  bench::print("  merge / memcpy", ratio, "");
  bench::print("  the first merge", {first}, "s");
}

ashlar::HostArray block(std::int64_t bytes) {
  ashlar::HostArray array(ashlar::DType::float64, {bytes / 8});
  std::memset(array.bytes().data(), 1, array.size_bytes());
  return array;
}

/// get() of what has come, and what a chunk of a stream takes, messages and all.
void run_get(const Options& o, std::int64_t bytes) {
  constexpr int chunks = 8;
  auto session = two_workers();
  const std::string size = " of " + std::to_string(bytes >> 10) + " KiB";
  std::vector<double> get, touch, step;
  const auto kept =
      session.persist(ashlar::random::uniform({chunks * bytes / 8}, {.chunks = {bytes / 8}}));
  session.wait(kept);
  for (int i = -1; i < 20 * o.repeats; ++i) {
    const auto future = session.submit<block>(bytes);
    future.wait();
    std::optional<const ashlar::HostArray> array;
    get.push_back(1e6 * seconds_of([&] { array.emplace(future.get()); }));
    double first_element = 0;
    touch.push_back(1e6 * seconds_of([&] { first_element = array->data<double>()[0]; }));
    if (first_element == 0) throw std::runtime_error("the chunk is wrong");
    auto stream = session.stream(kept, {.bytes_max = static_cast<std::uint64_t>(bytes)});
    stream.next();
    step.push_back(1e6 / (chunks - 1) * seconds_of([&] {
                     for (int k = 1; k < chunks; ++k) stream.next();
                   }));
    if (i < 0) {  // maps the arenas
      get.clear();
      touch.clear();
      step.clear();
    }
  }
  bench::print(("get a chunk that is made" + size).c_str(), get, "us");
  bench::print("  its first element, perhaps with a page fault", touch, "us");
  bench::print(("  next chunk of a stream" + size).c_str(), step, "us");
}

/// That chunks of whole columns hold what the array does.
void check_columns(ashlar::Session& session, const ashlar::Array& columns,
                   const ashlar::HostArray& expected) {
  const auto all = expected.view<double, 2>();
  for (const auto& chunk : session.stream(columns)) {
    const auto found = chunk.view<double, 2>();
    const std::int64_t rows = chunk.shape()[0], width = chunk.shape()[1];
    for (std::int64_t i = 0; i < rows; ++i) {
      const double* row = &all(chunk.offset()[0] + i, chunk.offset()[1]);
      if (!std::equal(row, row + width, &found(i, 0))) {
        throw std::runtime_error("row " + std::to_string(i) + " of the columns is wrong");
      }
    }
  }
}

void run_rechunk(const Options& o) {
  auto session = two_workers();
  const std::int64_t side = o.n / 16;
  const auto rows = session.persist(ashlar::random::uniform({o.n, o.n}, {.chunks = {side, o.n}}));
  session.wait(rows);
  std::vector<double> seconds;
  for (int i = -1; i < o.repeats; ++i) {
    std::optional<ashlar::Array> columns;
    const double time = seconds_of([&] {
      columns.emplace(session.persist(rows.rechunk({o.n, side})));
      session.wait(*columns);
    });
    if (i >= 0) seconds.push_back(time);
    if (i == o.repeats - 1) check_columns(session, *columns, session.compute(rows));
  }
  bench::print(("rechunk " + std::to_string(o.n) + "^2, rows to columns").c_str(), seconds, "s");
}

void run_put(const Options& o) {
  auto session = two_workers();
  const ashlar::HostArray values = block(std::int64_t{1} << 30);
  std::vector<double> seconds;
  for (int i = -1; i < o.repeats; ++i) {
    double last = 0;
    const double time = seconds_of([&] {
      const ashlar::HostArray back = session.put(values).get();
      last = back.data<double>()[back.size() - 1];
    });
    if (last != values.data<double>()[0]) throw std::runtime_error("what came back is wrong");
    if (i >= 0) seconds.push_back(time);
  }
  bench::print("put and get 1 GiB", seconds, "s");
}

void run(const Options& o) {
  if (o.job == "merge") {
    run_merge(o, {o.n / 256, o.n});
    run_merge(o, {o.n / 16, o.n / 16});
  } else if (o.job == "get") {
    for (const std::int64_t bytes : {1 << 10, 1 << 20, 64 << 20}) run_get(o, bytes);
  } else if (o.job == "rechunk") {
    run_rechunk(o);
  } else {
    run_put(o);
  }
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<block>("block");
  ashlar::init(argc, argv, tasks);
  Options o;
  CLI::App app("How data come to the driver, and go between workers of one host");
  app.add_option("--job", o.job)->check(CLI::IsMember({"merge", "get", "rechunk", "put"}));
  app.add_option("--n", o.n, "rows and columns of matrices");
  app.add_option("--repeats", o.repeats);
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
