#pragma once

#include <capnp/message.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ashlar::wire {

/// Builds a Cap'n Proto message straight into the vector that is sent. When it fits the expected
/// size, which is one segment, nothing is copied.
class MessageWriter final : public capnp::MessageBuilder {
 public:
  explicit MessageWriter(std::size_t expected_words);

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimum_words) override;

  /// The message in the standard stream framing. The builder is of no use afterwards.
  /// Errors: BadInput when the message is larger than Cap'n Proto can say.
  std::vector<std::byte> finish();

 private:
  static constexpr std::size_t table_bytes = 8;  ///< segment table of a one-segment message

  std::vector<std::byte> flat_;
  bool is_flat_used_ = false;
  std::vector<std::unique_ptr<std::uint64_t[]>> further_;
};

}  // namespace ashlar::wire
