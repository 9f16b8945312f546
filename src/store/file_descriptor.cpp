#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <ashlar/error.hpp>

#include "store/arena.hpp"

namespace ashlar::store {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    FileDescriptor old(std::exchange(fd_, other.release()));
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

FileDescriptor FileDescriptor::duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    throw Overloaded("file descriptor " + std::to_string(fd_) +
                     " cannot be duplicated: " + std::strerror(errno));
  }
  return FileDescriptor(copy);
}

}  // namespace ashlar::store
