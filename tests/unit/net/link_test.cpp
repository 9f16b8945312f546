#include "net/link.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "base/random.hpp"
#ifdef ASHLAR_HAS_TLS
#include "certificates.hpp"
#endif
#include "unit/net/net_fixture.hpp"

namespace ashlar::net {
namespace {

std::shared_ptr<std::vector<std::byte>> random_bytes(std::size_t size, std::uint64_t seed) {
  SplitMix64 random(seed);
  auto bytes = std::make_shared<std::vector<std::byte>>(size);
  for (std::byte& b : *bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

/// The same promises on every kind of socket.
struct EveryLink : Net, testing::WithParamInterface<std::string> {
  void SetUp() override {
    const std::string unique = "ashlar-link-test-" + std::to_string(::getpid());
    if (GetParam() == "abstract") {
      open_by("unix:@" + unique);
    } else if (GetParam() == "file") {
      open_by("unix:/tmp/" + unique + ".sock");
    } else if (GetParam() == "tcp") {
      open_by("tcp://127.0.0.1:0");
      share(left);  // does nothing
    } else if (GetParam() == "tcp_checksums") {
      open_by("tcp://127.0.0.1:0");
      left->add_checksums();
      right->add_checksums();
#ifdef ASHLAR_HAS_TLS
    } else if (GetParam() == "tcp_tls") {
      Authority authority("test");
      open_by("tcp://127.0.0.1:0", {}, Tls::load(authority.issue("left")),
              Tls::load(authority.issue("right")));
      left->add_checksums();  // does nothing
      right->add_checksums();
#endif
    } else if (GetParam().find("ucx") != std::string::npos) {
      polls = GetParam() == "polled_ucx";
      open_by_ucx(GetParam().ends_with("shm") ? "posix,cma,tcp" : "tcp");
      if (IsSkipped() || HasFatalFailure()) return;
    } else {
      open_pair(Limits{.ring_bytes = 64 << 10});
    }
    if (GetParam().ends_with("checksums")) {
      left->add_checksums();
      right->add_checksums();
    }
    if (GetParam() == "polled_ring") polls = true;
    if (GetParam() == "ring" || GetParam() == "polled_ring") share(left);
    if (GetParam() == "ring_of_the_other") share(right);
  }
};
#ifdef ASHLAR_HAS_TLS
INSTANTIATE_TEST_SUITE_P(Encrypted, EveryLink, testing::Values("tcp_tls"),
                         [](const auto& param) { return std::string(param.param); });
#endif
INSTANTIATE_TEST_SUITE_P(Sockets, EveryLink,
                         testing::Values("pair", "abstract", "file", "tcp", "tcp_checksums", "ring",
                                         "ring_of_the_other", "polled_ring", "ucx_tcp", "ucx_shm",
                                         "ucx_checksums", "polled_ucx"),
                         [](const auto& param) { return param.param; });

TEST_P(EveryLink, CarriesManySmallFramesInOrder) {
  Witness seen;
  Witness other;
  right->start(seen);
  left->start(other);
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) left->send(frame_of("frame " + std::to_string(i)));
  run_until([&] { return seen.controls.size() == count; });
  for (int i = 0; i < count; ++i) ASSERT_EQ(seen.controls[i], "frame " + std::to_string(i));
  EXPECT_LT(seen.batches, count / 10);
  EXPECT_EQ(left->queued_bytes(), 0u);
  EXPECT_EQ(left->bytes_sent(), right->bytes_received());
  const bool is_of_network =
      GetParam().starts_with("tcp") || GetParam().find("ucx") != std::string::npos;
  EXPECT_EQ(left->is_local(), !is_of_network);
  EXPECT_FALSE(left->peer_name().empty());
}

TEST_P(EveryLink, CarriesLargeAndOddPayloadsBothWays) {
  Witness at_right;
  Witness at_left;
  right->start(at_right);
  left->start(at_left);
  right->trust();
  left->trust();
  std::vector<std::shared_ptr<std::vector<std::byte>>> sent;
  for (const std::size_t size : {1, 7, 100'001, 30'000'000, 3, 256 << 10, 5'000'000}) {
    sent.push_back(random_bytes(size, size));
    left->send(payload_frame("to right", sent.back()));
    left->send(frame_of("between"));
    right->send(payload_frame("to left", sent.back()));
  }
  run_until([&] { return at_right.payloads_done == 7 && at_left.payloads_done == 7; });
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_TRUE(at_right.payloads[i] == *sent[i]) << i;
    EXPECT_TRUE(at_left.payloads[i] == *sent[i]) << i;
  }
}

TEST_P(EveryLink, KeepsPayloadsUntilTheyAreWritten) {
  Witness seen;
  Witness other;
  right->start(seen);
  left->start(other);
  right->trust();
  auto payload = random_bytes(20'000'000, 1);
  const std::weak_ptr<std::vector<std::byte>> watch = payload;
  left->send(payload_frame("x", payload));
  payload.reset();
  left->flush();
  EXPECT_FALSE(watch.expired());
  run_until([&] { return seen.payloads_done == 1; });
  run_until([&] { return watch.expired(); });
}

TEST_P(EveryLink, SaysOnceThatThePeerClosed) {
  Witness seen;
  Witness other;
  right->start(seen);
  left->start(other);
  left->send(frame_of("last words"));
  left->flush();
  run_until([&] { return left->queued_bytes() == 0; });
  left->close("we are done");
  left->close("again");
  run_until([&] { return !seen.closed.empty() && !other.closed.empty(); });
  run_all_ready();
  EXPECT_EQ(seen.controls, std::vector<std::string>{"last words"});
  ASSERT_EQ(seen.closed.size(), 1u);
  EXPECT_EQ(other.closed, std::vector<std::string>{"we are done"});
  right->send(frame_of("to nobody"));
  run_all_ready();
  EXPECT_EQ(right->queued_bytes(), 0u);
}

TEST_P(EveryLink, SaysThatThePeerClosedInMidPayload) {
  Witness seen;
  Witness other;
  right->start(seen);
  left->start(other);
  right->trust();
  left->send(payload_frame("half", random_bytes(50'000'000, 2)));
  left->flush();
  run_until([&] { return seen.payloads.size() == 1; });
  left.reset();
  run_until([&] { return !seen.closed.empty(); });
  EXPECT_EQ(seen.payloads_done, 0);
}

TEST_P(EveryLink, WritesWhatIsQueuedAfterDetach) {
  Witness seen;
  Witness other;
  right->start(seen);
  right->trust();
  left->start(other);
  const auto payload = random_bytes(30'000'000, 3);
  left->send(payload_frame("farewell", payload));
  left->detach();
  left.reset();
  run_until([&] { return seen.closed.size() == 1; });
  EXPECT_EQ(seen.payloads_done, 1);
  EXPECT_TRUE(seen.payloads[0] == *payload);
  EXPECT_TRUE(other.closed.empty());
}

TEST_P(EveryLink, FarewellArrivesThoughThePeerKeepsTalking) {
  Witness seen;
  Witness other;
  right->start(seen);
  left->start(other);
  right->trust();
  left->trust();
  other.then = [&](const std::string&) {
    left->send(frame_of("refused"));
    left->detach();
    left.reset();
  };
  right->send(payload_frame("much", random_bytes(10'000'000, 4)));
  run_until([&] { return seen.closed.size() == 1; });
  EXPECT_EQ(seen.controls, std::vector<std::string>{"refused"});
}

TEST_P(EveryLink, TakesAnythingFromWithinItsCallbacks) {
  Witness at_right;
  Witness at_left;
  at_right.then = [&](const std::string& text) {
    right->send(frame_of("echo " + text));
    right->flush();
    if (text == "3") right->close("enough");
  };
  at_left.then = [&](const std::string& text) {
    if (text == "echo 2") left->close("heard");
  };
  right->start(at_right);
  left->start(at_left);
  for (int i = 0; i < 10; ++i) left->send(frame_of(std::to_string(i)));
  run_until([&] { return !at_left.closed.empty() && !at_right.closed.empty(); });
  EXPECT_EQ(at_right.controls.size(), 4u);
  EXPECT_EQ(at_left.controls.size(), 3u);
  EXPECT_EQ(at_right.closed, std::vector<std::string>{"enough"});
  EXPECT_EQ(at_left.closed, std::vector<std::string>{"heard"});
}

struct LinkTest : Net {};

TEST_F(LinkTest, PassesDescriptorsWithTheirFrames) {
  open_pair();
  Witness seen;
  right->start(seen);
  right->trust();
  std::vector<int> files;
  for (int i = 0; i < 20; ++i) {
    files.push_back(::memfd_create("ashlar-test", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(files.back(), 1000 + i), 0);
    left->send(frame_of("plain"));
    Frame frame = payload_frame("with", random_bytes(i * 100'000, 5));
    frame.descriptor = files.back();
    left->send(std::move(frame));
  }
  run_until([&] { return seen.controls.size() == 40 && seen.payloads_done == 19; });
  ASSERT_EQ(seen.descriptors.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(::lseek(seen.descriptors[i], 0, SEEK_END), 1000 + i);
    EXPECT_NE(::fcntl(seen.descriptors[i], F_GETFD) & FD_CLOEXEC, 0);
    ::close(files[i]);
  }
}

/// What only links through shared memory promise; with and without somebody who polls.
struct RingLink : Net, testing::WithParamInterface<bool> {
  Witness at_left;
  Witness at_right;
  void SetUp() override {
    polls = GetParam();
    open_pair(Limits{.ring_bytes = 4096});
    left->start(at_left);
    right->start(at_right);
    share(left);
    left->send(frame_of("first"));
    right->send(frame_of("first"));
    run_until([&] { return at_left.controls.size() == 1 && at_right.controls.size() == 1; });
  }
};
INSTANTIATE_TEST_SUITE_P(Waiting, RingLink, testing::Values(false, true),
                         [](const auto& param) { return param.param ? "polls" : "sleeps"; });

TEST_P(RingLink, PassesDescriptorsWithTheirFrames) {
  std::vector<int> files;
  for (int i = 0; i < 50; ++i) {
    files.push_back(::memfd_create("ashlar-test", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(files.back(), 1000 + i), 0);
    left->send(frame_of(std::string(100, 'x')));
    Frame frame = payload_frame("with", random_bytes(i * 100, 5));
    frame.descriptor = files.back();
    left->send(std::move(frame));
  }
  run_until([&] { return at_right.controls.size() == 101 && at_right.payloads_done == 49; });
  ASSERT_EQ(at_right.descriptors.size(), 50u);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(::lseek(at_right.descriptors[i], 0, SEEK_END), 1000 + i);
    ::close(files[i]);
  }
}

TEST_P(RingLink, TurnsOfManyBytesLetOthersHaveTheirs) {
  bool has_other_run = false;
  at_right.then = [&](const std::string&) {
    if (at_right.controls.size() == 2) io.post([&] { has_other_run = true; });
    if (!has_other_run) left->send(frame_of(std::string(2000, 'f')));
  };
  for (int i = 0; i < 100; ++i) left->send(frame_of(std::string(2000, 'f')));
  run_until([&] { return has_other_run; });
}

TEST_P(RingLink, AFullRingOfADetachedLinkIsStillWritten) {
  const auto payload = random_bytes(3'000'000, 6);
  left->send(payload_frame("farewell", payload));
  left->detach();
  left.reset();
  run_until([&] { return at_right.closed.size() == 1; });
  EXPECT_EQ(at_right.payloads_done, 1);
  EXPECT_TRUE(at_right.payloads[0] == *payload);
  EXPECT_EQ(at_right.closed[0], "closed by peer");
}

TEST_P(RingLink, WhatWasWrittenBeforeTheEndArrives) {
  for (int i = 0; i < 20; ++i) left->send(frame_of("last words"));
  left->flush();
  left.reset();
  run_until([&] { return at_right.closed.size() == 1; });
  EXPECT_EQ(at_right.controls.size(), 21u);
}

TEST_P(RingLink, IsOfferedOnce) {
  left->share_memory();
  right->share_memory();
  left->send(frame_of("goes on"));
  run_until([&] { return at_right.controls.size() == 2; });
  EXPECT_TRUE(at_left.closed.empty() && at_right.closed.empty());
}

/// Sends raw bytes, and a descriptor if there is one.
void send_raw(int socket, std::span<const std::byte> bytes, int descriptor = -1) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
  }
  ASSERT_EQ(::sendmsg(socket, &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

std::vector<std::byte> header(std::uint32_t magic, std::uint32_t control, std::uint64_t payload) {
  std::vector<std::byte> bytes(16);
  std::memcpy(bytes.data(), &magic, 4);
  std::memcpy(bytes.data() + 4, &control, 4);
  std::memcpy(bytes.data() + 8, &payload, 8);
  return bytes;
}

constexpr std::uint32_t plain = 0x4c485341;
constexpr std::uint32_t with_descriptor = 0x44485341;

TEST_F(LinkTest, ClosesOnHostileHeaders) {
  for (const auto& bytes : {header(0x20544547, 0, 0), header(plain, (64 << 10) + 1, 0),
                            header(plain, 0, 1), header(with_descriptor, 0, 0)}) {
    const auto [ours, theirs] = socket_pair();
    auto link = Link::adopt(io, ours);
    Witness seen;
    link->start(seen);
    send_raw(theirs, bytes);
    run_until([&] { return !seen.closed.empty(); });
    EXPECT_TRUE(seen.closed[0].starts_with("bad frame: ")) << seen.closed[0];
    EXPECT_TRUE(seen.controls.empty());
    char end;
    EXPECT_EQ(::recv(theirs, &end, 1, 0), 0);
    ::close(theirs);
  }
}

TEST_F(LinkTest, RefusesUnusableSharedMemory) {
  constexpr std::uint32_t offer = 0x4f485341, taken = 0x54485341;
  const int unsealed = ::memfd_create("unsealed", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(unsealed, 1 << 20), 0);
  for (const bool is_offer : {true, false}) {
    const auto [ours, theirs] = socket_pair();
    auto link = Link::adopt(io, ours);
    Witness seen;
    link->start(seen);
    link->trust();
    send_raw(theirs, header(is_offer ? offer : taken, 0, 4096), is_offer ? unsealed : -1);
    run_until([&] { return !seen.closed.empty(); });
    EXPECT_NE(seen.closed[0].find("bad frame: shared memory"), std::string::npos) << seen.closed[0];
    ::close(theirs);
  }
  ::close(unsealed);
}

TEST_F(LinkTest, SharedMemoryKeepsNoDescriptors) {
  open_pair();
  Witness at_left;
  Witness at_right;
  left->start(at_left);
  right->start(at_right);
  run_all_ready();
  const int before = open_descriptors();
  share(left);
  left->send(frame_of("by memory"));
  right->send(frame_of("by memory"));
  run_until([&] { return at_left.controls.size() == 1 && at_right.controls.size() == 1; });
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(LinkTest, ClosesDescriptorsThatNobodyTakes) {
  const int before = open_descriptors();
  {
    boost::asio::io_context own_loop;
    const auto [ours, theirs] = socket_pair();
    auto link = Link::adopt(own_loop, ours);
    Witness seen;
    link->start(seen);
    for (int i = 0; i < 5; ++i) send_raw(theirs, header(plain, 0, 0), theirs);
    while (seen.controls.size() < 5) own_loop.run_one();
    EXPECT_TRUE(seen.descriptors.empty());
    for (int i = 0; i < 50; ++i) send_raw(theirs, header(plain, 0, 0), theirs);
    while (seen.closed.empty()) own_loop.run_one();
    EXPECT_TRUE(seen.closed[0].starts_with("bad frame: ")) << seen.closed[0];
    ::close(theirs);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(LinkTest, AnnouncedControlsMayGrowOnceTrusted) {
  open_pair(Limits{.untrusted_control_bytes = 10});
  Witness seen;
  right->start(seen);
  seen.then = [&](const std::string&) { right->trust(); };
  left->send(frame_of("hello"));
  left->send(frame_of(std::string(1'000'000, 'x')));
  run_until([&] { return seen.controls.size() == 2; });
  EXPECT_EQ(seen.controls[1].size(), 1'000'000u);
}

TEST_F(LinkTest, RefusingAPayloadClosesTheLink) {
  open_pair();
  Witness seen;
  seen.refuses_payloads = true;
  right->start(seen);
  right->trust();
  left->send(payload_frame("unwanted", random_bytes(100, 6)));
  run_until([&] { return !seen.closed.empty(); });
  EXPECT_NE(seen.closed[0].find("refused"), std::string::npos);
}

TEST_F(LinkTest, GivesUpOnAPeerThatDoesNotRead) {
  open_pair(Limits{.queued_bytes = 1 << 20});
  Witness seen;
  left->start(seen);
  const auto payload = random_bytes(100'000, 7);
  for (int i = 0; i < 1000 && seen.closed.empty(); ++i) {
    left->send(payload_frame("more", payload));
    left->flush();
    run_all_ready();
  }
  ASSERT_EQ(seen.closed.size(), 1u);
  EXPECT_NE(seen.closed[0].find("does not read"), std::string::npos) << seen.closed[0];
  EXPECT_EQ(payload.use_count(), 1);
}

TEST_F(LinkTest, ReadsWhatThePeerSaidBeforeItClosed) {
  open_pair();
  right->send(frame_of("the reason"));
  right->flush();
  right.reset();
  Witness seen;
  left->start(seen);
  left->send(frame_of("meets a closed socket"));
  left->flush();
  run_until([&] { return !seen.closed.empty(); });
  EXPECT_EQ(seen.controls, std::vector<std::string>{"the reason"});
  EXPECT_EQ(seen.closed.size(), 1u);
}

TEST_F(LinkTest, FlushWritesAtOnce) {
  open_pair();
  left->send(frame_of("now"));
  EXPECT_EQ(left->bytes_sent(), 0u);
  left->flush();
  EXPECT_EQ(left->bytes_sent(), 19u);
}

TEST_F(LinkTest, FramesOfOneTurnLeaveTogether) {
  open_pair();
  Witness seen;
  right->start(seen);
  for (int i = 0; i < 50; ++i) left->send(frame_of("small"));
  run_until([&] { return seen.controls.size() == 50; });
  EXPECT_EQ(seen.batches, 1);
}

TEST_F(LinkTest, SaysNothingAfterDetach) {
  open_pair();
  Witness seen;
  right->start(seen);
  right->close("reason");
  right->detach();
  run_all_ready();
  EXPECT_TRUE(seen.closed.empty());
}

TEST_F(LinkTest, StartAfterCloseStillSaysWhy) {
  open_pair();
  left->close("before it began");
  Witness seen;
  left->start(seen);
  run_until([&] { return !seen.closed.empty(); });
  EXPECT_EQ(seen.closed[0], "before it began");
}

TEST_F(LinkTest, OneBusyLinkDoesNotStarveAnother) {
  open_pair();
  const auto [a, b] = socket_pair();
  auto busy_sender = Link::adopt(io, a);
  auto busy = Link::adopt(io, b);
  Witness flood;
  Witness calm;
  busy->start(flood);
  busy->trust();
  right->start(calm);
  flood.then = [&](const std::string&) {
    if (calm.controls.empty()) busy_sender->send(frame_of(std::string(60'000, 'f')));
  };
  for (int i = 0; i < 100; ++i) busy_sender->send(frame_of(std::string(60'000, 'f')));
  left->send(frame_of("heard"));
  run_until([&] { return calm.controls.size() == 1; });
}

}  // namespace
}  // namespace ashlar::net
