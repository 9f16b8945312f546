// What the C++ peers share: options, matrix values that every process can compute, the timing
// line that ./run reads.
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" void dgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n,
                       const int* k, const double* alpha, const double* a, const int* lda,
                       const double* b, const int* ldb, const double* beta, double* c,
                       const int* ldc);

namespace peer {

struct Options {
  std::string job = "large";
  int n = 8192;
  int chunk = 1024;
  int repeats = 1;
  int warmups = 1;
  int workers = 2;
  int grid_rows = 1;

  bool is_small() const { return job == "small"; }
  int tiles() const { return (n + chunk - 1) / chunk; }
  /// Extent of tile row or column `index`: the last one may be smaller.
  int extent(int index) const { return std::min(chunk, n - index * chunk); }
};

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "peer: %s\n", what.c_str());
  std::exit(1);
}

inline Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 == argc) fail(key + " needs a value");
    const std::string value = argv[i + 1];
    if (key == "--job")
      options.job = value;
    else if (key == "--n")
      options.n = std::stoi(value);
    else if (key == "--chunk")
      options.chunk = std::stoi(value);
    else if (key == "--repeats")
      options.repeats = std::stoi(value);
    else if (key == "--warmups")
      options.warmups = std::stoi(value);
    else if (key == "--workers")
      options.workers = std::stoi(value);
    else if (key == "--grid-rows")
      options.grid_rows = std::stoi(value);
    else
      fail("unknown option " + key);
  }
  if (options.n < 1 || options.chunk < 1 || options.repeats < 1 || options.workers < 1) {
    fail("sizes, repeats and workers are at least 1");
  }
  options.chunk = std::min(options.chunk, options.n);
  return options;
}

/// Element (i, j) of matrix 0 (left) or 1 (right): uniform in [-0.5, 0.5), a hash of its position.
inline double element(int matrix, int i, int j) {
  std::uint64_t x = (std::uint64_t(matrix + 1) << 62) ^ (std::uint64_t(i) << 31) ^ std::uint64_t(j);
  x *= 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return double((x ^ (x >> 31)) >> 11) * 0x1p-53 - 0.5;
}

/// Ends the program unless `value` is element (i, j) of the product.
inline void check_element(int n, int i, int j, double value) {
  double expected = 0;
  for (int k = 0; k < n; ++k) expected += element(0, i, k) * element(1, k, j);
  if (!(std::abs(value - expected) <= n * 2.3e-16)) {
    fail("element " + std::to_string(i) + "," + std::to_string(j) + " of the product is " +
         std::to_string(value) + ", expected " + std::to_string(expected));
  }
}

/// Positions at which a product is checked: both corners, and a few between.
inline std::vector<int> checked_positions(int n) {
  return {0, n / 3, n / 2, (n - 1) * 4 / 5, n - 1};
}

/// Row-major c = a * b + beta * c, with a m x k and b k x n.
inline void gemm(int m, int n, int k, const double* a, int lda, const double* b, int ldb,
                 double beta, double* c, int ldc) {
  const double one = 1;
  dgemm_("N", "N", &n, &m, &k, &one, b, &ldb, a, &lda, &beta, c, &ldc);
}

/// Where the tiles of an n x n matrix lie: either in one row-major matrix, or each by itself.
struct Layout {
  std::ptrdiff_t tile_row_stride;
  std::ptrdiff_t tile_column_stride;
  int row_stride;

  static Layout row_major(const Options& o) {
    return {std::ptrdiff_t(o.chunk) * o.n, o.chunk, o.n};
  }
  static Layout tiled(const Options& o) {
    const std::ptrdiff_t tile = std::ptrdiff_t(o.chunk) * o.chunk;
    return {tile * o.tiles(), tile, o.chunk};
  }
  std::ptrdiff_t tile(int i, int j) const { return i * tile_row_stride + j * tile_column_stride; }
  std::ptrdiff_t at(const Options& o, int i, int j) const {
    return tile(i / o.chunk, j / o.chunk) + std::ptrdiff_t(i % o.chunk) * row_stride + j % o.chunk;
  }
  /// Doubles to allocate: tiles at the edge take a whole tile's room.
  std::size_t count(const Options& o) const {
    const std::size_t side = std::size_t(o.tiles()) * o.chunk;
    return side * side;
  }
};

inline void fill(const Options& o, const Layout& layout, int matrix, double* values) {
  for (int i = 0; i < o.n; ++i) {
    for (int j = 0; j < o.n; ++j) values[layout.at(o, i, j)] = element(matrix, i, j);
  }
}

inline void check(const Options& o, const Layout& layout, const double* product) {
  for (int i : checked_positions(o.n)) {
    for (int j : checked_positions(o.n)) check_element(o.n, i, j, product[layout.at(o, i, j)]);
  }
}

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Runs `work` warmups + repeats times; returns the seconds of the repeats.
template <typename Work>
std::vector<double> measure(const Options& options, Work&& work) {
  std::vector<double> seconds;
  for (int i = -options.warmups; i < options.repeats; ++i) {
    const double start = now();
    work();
    const double end = now();
    if (i >= 0) seconds.push_back(end - start);
  }
  return seconds;
}

template <typename Function>
Function* find_symbol(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

/// Prints the line that ./run reads: what ran, on which BLAS, and the seconds of each repetition.
inline void print(const std::string& name, const Options& options,
                  const std::vector<double>& seconds) {
  std::string blas = "unknown", core = "unknown";
  if (auto* config = find_symbol<char*()>("openblas_get_config")) {
    const std::string text = config();
    blas = text.substr(0, text.find(' ', text.find(' ') + 1));
  }
  if (auto* corename = find_symbol<char*()>("openblas_get_corename")) core = corename();
  auto* threads = find_symbol<int()>("openblas_get_num_threads");
  std::printf(
      "{\"name\": \"%s\", \"job\": \"%s\", \"n\": %d, \"chunk\": %d, \"blas\": \"%s\", "
      "\"core\": \"%s\", \"blas_threads\": %d, \"seconds\": [",
      name.c_str(), options.job.c_str(), options.n, options.chunk, blas.c_str(), core.c_str(),
      threads ? threads() : 0);
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    std::printf("%s%.9f", i ? ", " : "", seconds[i]);
  }
  std::printf("]}\n");
  std::fflush(stdout);
}

}  // namespace peer
