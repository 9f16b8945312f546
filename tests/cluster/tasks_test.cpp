#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "fixture.hpp"

namespace ashlar::testing {
namespace {

class OwnTasks : public SessionTest {};

TEST_F(OwnTasks, ResultsAreArgumentsOfFurtherTasks) {
  Future<int> x = session().submit<add_one>(1);
  for (int i = 0; i < 50; ++i) x = session().submit<add_one>(x);
  EXPECT_EQ(x.get(), 52);
  EXPECT_EQ(x.get(), 52) << "again";
}

TEST_F(OwnTasks, ManyFuturesAreOneArgument) {
  std::vector<Future<double>> sums;
  for (int i = 0; i < 40; ++i) {
    sums.push_back(session().submit<sum_of>(session().submit<make_block>(20, i)));
  }
  EXPECT_DOUBLE_EQ(session().submit<total>(sums).get(), 400.0 * 39 * 40 / 2);
}

TEST_F(OwnTasks, BlocksAreUpdatedInPlaceOrCopiedWhenStillNeeded) {
  const auto one = session().submit<make_block>(300, 1.0);
  const auto base = session().submit<make_block>(300, 10.0);
  const auto first = session().submit<add_into>(one, base);
  const auto second = session().submit<add_into>(first, base);
  EXPECT_EQ((base.get().view<double, 2>()(299, 299)), 10.0) << "a datum never changes";
  EXPECT_EQ((first.get().view<double, 2>()(299, 299)), 11.0);
  EXPECT_EQ((second.get().view<double, 2>()(0, 7)), 21.0);
}

TEST_F(OwnTasks, LargeArgumentsAndResults) {
  HostArray big(DType::float64, {1000, 500});
  for (std::int64_t i = 0; i < big.size(); ++i) big.data<double>()[i] = 0.5;
  EXPECT_DOUBLE_EQ(session().submit<sum_of>(big).get(), 250'000.0);
  const auto shared = session().put(big);
  std::vector<Future<double>> sums;
  for (int i = 0; i < 10; ++i) sums.push_back(session().submit<sum_of>(shared));
  for (const auto& sum : sums) EXPECT_DOUBLE_EQ(sum.get(), 250'000.0);
}

TEST_F(OwnTasks, ResultsMayBeChangedWithoutChangingTheDatum) {
  const auto block = session().submit<make_block>(200, 2.0);
  HostArray mine = block.get();
  EXPECT_TRUE(mine.is_read_only());
  mine.view<double, 2>()(0, 0) = 7;
  EXPECT_FALSE(mine.is_read_only());
  EXPECT_EQ((mine.view<const double, 2>()(0, 0)), 7);
  EXPECT_EQ(session().submit<sum_of>(block).get(), 80'000.0);
}

TEST_F(OwnTasks, MapRunsOverARange) {
  std::vector<int> numbers(1000);
  for (int i = 0; i < 1000; ++i) numbers[i] = i;
  const auto values = session().gather(session().map<add_one>(numbers));
  ASSERT_EQ(values.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(values[i], i + 1);
}

TEST_F(OwnTasks, GraphsRunAsOftenAsWanted) {
  Graph graph;
  auto seed = graph.input(5);
  Node<int> x = graph.add<add_one>(seed);
  for (int i = 0; i < 999; ++i) x = graph.add<add_one>(x);
  graph.want(x);
  EXPECT_EQ(session().run(graph)[x].get(), 1005);
  graph.bind(seed, 100);
  EXPECT_EQ(session().run(graph)[x].get(), 1100);
}

TEST_F(OwnTasks, ExceptionsNameKernelWorkerAndLine) {
  const int line = __LINE__ + 1;
  const auto future = session().submit<fail_with>(std::string("the reactor is too hot"));
  try {
    future.get();
    FAIL() << "the task threw";
  } catch (const TaskFailed& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("the reactor is too hot"), std::string::npos) << text;
    EXPECT_NE(text.find("fail_with"), std::string::npos) << text;
    EXPECT_NE(text.find("tasks_test.cpp:" + std::to_string(line)), std::string::npos) << text;
    EXPECT_NE(text.find("local:"), std::string::npos) << text;
  }
  EXPECT_EQ(session().submit<add_one>(1).get(), 2) << "the session lives on";
}

TEST_F(OwnTasks, WhatNeedsAFailedResultFailsToo) {
  const auto bad = session().submit<make_block>(-1, 0.0);
  const auto sum = session().submit<sum_of>(bad);
  EXPECT_THROW(sum.get(), Error);
  EXPECT_EQ(session().submit<add_one>(1).get(), 2);
}

/// What a call throws.
template <class Call>
std::string failure_of(Call call) {
  try {
    call();
  } catch (const TaskFailed& error) {
    return std::string("TaskFailed: ") + error.what();
  } catch (const Cancelled& error) {
    return std::string("Cancelled: ") + error.what();
  } catch (const Error& error) {
    return std::string("another error: ") + error.what();
  }
  return "nothing";
}

TEST_F(OwnTasks, WhatReadsAResultThatHasFailedSaysWhy) {
  const auto bad = session().submit<fail_with>(std::string("too hot"));
  const std::string cause = failure_of([&] { bad.get(); });
  ASSERT_EQ(cause.find("TaskFailed: "), 0u) << cause;
  EXPECT_EQ(failure_of([&] { session().submit<fail_with>(bad).get(); }), cause);
  Graph graph;
  const auto node = graph.add<fail_with>(graph.input(bad));
  graph.want(node);
  EXPECT_EQ(failure_of([&] { session().run(graph)[node].get(); }), cause);
  EXPECT_EQ(session().submit<add_one>(1).get(), 2) << "the session lives on";
}

TEST_F(OwnTasks, ACallOfMapThatThrowsLeavesTheOthersAlone) {
  std::vector<std::pair<std::int64_t, double>> sizes;
  for (int i = 0; i < 50; ++i) sizes.emplace_back(i == 20 ? -1 : 3, i);
  const auto blocks = session().map<make_block>(sizes);
  std::vector<Future<double>> sums;
  for (const auto& block : blocks) sums.push_back(session().submit<sum_of>(block));
  const std::string cause = failure_of([&] { blocks[20].get(); });
  EXPECT_NE(cause.find("kernel \"make_block\""), std::string::npos) << cause;
  EXPECT_NE(cause.find("task 20"), std::string::npos) << cause;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i == 20) continue;
    EXPECT_EQ((blocks[i].get().view<const double, 2>()(2, 2)), static_cast<double>(i));
    EXPECT_EQ(sums[i].get(), 9.0 * static_cast<double>(i));
  }
  EXPECT_EQ(failure_of([&] { sums[20].get(); }), cause);
  EXPECT_EQ(failure_of([&] { session().gather(blocks); }), cause);
}

TEST_F(OwnTasks, OfAGraphOnlyWhatReadsAFailureFailsAndAtOnce) {
  TemporaryFolder folder;
  Graph graph;
  const int line = __LINE__ + 1;
  const auto bad = graph.add<fail_with>(std::string("too hot"));
  const auto after = graph.add<fail_with>(bad);
  const auto slow = graph.add<wait_for_file>(folder / "go");
  const auto beside = graph.add<add_one>(slow);
  for (const auto& node : {bad, after}) graph.want(node);
  for (const auto& node : {slow, beside}) graph.want(node);
  const auto run = session().run(graph);
  const std::string cause = failure_of([&] { run[bad].get(); });
  ASSERT_EQ(cause.find("TaskFailed: "), 0u) << cause;
  for (const std::string& part : {std::string("kernel \"fail_with\""), std::string("worker local:"),
                                  "tasks_test.cpp:" + std::to_string(line)}) {
    EXPECT_NE(cause.find(part), std::string::npos) << cause;
  }
  EXPECT_EQ(failure_of([&] { run[after].get(); }), cause);
  EXPECT_FALSE(run.done().is_ready()) << "the rest goes on";
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(run[beside].get(), 2);
  EXPECT_EQ(failure_of([&] { run.wait(); }), cause);
}

TEST_F(OwnTasks, AnArgumentThatIsGoneStillTellsTheFirstCause) {
  for (int i = 0; i < 20; ++i) {
    const auto last =
        session().submit<fail_with>(session().submit<fail_with>(std::string("too hot")));
    const std::string cause = failure_of([&] { last.get(); });
    EXPECT_NE(cause.find("too hot"), std::string::npos) << cause;
  }
}

TEST_F(OwnTasks, AChainOfTasksGivesTheFirstCauseOnce) {
  const auto bad = session().submit<fail_with>(std::string("too hot"));
  auto last = bad;
  for (int i = 0; i < 100; ++i) last = session().submit<fail_with>(last);
  EXPECT_EQ(failure_of([&] { last.get(); }), failure_of([&] { bad.get(); }));
}

TEST_F(OwnTasks, WhatReadsACancelledResultIsCancelled) {
  TemporaryFolder folder;
  const auto never = session().submit<wait_for_file>(folder / "go");
  never.cancel();
  const std::string cause = failure_of([&] { never.get(); });
  ASSERT_EQ(cause.find("Cancelled: "), 0u) << cause;
  EXPECT_EQ(failure_of([&] { session().submit<add_one>(never).get(); }), cause);
  std::ofstream(folder / "go").put('x');
}

TEST_F(OwnTasks, CancelledTasksSaySo) {
  TemporaryFolder folder;
  std::vector<Future<int>> blockers;
  for (int i = 0; i < 2; ++i) {
    blockers.push_back(session().submit<wait_for_file>(folder / "go"));
  }
  const auto late = session().submit<add_one>(blockers[0]);
  late.cancel();
  EXPECT_THROW(late.get(), Cancelled);
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(blockers[0].get(), 1);
  EXPECT_EQ(blockers[1].get(), 1);
}

TEST_F(OwnTasks, ASessionMayBeClosedWhileAnotherThreadWaits) {
  TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) {
    auto own = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
    const auto never = own.submit<wait_for_file>(folder / "never");
    std::thread waiting([&] { EXPECT_THROW(never.get(), Disconnected); });
    own.close();
    waiting.join();
  }
}

TEST_F(OwnTasks, ManyThreadsSubmitAtOnce) {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        right += session().submit<add_one>(1000 * t + i).get() == 1000 * t + i + 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST_F(OwnTasks, CallbacksComeAndMaySubmit) {
  std::atomic<int> value{0};
  session().submit<add_one>(1).then([&](Future<int> ready) {
    const int x = ready.get();
    session().submit<add_one>(x).then([&](Future<int> again) {
      value = again.get();
      value.notify_all();
    });
  });
  value.wait(0);
  EXPECT_EQ(value, 3);
}

TEST_F(OwnTasks, WaitingHasALimit) {
  TemporaryFolder folder;
  const auto slow = session().submit<wait_for_file>(folder / "go");
  EXPECT_FALSE(slow.wait_for(std::chrono::milliseconds(20)));
  std::ofstream(folder / "go").put('x');
  EXPECT_EQ(slow.get(), 1);
}

TEST_F(OwnTasks, SessionsDoNotSeeEachOther) {
  auto other = Session::local({.workers = 1, .threads_per_worker = 1, .progress = false});
  const auto mine = session().submit<add_one>(1);
  EXPECT_THROW(other.submit<add_one>(mine), BadInput);
  EXPECT_EQ(other.submit<add_one>(7).get(), 8);
  const Array kept = session().persist(ones({4, 4}));
  EXPECT_THROW(other.compute(kept + 1.0), BadInput);
  EXPECT_THROW(other.persist(kept + 1.0), BadInput);
  EXPECT_EQ(mine.get(), 2);
}

TEST_F(OwnTasks, WorkersAreOtherProcesses) {
  EXPECT_NE(session().submit<pid_of_worker>().get(), ::getpid());
}

}  // namespace
}  // namespace ashlar::testing
