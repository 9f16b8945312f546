#include "net/sending_rate.hpp"

// The kernel's header: the C library's tcp_info ends before what is wanted here, and the two
// exclude each other.
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

namespace ashlar::net {

namespace {

constexpr std::uint32_t long_way_us = 1'000;   // there and back; 4 MiB of buffer last for 33 Gbit/s
constexpr std::uint64_t busy_min_us = 20'000;  // so long there was something to send, or is

bool is_held_up(const tcp_info& info) {
  const std::uint64_t held_up = info.tcpi_sndbuf_limited + info.tcpi_rwnd_limited;
  return info.tcpi_min_rtt >= long_way_us && info.tcpi_busy_time >= busy_min_us &&
         held_up * 4 >= info.tcpi_busy_time;
}

}  // namespace

SendingRate sending_rate_of(int socket) {
  constexpr int protocol = 6;  // of TCP
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, protocol, TCP_INFO, &info, &size) != 0 ||
      size < offsetof(tcp_info, tcpi_sndbuf_limited) + sizeof info.tcpi_sndbuf_limited) {
    return {};
  }
  return {static_cast<double>(info.tcpi_delivery_rate), info.tcpi_delivery_rate_app_limited != 0,
          is_held_up(info)};
}

}  // namespace ashlar::net
