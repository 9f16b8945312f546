#include <ashlar/error.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "loopback.hpp"
#include "strangers.hpp"
#include "unit/net/net_fixture.hpp"

namespace ashlar::net {
namespace {

struct ListenerTest : Net {
  std::string path = "/tmp/ashlar-listener-test-" + std::to_string(::getpid()) + ".sock";
  std::string problem;
  bool is_done = false;
  bool is_refused = false;

  std::unique_ptr<Listener> listen(const std::string& address) {
    return Listener::open(io, Address::parse(address),
                          [this](std::shared_ptr<Link> link) { right = std::move(link); });
  }
  std::string listen_error(const std::string& address) {
    try {
      listen(address);
    } catch (const Disconnected& error) {
      return error.what();
    }
    return {};
  }
  void connect_to(const std::string& address, int timeout_ms = 10'000) {
    is_done = false;
    connect(io, Address::parse(address), timeout_ms,
            [this](std::shared_ptr<Link> link, const NoLink& why_not) {
              EXPECT_FALSE(is_done);
              EXPECT_EQ(link == nullptr, !why_not.reason.empty());
              left = std::move(link);
              problem = why_not.reason;
              is_refused = why_not.is_refused;
              is_done = true;
            });
    EXPECT_FALSE(is_done) << "called on a later turn only";
    run_until([this] { return is_done; });
  }
  bool is_file() const {
    struct stat file {};
    return ::lstat(path.c_str(), &file) == 0;
  }
};

TEST_F(ListenerTest, SaysWhoElseHasTheAddress) {
  const auto tcp = listen("tcp://127.0.0.1:0");
  const std::string address = tcp->address().to_string();
  EXPECT_NE(tcp->address().port, 0);
  std::string error = listen_error(address);
  EXPECT_NE(error.find(address), std::string::npos) << error;
  EXPECT_NE(error.find("another port"), std::string::npos) << error;

  const std::string name = "unix:@ashlar-test-" + std::to_string(::getpid());
  const auto abstract = listen(name);
  error = listen_error(name);
  EXPECT_NE(error.find(name), std::string::npos) << error;
  EXPECT_NE(error.find("another name"), std::string::npos) << error;

  const auto file = listen("unix:" + path);
  EXPECT_NE(listen_error("unix:" + path), "");
  connect_to("unix:" + path);
  EXPECT_EQ(problem, "") << "the first listener still works";
}

TEST_F(ListenerTest, SaysWhenAnAddressCannotBeHad) {
  EXPECT_NE(listen_error("tcp://192.0.2.1:0").find("this host"), std::string::npos);
  EXPECT_NE(listen_error("unix:/nowhere-at-all/x.sock").find("folder"), std::string::npos);
  EXPECT_THROW(listen("unix:/" + std::string(200, 'x')), BadInput);
}

TEST_F(ListenerTest, RemovesItsFileAndReplacesStaleOnes) {
  {
    const auto listener = listen("unix:" + path);
    EXPECT_TRUE(is_file());
  }
  run_all_ready();
  EXPECT_FALSE(is_file());
  // A killed process leaves its file behind.
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un native{};
  native.sun_family = AF_UNIX;
  std::strncpy(native.sun_path, path.c_str(), sizeof native.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&native), sizeof native), 0);
  ::close(socket);
  ASSERT_TRUE(is_file());
  const auto listener = listen("unix:" + path);
  connect_to("unix:" + path);
  EXPECT_EQ(problem, "");
}

TEST_F(ListenerTest, LeavesFilesAloneThatAreNoSockets) {
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  ::close(file);
  EXPECT_NE(listen_error("unix:" + path), "");
  EXPECT_TRUE(is_file());
  ::unlink(path.c_str());
}

TEST_F(ListenerTest, MayBeDestroyedByWhoeverItCalls) {
  std::unique_ptr<Listener> listener;
  int links = 0;
  listener = Listener::open(io, Address::parse("tcp://127.0.0.1:0"), [&](std::shared_ptr<Link>) {
    ++links;
    listener.reset();
  });
  connect_to(listener->address().to_string());
  run_until([&] { return links == 1; });
  run_all_ready();
  EXPECT_EQ(listener, nullptr);
}

TEST_F(ListenerTest, AcceptsManyAtOnce) {
  int accepted = 0;
  std::vector<std::shared_ptr<Link>> links;
  const auto listener = Listener::open(io, Address::parse("tcp://127.0.0.1:0"),
                                       [&](std::shared_ptr<Link>) { ++accepted; });
  for (int i = 0; i < 200; ++i)
    connect(io, listener->address(), 10'000,
            [&](std::shared_ptr<Link> link, const NoLink&) { links.push_back(std::move(link)); });
  run_until([&] { return accepted == 200 && links.size() == 200; });
  EXPECT_EQ(std::ranges::count(links, nullptr), 0) << "connections that failed";
}

/// Connections that say nothing, and the links that a listener has made of them.
struct StrangersTest : ListenerTest {
  std::vector<std::shared_ptr<Link>> links;
  std::deque<Witness> witnesses;
  Strangers strangers;

