#include "session/partial_files.hpp"

#include <ashlar/error.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

#include "kernels/npy.hpp"

namespace ashlar::session {

std::string partial_suffix() {
  std::random_device device;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%08x%08x", device(), device());
  return std::string(".partial-") + digits + "-";
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
