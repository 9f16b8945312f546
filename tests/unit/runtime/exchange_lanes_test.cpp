#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <span>

#include "loopback.hpp"
#include "played_peer.hpp"
#include "runtime/exchange.hpp"
#include "wire/codec.hpp"

/// The way to a peer is long: what was asked for comes on several connections at once.
namespace ashlar::runtime {
namespace {

constexpr std::size_t lanes = 3;  // further ones
constexpr std::uint64_t piece_bytes = 100'000;

Bytes piece(std::uint64_t request, std::uint64_t number) {
  const Bytes whole = content_of(datum(7));
  const auto part = std::span(whole).subspan(number * piece_bytes, piece_bytes);
  const protocol::FetchPiece message{request, datum_bytes, number * piece_bytes, piece_bytes,
                                     false};
  return summed_frame(wire::encode(protocol::PeerMessage(message)), {part.begin(), part.end()});
}

class Lanes : public testing::Test {
 protected:
  Lanes() {
    exchange_.set_self(us);
    loop_.add_turn_hook([this] { return exchange_.flush(), false; });
    loop_.start();
    protocol::PeerInfo info;
    info.peer = them;
    info.endpoint.host_identity = "elsewhere";
    info.endpoint.remote_address = "tcp://127.0.0.1:" + std::to_string(listener_.port);
    on_turn([&] {
      exchange_.know_peer(info);
      exchange_.start_fetch(datum(7), them);
    });
    connections_.push_back(accept());
    const protocol::Hello hello = connections_[0].welcome();
    EXPECT_TRUE(hello.opens_lanes);
    EXPECT_EQ(hello.lane_of, 0u);
    request_ = connections_[0].take_request();
  }
  ~Lanes() override { loop_.stop(); }

  /// Lanes come after the link in connections_.
  void open_lanes() {
    connections_[0].send(protocol::LanesWanted{17});
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      connections_.push_back(accept());
      const protocol::Hello hello = connections_.back().welcome();
      EXPECT_EQ(hello.lane_of, 17u);
      EXPECT_EQ(hello.peer, us);
    }
  }

