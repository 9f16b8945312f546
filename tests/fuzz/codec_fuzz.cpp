#include "base/check.hpp"
#include "fuzz/fuzz_target.hpp"
#include "unit/wire/random_messages.hpp"
#include "wire/codec.hpp"

// Every decoder. The first byte chooses it; what it takes for sound must survive being said again.

namespace {

using namespace ashlar;

constexpr SessionId session = wire::RandomMessages::session;

template <class Message, class Decode>
void try_decoder(std::span<const std::byte> bytes, Decode decode) {
  const wire::Decoded<Message> first = decode(bytes);
  ASHLAR_CHECK(first.message.has_value() == first.error.empty());
  if (!first.message) return;
  const auto again = wire::encode(*first.message);
  const wire::Decoded<Message> second = decode(again);
  ASHLAR_CHECK(second.message.has_value(), second.error);
  ASHLAR_CHECK(second.message->index() == first.message->index());
  ASHLAR_CHECK(wire::encode(*second.message) == again);
}

template <class Message>
void add_seeds(std::uint8_t channel, std::vector<std::vector<std::byte>>& seeds) {
  for (std::size_t kind = 0; kind < std::variant_size_v<Message>; ++kind)
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      wire::RandomMessages random(kind + 100 * seed, 3 + 5 * seed);
      auto bytes = wire::encode(random.of_kind<Message>(kind));
      bytes.insert(bytes.begin(), static_cast<std::byte>(channel));
      seeds.push_back(std::move(bytes));
    }
}

}  // namespace

std::vector<std::vector<std::byte>> fuzz_seeds() {
  std::vector<std::vector<std::byte>> seeds;
  add_seeds<wire::Handshake>(0, seeds);
  add_seeds<protocol::DriverToScheduler>(1, seeds);
  add_seeds<protocol::SchedulerToDriver>(2, seeds);
  add_seeds<protocol::SchedulerToWorker>(3, seeds);
  add_seeds<protocol::WorkerToScheduler>(4, seeds);
  add_seeds<protocol::PeerMessage>(5, seeds);
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // A copy of exactly this size, so that a sanitizer sees any read beyond it.
  const auto* first = reinterpret_cast<const std::byte*>(data) + 1;
  const std::vector<std::byte> bytes(first, first + size - 1);
  const auto to_scheduler = [](std::span<const std::byte> from) {
    return wire::decode_driver_to_scheduler(from, session);
  };
  switch (data[0] % 6) {
    case 0:
      try_decoder<wire::Handshake>(bytes, wire::decode_handshake);
      break;
    case 1:
      try_decoder<protocol::DriverToScheduler>(bytes, to_scheduler);
      break;
    case 2:
      try_decoder<protocol::SchedulerToDriver>(bytes, wire::decode_scheduler_to_driver);
      break;
    case 3:
      try_decoder<protocol::SchedulerToWorker>(bytes, wire::decode_scheduler_to_worker);
      break;
    case 4:
      try_decoder<protocol::WorkerToScheduler>(bytes, wire::decode_worker_to_scheduler);
      break;
    case 5:
      try_decoder<protocol::PeerMessage>(bytes, wire::decode_peer);
      break;
  }
  return 0;
}
