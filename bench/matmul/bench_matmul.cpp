// Times blocked matrix products on local worker processes and prints one JSON line. The peers of
// bench/peers print the same line for the same job.
//
//   small: factors in this process's memory, product merged here; warm session.
//   large: factors on the workers already, product left there.
#include <ashlar/ashlar.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string job = "small";
  std::int64_t n = 1000;
  std::int64_t chunk = 100;
  int repeats = 5;
  int warmups = 2;
  std::uint32_t workers = 2;
  bool report = false;
};

double seconds_of(const auto& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

ashlar::Array uniform(const Options& o, std::uint64_t seed) {
  return ashlar::random::uniform({o.n, o.n}, {.chunks = {o.chunk, o.chunk}, .seed = seed});
}

/// (a b) 1 = a (b 1), at a fraction of the cost.
void check(ashlar::Session& session, const Options& o, const ashlar::Array& a,
           const ashlar::Array& b, const ashlar::Array& c) {
  auto ones = ashlar::ones({o.n, 1}, {.chunks = {o.chunk, 1}});
  auto sums = session.compute({ashlar::matmul(c, ones), ashlar::matmul(a, ashlar::matmul(b, ones))});
  for (std::int64_t i = 0; i < o.n; ++i) {
    const double left = sums[0].data<double>()[i], right = sums[1].data<double>()[i];
    if (!(std::abs(left - right) <= 1e-12 * static_cast<double>(o.n) * std::abs(right))) {
      throw std::runtime_error("wrong product in row " + std::to_string(i));
    }
  }
}

std::vector<double> run_small(ashlar::Session& session, const Options& o) {
  const auto a = session.compute(uniform(o, 1));
  const auto b = session.compute(uniform(o, 2));
  const ashlar::ChunkOptions cut{.chunks = {o.chunk, o.chunk}};
  std::vector<double> seconds;
  ashlar::RunReport report;
  for (int i = -o.warmups; i < o.repeats; ++i) {
    ashlar::HostArray c;
    const double taken = seconds_of([&] {
      c = session.compute(ashlar::matmul(ashlar::from_host(a, cut), ashlar::from_host(b, cut)),
                          &report);
    });
    if (i >= 0) seconds.push_back(taken);
    if (i == o.repeats - 1) {
      check(session, o, ashlar::from_host(a, cut), ashlar::from_host(b, cut),
            ashlar::from_host(c, cut));
    }
  }
  if (o.report) std::cerr << to_string(report);
  return seconds;
}

std::vector<double> run_large(ashlar::Session& session, const Options& o) {
  auto a = session.persist(uniform(o, 1));
  auto b = session.persist(uniform(o, 2));
  session.wait(a);
  session.wait(b);
  std::vector<double> seconds;
  for (int i = -o.warmups; i < o.repeats; ++i) {
    const ashlar::Array product = ashlar::matmul(a, b);
    ashlar::Array c = product;
    const double taken = seconds_of([&] {
      c = session.persist(product);
      session.wait(c);
    });
    if (i >= 0) seconds.push_back(taken);
    if (i == o.repeats - 1 && o.report) std::cerr << to_string(session.report());
    if (i == o.repeats - 1) check(session, o, a, b, c);
  }
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  Options o;
  CLI::App app("Times blocked matrix products.");
  app.add_option("--job", o.job)->check(CLI::IsMember({"small", "large"}));
  app.add_option("--n", o.n);
  app.add_option("--chunk", o.chunk);
  app.add_option("--repeats", o.repeats);
  app.add_option("--warmups", o.warmups);
  app.add_option("--workers", o.workers);
  app.add_flag("--report", o.report, "the last run's report, on standard error");
  CLI11_PARSE(app, argc, argv);
  try {
    auto session = ashlar::Session::local(
        {.workers = o.workers, .threads_per_worker = 1, .progress = false});
    const auto seconds = o.job == "small" ? run_small(session, o) : run_large(session, o);
    std::cout << R"({"name":"ashlar","job":")" << o.job << R"(","n":)" << o.n << R"(,"seconds":[)";
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      std::cout << (i == 0 ? "" : ",") << seconds[i];
    }
    std::cout << "]}\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_matmul: " << error.what() << '\n';
    return 1;
  }
}
