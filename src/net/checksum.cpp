#include "net/checksum.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ashlar::net {

struct Checksum::State {
  XXH3_state_t sum;
};

Checksum::Checksum() : state_(std::make_unique<State>()) { restart(); }
Checksum::~Checksum() = default;

std::uint64_t Checksum::of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

void Checksum::restart() { XXH3_64bits_reset(&state_->sum); }

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(&state_->sum, bytes.data(), bytes.size());
}

std::uint64_t Checksum::value() const { return XXH3_64bits_digest(&state_->sum); }

}  // namespace ashlar::net
