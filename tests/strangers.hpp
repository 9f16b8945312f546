#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loopback.hpp"
#include "net/socket.hpp"

namespace ashlar::net {

/// TCP connections to a port of this host that say nothing.
class Strangers {
 public:
  void come(std::uint16_t port, int count) {
    const sockaddr_in there = loopback(port);
    for (int i = 0; i < count; ++i) {
      sockets_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const auto* const any = reinterpret_cast<const sockaddr*>(&there);
      ASSERT_EQ(::connect(sockets_.back().get(), any, sizeof there), 0);
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
