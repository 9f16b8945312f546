#include "store/spill_file.hpp"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include <ashlar/error.hpp>

#include "store/block_list.hpp"
#include "store/packing.hpp"

namespace ashlar::store {

namespace {

constexpr std::size_t block_bytes = 4096;  // of the disk, for direct access
constexpr std::size_t piece_bytes = std::size_t{2} << 20;
constexpr double disk_speed_at_first = 1e9;  // until it is measured
constexpr double disk_memory = 0.8;          // weight of what was measured before

constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + block_bytes - 1) / block_bytes * block_bytes;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool is_aligned(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % block_bytes == 0 && bytes % block_bytes == 0;
}

/// Memory that the disk can be accessed from directly, made when it is first needed.
class Staging {
 public:
  std::byte* get() {
    if (!memory_) {
      const std::size_t most = std::max(piece_bytes, packed_bytes_max(piece_bytes));
      void* memory = std::aligned_alloc(block_bytes, round_up(most));
      if (memory == nullptr) throw std::bad_alloc();
      memory_.reset(static_cast<std::byte*>(memory));
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
};

FileDescriptor open_in(const std::string& folder, int flags) {
  FileDescriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600));
  if (file.is_open() || errno == EINVAL) return file;
  // Where the file system has no files without a name, the name goes at once.
  std::string name = folder + "/.ashlar-spill-XXXXXX";
  file = FileDescriptor(::mkostemp(name.data(), O_CLOEXEC | flags));
  if (file.is_open()) ::unlink(name.c_str());
  return file;
}

}  // namespace

struct SpillFile::State {
  explicit State(std::uint64_t bytes_max) : space(bytes_max) {}

  std::string folder;
  FileDescriptor file;
  bool is_direct = true;
  bool is_speed_known = false;

  std::mutex space_mutex;  // protects space
  BlockList space;
  std::mutex write_mutex;  // protects the following
  Staging writing, compressed;
  double disk_speed = disk_speed_at_first;
  std::mutex read_mutex;  // protects reading
  Staging reading;

  Piece take(std::size_t stored);
  void give_back(const std::vector<Piece>& pieces);
  Piece write_piece(std::span<const std::byte> bytes, bool compress);
  void write_at(const std::byte* from, std::size_t bytes, std::uint64_t offset);
  void read_at(std::byte* into, std::size_t bytes, std::uint64_t offset);
  void read_piece(const Piece& piece, std::span<std::byte> into);
  [[noreturn]] void fail_write(const std::string& why) const;
  std::string name() const { return "the spill file in " + folder; }
};

SpillFile::SpillFile(const Options& options) {
  const std::string folder = folder_of(options);
  const std::uint64_t free = free_bytes(folder);
  const std::uint64_t most = options.bytes_max != 0 ? options.bytes_max : free / 2;
  state_ = std::make_unique<State>(most / block_bytes * block_bytes);
  state_->folder = folder;
  state_->file = open_in(folder, O_DIRECT);
  if (!state_->file.is_open()) {
    state_->is_direct = false;
    state_->file = open_in(folder, 0);
  }
  if (!state_->file.is_open()) {
    throw BadInput("no spill file can be made in " + folder + ": " + std::strerror(errno) +
                   "; name a folder that can be written to");
  }
  if (options.disk_speed > 0) {
    state_->disk_speed = options.disk_speed;
    state_->is_speed_known = true;
  }
}

SpillFile::~SpillFile() = default;

std::string SpillFile::folder_of(const Options& options) {
  if (!options.folder.empty()) return options.folder;
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/var/tmp";
}

std::uint64_t SpillFile::free_bytes(const std::string& folder) {
  struct statvfs status = {};
  if (::statvfs(folder.c_str(), &status) != 0) {
    throw BadInput("spill folder " + folder + ": " + std::strerror(errno));
  }
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

void SpillFile::State::fail_write(const std::string& why) const {
  throw Overloaded("writing to " + name() + ": " + why);
}

SpillFile::Piece SpillFile::State::take(std::size_t stored) {
  const std::lock_guard lock(space_mutex);
  const auto taken = space.take(round_up(stored), block_bytes);
  if (!taken) {
    fail_write("its share of the disk is used up, " + std::to_string(space.taken_bytes()) +
               " bytes: allow it more, or use a higher memory limit");
  }
  return {taken->offset, static_cast<std::uint32_t>(stored), false};
}

void SpillFile::State::give_back(const std::vector<Piece>& pieces) {
  const std::lock_guard lock(space_mutex);
  for (const Piece& piece : pieces) space.give_back(piece.offset, round_up(piece.stored_bytes));
  // The disk has the space back when nothing is in the file.
  if (space.taken_bytes() == 0 && ::ftruncate(file.get(), 0) != 0) return;
}

void SpillFile::State::write_at(const std::byte* from, std::size_t bytes, std::uint64_t offset) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n =
        ::pwrite(file.get(), from + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      fail_write((n == 0 ? std::string("nothing is written") : std::strerror(errno)) +
                 ": free space there, or name a folder on another disk");
    }
    done += static_cast<std::size_t>(n);
  }
  if (is_direct) return;
  ::sync_file_range(
      file.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  ::posix_fadvise(file.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  POSIX_FADV_DONTNEED);
}

