#include "store/packing.hpp"

#include <lz4.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace ashlar::store {

namespace {

constexpr std::size_t sample_bytes = std::size_t{64} << 10;
constexpr double worth = 0.9;  // it must take less of the plain time

const char* chars(std::span<const std::byte> bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}
char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }

std::size_t compress(std::span<const std::byte> bytes, std::span<std::byte> into) {
  const int packed = LZ4_compress_default(chars(bytes), chars(into), static_cast<int>(bytes.size()),
                                          static_cast<int>(into.size()));
  return packed > 0 ? static_cast<std::size_t>(packed) : 0;
}

}  // namespace

bool pays_to_pack(std::span<const std::byte> bytes, double bytes_per_second) {
  const std::size_t size = std::min(bytes.size(), sample_bytes);
  const std::span sample = bytes.subspan((bytes.size() - size) / 2, size);
  std::vector<std::byte> packed(packed_bytes_max(size));
  const auto begin = std::chrono::steady_clock::now();
  const std::size_t packed_size = compress(sample, packed);
  const std::chrono::duration<double> packing = std::chrono::steady_clock::now() - begin;
  const double plain = static_cast<double>(size) / bytes_per_second;
  return packed_size > 0 &&
         packing.count() + static_cast<double>(packed_size) / bytes_per_second < worth * plain;
}

std::size_t packed_bytes_max(std::size_t bytes) {
  return static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(bytes)));
}

std::size_t pack(std::span<const std::byte> bytes, std::span<std::byte> into) {
  const std::size_t packed = compress(bytes, into);
  return packed < bytes.size() ? packed : 0;
}

bool unpack(std::span<const std::byte> packed, std::span<std::byte> into) {
  const int unpacked = LZ4_decompress_safe(
      chars(packed), chars(into), static_cast<int>(packed.size()), static_cast<int>(into.size()));
  return unpacked >= 0 && static_cast<std::size_t>(unpacked) == into.size();
}

}  // namespace ashlar::store
