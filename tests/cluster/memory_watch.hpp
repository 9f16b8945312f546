#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.hpp"

namespace ashlar::testing {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

/// A line "NAME: n kB" of a status file, in bytes.
inline std::uint64_t field(const std::string& status, const std::string& name) {
  const auto at = status.find(name + ":");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + name.size() + 1)) * 1024;
}

constexpr const char* arena_name = "ashlar-arena";

/// The file that holds the arena of a process: the one it maps to write. For a moment it has its
/// peers' open, too, whose arenas it maps to read.
inline ino_t arena_of(const std::string& process) {
  std::ifstream maps(process + "/maps");
  std::string addresses, rights, offset, device, name;
  for (ino_t file = 0; maps >> addresses >> rights >> offset >> device >> file;) {
    std::getline(maps, name);
    if (rights == "rw-s" && name.find(arena_name) != std::string::npos) return file;
  }
  return 0;
}

/// What a process of a session takes: its own pages, and those of the arena that it shares, whoever
/// maps them.
inline std::uint64_t memory_of(int pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::ifstream file(process + "/status");
  std::stringstream status;
  status << file.rdbuf();
  const std::uint64_t own = field(status.str(), "RssAnon") + field(status.str(), "RssFile");
  const ino_t arena = arena_of(process);
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd", gone)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    struct stat info = {};
    if (target.find(arena_name) == std::string::npos) continue;
    if (::stat(entry.path().c_str(), &info) == 0 && info.st_ino == arena) {
      return own + static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  return own;
}

/// Looks at processes, the workers if none are named, a hundred times a second.
class MemoryWatch {
 public:
  MemoryWatch() : MemoryWatch(child_processes()) {}
  explicit MemoryWatch(std::vector<int> pids)
      : pids_(std::move(pids)), thread_([this] { watch(); }) {}
  ~MemoryWatch() { stop(); }
  std::uint64_t peak() {
    stop();
    return peak_;
  }

 private:
  void stop() {
    is_over_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void watch() {
    while (!is_over_) {
      for (const int pid : pids_) peak_ = std::max(peak_, memory_of(pid));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  std::vector<int> pids_;
  std::uint64_t peak_ = 0;
  std::atomic<bool> is_over_ = false;
  std::thread thread_;
};

}  // namespace ashlar::testing
