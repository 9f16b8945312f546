#include <ashlar/ashlar.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>

#include "net/address.hpp"
#include "newcomer.hpp"
#include "runtime/clock.hpp"
#include "runtime/loop.hpp"
#include "runtime/scheduler_shell.hpp"
#include "telemetry/log.hpp"

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
  EXPECT_THROW(session.compute(array), Disconnected);
}

}  // namespace
}  // namespace ashlar::runtime
