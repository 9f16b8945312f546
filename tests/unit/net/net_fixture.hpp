#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ashlar/error.hpp>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <utility>

#include "net/address.hpp"
#include "net/link.hpp"
#include "net/link_poll.hpp"
#include "net/tls.hpp"
#include "net/ucx.hpp"

namespace ashlar::net {

/// Records what a link says; payloads go into buffers of its own.
struct Witness : LinkEvents {
  std::vector<std::string> controls;
  std::deque<std::vector<std::byte>> payloads;
  std::vector<int> descriptors;
  std::vector<std::string> closed;
  int payloads_done = 0;
  int payloads_spoiled = 0;
  int batches = 0;
  bool refuses_payloads = false;
  std::function<void(const std::string&)> then = [](const std::string&) {};

  ~Witness() override {
    for (const int descriptor : descriptors) ::close(descriptor);
  }
  std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t payload_bytes,
                                int descriptor) override {
    controls.emplace_back(reinterpret_cast<const char*>(control.data()), control.size());
    if (descriptor >= 0) descriptors.push_back(descriptor);
    std::span<std::byte> place;
    if (payload_bytes > 0 && !refuses_payloads)
      place = payloads.emplace_back(static_cast<std::size_t>(payload_bytes));
    then(controls.back());
    return place;
  }
  void on_payload(bool is_intact) override { ++(is_intact ? payloads_done : payloads_spoiled); }
  void on_batch_end() override { ++batches; }
  void on_closed(const std::string& reason) override { closed.push_back(reason); }
};

inline Frame frame_of(const std::string& control) {
  Frame frame;
  frame.control.resize(control.size());
  if (!control.empty()) std::memcpy(frame.control.data(), control.data(), control.size());
  return frame;
}

inline Frame payload_frame(const std::string& control,
                           const std::shared_ptr<std::vector<std::byte>>& payload) {
  Frame frame = frame_of(control);
  frame.payload = *payload;
  frame.payload_owner = payload;
  return frame;
}

inline int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

/// Two links in one process, and the loop that they run on.
struct Net : testing::Test {
  boost::asio::io_context io;
  std::shared_ptr<Link> left;
  std::shared_ptr<Link> right;
  bool polls = false;  ///< as a loop does that looks at its links' shared memory itself

  /// Runs the loop until the condition holds; fails after a time that only a hang takes.
  void run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "nothing more happens";
      io.restart();
      if (polls && (poll_once() || LinkPoll::of(io).await())) continue;
      io.run_one_for(std::chrono::milliseconds(100));
    }
  }
  void run_all_ready() {
    io.restart();
    while (polls ? poll_once() : io.poll() > 0) {
    }
  }
  bool poll_once() {
    LinkPoll& links = LinkPoll::of(io);
    links.look();
    const bool did_anything = links.poll();
    const bool ran_anything = io.poll_one() > 0;
    links.flush();
    return did_anything || ran_anything;
  }

  /// Both sides go on through shared memory.
  void share(const std::shared_ptr<Link>& asking) {
    left->trust();
    right->trust();
    asking->share_memory();
  }

  std::pair<int, int> socket_pair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {ends[0], ends[1]};
  }

  void open_pair(Limits limits = {}) {
    const auto [a, b] = socket_pair();
    left = Link::adopt(io, a, limits);
    right = Link::adopt(io, b, limits);
  }

  /// Both ends of a connection by UCX over these of its transports (UCX_TLS). Skips the test where
  /// there is no UCX.
  void open_by_ucx(const char* transports, Limits limits = {}) {
    ::setenv("UCX_TLS", transports, 1);
    try {
      need_ucx();
    } catch (const Unsupported& why) {
      GTEST_SKIP() << why.what();
    }
    auto listener = listen_by_ucx(
        io, {.host = "127.0.0.1"}, [&](std::shared_ptr<Link> link) { right = link; }, limits);
    std::string problem;
    connect_by_ucx(
        io, ucx_text(listener->address()), 10'000,
        [&](std::shared_ptr<Link> link, const NoLink& why_not) {
          left = link;
          problem = why_not.reason;
        },
        limits);
    run_until([&] { return (left && right) || !problem.empty(); });
    ASSERT_EQ(problem, "");
  }

  /// Both ends of a connection by this address; port 0 is any. The right one accepts.
  void open_by(const std::string& address, Limits limits = {},
               const std::shared_ptr<const Tls>& tls_of_left = {},
               const std::shared_ptr<const Tls>& tls_of_right = {}) {
    auto listener = Listener::open(
        io, Address::parse(address), [&](std::shared_ptr<Link> link) { right = link; }, limits,
        tls_of_right);
    std::string problem;
    connect(
        io, listener->address(), 10'000,
        [&](std::shared_ptr<Link> link, const NoLink& why_not) {
          left = link;
          problem = why_not.reason;
        },
        limits, tls_of_left);
    run_until([&] { return (left && right) || !problem.empty(); });
    ASSERT_EQ(problem, "");
  }
};

}  // namespace ashlar::net
