#include "runtime/exchange.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "exchange_end.hpp"
#include "loopback.hpp"
#include "net/frame_reader.hpp"
#include "played_peer.hpp"
#include "runtime/clock.hpp"
#include "store/packing.hpp"
#include "wire/codec.hpp"

/// An exchange asks a peer that sends what it should not.
namespace ashlar::runtime {
namespace {

Bytes answer(std::uint64_t request, const DatumId& id) {
  return summed_frame(
      wire::encode(protocol::PeerMessage(protocol::FetchBytes{request, datum_bytes})),
      content_of(id));
}

/// Accepts connections and answers what is asked, byte by byte as a test wants it.
class OddPeer {
 public:
  /// What goes out in answer to a request; the connection ends when it is empty or `ends`.
  struct Reply {
    Bytes bytes;
    bool ends = false;
  };
  using Script = std::function<Reply(std::uint64_t request, const DatumId& id, int attempt)>;

  explicit OddPeer(Script script) : script_(std::move(script)) {
    thread_ = std::thread([this] { accept(); });
  }
  ~OddPeer() {
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    {
      const std::lock_guard lock(mutex_);
      if (connection_ >= 0) ::shutdown(connection_, SHUT_RDWR);
    }
    thread_.join();
  }

  protocol::PeerInfo info() const {
    return {
        them, "odd", {"elsewhere", "", "tcp://127.0.0.1:" + std::to_string(listener_.port), {}}};
  }

 private:
  struct Sink final : net::FrameSink {
    std::span<std::byte> on_frame(std::span<const std::byte> control, std::uint64_t, int) override {
      controls.emplace_back(control.begin(), control.end());
      return {};
    }
    void on_payload(bool) override {}
    std::string on_ring(std::uint64_t, int) override { return "no"; }
    bool wants_more() const override { return true; }
    std::deque<Bytes> controls;
  };

  void accept() {
    for (int socket; (socket = ::accept(listener_.socket.get(), nullptr, nullptr)) >= 0;) {
      connect(socket);
      serve(socket);
      connect(-1);
      ::close(socket);
    }
  }

  void connect(int socket) {
    const std::lock_guard lock(mutex_);
    connection_ = socket;
  }

  void serve(int socket) {
    net::FrameReader reader{net::Limits{}};
    reader.trust();
    Sink sink;
    bool is_greeted = false;
    while (true) {
      const auto place = reader.room()[1];
      const long count = ::recv(socket, place.data(), place.size(), 0);
      if (count <= 0) return;
      if (!reader.advance(static_cast<std::size_t>(count), sink).empty()) return;
      while (!sink.controls.empty()) {
        const Bytes control = std::move(sink.controls.front());
        sink.controls.pop_front();
        if (!is_greeted) {
          is_greeted = true;
          protocol::Welcome welcome;
          welcome.peer = them;
          send(socket, summed_frame(wire::encode(wire::Handshake(welcome)), {}));
        } else if (!obey(socket, control)) {
          return;
        }
      }
    }
  }

  bool obey(int socket, const Bytes& control) {
    const auto message = wire::decode_peer(control).message;
    const auto* fetch = message ? std::get_if<protocol::Fetch>(&*message) : nullptr;
    for (std::size_t i = 0; fetch != nullptr && i < fetch->requests.size(); ++i) {
      const Reply reply = script_(fetch->requests[i], fetch->data[i], attempts_++);
      send(socket, reply.bytes);
      if (reply.ends) return false;
    }
    return true;
  }

  static void send(int socket, const Bytes& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const long count = ::send(socket, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count <= 0) return;
      done += static_cast<std::size_t>(count);
    }
  }

  Script script_;
  const net::LoopbackListener listener_{8};
  int attempts_ = 0;
  std::mutex mutex_;
  int connection_ = -1;  ///< guarded by mutex_
  std::thread thread_;
};

struct ExchangeTest : testing::Test, ExchangeEvents {
  ExchangeTest() {
    exchange.set_self(us);
    loop.add_turn_hook([this] {
      exchange.flush();
      return false;
    });
  }

  void fetch(OddPeer& peer, std::uint32_t index) {
    exchange.know_peer(peer.info());
    const std::size_t before = outcomes.size();
    loop.dispatch([this, index] { exchange.start_fetch(datum(index), them); });
    ASSERT_TRUE(
        loop.drive_until([&] { return outcomes.size() > before; }, now() + Duration::seconds(20)));
  }
  bool is_right(std::uint32_t index) {
    const store::Buffer* buffer = table.find(datum(index));
    const Bytes expected = content_of(datum(index));
    return buffer != nullptr && buffer->size() == datum_bytes &&
           std::memcmp(buffer->bytes().data(), expected.data(), datum_bytes) == 0;
  }

