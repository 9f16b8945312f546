// A program on another host than its workers: brings an array home, sends one out, and prints how
// many bytes moved on hosts and between them. With a second argument, "counting" or "random",
// brings one larger array home that can be compressed or not, and prints its bytes; "twice" brings
// 32 MiB home in small and in large chunks, and waits for a line before it ends. A third one is the
// transport.
#include <ashlar/ashlar.hpp>

#include <algorithm>
#include <iostream>
#include <string>

namespace {

int bring(ashlar::Session& session, const std::string& content) {
  constexpr std::int64_t n = 1 << 20;
  constexpr std::int64_t chunk = 1 << 18;
  if (content == "random") {
    const auto array = ashlar::random::uniform({n}, {.chunks = {chunk}, .seed = 1});
    const auto home = session.compute(array);
    if (home.size() != n) return 1;
  } else {
    const auto home = session.compute(ashlar::arange(0, n, {.chunks = {chunk}}));
    for (std::int64_t i = 0; i < n; ++i) {
      if (home.data<std::int64_t>()[i] != i) return 1;
    }
  }
  std::cout << n * 8 << '\n';
  return 0;
}

int bring_twice(ashlar::Session& session) {
  constexpr std::int64_t n = 1 << 22;
  ashlar::HostArray arrays[2];
  for (const int i : {0, 1}) {
    const std::int64_t chunk = i == 0 ? 1 << 18 : 1 << 21;
    arrays[i] = session.compute(ashlar::random::uniform({n}, {.chunks = {chunk}, .seed = 1}));
  }
  const double* const first = arrays[0].data<double>();
  if (!std::equal(first, first + n, arrays[1].data<double>())) return 1;
  std::cout << n * 8 << std::endl;
  std::string line;
  std::getline(std::cin, line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ashlar::init(argc, argv);
  try {
    ashlar::ConnectOptions options;
    if (argc > 3) options.transport = argv[3];
    auto session = ashlar::Session::connect(argv[1], options);
    if (argc > 2 && argv[2] == std::string("twice")) return bring_twice(session);
    if (argc > 2) return bring(session, argv[2]);
    constexpr std::int64_t n = 1 << 16;
    ashlar::RunReport report;
    // Chunks of 32 KiB are pushed, chunks of 128 KiB fetched.
    for (const std::int64_t chunk : {1 << 12, 1 << 14}) {
      const auto home = session.compute(ashlar::arange(0, n, {.chunks = {chunk}}), &report);
      for (std::int64_t i = 0; i < n; ++i) {
        if (home.data<std::int64_t>()[i] != i) return 1;
      }
      std::cout << report.local_bytes << ' ' << report.remote_bytes << '\n';
      const auto total = session.compute(ashlar::sum(ashlar::from_host(home)), &report);
      if (total.item<std::int64_t>() != n / 2 * (n - 1)) return 1;
      std::cout << report.local_bytes << ' ' << report.remote_bytes << '\n';
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
