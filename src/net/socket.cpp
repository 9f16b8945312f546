#include "net/socket.hpp"

#include <ashlar/error.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <system_error>

namespace ashlar::net {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(value_, other.value_);
  return *this;
}

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

std::string error_text(int error) { return std::generic_category().message(error); }

NativeAddress native_local_address(const Address& address) {
  NativeAddress native;
  auto* local = reinterpret_cast<sockaddr_un*>(&native.storage);
  local->sun_family = AF_UNIX;
  const bool is_abstract = address.host.starts_with('@');
  const std::size_t size_max = sizeof local->sun_path - (is_abstract ? 0 : 1);
  if (address.host.size() > size_max)
    throw BadInput("\"" + address.to_string() + "\" is too long: expected at most " +
                   std::to_string(size_max) + " characters after unix:");
  std::memcpy(local->sun_path, address.host.data(), address.host.size());
  if (is_abstract) local->sun_path[0] = '\0';
  native.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() +
                                       (is_abstract ? 0 : 1));
  return native;
}

std::string tcp_text(const NativeAddress& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    return std::string("tcp://") + host + ":" + std::to_string(ntohs(v4->sin_port));
  }
  if (address.storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    return std::string("tcp://[") + host + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  return {};
}

Descriptor open_socket(int family) {
  return Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool is_local_socket(int socket) {
  int family = 0;
  socklen_t size = sizeof family;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family == AF_UNIX;
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

long send_parts(int socket, std::span<iovec> parts, int descriptor) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
  if (descriptor >= 0) {
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
  }
  long sent;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

namespace {

/// A way that has gone without a word would else be noticed after a quarter of an hour by who
/// sends, and never by who waits for what the other one is to send. Who is silent to the scheduler
/// is noticed sooner.
void give_up_soon(int socket) {
  constexpr int quiet_s = 3, between_s = 2, unanswered_ms = 15'000;  // the last for probes, too
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &quiet_s, sizeof quiet_s);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
  ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms);
}

}  // namespace

void tune_link_socket(int socket) {
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  if (!is_local_socket(socket)) {
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    give_up_soon(socket);
    return;  // TCP sizes its buffers itself
  }
  const int bytes = 4 << 20;
  // The plain options are capped by the system's settings; root may go beyond.
  if (::setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
    ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (::setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool is_peer_of_same_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

}  // namespace ashlar::net