  void expect_right() {
    EXPECT_EQ(heard_.next(), "fetched 7: " + std::to_string(datum_bytes));
    on_turn([this] {
      const store::Buffer* buffer = table_.find(datum(7));
      ASSERT_NE(buffer, nullptr);
      const auto bytes = buffer->bytes();
      EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), content_of(datum(7)));
      EXPECT_EQ(arena_->allocated_bytes(), store::Arena::block_bytes(datum_bytes));
    });
  }
  void expect_failed() {
    EXPECT_EQ(heard_.next(), "failed 7 at 2");
    for (Connection& connection : connections_) EXPECT_TRUE(connection.is_hung_up_on());
    on_turn([this] {
      EXPECT_EQ(table_.size(), 0u);
      EXPECT_EQ(arena_->allocated_bytes(), 0u);
    });
  }

  Connection accept() {
    return Connection(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  void on_turn(std::function<void()> f) {
    std::atomic<bool> is_done{false};
    loop_.dispatch([&] {
      f();
      is_done = true;
    });
    loop_.drive_until([&] { return is_done.load(); },
                      Instant{std::numeric_limits<std::int64_t>::max()});
  }

  Loop loop_{Loop::Options{}};
  std::shared_ptr<store::Arena> arena_ = std::make_shared<store::Arena>(16 << 20);
  DataTable table_;
  Heard heard_;
  telemetry::Log log_;
  Exchange exchange_{loop_,  arena_, table_,
                     heard_, log_,   {.token = "", .listen_host = "127.0.0.1"}};
  const net::LoopbackListener listener_{8};
  std::vector<Connection> connections_;
  std::uint64_t request_ = 0;
};

TEST_F(Lanes, PiecesComeOnAllAtTheSameTime) {
  open_lanes();
  const Bytes last = piece(request_, 2);
  const auto parts = std::span(last);
  connections_[1].send(parts.first(50'000));
  connections_[0].send(piece(request_, 1));
  connections_[3].send(piece(request_, 0));
  connections_[1].send(parts.subspan(50'000));
  expect_right();
}

TEST_F(Lanes, AreOpenedOnce) {
  open_lanes();
  connections_[0].send(protocol::LanesWanted{17});
  for (const std::uint64_t number : {0, 1, 2})
    connections_[number + 1].send(piece(request_, number));
  expect_right();
  on_turn([this] { exchange_.forget_peer(them); });
  for (Connection& connection : connections_) EXPECT_TRUE(connection.is_hung_up_on());
  ::shutdown(listener_.socket.get(), SHUT_RDWR);
  EXPECT_EQ(::accept(listener_.socket.get(), nullptr, nullptr), -1) << "nobody else has connected";
}

TEST_F(Lanes, AreDoneWithoutWhenTheyCannotBeConnected) {
  ::shutdown(listener_.socket.get(), SHUT_RDWR);
  connections_[0].send(protocol::LanesWanted{17});
  for (const std::uint64_t number : {0, 1, 2}) connections_[0].send(piece(request_, number));
  expect_right();
}

TEST_F(Lanes, WithOneTheLinkEnds) {
  open_lanes();
  connections_[2].send(piece(request_, 0));
  connections_[2].hang_up();
  connections_.erase(connections_.begin() + 2);
  expect_failed();
}

TEST_F(Lanes, WhatComesChangedIsAskedForAgain) {
  open_lanes();
  Bytes changed = piece(request_, 0);
  changed[changed.size() - 1000] ^= std::byte{1};
  connections_[2].send(changed);
  const std::uint64_t again = connections_[0].take_request();
  EXPECT_NE(again, request_);
  connections_[1].send(piece(request_, 1));  // still under way
  for (const std::uint64_t number : {0, 1, 2}) connections_[number + 1].send(piece(again, number));
  expect_right();
}

TEST_F(Lanes, AfterAChangedFrameItIsAskedForOnAnotherLink) {
  open_lanes();
  Bytes changed = piece(request_, 0);
  changed[9] ^= std::byte{1};
  connections_[2].send(changed);
  Connection link = accept();
  EXPECT_EQ(link.welcome().lane_of, 0u);
  for (Connection& connection : connections_) EXPECT_TRUE(connection.is_hung_up_on());
  const std::uint64_t again = link.take_request();
  for (const std::uint64_t number : {0, 1, 2}) link.send(piece(again, number));
  expect_right();
}

TEST_F(Lanes, HeadersThatAlwaysComeChangedAreNotWaitedForForEver) {
  open_lanes();
  for (int attempt = 0; attempt < Exchange::Options{}.spoiled_max - 1; ++attempt) {
    Bytes changed = piece(request_, 0);
    changed[9] ^= std::byte{1};
    connections_[1].send(changed);
    connections_.clear();
    connections_.push_back(accept());
    connections_[0].welcome();
    request_ = connections_[0].take_request();
    open_lanes();
  }
  Bytes changed = piece(request_, 0);
  changed[9] ^= std::byte{1};
  connections_[1].send(changed);
  expect_failed();
}

TEST_F(Lanes, APieceThatBeganBeforeItWasAskedForIsRefused) {
  open_lanes();
  const Bytes early = piece(request_ + 1, 0);
  const auto parts = std::span(early);
  connections_[1].send(parts.first(50'000));
  connections_[2].send(piece(request_, 0));
  connections_[2].send(piece(request_, 1));
  connections_[2].send(piece(request_, 2));
  expect_right();
  // What came on one lane has been read; on another the same may be under way. The reader of both
  // looks at each in a turn.
  on_turn([] {});
  on_turn([this] { exchange_.start_fetch(datum(8), them); });
  EXPECT_EQ(connections_[0].take_request(), request_ + 1);
  connections_[2].send(piece(request_ + 1, 1));
  connections_[1].send(parts.subspan(50'000));
  EXPECT_EQ(heard_.next(), "failed 8 at 2");
}

TEST_F(Lanes, WithoutRoomTheLinkEnds) {
  open_lanes();
  const protocol::FetchPiece message{request_, 64 << 20, 0, piece_bytes, false};
  connections_[1].send(
      summed_frame(wire::encode(protocol::PeerMessage(message)), Bytes(piece_bytes)));
  expect_failed();
}

TEST_F(Lanes, NothingButPiecesComesOnThem) {
  open_lanes();
  const protocol::PeerMessage whole = protocol::FetchBytes{request_, datum_bytes};
  connections_[1].send(summed_frame(wire::encode(whole), content_of(datum(7))));
  expect_failed();
}

TEST_F(Lanes, ThatNobodyAskedForAreTurnedAway) {
  const std::string address = exchange_.endpoint().remote_address;
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  const auto connect = [&](std::uint32_t lane_of) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in there = net::loopback(port);
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&there), sizeof there), 0);
    Connection connection(socket);
    protocol::Hello hello;
    hello.role = protocol::Role::peer;
    hello.peer = them;
    hello.lane_of = lane_of;
    connection.send(summed_frame(wire::encode(wire::Handshake(hello)), {}));
    return connection;
  };
  EXPECT_TRUE(connect(1).is_hung_up_on()) << "of a link that there is not";
  Connection link = connect(0);
  Connection lane = connect(1);
  EXPECT_TRUE(lane.is_hung_up_on()) << "of one that has none";
  connections_[0].send(
      summed_frame(wire::encode(protocol::PeerMessage(protocol::FetchBytes{request_, datum_bytes})),
                   content_of(datum(7))));
  expect_right();
}

}  // namespace
}  // namespace ashlar::runtime
