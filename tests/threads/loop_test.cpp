#include "runtime/loop.hpp"

#include <ashlar/error.hpp>

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>

#include <future>
#include <limits>
#include <thread>
#include <utility>

#include "runtime/clock.hpp"

namespace ashlar::runtime {
namespace {

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};
constexpr Duration an_hour = Duration::seconds(3600);
/// Longer than anything takes here, shorter than the test's time limit.
constexpr std::chrono::seconds patience{20};

/// Posts to the loop; the future is ready once a turn has run it, and names the thread.
std::future<std::thread::id> post(Loop& loop) {
  auto ran = std::make_shared<std::promise<std::thread::id>>();
  auto future = ran->get_future();
  boost::asio::post(loop.io(), [ran] { ran->set_value(std::this_thread::get_id()); });
  return future;
}

TEST(Loop, TheBackgroundThreadServesWhenNobodyElseDoes) {
  Loop loop({.linger = Duration::milliseconds(1)});
  loop.start();
  auto ran = post(loop);
  ASSERT_EQ(ran.wait_for(patience), std::future_status::ready);
  EXPECT_NE(ran.get(), std::this_thread::get_id());
}

TEST(Loop, AGuestServesWhileItWaits) {
  Loop loop({.linger = an_hour});
  loop.start();
  auto ran = post(loop);
  const auto is_ready = [&] {
    return ran.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  ASSERT_TRUE(loop.drive_until(is_ready, now() + Duration::seconds(20)));
}

TEST(Loop, DispatchRunsHereWhenTheTurnIsFree) {
  Loop loop({.linger = an_hour});
  std::thread::id ran;
  loop.dispatch([&] { ran = std::this_thread::get_id(); });
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST(Loop, TheBackgroundThreadStandsInAtOnceForAGuestThatSaysSo) {
  Loop loop({.linger = an_hour});
  loop.start();
  int polls = 0;
  ASSERT_TRUE(loop.drive_until(
      [&] {
        loop.wake();
        return ++polls > 2;
      },
      never));
  loop.stand_in();
  auto ran = post(loop);
  ASSERT_EQ(ran.wait_for(patience), std::future_status::ready);
  EXPECT_NE(ran.get(), std::this_thread::get_id());
}

TEST(Loop, GuestsThatComeOftenAndNeverWaitKeepNobodyFromServing) {
  Loop loop({.linger = Duration::milliseconds(50)});
  loop.start();
  bool is_driven = false;
  ASSERT_TRUE(loop.drive_until([&] { return std::exchange(is_driven, true); },
                               now() + Duration::seconds(20)));
  auto ran = post(loop);
  const Instant deadline = now() + Duration::seconds(20);
  while (ran.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    ASSERT_LT(now(), deadline);
    loop.dispatch([] {});
  }
  EXPECT_NE(ran.get(), std::this_thread::get_id());
}

TEST(Loop, AGuestTakesTheTurnBackFromTheBackgroundThread) {
  Loop loop({.linger = Duration::milliseconds(1)});
  loop.start();
  for (int i = 0; i < 100; ++i) {
    loop.stand_in();
    auto ran = post(loop);
    ASSERT_TRUE(loop.drive_until(
        [&] { return ran.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
        now() + Duration::seconds(20)));
  }
}

TEST(Loop, WaitingInsideAHandlerIsRefused) {
  Loop loop({});
  loop.dispatch([&] { EXPECT_THROW(loop.drive_until([] { return false; }, never), BadInput); });
}

}  // namespace
}  // namespace ashlar::runtime
