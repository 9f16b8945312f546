#include "net/sending_rate.hpp"

// The kernel's header: the C library's tcp_info ends before what is wanted here, and the two exclude
// each other.
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>

namespace ashlar::net {

SendingRate sending_rate_of(int socket) {
  constexpr int protocol = 6;  // of TCP
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, protocol, TCP_INFO, &info, &size) != 0 ||
      size < offsetof(tcp_info, tcpi_delivery_rate) + sizeof info.tcpi_delivery_rate) {
    return {};
  }
  return {static_cast<double>(info.tcpi_delivery_rate), info.tcpi_delivery_rate_app_limited != 0};
}

}  // namespace ashlar::net
