#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "net/sending_rate.hpp"
#include "played_peer.hpp"
#include "runtime/exchange.hpp"

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

std::byte byte_of(const DatumId& id, std::size_t position) {
  return std::byte(position * 7 + position / 256 + id.index);
}

/// One end, with a loop of its own.
class End : public ExchangeEvents {
 public:
  explicit End(PeerId self) {
    exchange.set_self(self);
    loop.add_turn_hook([this] { return exchange.flush(), false; });
    loop.start();
  }
  ~End() override { loop.stop(); }

  protocol::PeerInfo info() const {
    protocol::PeerInfo info;
    info.peer = exchange.self();
    info.endpoint.host_identity = "elsewhere";
    info.endpoint.remote_address = exchange.endpoint().remote_address;
    return info;
  }

  void on_turn(const std::function<void()>& f) {
    std::atomic<bool> is_done{false};
    loop.dispatch([&] {
      f();
      is_done = true;
    });
    wait_for([&] { return is_done.load(); });
  }
  void wait_for(const std::function<bool()>& holds) {
    loop.drive_until(holds, Instant{std::numeric_limits<std::int64_t>::max()});
  }

  void on_fetched(DatumId, std::uint64_t, bool, bool) override { ++fetched; }
  void on_fetch_failed(DatumId, PeerId, const std::string&) override { ++failed; }
  void on_asked(PeerId peer, std::uint64_t request, DatumId id,
                const protocol::Urgency& urgency) override {
    exchange.answer(peer, request, id, urgency);
  }
  void on_unasked(PeerId, std::uint64_t) override {}
  void on_loans_wanted(PeerId) override {}
  void on_pushed(DatumId, std::uint64_t, bool) override {}

  Loop loop{Loop::Options{}};
  std::shared_ptr<store::Arena> arena = std::make_shared<store::Arena>(64 << 20);
  DataTable table;
  telemetry::Log log;
  Exchange exchange{loop, arena, table, *this, log, {.token = "", .listen_host = "127.0.0.1"}};
  std::atomic<std::uint32_t> fetched = 0;
  std::atomic<std::uint32_t> failed = 0;
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
      for (std::uint32_t i = 0; i < count; ++i) {
        store::Buffer buffer = store::Buffer::allocate(holder_.arena, bytes);
        const auto place = buffer.writable();
        for (std::size_t k = 0; k < bytes; ++k) place[k] = byte_of(datum(i), k);
        holder_.table.put(datum(i), std::move(buffer));
      }
    });
    asker_.on_turn([this] { asker_.exchange.know_peer(holder_.info()); });
  }

  void begin_fetching() {
    asker_.fetched = asker_.failed = 0;
    asker_.on_turn([this] {
      for (std::uint32_t i = 0; i < count; ++i) {
        asker_.table.drop(datum(i));
        asker_.exchange.start_fetch(datum(i), them);
      }
    });
  }
  void end_fetching() {
    asker_.wait_for([this] { return asker_.fetched + asker_.failed == count; });
    asker_.on_turn([this] {
      std::uint32_t here = 0;
      for (std::uint32_t i = 0; i < count; ++i) here += is_right(i) ? 1 : 0;
      EXPECT_EQ(here, asker_.fetched);
    });
  }
  bool is_right(std::uint32_t index) const {
    const store::Buffer* buffer = asker_.table.find(datum(index));
    if (buffer == nullptr || buffer->size() != bytes) return false;
    for (std::size_t k = 0; k < bytes; ++k) {
      if (buffer->bytes()[k] != byte_of(datum(index), k)) return false;
    }
    return true;
  }
  void fetch() {
    begin_fetching();
    end_fetching();
    EXPECT_EQ(asker_.failed, 0u);
  }

  End holder_{them};
  End asker_{us};
};

constexpr std::size_t one_link = 2;  // both ends are here
constexpr std::size_t four_lanes = 8;

TEST_F(LanesWanted, WhereBuffersHoldUpALongWay) {
  holder_.on_turn([] { net::told.held_up_us = std::uint64_t{1} << 40; });
  fetch();
  asker_.wait_for([] { return connections().size() == four_lanes; });
  fetch();
  EXPECT_EQ(connections().size(), four_lanes);
  EXPECT_GT(holder_.exchange.bytes_sent(), 2 * count * bytes - 1);
}

TEST_F(LanesWanted, NotWhereTheWayIsShort) {
  holder_.on_turn([] {
    net::told.held_up_us = std::uint64_t{1} << 40;
    net::told.way_us = 999;
  });
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
  asker_.wait_for([] { return connections().size() == four_lanes; });
}

TEST_F(LanesWanted, ForCompressedPiecesToo) {
  holder_.on_turn([] {
    net::told.bytes_per_second = 1e6;
    net::told.held_up_us = std::uint64_t{1} << 40;
  });
  for (int i = 0; i < 3; ++i) fetch();
  asker_.wait_for([] { return connections().size() == four_lanes; });
}

TEST_F(LanesWanted, AndWhicheverEndsWhatIsMissingComesWhenAskedForAgain) {
  for (std::size_t lane = 0; lane < four_lanes; ++lane) {
    SCOPED_TRACE(lane);
    holder_.on_turn([] { net::told.held_up_us = net::told.busy_us + (std::uint64_t{1} << 40); });
    fetch();
    asker_.wait_for([] { return connections().size() == four_lanes; });
    begin_fetching();
    ::shutdown(connections()[lane], SHUT_RDWR);
    end_fetching();
    fetch();
  }
}

TEST_F(LanesWanted, AndAllEndWithThePeer) {
  holder_.on_turn([] { net::told.held_up_us = std::uint64_t{1} << 40; });
  fetch();
  asker_.wait_for([] { return connections().size() == four_lanes; });
  begin_fetching();
  holder_.on_turn([this] { holder_.exchange.forget_peer(us); });
  end_fetching();
  asker_.on_turn([this] { asker_.exchange.forget_peer(them); });
  asker_.wait_for([] { return connections().empty(); });
}

}  // namespace
}  // namespace ashlar::runtime
