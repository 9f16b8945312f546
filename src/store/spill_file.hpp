#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/arena.hpp"

namespace ashlar::store {

/// A file for data that memory has no room for. It has no name, so that nothing of it stays when
/// the process ends, however it does, and it leaves the system's page cache alone: what it holds
/// takes no memory.
///
/// Each datum has a checksum (XXH3), and is compressed (LZ4) where a sample and the measured speeds
/// of disk and codec say that this takes less time.
///
/// Threads: every member may be called from several threads; writes take turns, and so do reads.
class SpillFile {
 public:
  struct Options {
    std::string folder = {};      ///< empty: $TMPDIR, else /var/tmp
    std::uint64_t bytes_max = 0;  ///< disk space; 0: half of what is free now
    double disk_speed = 0;        ///< bytes/s to take for granted; 0: it is measured
  };
  /// Errors: BadInput naming the folder when no file can be made there.
  explicit SpillFile(const Options& options);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// The folder that these options mean.
  static std::string folder_of(const Options& options);
  /// Disk space that is free in a folder. Errors: BadInput when there is no such folder.
  static std::uint64_t free_bytes(const std::string& folder);

  struct Piece {
    std::uint64_t offset = 0;
    std::uint32_t stored_bytes = 0;
    bool is_compressed = false;
  };
  /// Where a datum lies in the file.
  struct Copy {
    std::uint64_t bytes = 0;
    std::uint64_t checksum = 0;
    std::vector<Piece> pieces;
  };

  /// Writes a datum. Errors: Overloaded when the disk is full, its share is used up, or it fails;
  /// then the file is as before.
  Copy write(std::span<const std::byte> bytes);
  /// Reads a datum back. Requires room for Copy::bytes.
  /// Errors: Disconnected when the disk fails or the bytes are not those written; then what is in
  /// `into` is of no use.
  void read(const Copy& copy, std::span<std::byte> into);
  /// The datum is not needed any more: its space is used again.
  void drop(const Copy& copy);

  std::uint64_t used_bytes() const;  ///< of the file, in live data
  bool is_direct() const;            ///< past the page cache; else it is cleared after each write
  const FileDescriptor& descriptor() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ashlar::store
