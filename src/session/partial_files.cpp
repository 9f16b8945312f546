#include "session/partial_files.hpp"

#include <ashlar/error.hpp>

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "kernels/npy.hpp"

namespace ashlar::session {

namespace {

constexpr const char* mark = ".partial-";

/// Where a process number means the same process: this boot of this host, and this PID namespace.
/// Empty where the system does not say.
std::string process_space() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::error_code error;
  const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  const auto digits = space.find_first_of("0123456789");
  if (!std::getline(file, boot) || digits == std::string::npos) return {};
  return boot.substr(0, boot.find('-')) + "-" + space.substr(digits, space.find(']') - digits);
}

/// The number that follows `begin` in a name; none when another name does.
std::optional<pid_t> number_behind(const std::string& begin, const std::string& name) {
  if (!name.starts_with(begin)) return {};
  pid_t pid = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + begin.size(), end, pid);
  if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != '-' || pid <= 0) return {};
  return pid;
}

/// Removes what processes that were killed have left of a file.
void remove_left_behind(const std::filesystem::path& file) {
  const std::string space = process_space();
  if (space.empty()) return;
  const std::string begin = file.filename().string() + mark + space + "-";
  std::error_code error;
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const auto pid = number_behind(begin, entry->path().filename().string());
    if (pid && ::kill(*pid, 0) != 0 && errno == ESRCH) ::unlink(entry->path().c_str());
  }
}

}  // namespace

std::string partial_suffix() {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", std::random_device()());
  return std::string(mark) + process_space() + "-" + std::to_string(::getpid()) + "-" + digits +
         "-";
}

void PartialFiles::create(const std::vector<array::WrittenFile>& files) {
  for (const auto& file : files) {
    std::error_code error;
    const auto status = std::filesystem::status(file.path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      throw BadInput("file \"" + file.path + "\": it is not a regular file");
    }
    const auto folder = std::filesystem::path(file.path).parent_path();
    if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
      throw BadInput("file \"" + file.path + "\": there is no folder \"" + folder.string() +
                     "\"; make it first");
    }
    remove_left_behind(file.path);
    {
      std::lock_guard lock(mutex_);
      files_.push_back(file);
    }
    const auto& partial = file.partial;
    kernels::npy_create(partial.path, partial.dtype, partial.shape, partial.is_fortran);
  }
}

void PartialFiles::publish() {
  std::lock_guard lock(mutex_);
  while (!files_.empty()) {
    const auto& file = files_.back();
    if (std::rename(file.partial.path.c_str(), file.path.c_str()) != 0) {
      throw TaskFailed("file \"" + file.path +
                       "\" cannot take the place of what is there: " + std::strerror(errno));
    }
    files_.pop_back();
  }
}

void PartialFiles::discard() {
  std::lock_guard lock(mutex_);
  for (const auto& file : std::exchange(files_, {})) ::unlink(file.partial.path.c_str());
}

}  // namespace ashlar::session
