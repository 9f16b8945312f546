// Own functions as tasks: single calls, calls that use each other's results, a whole graph, and a
// blocked multiply with an own kernel.
#include <ashlar/ashlar.hpp>

#include <cmath>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

// A hit-or-miss estimate of a quarter of pi.
double share_inside(int seed, int samples) {
  std::uint64_t state = static_cast<std::uint64_t>(seed) * 0x9E3779B97F4A7C15u + 1;
  auto next = [&state] {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return static_cast<double>(state >> 11) * 0x1p-53;
  };
  int inside = 0;
  for (int i = 0; i < samples; ++i) {
    const double x = next(), y = next();
    inside += x * x + y * y < 1;
  }
  return static_cast<double>(inside) / samples;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double fails(const std::string& why) { throw std::runtime_error(why); }

// One step of a blocked multiply: updates c in place.
void multiply_add(ashlar::View<const double, 2> a, ashlar::View<const double, 2> b,
                  ashlar::View<double, 2> c) {
  for (std::int64_t i = 0; i < c.extent(0); ++i)
    for (std::int64_t k = 0; k < a.extent(1); ++k)
      for (std::int64_t j = 0; j < c.extent(1); ++j) c(i, j) += a(i, k) * b(k, j);
}

bool blocked_multiply(ashlar::Session& session) {
  constexpr int blocks = 4, n = 64;
  ashlar::Graph graph;
  auto block = [&](double value) {
    auto host = ashlar::HostArray::zeros<double>({n, n});
    for (auto& x : host.view<double, 2>().span()) x = value;
    return graph.input(host);
  };
  std::vector<ashlar::Node<ashlar::HostArray>> a, b, c;
  for (int i = 0; i < blocks * blocks; ++i) {
    a.push_back(block(i));
    b.push_back(block(2.0));
    c.push_back(block(0.0));
  }
  for (int i = 0; i < blocks; ++i)
    for (int j = 0; j < blocks; ++j) {
      auto& sum = c[i * blocks + j];
      for (int k = 0; k < blocks; ++k)
        sum = graph.add<multiply_add>(a[i * blocks + k], b[k * blocks + j], sum);
      graph.want(sum);
    }
  auto run = session.run(graph);
  const double found = run[c[5]].get().view<double, 2>()(3, 4);  // block (1, 1)
  const double expected = n * 2.0 * (4 + 5 + 6 + 7);
  std::cout << "an element of the product: " << found << '\n';
  return found == expected;
}

int main(int argc, char** argv) {
  ashlar::Tasks tasks;
  tasks.add<share_inside>("share_inside").add<mean>("mean").add<fails>("fails");
  tasks.add<multiply_add>("multiply_add");
  ashlar::init(argc, argv, tasks);
  auto session = ashlar::Session::local({.workers = 2});

  // One call, and many at once; a vector of futures is an argument like any other.
  std::cout << "one share: " << session.submit<share_inside>(1, 100'000).get() << '\n';
  std::vector<ashlar::Future<double>> shares;
  for (int seed = 0; seed < 32; ++seed)
    shares.push_back(session.submit<share_inside>(seed, 100'000));
  const double pi = 4 * session.submit<mean>(shares).get();
  std::cout << "pi is about " << pi << '\n';

  // What a task throws arrives here, with the task, its worker and the line that asked for it.
  bool was_told = false;
  try {
    session.submit<fails>(std::string("no such luck")).get();
  } catch (const ashlar::TaskFailed& error) {
    was_told = true;
    std::cout << "as expected: " << error.what() << '\n';
  }
  return std::abs(pi - 3.14159) < 0.02 && was_told && blocked_multiply(session) ? 0 : 1;
}
