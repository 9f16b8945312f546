#include <benchmark/benchmark.h>
#include <sys/socket.h>


#include "net/address.hpp"
#include "net/link.hpp"

namespace {

using namespace ashlar::net;

/// Both ends in one process and one loop, which is polled.
struct Pair {
  struct Events final : LinkEvents {
    std::uint64_t frames = 0;
    std::uint64_t payloads = 0;
    std::vector<std::byte> place;
    Link* echo = nullptr;

    std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                  int) override {
      ++frames;
      if (echo != nullptr) {
        Frame frame;
        frame.control.assign(control.begin(), control.end());
        echo->send(std::move(frame));
      }
      if (place.size() < payload_bytes) place.resize(payload_bytes);
      return {place.data(), static_cast<std::size_t>(payload_bytes)};
    }
    void on_payload(bool) override { ++payloads; }
    void on_batch_end() override {
      if (echo != nullptr) echo->flush();
    }
    void on_closed(const std::string&) override {}
  };

  boost::asio::io_context io{1};
  std::shared_ptr<Link> left;
  std::shared_ptr<Link> right;
  Events at_left;
  Events at_right;

  explicit Pair(const char* address) {
    auto listener = Listener::open(io, Address::parse(address),
                                   [this](std::shared_ptr<Link> link) { right = link; });
    connect(io, listener->address(), 1000,
            [this](std::shared_ptr<Link> link, const NoLink&) { left = link; });
    while (!left || !right) io.run_one();
    left->start(at_left);
    right->start(at_right);
    left->trust();
    right->trust();
  }
};

constexpr const char* addresses[] = {"unix:@ashlar-net-bench", "tcp://127.0.0.1:0"};

void round_trip(benchmark::State& state) {
  Pair pair(addresses[state.range(0)]);
  pair.at_right.echo = pair.right.get();
  for (auto _ : state) {
    const std::uint64_t before = pair.at_left.frames;
    Frame frame;
    frame.control.resize(100);
    pair.left->send(std::move(frame));
    pair.left->flush();
    while (pair.at_left.frames == before) pair.io.poll();
  }
}
BENCHMARK(round_trip)->Arg(0)->Arg(1);

void small_frames(benchmark::State& state) {
  Pair pair(addresses[state.range(0)]);
  constexpr int batch = 1000;
  for (auto _ : state) {
    const std::uint64_t before = pair.at_right.frames;
    for (int i = 0; i < batch; ++i) {
      Frame frame;
      frame.control.resize(100);
      pair.left->send(std::move(frame));
    }
    while (pair.at_right.frames < before + batch) pair.io.poll();
  }
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(small_frames)->Arg(0)->Arg(1);

void payload(benchmark::State& state) {
  Pair pair(addresses[state.range(0)]);
  const std::vector<std::byte> bytes(8 << 20, std::byte{1});
  for (auto _ : state) {
    const std::uint64_t before = pair.at_right.payloads;
    Frame frame;
    frame.control.resize(16);
    frame.payload = bytes;
    pair.left->send(std::move(frame));
    while (pair.at_right.payloads == before) pair.io.poll();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(payload)->Arg(0)->Arg(1);

void idle_poll(benchmark::State& state) {
  Pair pair(addresses[state.range(0)]);
  for (auto _ : state) pair.io.poll();
}
BENCHMARK(idle_poll)->Arg(0);

}  // namespace

BENCHMARK_MAIN();