  std::unique_ptr<Listener> listen_to_strangers(Limits limits) {
    return Listener::open(
        io, Address::parse("tcp://127.0.0.1:0"),
        [this](std::shared_ptr<Link> link) {
          links.push_back(link);
          link->start(witnesses.emplace_back());
        },
        limits);
  }
  std::ptrdiff_t newcomers() const {
    return std::count_if(links.begin(), links.end(),
                         [](const auto& link) { return link->is_newcomer(); });
  }
};

TEST_F(StrangersTest, OnlySoManyStayWithoutAnIntroduction) {
  Limits limits;
  limits.newcomers_max = 8;
  limits.newcomer_ms_min = 0;
  const auto listener = listen_to_strangers(limits);
  strangers.come(listener->address().port, 1);
  run_until([&] { return links.size() == 1; });
  links[0]->trust();
  for (std::size_t come_so_far = 1; come_so_far < 200; come_so_far += 40) {
    strangers.come(listener->address().port, 40);
    run_until([&] {
      EXPECT_LE(newcomers(), 8);
      return links.size() == come_so_far + 40;
    });
  }
  run_until([&] { return witnesses[192].closed.size() == 1; });
  EXPECT_EQ(witnesses[192].closed[0], "introduced nobody, and others want to");
  EXPECT_EQ(newcomers(), 8) << "the last ones stay";
  EXPECT_TRUE(witnesses[0].closed.empty()) << "who has introduced itself stays";
}

TEST_F(StrangersTest, WhoComesAmongManyHasTimeToIntroduceItself) {
  Limits limits;
  limits.newcomers_max = 2;
  limits.newcomer_ms_min = 1'000'000;
  const auto listener = listen_to_strangers(limits);
  strangers.come(listener->address().port, 5);
  run_until([&] { return links.size() == 2; });
  io.restart();
  io.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(links.size(), 2u) << "the others wait";
  links[0]->trust();
  run_until([&] { return links.size() == 3; });
  strangers.leave(1);
  strangers.leave(2);
  run_until([&] { return links.size() == 5; });
}

TEST_F(StrangersTest, WithoutDescriptorsItRestsAndGoesOnLater) {
  const auto listener = listen_to_strangers({});
  strangers.come(listener->address().port, 5);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{static_cast<rlim_t>(::dup(0)), before.rlim_max};
  ::close(static_cast<int>(none.rlim_cur));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  io.restart();
  const std::size_t steps = io.run_for(std::chrono::milliseconds(350));
  EXPECT_TRUE(links.empty());
  EXPECT_LT(steps, 20u) << "it tries again ten times a second";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  run_until([&] { return links.size() == 5; });
}

TEST_F(ListenerTest, ResolvesNames) {
  const auto listener = listen("tcp://localhost:0");
  connect_to(listener->address().to_string());
  EXPECT_EQ(problem, "");
}

TEST_F(ListenerTest, UnreachableAddressesAreNamed) {
  std::string free;
  { free = listen("tcp://127.0.0.1:0")->address().to_string(); }
  for (const std::string& address :
       {free, std::string("unix:@ashlar-nobody-here"), std::string("unix:/nowhere/x.sock"),
        "unix:/" + std::string(200, 'x'), std::string("tcp://no-such-host.invalid:1")}) {
    connect_to(address);
    EXPECT_EQ(left, nullptr);
    EXPECT_NE(problem.find(address), std::string::npos) << problem;
  }
}

TEST_F(ListenerTest, WhyThereIsNoLinkComesWithAFittingRemedy) {
  std::string free;
  { free = listen("tcp://127.0.0.1:0")->address().to_string(); }
  for (const std::string& address : {free, std::string("unix:@ashlar-nobody-here")}) {
    connect_to(address);
    EXPECT_TRUE(is_refused) << "who connects knows what should listen there";
  }
  connect_to("tcp://no-such-host.invalid:1");
  EXPECT_FALSE(is_refused);
  EXPECT_NE(problem.find("check its spelling"), std::string::npos) << problem;
}

TEST_F(ListenerTest, ConnectingGivesUpInTime) {
  // A full queue of a listener that does not accept: connecting can only wait.
  const LoopbackListener silent(0);
  const std::string address = "tcp://127.0.0.1:" + std::to_string(silent.port);
  std::vector<std::shared_ptr<Link>> links;
  for (int i = 0; i < 10 && problem.empty(); ++i) {
    connect_to(address, 50);
    if (left) links.push_back(std::move(left));
  }
  EXPECT_NE(problem.find(address), std::string::npos) << problem;
  EXPECT_NE(problem.find("50 ms"), std::string::npos) << problem;
  EXPECT_NE(problem.find("firewall"), std::string::npos) << problem;
  EXPECT_FALSE(is_refused);
}

TEST_F(ListenerTest, NoDescriptorIsLeftOpen) {
  const int before = open_descriptors();
  {
    boost::asio::io_context own_loop;
    std::shared_ptr<Link> accepted;
    auto listener = Listener::open(own_loop, Address::parse("tcp://127.0.0.1:0"),
                                   [&](std::shared_ptr<Link> link) { accepted = std::move(link); });
    std::shared_ptr<Link> connected;
    connect(own_loop, listener->address(), 1000,
            [&](std::shared_ptr<Link> link, const NoLink&) { connected = std::move(link); });
    while (!accepted || !connected) own_loop.run_one();
    // One left in the middle of lingering, when the loop dies.
    connected->send(frame_of("bye"));
    connected->detach();
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace ashlar::net