  void on_fetched(DatumId id, std::uint64_t, bool, bool) override {
    outcomes += "+";
    fetched.push_back(id);
  }
  void on_fetch_failed(DatumId, PeerId, const std::string&) override { outcomes += "-"; }
  void on_asked(PeerId, std::uint64_t, DatumId, const protocol::Urgency&) override {}
  void on_unasked(PeerId, std::uint64_t) override {}
  void on_loans_wanted(PeerId) override {}
  void on_pushed(DatumId, std::uint64_t, bool) override { outcomes += "p"; }

  std::string outcomes;
  std::vector<DatumId> fetched;
  Loop loop{Loop::Options{}};
  std::shared_ptr<store::Arena> arena = std::make_shared<store::Arena>(64 << 20);
  DataTable table;
  telemetry::Log log;
  Exchange exchange{loop, arena, table, *this, log, {}};
};

Bytes spoiled(Bytes frame) {
  frame[frame.size() - 1000] ^= std::byte{1};
  return frame;
}

TEST_F(ExchangeTest, FetchesAgainWhatHasChangedOnItsWay) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
    return {attempt < 2 ? spoiled(answer(request, id)) : answer(request, id)};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(1));
  fetch(peer, 2);
  EXPECT_TRUE(is_right(2));
  EXPECT_EQ(arena->allocated_bytes(), 2 * store::Arena::block_bytes(datum_bytes));
}

TEST_F(ExchangeTest, GivesUpAPeerFromWhichADatumAlwaysComesChanged) {
  int asked = 0;
  OddPeer peer([&](std::uint64_t request, const DatumId& id, int) -> OddPeer::Reply {
    ++asked;
    return {spoiled(answer(request, id))};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "-");
  EXPECT_EQ(asked, Exchange::Options{}.spoiled_max);
  EXPECT_EQ(table.find(datum(1)), nullptr);
  EXPECT_EQ(arena->allocated_bytes(), 0u);
}

/// Whatever the first answer is, the fetch fails and the next one works; or it works at once, since
/// it is asked for again.
struct OddAnswer : ExchangeTest {
  void comes_on_another_link(
      const std::function<OddPeer::Reply(std::uint64_t, const DatumId&)>& odd) {
    OddPeer peer([&](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
      return attempt == 0 ? odd(request, id) : OddPeer::Reply{answer(request, id)};
    });
    fetch(peer, 1);
    EXPECT_EQ(outcomes, "+");
    EXPECT_TRUE(is_right(1));
    EXPECT_EQ(arena->allocated_bytes(), store::Arena::block_bytes(datum_bytes));
  }
  void fails_once(const std::function<OddPeer::Reply(std::uint64_t, const DatumId&)>& odd) {
    OddPeer peer([&](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
      return attempt == 0 ? odd(request, id) : OddPeer::Reply{answer(request, id)};
    });
    fetch(peer, 1);
    EXPECT_EQ(outcomes, "-");
    EXPECT_EQ(table.find(datum(1)), nullptr);
    fetch(peer, 1);
    EXPECT_EQ(outcomes, "-+");
    EXPECT_TRUE(is_right(1));
    EXPECT_EQ(arena->allocated_bytes(), store::Arena::block_bytes(datum_bytes));
  }
};

TEST_F(OddAnswer, AChangedControlPart) {
  comes_on_another_link([](std::uint64_t request, const DatumId& id) -> OddPeer::Reply {
    Bytes frame = answer(request, id);
    frame[net::FrameHeader::bytes + net::FrameSums::bytes + 20] ^= std::byte{1};
    return {frame};
  });
}

TEST_F(OddAnswer, AChangedHeader) {
  comes_on_another_link([](std::uint64_t request, const DatumId& id) -> OddPeer::Reply {
    Bytes frame = answer(request, id);
    frame[9] ^= std::byte{1};
    return {frame};
  });
}

OddPeer::Reply announce(std::uint64_t request, const DatumId& id, std::uint64_t bytes) {
  const auto control = wire::encode(protocol::PeerMessage(protocol::FetchBytes{request, bytes}));
  return {summed_frame(control, content_of(id))};
}

TEST_F(OddAnswer, MoreBytesThanAnnounced) {
  fails_once([](std::uint64_t request, const DatumId& id) {
    return announce(request, id, datum_bytes - 1);
  });
}

TEST_F(OddAnswer, FewerBytesThanAnnounced) {
  fails_once([](std::uint64_t request, const DatumId& id) {
    return announce(request, id, datum_bytes + 1);
  });
}

TEST_F(OddAnswer, FewerBytesThanTheHeaderSays) {
  fails_once([](std::uint64_t request, const DatumId& id) -> OddPeer::Reply {
    Bytes frame = answer(request, id);
    frame.resize(frame.size() - 1000);
    return {frame, true};
  });
}

TEST_F(ExchangeTest, SurvivesMoreBytesThanTheHeaderSays) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
    Bytes frame = answer(request, id);
    if (attempt == 0) frame.insert(frame.end(), 1000, std::byte{7});
    return {frame};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  fetch(peer, 2);
  if (outcomes == "+-") fetch(peer, 2);  // the link was closed before or after it was asked
  EXPECT_TRUE(is_right(1));
  EXPECT_TRUE(is_right(2));
}

