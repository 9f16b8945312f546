#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ashlar::net {

/// The checksum (XXH3, 64 bits) of bytes that come piece by piece.
class Checksum {
 public:
  Checksum();
  ~Checksum();

  /// Of bytes that are all here.
  static std::uint64_t of(std::span<const std::byte> bytes);

  void restart();
  void add(std::span<const std::byte> bytes);
  /// Of what was added since the last restart().
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::net
