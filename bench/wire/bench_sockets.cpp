// How the bytes of a large chunk are best handed to a TCP socket: sendmsg, sendmsg with
// MSG_ZEROCOPY, or by io_uring with and without zero copies. Each way in turn, in every round,
// sends chunks to a child process over the loopback device, or to `--listen` on another host.
// Prints Gbit/s, and the processor seconds that sender and receiver take for each GB. The loopback
// device and pairs of virtual devices copy what was to go without a copy; the kernel says so, and
// the line does.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ctime>
// After <ctime>, whose timespec it needs.
#include <linux/errqueue.h>

#include <liburing.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "../statistics.hpp"

namespace {

namespace bench = ashlar::bench;
using Clock = std::chrono::steady_clock;

struct Options {
  std::size_t chunk_mib = 64;
  int chunks = 64;
  int rounds = 5;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  bool listens = false;
};

[[noreturn]] void fail(const char* what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

int checked(int result, const char* what) {
  if (result < 0) fail(what);
  return result;
}

double processor_seconds(int who) {
  rusage used{};
  getrusage(who, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Reads all that comes into the same memory, and says how many bytes it was.
void receive_all(int socket, std::size_t chunk_bytes) {
  std::vector<char> into(chunk_bytes);
  std::uint64_t bytes = 0;
  while (true) {
    const ssize_t got = recv(socket, into.data(), into.size(), MSG_WAITALL);
    if (got <= 0) break;
    bytes += static_cast<std::uint64_t>(got);
  }
  checked(static_cast<int>(send(socket, &bytes, sizeof bytes, MSG_NOSIGNAL)), "send");
}

class Sender {
 public:
  virtual ~Sender() = default;
  virtual void send_chunk(int socket, const char* bytes, std::size_t size) = 0;
  /// All memory that was sent may be used again.
  virtual void finish(int) {}
  bool has_copied() const { return has_copied_; }

 protected:
  bool has_copied_ = false;
};

class BySendmsg : public Sender {
 public:
  explicit BySendmsg(int flags = 0) : flags_(flags) {}

  void send_chunk(int socket, const char* bytes, std::size_t size) override {
    while (size > 0) {
      iovec part{const_cast<char*>(bytes), size};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | flags_);
      if (sent < 0 && errno == ENOBUFS) {
        read_notices(socket, true);
        continue;
      }
      if (sent < 0) fail("sendmsg");
      if (flags_ != 0) ++unfinished_;
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    }
    if (flags_ != 0) read_notices(socket, false);
  }

  void finish(int socket) override {
    while (unfinished_ > 0) read_notices(socket, true);
  }

 private:
  void read_notices(int socket, bool waits) {
    if (waits) {
      pollfd wanted{socket, 0, 0};
      checked(poll(&wanted, 1, 1000), "poll");
    }
    while (true) {
      std::array<char, 256> control{};
      msghdr message{};
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN) return;
        fail("recvmsg of the error queue");
      }
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        sock_extended_err notice{};
        std::memcpy(&notice, CMSG_DATA(c), sizeof notice);
        if (notice.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
        unfinished_ -= notice.ee_data - notice.ee_info + 1;
        has_copied_ = has_copied_ || (notice.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
      }
    }
  }

  int flags_;
  std::uint32_t unfinished_ = 0;
};

/// Pieces of a chunk are queued together, linked so that they go in order.
class ByUring : public Sender {
 public:
  explicit ByUring(bool is_zero_copy) : is_zero_copy_(is_zero_copy) {
    const int error = io_uring_queue_init(queue_length, &ring_, 0);
    if (error < 0) fail("io_uring_queue_init", -error);
  }
  ~ByUring() override { io_uring_queue_exit(&ring_); }
  ByUring(const ByUring&) = delete;
  ByUring& operator=(const ByUring&) = delete;

  void send_chunk(int socket, const char* bytes, std::size_t size) override {
    std::size_t queued = 0;
    unsigned waits_for = 0;
    while (queued < size) {
      io_uring_sqe* entry = io_uring_get_sqe(&ring_);
      if (entry == nullptr) throw std::runtime_error("a chunk has more pieces than the queue");
      const std::size_t piece = std::min(piece_bytes, size - queued);
      if (is_zero_copy_) {
        io_uring_prep_send_zc(entry, socket, bytes + queued, piece, MSG_NOSIGNAL | MSG_WAITALL, 0);
      } else {
        io_uring_prep_send(entry, socket, bytes + queued, piece, MSG_NOSIGNAL | MSG_WAITALL);
      }
      queued += piece;
      if (queued < size) entry->flags |= IOSQE_IO_LINK;
      entry->user_data = piece;
      ++waits_for;
    }
    const int submitted = io_uring_submit_and_wait(&ring_, 1);
    if (submitted < 0) fail("io_uring_submit", -submitted);
    while (waits_for > 0) {
      if (take_completion()) --waits_for;
    }
  }

  void finish(int) override {
    while (unfinished_ > 0) take_completion();
  }

 private:
  static constexpr std::size_t piece_bytes = std::size_t{1} << 20;
  static constexpr unsigned queue_length = 256;

  /// Whether it was that of a piece, and not the notice that its memory is free.
  bool take_completion() {
    io_uring_cqe* entry = nullptr;
    const int error = io_uring_wait_cqe(&ring_, &entry);
    if (error < 0) fail("io_uring_wait_cqe", -error);
    const bool is_notice = (entry->flags & IORING_CQE_F_NOTIF) != 0;
    if (is_notice) {
      --unfinished_;
    } else {
      if (entry->res < 0) fail("send by io_uring", -entry->res);
      if (static_cast<std::uint64_t>(entry->res) != entry->user_data) {
        throw std::runtime_error("io_uring sent a piece in part");
      }
      if ((entry->flags & IORING_CQE_F_MORE) != 0) ++unfinished_;
    }
    io_uring_cqe_seen(&ring_, entry);
    return !is_notice;
  }

  io_uring ring_{};
  bool is_zero_copy_;
  int unfinished_ = 0;
};

int listening_socket(const Options& o, std::uint16_t& port) {
  const int listener = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(o.port);
  if (inet_pton(AF_INET, o.address.c_str(), &here.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + o.address);
  }
  checked(bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof here), "bind");
  checked(listen(listener, 8), "listen");
  socklen_t size = sizeof here;
  checked(getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size), "getsockname");
  port = ntohs(here.sin_port);
  return listener;
}

