// Three jobs on two worker processes: the tutorial's matrix product checked against one BLAS call,
// a larger product with its report, and nearest-neighbour classification of real data.
#include <ashlar/ashlar.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>

extern "C" void dgemm_(const char*, const char*, const int* m, const int* n, const int* k,
                       const double* alpha, const double* a, const int* lda, const double* b,
                       const int* ldb, const double* beta, double* c, const int* ldc);

namespace {

double seconds_of(const auto& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Row-major c = a b with one BLAS call: column-major BLAS sees the transposes.
void multiply_with_blas(const ashlar::HostArray& a, const ashlar::HostArray& b,
                        ashlar::HostArray& c) {
  const int m = static_cast<int>(a.shape()[0]);
  const int k = static_cast<int>(a.shape()[1]);
  const int n = static_cast<int>(b.shape()[1]);
  const double one = 1, zero = 0;
  dgemm_("N", "N", &n, &m, &k, &one, b.data<double>(), &n, a.data<double>(), &k, &zero,
         c.data<double>(), &n);
}

bool tutorial_product(ashlar::Session& session) {
  std::puts("== 1. Two 1000 x 1000 matrices in 100 x 100 chunks on 2 workers\n");
  const std::int64_t n = 1000;
  const auto a = session.compute(ashlar::random::uniform({n, n}, {.chunks = {500, 500}, .seed = 1}));
  const auto b = session.compute(ashlar::random::uniform({n, n}, {.chunks = {500, 500}, .seed = 2}));
  const auto product = ashlar::matmul(ashlar::from_host(a, {.chunks = {100, 100}}),
                                      ashlar::from_host(b, {.chunks = {100, 100}}));
  std::cout << to_string(session.plan(product)) << '\n';

  ashlar::HostArray c;
  ashlar::RunReport report;
  session.compute(product);  // warms up
  const double ours = seconds_of([&] { c = session.compute(product, &report); });
  auto expected = ashlar::HostArray::zeros<double>({n, n});
  multiply_with_blas(a, b, expected);
  const double blas = seconds_of([&] { multiply_with_blas(a, b, expected); });

  double error = 0;
  for (std::int64_t i = 0; i < n * n; ++i) {
    error = std::max(error, std::abs(c.data<double>()[i] - expected.data<double>()[i]));
  }
  std::cout << to_string(report) << '\n';
  std::printf("time, merged result   %.1f ms; one BLAS call with its own threads %.1f ms\n",
              ours * 1e3, blas * 1e3);
  // Elements are sums of n products below 1, so n eps n/4 bounds their error generously.
  const double tolerance = static_cast<double>(n) * n / 4 * std::numeric_limits<double>::epsilon();
  std::printf("largest difference    %.2e (allowed: %.2e)\n\n", error, tolerance);
  return error <= tolerance;
}

bool large_product(ashlar::Session& session, std::int64_t n) {
  std::printf("== 2. Two %lld x %lld matrices made and kept on the workers\n\n",
              static_cast<long long>(n), static_cast<long long>(n));
  const std::int64_t chunk = n / 8;
  const ashlar::Shape chunks{chunk, chunk};
  auto a = session.persist(ashlar::random::uniform({n, n}, {.chunks = chunks, .seed = 3}));
  auto b = session.persist(ashlar::random::uniform({n, n}, {.chunks = chunks, .seed = 4}));
  session.wait(a);
  session.wait(b);
  auto c = session.persist(ashlar::matmul(a, b));
  session.wait(c);
  std::cout << to_string(session.report());

  // (a b) 1 = a (b 1): a check that costs little.
  auto ones = ashlar::ones({n, 1}, {.chunks = {chunk, 1}});
  auto left = session.compute(ashlar::matmul(c, ones));
  auto right = session.compute(ashlar::matmul(a, ashlar::matmul(b, ones)));
  double error = 0, largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    error = std::max(error, std::abs(left.data<double>()[i] - right.data<double>()[i]));
    largest = std::max(largest, std::abs(right.data<double>()[i]));
  }
  const double tolerance = static_cast<double>(n) * largest * std::numeric_limits<double>::epsilon();
  std::printf("check (ab)1 = a(b1)   differs by %.2e (allowed: %.2e)\n\n", error, tolerance);
  return error <= tolerance;
}

bool classify_digits(ashlar::Session& session, const std::string& folder) {
  std::puts("== 3. Nearest neighbours among 1797 handwritten digits\n");
  auto x = ashlar::load_npy(folder + "/digits.npy", {.chunks = {450, 64}})
               .astype(ashlar::DType::float64);
  const auto labels = session.compute(
      ashlar::load_npy(folder + "/digits_labels.npy").astype(ashlar::DType::int64));
  const std::int64_t n = x.shape()[0];

  // |x - y|^2 = |x|^2 + |y|^2 - 2 x y; a digit is not its own neighbour.
  auto squares = ashlar::sum(x * x, {.axes = {1}, .keepdims = true});
  auto itself = ashlar::eye(n, {.chunks = {450, 450}}) * 1e12;
  ashlar::RunReport report;
  const auto distances = session.compute(
      squares + squares.T() - 2.0 * ashlar::matmul(x, x.T()) + itself, &report);

  std::int64_t right = 0;
  const auto d = distances.view<double, 2>();
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t nearest = 0;
    for (std::int64_t j = 1; j < n; ++j) {
      if (d(i, j) < d(i, nearest)) nearest = j;
    }
    right += labels.data<std::int64_t>()[i] == labels.data<std::int64_t>()[nearest];
  }
  const double accuracy = 100.0 * static_cast<double>(right) / static_cast<double>(n);
  std::cout << to_string(report) << '\n';
  std::printf("leave-one-out accuracy %.2f %% (%lld of %lld)\n", accuracy,
              static_cast<long long>(right), static_cast<long long>(n));
  return accuracy > 98 && accuracy < 99;
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  std::string data = "examples/data";
  std::int64_t size = 4096;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--data") data = argv[i + 1];
    if (std::string_view(argv[i]) == "--size") size = std::atoll(argv[i + 1]);
  }
  try {
    auto session = ashlar::Session::local({.workers = 2, .threads_per_worker = 1});
    const bool is_right = tutorial_product(session) && large_product(session, size) &&
                          classify_digits(session, data);
    std::puts(is_right ? "\nEverything was right." : "\nSomething was WRONG.");
    return is_right ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "demo: " << error.what() << '\n';
    return 1;
  }
}
