#include "net/sending_rate.hpp"

// The kernel's header: the C library's tcp_info ends before what is wanted here, and the two
// exclude each other.
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace ashlar::net {

SendingRate sending_rate_of(int socket) {
  constexpr int protocol = 6;  // of TCP
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, protocol, TCP_INFO, &info, &size) != 0 ||
      size < offsetof(tcp_info, tcpi_sndbuf_limited) + sizeof info.tcpi_sndbuf_limited) {
    return {};
  }
  return {static_cast<double>(info.tcpi_delivery_rate), info.tcpi_delivery_rate_app_limited != 0,
          info.tcpi_min_rtt, info.tcpi_busy_time,
          info.tcpi_sndbuf_limited + info.tcpi_rwnd_limited};
}

}  // namespace ashlar::net