SpillFile::Piece SpillFile::State::write_piece(std::span<const std::byte> bytes, bool compress) {
  const std::byte* from = bytes.data();
  std::size_t stored = bytes.size();
  bool is_compressed = false;
  if (compress) {
    const std::size_t packed = pack(bytes, {compressed.get(), packed_bytes_max(bytes.size())});
    is_compressed = packed > 0;
    if (is_compressed) {
      from = compressed.get();
      stored = packed;
      std::memset(compressed.get() + stored, 0, round_up(stored) - stored);
    }
  }
  if (!is_compressed && !is_aligned(from, stored)) {
    std::memcpy(writing.get(), from, stored);
    std::memset(writing.get() + stored, 0, round_up(stored) - stored);
    from = writing.get();
  }
  Piece piece = take(stored);
  piece.is_compressed = is_compressed;
  try {
    write_at(from, round_up(stored), piece.offset);
  } catch (...) {
    give_back({piece});
    throw;
  }
  return piece;
}

SpillFile::Copy SpillFile::write(std::span<const std::byte> bytes) {
  State& s = *state_;
  const std::lock_guard lock(s.write_mutex);
  Copy copy;
  copy.bytes = bytes.size();
  copy.checksum = XXH3_64bits(bytes.data(), bytes.size());
  const bool compress = !bytes.empty() && pays_to_pack(bytes, s.disk_speed);
  const auto begin = std::chrono::steady_clock::now();
  try {
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
      const std::size_t size = std::min(piece_bytes, bytes.size() - at);
      copy.pieces.push_back(s.write_piece(bytes.subspan(at, size), compress));
    }
  } catch (...) {
    s.give_back(copy.pieces);
    throw;
  }
  const double took = seconds_since(begin);
  if (!compress && !s.is_speed_known && bytes.size() >= piece_bytes && took > 0) {
    s.disk_speed =
        disk_memory * s.disk_speed + (1 - disk_memory) * static_cast<double>(bytes.size()) / took;
  }
  return copy;
}

void SpillFile::State::read_at(std::byte* into, std::size_t bytes, std::uint64_t offset) {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t n =
        ::pread(file.get(), into + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      throw Disconnected(
          "reading from " + name() + ": " +
          (n == 0 ? std::string("it is shorter than it was") : std::strerror(errno)));
    }
    done += static_cast<std::size_t>(n);
  }
  if (is_direct) return;
  ::posix_fadvise(file.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  POSIX_FADV_DONTNEED);
}

void SpillFile::State::read_piece(const Piece& piece, std::span<std::byte> into) {
  if (!piece.is_compressed && is_aligned(into.data(), into.size())) {
    read_at(into.data(), into.size(), piece.offset);
    return;
  }
  std::byte* staged = reading.get();
  read_at(staged, round_up(piece.stored_bytes), piece.offset);
  if (!piece.is_compressed) {
    std::memcpy(into.data(), staged, into.size());
    return;
  }
  if (!unpack({staged, piece.stored_bytes}, into)) {
    throw Disconnected(name() + " has changed: what was compressed there cannot be unpacked");
  }
}

void SpillFile::read(const Copy& copy, std::span<std::byte> into) {
  State& s = *state_;
  const std::lock_guard lock(s.read_mutex);
  std::size_t at = 0;
  for (const Piece& piece : copy.pieces) {
    const std::size_t size = std::min(piece_bytes, static_cast<std::size_t>(copy.bytes) - at);
    s.read_piece(piece, into.subspan(at, size));
    at += size;
  }
  if (XXH3_64bits(into.data(), copy.bytes) == copy.checksum) return;
  throw Disconnected(s.name() + " has changed: a datum of " + std::to_string(copy.bytes) +
                     " bytes has another checksum than when it was written");
}

void SpillFile::drop(const Copy& copy) { state_->give_back(copy.pieces); }

std::uint64_t SpillFile::used_bytes() const {
  const std::lock_guard lock(state_->space_mutex);
  return state_->space.taken_bytes();
}

bool SpillFile::is_direct() const { return state_->is_direct; }
const FileDescriptor& SpillFile::descriptor() const { return state_->file; }

}  // namespace ashlar::store