constexpr std::uint64_t piece_bytes = 100'000;
constexpr int pieces = datum_bytes / piece_bytes;

/// A part of a datum, every second one compressed.
Bytes piece(std::uint64_t request, const DatumId& id, int number) {
  const std::uint64_t offset = static_cast<std::uint64_t>(number) * piece_bytes;
  const Bytes whole = content_of(id);
  const auto part = std::span(whole).subspan(offset, piece_bytes);
  const bool is_packed = number % 2 == 0;
  Bytes payload(part.begin(), part.end());
  if (is_packed) {
    payload.resize(store::packed_bytes_max(piece_bytes));
    payload.resize(store::pack(part, payload));
  }
  const protocol::FetchPiece message{request, datum_bytes, offset, piece_bytes, is_packed};
  return summed_frame(wire::encode(protocol::PeerMessage(message)), payload);
}

Bytes in_pieces(std::uint64_t request, const DatumId& id) {
  Bytes bytes;
  for (int i = 0; i < pieces; ++i) {
    const Bytes frame = piece(request, id, i);
    append(bytes, frame.data(), frame.size());
  }
  return bytes;
}

TEST_F(ExchangeTest, PutsPiecesTogether) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int) -> OddPeer::Reply {
    return {in_pieces(request, id)};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(1));
}

TEST_F(ExchangeTest, FetchesAgainWhatHasAPieceThatChangedOnItsWay) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
    Bytes bytes = in_pieces(request, id);
    if (attempt < 2) bytes[attempt == 0 ? 1000 : bytes.size() - 1000] ^= std::byte{1};
    return {bytes};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(1));
  EXPECT_EQ(arena->allocated_bytes(), store::Arena::block_bytes(datum_bytes));
}

TEST_F(ExchangeTest, PiecesComeInAnyOrder) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int) -> OddPeer::Reply {
    Bytes bytes;
    for (const int number : {2, 0, 1}) {
      const Bytes frame = piece(request, id, number);
      append(bytes, frame.data(), frame.size());
    }
    return {bytes};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(1));
}

TEST_F(OddAnswer, APieceThatCameBefore) {
  fails_once([](std::uint64_t request, const DatumId& id) -> OddPeer::Reply {
    Bytes bytes = piece(request, id, 2);
    const Bytes again = piece(request, id, 2);
    append(bytes, again.data(), again.size());
    return {bytes};
  });
}

/// The second one, and then one that reaches into it.
OddPeer::Reply overlapping(std::uint64_t request, const DatumId& id, std::uint64_t offset) {
  Bytes bytes = piece(request, id, 1);
  const protocol::FetchPiece message{request, datum_bytes, offset, piece_bytes, false};
  const Bytes other =
      summed_frame(wire::encode(protocol::PeerMessage(message)), Bytes(piece_bytes));
  append(bytes, other.data(), other.size());
  return {bytes};
}

TEST_F(OddAnswer, APieceThatReachesIntoTheNextOne) {
  fails_once([](std::uint64_t request, const DatumId& id) { return overlapping(request, id, 1); });
}

TEST_F(OddAnswer, APieceThatBeginsInThePreviousOne) {
  fails_once([](std::uint64_t request, const DatumId& id) {
    return overlapping(request, id, 2 * piece_bytes - 1);
  });
}

TEST_F(OddAnswer, PiecesOfDataOfDifferentSizes) {
  fails_once([](std::uint64_t request, const DatumId& id) -> OddPeer::Reply {
    Bytes bytes = piece(request, id, 0);
    const protocol::FetchPiece message{request, datum_bytes + 1, piece_bytes, piece_bytes, false};
    const Bytes other =
        summed_frame(wire::encode(protocol::PeerMessage(message)), Bytes(piece_bytes));
    append(bytes, other.data(), other.size());
    return {bytes};
  });
}

TEST_F(OddAnswer, APieceThatCannotBeUnpacked) {
  fails_once([](std::uint64_t request, const DatumId&) -> OddPeer::Reply {
    const protocol::FetchPiece message{request, datum_bytes, 0, piece_bytes, true};
    return {summed_frame(wire::encode(protocol::PeerMessage(message)), Bytes(5000, std::byte{77}))};
  });
}

