#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "net/address.hpp"

/// Small things about native sockets that links, listeners and connecting share.
namespace ashlar::net {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  bool is_open() const { return value_ >= 0; }

 private:
  int value_;
};

/// A native address, of either family.
struct NativeAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::string error_text(int error);

/// Errors: BadInput when the path is longer than the system takes.
NativeAddress native_local_address(const Address& address);
/// "tcp://1.2.3.4:80", or "" for another family.
std::string tcp_text(const NativeAddress& address);

/// Non-blocking, not inherited by child processes; not open, with errno, when it fails.
Descriptor open_socket(int family);
bool is_local_socket(int socket);
bool would_block(int error);
/// Sends what the socket takes of the parts, and a descriptor if that is not -1. Returns how many
/// bytes went, or minus the error's number.
long send_parts(int socket, std::span<iovec> parts, int descriptor);
/// Options that every link wants.
void tune_link_socket(int socket);
/// The process at the other end of a Unix socket runs as this user or as root.
bool is_peer_of_same_user(int socket);

}  // namespace ashlar::net
