#include <ashlar/ashlar.hpp>
#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "net/address.hpp"
#include "net/link.hpp"
#include "newcomer.hpp"
#include "runtime/clock.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "strangers.hpp"
#include "telemetry/log.hpp"
#include "wire/codec.hpp"

/// A session on a scheduler elsewhere.
namespace ashlar::runtime {
namespace {

protocol::Hello worker(std::uint32_t slots) {
  protocol::Hello hello;
  hello.role = protocol::Role::worker;
  hello.name = "w";
  hello.slots = slots;
  return hello;
}

bool eventually(const std::function<bool()>& holds) {
  const Instant deadline = now() + Duration::seconds(20);
  while (!holds() && now() < deadline) std::this_thread::yield();
  return holds();
}

TEST(Connect, ASessionKnowsHowManyWorkersAndSlotsThereAre) {
  auto machine = std::make_unique<Loop>(Loop::Options{});
  Loop& loop = *machine;
  telemetry::Log log;
  auto shell = std::make_unique<SchedulerShell>(loop, log, SchedulerShell::Options{});
  SchedulerShell& scheduler = *shell;
  scheduler.listen(net::Address::parse("tcp://127.0.0.1:0"));
  const net::Address address = scheduler.addresses().at(0);
  auto first = std::make_unique<Newcomer>(loop, address, worker(3));
  std::unique_ptr<Newcomer> second;
  ASSERT_TRUE(loop.drive_until([&] { return scheduler.worker_count() == 1; },
                               now() + Duration::seconds(20)));
  loop.start();

  Session session = Session::connect(address.to_string());
  EXPECT_EQ(session.worker_count(), 1u);
  const Array array = ones({4});
  EXPECT_EQ(session.plan(array).workers, 1u);
  EXPECT_EQ(session.plan(array).slots, 3u);

  loop.dispatch([&] { second = std::make_unique<Newcomer>(loop, address, worker(6)); });
  ASSERT_TRUE(eventually([&] { return session.worker_count() == 2; }));
  EXPECT_EQ(session.plan(array).slots, 2u * 5u) << "the mean, rounded up";

  loop.dispatch([&] { first.reset(); });
  ASSERT_TRUE(eventually([&] { return session.worker_count() == 1; }));
  EXPECT_EQ(session.plan(array).slots, 6u);

  loop.stop();
  second.reset();
  shell.reset();
  machine.reset();
  EXPECT_TRUE(eventually([&] { return session.worker_count() == 0; })) << "nobody knows of any";
  try {
    session.compute(array);
    ADD_FAILURE() << "nobody is there to compute it";
  } catch (const Disconnected& error) {
    EXPECT_NE(std::string(error.what()).find("lost the scheduler at "), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("connect again"), std::string::npos) << error.what();
  }
}

TEST(Connect, StrangersKeepNobodyOut) {
  Loop loop(Loop::Options{});
  telemetry::Log log;
  SchedulerShell scheduler(loop, log, SchedulerShell::Options{});
  scheduler.listen(net::Address::parse("tcp://127.0.0.1:0"));
  const net::Address address = scheduler.addresses().at(0);
  net::Strangers strangers;
  strangers.come(address.port, 200);
  loop.start();
  Session session = Session::connect(address.to_string());
  const auto stay = static_cast<std::ptrdiff_t>(net::Limits{}.newcomers_max);
  EXPECT_TRUE(eventually([&] { return strangers.count_connected() <= stay; }));
  session.close();
  loop.stop();
}

/// A scheduler of an older version: it welcomes, and does not say that it explains.
class OldScheduler : private net::LinkEvents {
 public:
  explicit OldScheduler(Loop& loop)
      : listener_(net::Listener::open(loop.io(), net::Address::parse("tcp://127.0.0.1:0"),
                                      [this](std::shared_ptr<net::Link> link) {
                                        link_ = std::move(link);
                                        link_->start(*this);
                                      })) {}
  ~OldScheduler() override {
    if (link_) link_->detach();
  }
  std::string address() const { return listener_->address().to_string(); }

 private:
  std::span<std::byte> on_frame(std::span<const std::byte>, std::uint64_t, int) override {
    if (std::exchange(is_welcome_, true)) return {};
    protocol::Welcome welcome;
    welcome.session = SessionId{1};
    welcome.peer = PeerId{1};
    welcome.explains = false;
    link_->send({wire::encode(wire::Handshake(welcome)), {}, {}, -1});
    return {};
  }
  void on_payload(bool) override {}
  void on_batch_end() override {}
  void on_closed(const std::string&) override { link_ = nullptr; }

  std::unique_ptr<net::Listener> listener_;
  std::shared_ptr<net::Link> link_;
  bool is_welcome_ = false;
};

TEST(Connect, AnOlderSchedulerIsNotAskedForExplanations) {
  Loop loop(Loop::Options{});
  OldScheduler scheduler(loop);
  loop.start();
  Session session = Session::connect(scheduler.address());
  EXPECT_THROW(session.explain(), Unsupported);
  session.close();
  loop.stop();
}

}  // namespace
}  // namespace ashlar::runtime