TEST_F(OddAnswer, APieceOfAnotherSizeThanAnnounced) {
  fails_once([](std::uint64_t request, const DatumId&) -> OddPeer::Reply {
    const protocol::FetchPiece message{request, datum_bytes, 0, piece_bytes, false};
    return {summed_frame(wire::encode(protocol::PeerMessage(message)), Bytes(5000))};
  });
}

TEST_F(ExchangeTest, AbandonsWhatComesInPieces) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int attempt) -> OddPeer::Reply {
    return {attempt == 0 ? piece(request, id, 0) : answer(request, id)};
  });
  exchange.know_peer(peer.info());
  loop.dispatch([this] { exchange.start_fetch(datum(1), them); });
  ASSERT_TRUE(loop.drive_until([&] { return arena->allocated_bytes() > 0; },
                               now() + Duration::seconds(20)));
  loop.dispatch([this] { exchange.abandon_fetch(datum(1)); });
  fetch(peer, 2);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(2));
  EXPECT_EQ(table.find(datum(1)), nullptr);
  EXPECT_EQ(arena->allocated_bytes(), store::Arena::block_bytes(datum_bytes));
}

TEST_F(ExchangeTest, DiscardsWhatIsPushedAndHasChanged) {
  OddPeer peer([](std::uint64_t request, const DatumId& id, int) -> OddPeer::Reply {
    const auto push =
        wire::encode(protocol::PeerMessage(protocol::PushBytes{datum(9), datum_bytes}));
    Bytes bytes = spoiled(summed_frame(push, content_of(datum(9))));
    const Bytes then = answer(request, id);
    append(bytes, then.data(), then.size());
    return {bytes};
  });
  fetch(peer, 1);
  EXPECT_EQ(outcomes, "+");
  EXPECT_TRUE(is_right(1));
  EXPECT_EQ(table.find(datum(9)), nullptr);
}

TEST_F(ExchangeTest, GetsManyDataThatMayComeInPiecesWhileOthersAreAbandoned) {
  constexpr std::uint32_t count = 24;
  End giver(loop, them, log);
  for (std::uint32_t i = 0; i < count; ++i) giver.keep(datum(i), content_of(datum(i)));
  exchange.know_peer(giver.info());
  loop.dispatch([this] {
    for (std::uint32_t i = 0; i < count; ++i) exchange.start_fetch(datum(i), them);
  });
  ASSERT_TRUE(loop.drive_until([&] { return !outcomes.empty(); }, now() + Duration::seconds(20)));
  std::size_t expected = count;
  loop.dispatch([&] {
    for (std::uint32_t i = 1; i < count; i += 2) {
      if (table.find(datum(i)) != nullptr) continue;
      exchange.abandon_fetch(datum(i));
      --expected;
    }
  });
  ASSERT_TRUE(
      loop.drive_until([&] { return outcomes.size() >= expected; }, now() + Duration::seconds(20)));
  EXPECT_EQ(outcomes, std::string(expected, '+'));
  for (std::uint32_t i = 0; i < count; i += 2) EXPECT_TRUE(is_right(i)) << i;
}

/// Asks for many data, and last for one more; the position in which that comes. Some are under way
/// by then, more where the machine is busy.
struct Urgent : ExchangeTest {
  static constexpr std::size_t soon = 11;

  std::size_t position_of(const DatumId& last, const protocol::Urgency& urgency) {
    constexpr std::uint32_t count = 24;
    End giver(loop, them, log);
    for (std::uint32_t i = 0; i < count; ++i) giver.keep(datum(i), content_of(datum(i)));
    giver.keep(last, content_of(last));
    exchange.know_peer(giver.info());
    loop.dispatch([&] {
      for (std::uint32_t i = 0; i < count; ++i) {
        exchange.start_fetch(datum(i), them, false, {.run = 1, .rank = 10 + i});
      }
      exchange.start_fetch(last, them, false, urgency);
    });
    EXPECT_TRUE(
        loop.drive_until([&] { return fetched.size() > count; }, now() + Duration::seconds(20)));
    return static_cast<std::size_t>(std::ranges::find(fetched, last) - fetched.begin());
  }
};

TEST_F(Urgent, DataOfASmallRunDoNotWaitForWhatAnotherSessionHasAskedForBefore) {
  EXPECT_LE(position_of({{SessionId{2}, 1}, 0}, {.run = 1, .rank = 99}), soon);
}

TEST_F(Urgent, DataOfMoreUrgentTasksComeBeforeOthersOfTheirSession) {
  EXPECT_LE(position_of(datum(77), {.run = 1, .rank = 0}), soon);
}

TEST_F(Urgent, DataOfLessUrgentTasksComeLast) {
  EXPECT_GE(position_of(datum(77), {.run = 2, .rank = 0}), 20u);
}

TEST_F(Urgent, ResultsGetAShareOfTheirSession) { EXPECT_LE(position_of(datum(77), {}), soon); }

}  // namespace
}  // namespace ashlar::runtime
