// Multiplies two chunked matrices on worker processes of this host, and says how well that went.
#include <ashlar/ashlar.hpp>

#include <cmath>
#include <iostream>

int main(int argc, char** argv) {
  ashlar::init(argc, argv);  // in a worker process: serves, never returns
  auto session = ashlar::Session::local({.workers = 2});

  // Nothing is computed here: these are expressions, cut into chunks.
  auto a = ashlar::random::uniform({1000, 800}, {.chunks = {256, 256}, .seed = 1});
  auto b = ashlar::random::normal({800, 600}, {.chunks = {256, 256}, .seed = 2});
  auto c = ashlar::matmul(a, b) + 1.0;

  std::cout << to_string(session.plan(c)) << '\n';

  ashlar::RunReport report;
  ashlar::HostArray result = session.compute(c, &report);
  std::cout << "c(0, 0) = " << result.view<double, 2>()(0, 0) << "\n\n" << to_string(report);

  // Chunks change how the work is spread, not what comes out (but for rounding).
  auto coarse = session.compute(ashlar::matmul(a.rechunk({500, 400}), b.rechunk({400, 300})) + 1.0);
  auto fine_view = result.view<double, 2>();
  auto coarse_view = coarse.view<double, 2>();
  for (std::int64_t i = 0; i < fine_view.extent(0); ++i) {
    for (std::int64_t j = 0; j < fine_view.extent(1); ++j) {
      if (std::abs(fine_view(i, j) - coarse_view(i, j)) > 1e-10) {
        std::cerr << "chunking changed element (" << i << ", " << j << ")\n";
        return 1;
      }
    }
  }
}
