#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/socket.hpp"

namespace ashlar::net {

/// TCP connections to a port of this host that say nothing.
class Strangers {
 public:
  void come(std::uint16_t port, int count) {
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    there.sin_port = htons(port);
    for (int i = 0; i < count; ++i) {
      sockets_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ASSERT_EQ(::connect(sockets_.back().get(), reinterpret_cast<sockaddr*>(&there), sizeof there),
                0);
    }
  }
  void leave(std::size_t which) { sockets_[which] = Descriptor(); }

  /// How many have not been hung up on.
  std::ptrdiff_t count_connected() const {
    std::ptrdiff_t count = 0;
    for (const Descriptor& each : sockets_) {
      std::byte some;
      count += ::recv(each.get(), &some, 1, MSG_DONTWAIT) < 0 && would_block(errno) ? 1 : 0;
    }
    return count;
  }

 private:
  std::vector<Descriptor> sockets_;
};

}  // namespace ashlar::net
