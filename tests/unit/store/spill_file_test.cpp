#include "store/spill_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <ashlar/error.hpp>

#include "store/buffer.hpp"

namespace ashlar::store {
namespace {

/// A folder of its own, gone with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "ashlar-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }
  bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::filesystem::path path_;
};

/// Bytes that do not compress.
std::vector<std::byte> noise(std::size_t bytes, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> out(bytes);
  for (std::byte& b : out) b = static_cast<std::byte>(random());
  return out;
}

/// Bytes that do.
std::vector<std::byte> stripes(std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(i / 1000);
  return out;
}

std::vector<std::byte> read_back(SpillFile& file, const SpillFile::Copy& copy) {
  std::vector<std::byte> out(copy.bytes);
  file.read(copy, out);
  return out;
}

std::uint64_t stored_bytes(const SpillFile::Copy& copy) {
  std::uint64_t total = 0;
  for (const auto& piece : copy.pieces) total += piece.stored_bytes;
  return total;
}

/// Changes one byte of the file, past whatever access it was opened for.
void flip_byte(const SpillFile& file, std::uint64_t offset) {
  const std::string name = "/proc/self/fd/" + std::to_string(file.descriptor().get());
  const FileDescriptor plain(::open(name.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(plain.is_open());
  char byte = 0;
  ASSERT_EQ(::pread(plain.get(), &byte, 1, static_cast<off_t>(offset)), 1);
  byte ^= 4;
  ASSERT_EQ(::pwrite(plain.get(), &byte, 1, static_cast<off_t>(offset)), 1);
  ASSERT_EQ(::fdatasync(plain.get()), 0);
}

TEST(SpillFile, DataOfAnySizeComeBack) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20});
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{5000}, std::size_t{2} << 20,
        (std::size_t{5} << 20) + 17}) {
    const auto data = noise(bytes);
    const auto copy = file.write(data);
    EXPECT_EQ(read_back(file, copy), data) << bytes;
    EXPECT_EQ(read_back(file, copy), data) << "a second time";
  }
}

TEST(SpillFile, BlocksOfAnArenaComeBack) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20});
  const auto arena = std::make_shared<Arena>(std::size_t{64} << 20);
  const std::size_t bytes = (std::size_t{8} << 20) + 8;
  const auto data = noise(bytes);
  auto copy = [&] {
    const Buffer buffer = Buffer::allocate(arena, bytes);
    std::memcpy(buffer.writable().data(), data.data(), bytes);
    return file.write(buffer.bytes());
  }();
  const Buffer back = Buffer::allocate(arena, bytes);
  file.read(copy, back.writable());
  EXPECT_EQ(std::memcmp(back.bytes().data(), data.data(), bytes), 0);
}

TEST(SpillFile, AFileHasNoName) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 1 << 20});
  file.write(noise(10000));
  EXPECT_TRUE(folder.is_empty());
}

TEST(SpillFile, SpaceIsUsedAgain) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 4 << 20});
  const auto data = noise(3 << 20);
  for (int i = 0; i < 5; ++i) {
    const auto copy = file.write(data);
    EXPECT_GE(file.used_bytes(), data.size());
    file.drop(copy);
    EXPECT_EQ(file.used_bytes(), 0u);
  }
}

TEST(SpillFile, AFullShareIsAnErrorAndLeavesNothing) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 4 << 20});
  const auto kept = file.write(noise(1 << 20));
  try {
    file.write(noise(8 << 20));
    FAIL() << "eight megabytes do not fit";
  } catch (const Overloaded& error) {
    EXPECT_NE(std::string(error.what()).find(folder.path()), std::string::npos) << error.what();
  }
  EXPECT_EQ(file.used_bytes(), 1u << 20);
  EXPECT_EQ(read_back(file, kept), noise(1 << 20));
}

