// One BLAS call in one process, with as many BLAS threads as OPENBLAS_NUM_THREADS says.
#include "peer.hpp"

int main(int argc, char** argv) {
  const peer::Options options = peer::parse(argc, argv);
  const auto layout = peer::Layout::row_major(options);
  const int n = options.n;
  const std::size_t count = std::size_t(n) * n;
  std::vector<double> a(count), b(count), c(count);
  peer::fill(options, layout, 0, a.data());
  peer::fill(options, layout, 1, b.data());
  const auto seconds = peer::measure(
      options, [&] { peer::gemm(n, n, n, a.data(), n, b.data(), n, 0, c.data(), n); });
  peer::check(options, layout, c.data());
  peer::print("dgemm", options, seconds);
}
