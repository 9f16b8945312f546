#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "loopback.hpp"
#include "net/socket.hpp"

namespace ashlar::net {

using Bytes = std::vector<std::byte>;

/// Two ends of a TCP connection.
inline std::pair<Descriptor, Descriptor> tcp_pair() {
  const LoopbackListener listener(1);
  Descriptor one(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in there = loopback(listener.port);
  EXPECT_EQ(::connect(one.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there), 0);
  Descriptor other(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return {std::move(one), std::move(other)};
}

/// Passes bytes on between two sockets, and keeps those of the first one.
class Wire {
 public:
  /// Of the first one's bytes the one at `flipped` is changed.
  Wire(Descriptor one, Descriptor other, std::size_t flipped = SIZE_MAX)
      : one_(std::move(one)), other_(std::move(other)), flipped_(flipped) {
    thread_ = std::thread([this] { run(); });
  }
  ~Wire() {
    ::shutdown(one_.get(), SHUT_RDWR);
    ::shutdown(other_.get(), SHUT_RDWR);
    thread_.join();
  }

  /// Once both ends are closed.
  const Bytes& seen() {
    while (!is_over_) std::this_thread::yield();
    return seen_;
  }

 private:
  void run() {
    while (pass(one_, other_)) {
    }
    ::shutdown(one_.get(), SHUT_RDWR);
    ::shutdown(other_.get(), SHUT_RDWR);
    is_over_ = true;
  }
  bool pass(const Descriptor& one, const Descriptor& other) {
    pollfd ready[] = {{one.get(), POLLIN, 0}, {other.get(), POLLIN, 0}};
    ::poll(ready, 2, -1);
    return (ready[0].revents == 0 || move(one, other, true)) &&
           (ready[1].revents == 0 || move(other, one, false));
  }
  bool move(const Descriptor& from, const Descriptor& to, bool is_kept) {
    Bytes some(64 << 10);
    const long count = ::recv(from.get(), some.data(), some.size(), 0);
    if (count <= 0) return false;
    some.resize(static_cast<std::size_t>(count));
    if (is_kept) {
      if (flipped_ >= seen_.size() && flipped_ - seen_.size() < some.size())
        some[flipped_ - seen_.size()] ^= std::byte{1};
      seen_.insert(seen_.end(), some.begin(), some.end());
    }
    for (std::size_t done = 0; done < some.size();) {
      const long sent = ::send(to.get(), some.data() + done, some.size() - done, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      done += static_cast<std::size_t>(sent);
    }
    return true;
  }

  Descriptor one_, other_;
  std::size_t flipped_;
  Bytes seen_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace ashlar::net