TEST(SpillFile, AFullDiskIsAnErrorAndLeavesNothing) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 4 << 20});
  const FileDescriptor full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(full.is_open());
  ASSERT_GE(::dup3(full.get(), file.descriptor().get(), O_CLOEXEC), 0);
  EXPECT_THROW(file.write(noise(100'000)), Overloaded);
  EXPECT_EQ(file.used_bytes(), 0u);
}

/// What is not mapped in a process's memory is an I/O error of this file.
void break_disk(const SpillFile& file) {
  const FileDescriptor broken(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(broken.is_open());
  ASSERT_GE(::dup3(broken.get(), file.descriptor().get(), O_CLOEXEC), 0);
}

TEST(SpillFile, ADiskThatFailsToWriteIsAnErrorAndLeavesNothing) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 4 << 20});
  break_disk(file);
  try {
    file.write(noise(100'000));
    FAIL() << "written";
  } catch (const Overloaded& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("Input/output error"), std::string::npos) << text;
    EXPECT_NE(text.find(folder.path()), std::string::npos) << text;
  }
  EXPECT_EQ(file.used_bytes(), 0u);
}

TEST(SpillFile, ADiskThatFailsToReadIsAnError) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 4 << 20});
  const auto copy = file.write(noise(100'000));
  break_disk(file);
  try {
    read_back(file, copy);
    FAIL() << "read";
  } catch (const Disconnected& error) {
    EXPECT_NE(std::string(error.what()).find("Input/output error"), std::string::npos)
        << error.what();
  }
}

TEST(SpillFile, AChangedByteIsAnError) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20});
  const auto copy = file.write(noise(3 << 20));
  flip_byte(file, copy.pieces[1].offset + 1000);
  EXPECT_THROW(read_back(file, copy), Disconnected);
}

TEST(SpillFile, AChangedByteOfCompressedDataIsAnError) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20, .disk_speed = 1e6});
  const auto data = stripes(3 << 20);
  const auto copy = file.write(data);
  for (std::uint64_t at = 0; at < copy.pieces[0].stored_bytes; at += 997) {
    flip_byte(file, copy.pieces[0].offset + at);
    try {
      // Where the format is redundant a change may do nothing; it must never give other bytes.
      EXPECT_EQ(read_back(file, copy), data) << at;
    } catch (const Disconnected&) {
    }
    flip_byte(file, copy.pieces[0].offset + at);
  }
  EXPECT_EQ(read_back(file, copy), data);
}

TEST(SpillFile, ACutFileIsAnError) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20});
  const auto copy = file.write(noise(1 << 20));
  ASSERT_EQ(::ftruncate(file.descriptor().get(), 4096), 0);
  EXPECT_THROW(read_back(file, copy), Disconnected);
}

TEST(SpillFile, CompressesWhereItPays) {
  const Folder folder;
  const auto data = stripes(3 << 20);
  SpillFile slow({.folder = folder.path(), .bytes_max = 64 << 20, .disk_speed = 1e6});
  const auto packed = slow.write(data);
  EXPECT_LT(stored_bytes(packed), data.size() / 4);
  EXPECT_EQ(read_back(slow, packed), data);
  EXPECT_EQ(stored_bytes(slow.write(noise(3 << 20))), std::size_t{3} << 20)
      << "noise stays as it is";

  SpillFile fast({.folder = folder.path(), .bytes_max = 64 << 20, .disk_speed = 1e12});
  EXPECT_EQ(stored_bytes(fast.write(data)), data.size()) << "a fast disk needs no help";
}

TEST(SpillFile, ItLeavesThePageCacheAlone) {
  const Folder folder;
  SpillFile file({.folder = folder.path(), .bytes_max = 64 << 20});
  const std::size_t bytes = std::size_t{16} << 20;
  const auto copy = file.write(noise(bytes));
  read_back(file, copy);
  void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.descriptor().get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  std::vector<unsigned char> resident(bytes / 4096);
  ASSERT_EQ(::mincore(map, bytes, resident.data()), 0);
  std::size_t cached = 0;
  for (const auto page : resident) cached += page & 1;
  ::munmap(map, bytes);
  EXPECT_LT(cached, resident.size() / 8);
}

TEST(SpillFile, AFolderThatIsNoneIsNamed) {
  try {
    SpillFile file({.folder = "/nowhere/at/all"});
    FAIL();
  } catch (const BadInput& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all"), std::string::npos);
  }
}

}  // namespace
}  // namespace ashlar::store
