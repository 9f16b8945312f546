#include "wire/message_writer.hpp"

#include <algorithm>
#include <cstring>

namespace ashlar::wire {

namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
constexpr std::size_t segment_words_max = (std::size_t{1} << 29) - 1;

void put_u32(std::vector<std::byte>& bytes, std::size_t offset, std::size_t value) {
  const auto narrow = static_cast<std::uint32_t>(value);
  std::memcpy(bytes.data() + offset, &narrow, sizeof narrow);
}

}  // namespace

MessageWriter::MessageWriter(std::size_t expected_words)
    : flat_(table_bytes + std::min(expected_words, segment_words_max) * word_bytes) {}

kj::ArrayPtr<capnp::word> MessageWriter::allocateSegment(unsigned minimum_words) {
  const std::size_t flat_words = (flat_.size() - table_bytes) / word_bytes;
  if (!is_flat_used_ && flat_words >= minimum_words) {
    is_flat_used_ = true;
    return {reinterpret_cast<capnp::word*>(flat_.data() + table_bytes), flat_words};
  }
  is_flat_used_ = true;
  const std::size_t words = std::max<std::size_t>(minimum_words, flat_words);
  further_.push_back(std::make_unique<std::uint64_t[]>(words));  // zeroed, as capnp wants it
  return {reinterpret_cast<capnp::word*>(further_.back().get()), words};
}

std::vector<std::byte> MessageWriter::finish() {
  const auto segments = getSegmentsForOutput();
  if (segments.size() == 1 && further_.empty()) {
    put_u32(flat_, 4, segments[0].size());
    flat_.resize(table_bytes + segments[0].size() * word_bytes);
    return std::move(flat_);
  }
  const std::size_t table_words = segments.size() / 2 + 1;
  std::size_t words = table_words;
  for (const auto& segment : segments) words += segment.size();
  std::vector<std::byte> out(words * word_bytes);
  put_u32(out, 0, segments.size() - 1);
  std::size_t offset = table_words * word_bytes;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    put_u32(out, 4 + 4 * i, segments[i].size());
    std::memcpy(out.data() + offset, segments[i].begin(), segments[i].size() * word_bytes);
    offset += segments[i].size() * word_bytes;
  }
  return out;
}

}  // namespace ashlar::wire
