#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "exchange_end.hpp"
#include "net/sending_rate.hpp"
#include "played_peer.hpp"
#include "runtime/clock.hpp"

namespace ashlar::net {

/// What the system would say of each socket, for this program alone: the way to this host is short.
SendingRate told;
SendingRate sending_rate_of(int) {
  told.busy_us += 150'000;
  return told;
}

}  // namespace ashlar::net

/// Two exchanges on a way that is said to be long or not.
namespace ashlar::runtime {
namespace {

constexpr std::size_t bytes = 3'000'000;
constexpr std::uint32_t count = 8;

Bytes large(std::uint32_t index) {
  Bytes content(bytes);
  for (std::size_t i = 0; i < bytes; ++i) content[i] = std::byte(i * 7 + i / 256 + index);
  return content;
}

/// One with a loop and a thread of its own.
struct Process {
  explicit Process(PeerId self) : end(loop, self, log) { loop.start(); }
  ~Process() { loop.stop(); }

  void on_turn(const std::function<void()>& f) {
    std::atomic<bool> is_done{false};
    loop.dispatch([&] {
      f();
      is_done = true;
    });
    wait_for([&] { return is_done.load(); });
  }
  void wait_for(const std::function<bool()>& holds) {
    ASSERT_TRUE(loop.drive_until(holds, now() + Duration::seconds(60)));
  }

  telemetry::Log log;
  Loop loop{Loop::Options{}};
  End end;
};

/// Connected TCP sockets of this process.
std::vector<int> connections() {
  std::vector<int> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int number = std::stoi(entry.path().filename());
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const bool is_connected = ::getpeername(number, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    if (is_connected && peer.ss_family == AF_INET) sockets.push_back(number);
  }
  return sockets;
}

class LanesWanted : public testing::Test {
 protected:
  LanesWanted() {
    net::told = {.bytes_per_second = 1e9, .is_lower_bound = false, .way_us = 10'000};
    holder_.on_turn([this] {
      for (std::uint32_t i = 0; i < count; ++i) holder_.end.keep(datum(i), large(i));
    });
    asker_.on_turn([this] { asker_.end.exchange.know_peer(holder_.end.info()); });
  }

  void begin_fetching() {
    asker_.end.fetched = asker_.end.failed = 0;
    asker_.on_turn([this] {
      for (std::uint32_t i = 0; i < count; ++i) {
        asker_.end.table.drop(datum(i));
        asker_.end.exchange.start_fetch(datum(i), them);
      }
    });
  }
  void end_fetching() {
    asker_.wait_for([this] { return asker_.end.fetched + asker_.end.failed == count; });
    asker_.on_turn([this] {
      std::uint32_t right = 0;
      for (std::uint32_t i = 0; i < count; ++i) right += asker_.end.has(datum(i), large(i)) ? 1 : 0;
      EXPECT_EQ(right, asker_.end.fetched);
    });
  }
  void fetch() {
    begin_fetching();
    end_fetching();
    EXPECT_EQ(asker_.end.failed, 0u);
  }
  void expect_four_lanes() {
    asker_.wait_for([] { return connections().size() == four_lanes; });
  }
  void hold_up() {
    holder_.on_turn([] { net::told.held_up_us = net::told.busy_us + (std::uint64_t{1} << 40); });
  }

  static constexpr std::size_t one_link = 2;  // both ends are here
  static constexpr std::size_t four_lanes = 8;
  Process holder_{them};
  Process asker_{us};
};

TEST_F(LanesWanted, WhereBuffersHoldUpALongWay) {
  hold_up();
  fetch();
  expect_four_lanes();
  fetch();
  EXPECT_EQ(connections().size(), four_lanes);
}

TEST_F(LanesWanted, NotWhereTheWayIsShort) {
  hold_up();
  holder_.on_turn([] { net::told.way_us = 999; });
  for (int i = 0; i < 3; ++i) fetch();
  EXPECT_EQ(connections().size(), one_link);
}

TEST_F(LanesWanted, NotWhereNothingIsHeldUp) {
  for (int i = 0; i < 3; ++i) fetch();
  EXPECT_EQ(connections().size(), one_link);
}

TEST_F(LanesWanted, ForWhatIsHeldUpNow) {
  holder_.on_turn([] { net::told.busy_us = 1'000'000'000; });  // a thousand seconds without
  fetch();
  EXPECT_EQ(connections().size(), one_link);
  holder_.on_turn([] { net::told.held_up_us = 1'000'000; });
  fetch();
  expect_four_lanes();
}

TEST_F(LanesWanted, ForCompressedPiecesToo) {
  holder_.on_turn([] { net::told.bytes_per_second = 1e6; });
  hold_up();
  for (int i = 0; i < 3; ++i) fetch();
  expect_four_lanes();
  asker_.on_turn([this] {
    EXPECT_LT(asker_.end.exchange.bytes_received(), 3 * count * bytes) << "nothing was compressed";
  });
}

TEST_F(LanesWanted, AndWhicheverEndsWhatIsMissingComesWhenAskedForAgain) {
  for (std::size_t lane = 0; lane < four_lanes; ++lane) {
    SCOPED_TRACE(lane);
    hold_up();
    fetch();
    expect_four_lanes();
    begin_fetching();
    EXPECT_EQ(::shutdown(connections().at(lane), SHUT_RDWR), 0);
    end_fetching();
    fetch();
  }
}

TEST_F(LanesWanted, AndAllEndWithThePeer) {
  hold_up();
  fetch();
  expect_four_lanes();
  begin_fetching();
  holder_.on_turn([this] { holder_.end.exchange.forget_peer(us); });
  end_fetching();
  asker_.on_turn([this] { asker_.end.exchange.forget_peer(them); });
  asker_.wait_for([] { return connections().empty(); });
}

}  // namespace
}  // namespace ashlar::runtime
