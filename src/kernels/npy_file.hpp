#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "array/operations.hpp"
#include "store/arena.hpp"

namespace ashlar::kernels {

/// An open file whose errors name it.
class NpyDescriptor {
 public:
  /// Errors: BadInput when it cannot be opened or is no regular file.
  NpyDescriptor(const std::string& path, int flags);

  std::uint64_t file_bytes() const;
  /// Errors: BadInput at the end of the file; TaskFailed when the system cannot read it.
  void read(std::uint64_t offset, std::span<std::byte> to) const;
  void write(std::uint64_t offset, std::span<const std::byte> from) const;
  /// Gives the file this length, with room on the disk where the system can say so.
  /// Errors: Overloaded when there is none.
  void reserve(std::uint64_t bytes) const;

 private:
  std::string path_;
  store::FileDescriptor descriptor_;
};

[[noreturn]] void refuse_npy(const std::string& path, const std::string& finding);

/// Errors: BadInput when the file is shorter than its elements need.
void check_npy_length(const array::NpyFile& file, std::uint64_t file_bytes);

}  // namespace ashlar::kernels
