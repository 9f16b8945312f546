#include "session/gathered.hpp"

#include <ashlar/future.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ashlar {
namespace {

using namespace std::chrono_literals;

/// A datum that is made, or fails, when the test says so.
class SlowDatum final : public detail::Datum {
 public:
  void make(int value) {
    bytes_ = encode(value);
    settle();
  }
  void fail(std::string why) {
    error_ = std::move(why);
    settle();
  }
  std::chrono::nanoseconds waited() const { return waited_; }
  bool is_cancelled() const { return is_cancelled_; }

  bool is_ready() const override { return is_ready_; }
  bool wait(std::chrono::nanoseconds timeout) override {
    waited_ = timeout;
    return is_ready_;
  }
  detail::Bytes get() override {
    if (!error_.empty()) throw TaskFailed(error_);
    return {nullptr, bytes_};
  }
  void cancel() override { is_cancelled_ = true; }
  void then(std::function<void()> f) override {
    if (is_ready_) return f();
    callbacks_.push_back(std::move(f));
  }
  RunReport report() override {
    RunReport report;
    report.tasks = 7;
    return report;
  }

 private:
  void settle() {
    is_ready_ = true;
    for (auto& f : std::exchange(callbacks_, {})) f();
  }

  bool is_ready_ = false;
  bool is_cancelled_ = false;
  std::chrono::nanoseconds waited_{-1};
  std::vector<std::byte> bytes_;
  std::string error_;
  std::vector<std::function<void()>> callbacks_;
};

struct Three {
  std::vector<std::shared_ptr<SlowDatum>> data{
      std::make_shared<SlowDatum>(), std::make_shared<SlowDatum>(), std::make_shared<SlowDatum>()};
  std::vector<Future<int>> futures() const {
    return {Future<int>(data[0]), Future<int>(data[1]), Future<int>(data[2])};
  }
};

void make_with_a_function_that_throws() {
  const auto datum = std::make_shared<SlowDatum>();
  Future<int>(datum).then([](Future<int> future) { throw BadInput(std::to_string(future.get())); });
  try {
    datum->make(77);
  } catch (...) {  // would leave a session in a state that nobody expects
  }
}

TEST(Future, AFunctionThatThrowsWhenItIsReadyEndsTheProgram) {
  EXPECT_DEATH(make_with_a_function_that_throws(), "77");
}

TEST(Gathered, IsReadyWithTheLastInAnyOrder) {
  Three three;
  const auto all = gather_async(three.futures());
  int told = 0;
  all.then([&](const Future<std::vector<int>>& ready) {
    EXPECT_EQ(ready.get(), std::vector<int>({10, 11, 12}));
    ++told;
  });
  three.data[2]->make(12);
  three.data[0]->make(10);
  EXPECT_FALSE(all.is_ready());
  EXPECT_EQ(told, 0);
  three.data[1]->make(11);
  EXPECT_TRUE(all.is_ready());
  EXPECT_EQ(told, 1);
  all.then([&](const auto&) { ++told; });
  EXPECT_EQ(told, 2) << "at once";
}

TEST(Gathered, OfNothingIsReadyAtOnce) {
  const auto none = gather_async(std::vector<Future<int>>{});
  bool is_told = false;
  none.then([&](const auto& ready) { is_told = ready.get().empty(); });
  EXPECT_TRUE(is_told);
  EXPECT_TRUE(none.is_ready());
  EXPECT_TRUE(gather(std::vector<Future<bool>>{}).empty());
}

TEST(Gathered, WaitsForAllTogetherWithinTheLimit) {
  Three three;
  const auto all = gather_async(three.futures());
  three.data[0]->make(1);
  EXPECT_FALSE(all.wait_for(1h));
  EXPECT_EQ(three.data[2]->waited(), -1ns) << "the second had the time";
  three.data[1]->make(2);
  three.data[2]->make(3);
  EXPECT_TRUE(all.wait_for(1h));
  EXPECT_LE(three.data[2]->waited(), three.data[0]->waited());
  EXPECT_TRUE(all.wait_for(-1s)) << "they are there";
  EXPECT_EQ(three.data[1]->waited(), 0ns);
}

TEST(Gathered, TheFirstErrorInOrderIsTheLists) {
  Three three;
  three.data[2]->fail("third");
  three.data[1]->fail("second");
  three.data[0]->make(1);
  try {
    gather(three.futures());
    FAIL() << "two of three failed";
  } catch (const TaskFailed& error) {
    EXPECT_EQ(std::string(error.what()), "second");
  }
  const std::vector<Future<void>> nothings{Future<void>(three.data[0]),
                                           Future<void>(three.data[2])};
  EXPECT_THROW(gather(nothings), TaskFailed);
}

TEST(Gathered, CancelsEach) {
  Three three;
  gather_async(three.futures()).cancel();
  for (const auto& datum : three.data) EXPECT_TRUE(datum->is_cancelled());
}

TEST(Gathered, HasTheReportOfItsRunOrNone) {
  Three three;
  EXPECT_THROW(gather_async(three.futures()).report(), BadInput);
  session::Gathered of_one_run({three.data[0]}, three.data[1]);
  EXPECT_EQ(of_one_run.report().tasks, 7u);
}

TEST(Gathered, RefusesEmptyFutures) {
  EXPECT_THROW(gather_async(std::vector<Future<int>>(2)), BadInput);
  EXPECT_THROW(gather(std::vector<Future<void>>(1)), BadInput);
}

}  // namespace
}  // namespace ashlar
