#include "runtime/exchange.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "played_peer.hpp"
#include "wire/codec.hpp"

/// What a peer of the data plane may do wrong: each time the fetch fails, nothing comes into the
/// table, and no memory stays taken.
namespace ashlar::runtime {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr DatumId wanted{{SessionId{0}, 1}, 7};

/// A peer that is played byte by byte.
class Peer {
 public:
  Peer() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socklen_t size = sizeof(sa_family_t);  // the system chooses a name
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    size = sizeof address;
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    name_ = "unix:@" + std::string(address.sun_path + 1, size - sizeof(sa_family_t) - 1);
  }

  protocol::PeerInfo info() const {
    protocol::PeerInfo info;
    info.peer = them;
    info.endpoint.remote_address = name_;
    return info;
  }

  /// Accepts the link and greets; returns the number of the first request on it.
  std::uint64_t take_request() {
    link_.emplace(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC), true);
    link_->welcome();
    return link_->take_request();
  }

  /// Its header promises so many bytes of payload; as many of them follow as `payload` has.
  void send(const protocol::PeerMessage& message, std::uint64_t payload_bytes = 0,
            std::size_t payload = 0) {
    Bytes bytes = plain_frame(wire::encode(message), payload_bytes);
    bytes.resize(bytes.size() + payload, std::byte{5});
    link_->send(std::span<const std::byte>(bytes));
  }
  void hang_up() { link_->hang_up(); }
  bool is_hung_up_on() { return link_->is_hung_up_on(); }

 private:
  store::FileDescriptor listener_;
  std::optional<Connection> link_;
  std::string name_;
};

class HostilePeer : public testing::Test {
 protected:
  HostilePeer() {
    exchange_.set_self(us);
    loop_.add_turn_hook([this] { return exchange_.flush(), false; });
    loop_.start();
    on_turn([this] {
      exchange_.know_peer(peer_.info());
      exchange_.start_fetch(wanted, them);
    });
    request_ = peer_.take_request();
  }
  ~HostilePeer() override { loop_.stop(); }

  void on_turn(std::function<void()> f) {
    std::atomic<bool> is_done{false};
    loop_.dispatch([&] {
      f();
      is_done = true;
    });
    loop_.drive_until([&] { return is_done.load(); },
                      Instant{std::numeric_limits<std::int64_t>::max()});
  }

  void expect_failed() {
    EXPECT_EQ(heard_.next(), "failed 7 at 2");
    EXPECT_TRUE(peer_.is_hung_up_on());
    on_turn([this] {
      EXPECT_EQ(table_.size(), 0u);
      EXPECT_EQ(arena_->allocated_bytes(), 0u);
    });
  }

  Loop loop_{Loop::Options{}};
  std::shared_ptr<store::Arena> arena_ = std::make_shared<store::Arena>(16 * mib);
  DataTable table_;
  Heard heard_;
  telemetry::Log log_;
  Exchange exchange_{loop_, arena_, table_, heard_, log_, {}};
  Peer peer_;
  std::uint64_t request_ = 0;
};

TEST_F(HostilePeer, WhatIsAnnouncedAndSentComes) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib, mib);
  EXPECT_EQ(heard_.next(), "fetched 7: 1048576");
  on_turn([this] {
    ASSERT_NE(table_.find(wanted), nullptr);
    EXPECT_EQ(table_.find(wanted)->bytes()[mib - 1], std::byte{5});
  });
}

TEST_F(HostilePeer, MoreBytesThanAnnouncedAreRefused) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib + 1, mib + 1);
  expect_failed();
}

TEST_F(HostilePeer, FewerBytesThanAnnouncedAreRefused) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib - 1, mib - 1);
  expect_failed();
}

TEST_F(HostilePeer, BytesThatFollowAPayloadAreNoFrame) {
  peer_.send(protocol::FetchBytes{request_, 100}, 100, 100 + net::FrameHeader::bytes);
  EXPECT_EQ(heard_.next(), "fetched 7: 100");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

TEST_F(HostilePeer, OneThatGoesInMidTransferHasSentNothing) {
  peer_.send(protocol::FetchBytes{request_, mib}, mib, mib / 2);
  peer_.hang_up();
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  on_turn([this] {
    EXPECT_EQ(table_.size(), 0u);
    EXPECT_EQ(arena_->allocated_bytes(), 0u);
  });
}

TEST_F(HostilePeer, MoreThanThereIsMemoryForIsRefused) {
  peer_.send(protocol::FetchBytes{request_, 64 * mib}, 64 * mib, 100);
  expect_failed();
}

TEST_F(HostilePeer, PlacesInMemoryThatItHasNotSharedAreRefused) {
  peer_.send(protocol::FetchInPlace{0, {request_}, {0}, {mib}});
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

TEST_F(HostilePeer, MemoryWithoutADescriptorIsRefused) {
  peer_.send(protocol::ArenaShared{0, mib});
  EXPECT_EQ(heard_.next(), "failed 7 at 2");
  EXPECT_TRUE(peer_.is_hung_up_on());
}

}  // namespace
}  // namespace ashlar::runtime