int connected_socket(const Options& o, std::uint16_t port) {
  const int connected = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(port);
  if (inet_pton(AF_INET, o.address.c_str(), &there.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + o.address);
  }
  checked(connect(connected, reinterpret_cast<sockaddr*>(&there), sizeof there), "connect");
  const int on = 1;
  checked(setsockopt(connected, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
  checked(setsockopt(connected, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), "SO_ZEROCOPY");
  return connected;
}

struct Way {
  const char* name;
  Sender* sender;
  std::vector<double> gbits = {};
  std::vector<double> processor = {};
};

/// One connection, from the first byte sent until the receiver has counted all.
void measure(const Options& o, std::uint16_t port, int listener, Way& way,
             const std::vector<char>& chunk) {
  pid_t child = -1;
  if (listener >= 0) {
    child = checked(fork(), "fork");
    if (child == 0) {
      receive_all(checked(accept(listener, nullptr, nullptr), "accept"), chunk.size());
      _exit(0);
    }
  }
  const int socket = connected_socket(o, port);
  const double before = processor_seconds(RUSAGE_SELF) + processor_seconds(RUSAGE_CHILDREN);
  const auto begin = Clock::now();
  for (int i = 0; i < o.chunks; ++i) way.sender->send_chunk(socket, chunk.data(), chunk.size());
  checked(shutdown(socket, SHUT_WR), "shutdown");
  std::uint64_t received = 0;
  checked(static_cast<int>(recv(socket, &received, sizeof received, MSG_WAITALL)), "recv");
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  way.sender->finish(socket);
  close(socket);
  if (child > 0) waitpid(child, nullptr, 0);
  const double after = processor_seconds(RUSAGE_SELF) + processor_seconds(RUSAGE_CHILDREN);
  const double bytes = static_cast<double>(chunk.size()) * o.chunks;
  if (static_cast<double>(received) != bytes) throw std::runtime_error("not all bytes came");
  way.gbits.push_back(8e-9 * bytes / seconds);
  way.processor.push_back(1e9 * (after - before) / bytes);
}

void run(const Options& o) {
  std::vector<char> chunk(o.chunk_mib << 20);
  for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = static_cast<char>(i * 7);
  std::uint16_t port = o.port;
  const int listener = o.port == 0 || o.listens ? listening_socket(o, port) : -1;
  if (o.listens) {
    while (true) {
      const int taken = checked(accept(listener, nullptr, nullptr), "accept");
      receive_all(taken, chunk.size());
      close(taken);
    }
  }
  BySendmsg plain, zero_copy(MSG_ZEROCOPY);
  ByUring uring(false), uring_zero_copy(true);
  std::array<Way, 4> ways = {Way{"sendmsg", &plain}, Way{"sendmsg, MSG_ZEROCOPY", &zero_copy},
                             Way{"io_uring send", &uring},
                             Way{"io_uring send_zc", &uring_zero_copy}};
  for (int round = 0; round < o.rounds; ++round) {
    for (Way& way : ways) measure(o, port, listener, way, chunk);
  }
  for (const Way& way : ways) {
    const std::string note = way.sender->has_copied() ? " (the device made copies)" : "";
    bench::print((way.name + note).c_str(), way.gbits, "Gbit/s");
    bench::print("", way.processor, listener >= 0 ? "s/GB" : "s/GB sent");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times ways to send large chunks over TCP");
  app.add_option("--chunk-mib", o.chunk_mib, "MiB of a chunk, 1 to 256")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--chunks", o.chunks)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--rounds", o.rounds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--address", o.address, "IPv4 address")->capture_default_str();
  app.add_option("--port", o.port, "of a program that listens; 0: a child of this one");
  app.add_flag("--listen", o.listens, "receive at the address until killed");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}
