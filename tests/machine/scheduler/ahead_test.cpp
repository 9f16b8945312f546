#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "one_slot_case.hpp"

/// Runs that go as a schedule says that was made ahead.
namespace ashlar::scheduler {
namespace {

class Ahead : public OneSlotCase {
 protected:
  /// Chains, of tasks of known times, are submitted as run 1 to so many workers.
  void begin(std::uint32_t workers, std::uint32_t chains, std::uint32_t length) {
    for (std::uint32_t w = 1; w <= workers; ++w) join(w);
    submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(60), {59}));
    run_until(0);
    std::vector<std::vector<std::uint32_t>> tasks(std::size_t{chains} * length);
    for (std::uint32_t t = chains; t < tasks.size(); ++t) tasks[t] = {t - chains};
    submit(1, graph_of(tasks, {chains * length - 1}));
  }
  bool is_planned(std::uint32_t task) const {
    return engine_.story({session, 1}, task).find("planned with the whole run") !=
           std::string::npos;
  }
};

TEST_F(Ahead, ManyWorkersFollowAScheduleWhereChainsAreLong) {
  begin(17, 20, 10);
  EXPECT_TRUE(is_planned(0)) << engine_.story({session, 1}, 0);
}

TEST_F(Ahead, FewWorkersDoNot) {
  begin(16, 20, 10);
  EXPECT_FALSE(is_planned(0)) << engine_.story({session, 1}, 0);
}

TEST_F(Ahead, NorWhereChainsAreShort) {
  begin(17, 100, 2);
  EXPECT_FALSE(is_planned(0)) << engine_.story({session, 1}, 0);
}

TEST_F(Ahead, WhoComesLaterHasAPartToo) {
  begin(17, 20, 40);
  ASSERT_TRUE(is_planned(0));
  join(18);
  for (int i = 0; i < 80; ++i) done(assigned_.front(), 1);
  EXPECT_NE(std::ranges::find(assigned_, 18u, &Where::worker), assigned_.end());
}

TEST_F(Ahead, AWorkerThatFallsFarBehindIsPassedOver) {
  for (std::uint32_t w = 1; w <= 17; ++w) join(w);
  submit(0, graph_of(std::vector<std::vector<std::uint32_t>>(60), {59}));
  run_until(0);
  std::vector<std::vector<std::uint32_t>> tasks(440);  // 400, and a chain
  for (std::uint32_t t = 401; t < 440; ++t) tasks[t] = {t - 1};
  submit(1, graph_of(tasks, {439}));
  ASSERT_TRUE(is_planned(400));
  const auto head = std::ranges::find(assigned_, 400u, &Where::task);
  ASSERT_NE(head, assigned_.end());
  const std::uint32_t late = head->worker == 1 ? 2 : 1;
  std::size_t ended = 0;
  for (;; ++ended) {
    const auto next = std::ranges::find_if(assigned_, [&](auto w) { return w.worker != late; });
    if (next == assigned_.end()) break;
    now_ = now_ + Duration::microseconds(600);
    done(Where{*next}, 1);
  }
  EXPECT_GT(ended, 430u) << "others do what it was to do";
}

TEST_F(Ahead, WhatIsLeftIsPlannedAgainWhenAWorkerIsLost) {
  constexpr std::uint32_t chains = 20, length = 60;
  begin(18, chains, length);
  ASSERT_TRUE(is_planned(0));
  now_ = now_ + Duration::seconds(10);  // past the pause between plans
  const std::uint32_t lost = assigned_.front().worker;
  std::erase_if(assigned_, [&](const Where& where) { return where.worker == lost; });
  step(WorkerLost{PeerId{lost}, "killed"});
  std::uint32_t planned = 0;
  while (!assigned_.empty()) {
    const Where next = assigned_.front();
    planned += is_planned(next.task);
    now_ = now_ + Duration{static_cast<std::int64_t>(usual_ns / 17)};
    done(next, 1);
  }
  EXPECT_EQ(engine_.unfinished_tasks(), 0u);
  constexpr std::uint32_t share = chains * length / 18;
  EXPECT_GT(planned, chains * length - share) << "also what it was to do";
}

}  // namespace
}  // namespace ashlar::scheduler
