// Looks at a result that need not fit into this process's memory, chunk by chunk, and computes
// another one right into a part of an array of the program's.
#include <ashlar/ashlar.hpp>

#include <cmath>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  auto session = ashlar::Session::local({.workers = 2});
  const std::int64_t n = 4096;
  auto a = ashlar::random::uniform({n, n}, {.chunks = {512, 512}, .seed = 1});  // 128 MiB

  // At most 8 MiB of it are here at once; what was not looked at yet waits on the workers.
  std::vector<double> rows(n);
  for (const auto& chunk : session.stream(a, {.bytes_max = 8 << 20})) {
    const auto values = chunk.view<double, 2>();
    for (std::int64_t i = 0; i < values.extent(0); ++i) {
      double& sum = rows[static_cast<std::size_t>(chunk.offset()[0] + i)];
      for (std::int64_t j = 0; j < values.extent(1); ++j) sum += values(i, j);
    }
  }
  std::cout << "the first row adds up to " << rows.front() << '\n';

  // Column 0 of a table gets the same sums, column 1 the means.
  ashlar::HostArray table = ashlar::HostArray::zeros<double>({n, 2});
  double* cells = table.data<double>();
  using Column = ashlar::View<double, 1>;
  session.compute_into(ashlar::sum(a, {.axes = {1}}), Column(cells, {n}, {2}));
  session.compute_into(ashlar::mean(a, {.axes = {1}}), Column(cells + 1, {n}, {2}));

  const auto view = table.view<double, 2>();
  for (std::int64_t i = 0; i < n; ++i) {
    const double sum = rows[static_cast<std::size_t>(i)];
    if (std::abs(view(i, 0) - sum) > 1e-9 || std::abs(view(i, 1) - sum / n) > 1e-12) {
      std::cerr << "row " << i << " differs\n";
      return 1;
    }
  }
}
