#include "kernels/compute_slots.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <numeric>
#include <set>
#include <string>

namespace ashlar::kernels {
namespace {

using Job = ComputeSlots::Job;

// Collects finished jobs the way a shell does: woken once, takes them all.
class Collector {
 public:
  void notify() {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    changed_.notify_one();
  }

  std::vector<Job> wait_for(ComputeSlots& slots, std::size_t count) {
    std::vector<Job> all;
    std::vector<Job> taken;
    while (all.size() < count) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] { return wakes_ > seen_; })) {
          ADD_FAILURE() << "no wake-up, " << all.size() << " of " << count << " jobs finished";
          return all;
        }
        seen_ = wakes_;
      }
      slots.take_completed(taken);
      all.insert(all.end(), taken.begin(), taken.end());
      taken.clear();
    }
    return all;
  }

  std::size_t wakes() {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t wakes_ = 0;
  std::size_t seen_ = 0;
};

std::vector<Job> numbers(std::size_t count) {
  std::vector<Job> jobs(count);
  std::iota(jobs.begin(), jobs.end(), 0u);
  return jobs;
}

TEST(ComputeSlots, OneSlotRunsInOrder) {
  Collector collector;
  std::vector<Job> ran;
  ComputeSlots slots({.slots = 1}, {.run = [&](Job job) { ran.push_back(job); },
                                    .completed = [&] { collector.notify(); }});
  const auto jobs = numbers(1000);
  slots.submit(std::span(jobs).first(300));
  for (std::size_t i = 300; i < 400; ++i) slots.submit(jobs[i]);
  slots.submit(std::span(jobs).subspan(400));
  EXPECT_EQ(collector.wait_for(slots, 1000), jobs);
  slots.stop();
  EXPECT_EQ(ran, jobs);
}

TEST(ComputeSlots, AJobThatWasTakenBackNeverRuns) {
  Collector collector;
  std::vector<Job> ran;
  std::atomic<bool> has_begun = false, may_end = false;
  ComputeSlots slots({.slots = 1}, {.run =
                                        [&](Job job) {
                                          ran.push_back(job);
                                          has_begun = true;
                                          has_begun.notify_all();
                                          may_end.wait(false);
                                        },
                                    .completed = [&] { collector.notify(); }});
  slots.submit(numbers(3));
  has_begun.wait(false);
  EXPECT_FALSE(slots.withdraw(0)) << "it runs";
  EXPECT_TRUE(slots.withdraw(1));
  EXPECT_FALSE(slots.withdraw(1));
  may_end = true;
  may_end.notify_all();
  EXPECT_EQ(collector.wait_for(slots, 2), (std::vector<Job>{0, 2}));
  EXPECT_FALSE(slots.withdraw(2)) << "it has ended";
  slots.stop();
  EXPECT_EQ(ran, (std::vector<Job>{0, 2}));
}

TEST(ComputeSlots, EveryJobRunsOnceWithManySubmitters) {
  constexpr std::size_t submitters = 3;
  constexpr std::size_t each = 5000;
  Collector collector;
  std::vector<std::atomic<int>> runs(submitters * each);
  ComputeSlots slots(
      {.slots = 4, .spin = Duration::microseconds(20)},
      {.run = [&](Job job) { runs[job].fetch_add(1); }, .completed = [&] { collector.notify(); }});
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < submitters; ++s) {
    threads.emplace_back([&, s] {
      const auto jobs = numbers(each);
      for (std::size_t i = 0; i < each;) {
        std::vector<Job> batch;
        for (std::size_t n = 1 + i % 7; n > 0 && i < each; --n, ++i) {
          batch.push_back(static_cast<Job>(s * each) + jobs[i]);
        }
        slots.submit(batch, i % 3 == 0 ? 1 : 0);
        if (i % 3 == 0) slots.run_one_if_any();
      }
    });
  }
  const auto done = collector.wait_for(slots, submitters * each);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<Job>(done.begin(), done.end()).size(), submitters * each);
  for (const auto& run : runs) ASSERT_EQ(run.load(), 1);
  EXPECT_LE(collector.wakes(), submitters * each);
  EXPECT_FALSE(slots.has_queued());
  EXPECT_FALSE(slots.run_one_if_any());
}

TEST(ComputeSlots, SlotsRunSideBySideAndAreNamed) {
  Collector collector;
  std::mutex mutex;
  std::condition_variable all_here;
  std::size_t here = 0;
  std::set<std::string> names;
  ComputeSlots slots({.slots = 3}, {.run =
                                        [&](Job) {
                                          char name[16] = {};
                                          pthread_getname_np(pthread_self(), name, sizeof name);
                                          std::unique_lock lock(mutex);
                                          names.insert(name);
                                          ++here;
                                          all_here.notify_all();
                                          all_here.wait_for(lock, std::chrono::seconds(20),
                                                            [&] { return here >= 3; });
                                        },
                                    .completed = [&] { collector.notify(); }});
  const auto jobs = numbers(3);
  slots.submit(jobs);
  collector.wait_for(slots, 3);
  EXPECT_EQ(names, (std::set<std::string>{"ashlar-slot-0", "ashlar-slot-1", "ashlar-slot-2"}));
}

TEST(ComputeSlots, ACompletionIsAnnouncedOnceUntilTaken) {
  Collector collector;
  ComputeSlots slots({.slots = 0}, {.run = [](Job) {}, .completed = [&] { collector.notify(); }});
  const auto jobs = numbers(5);
  slots.submit(jobs, jobs.size());
  EXPECT_TRUE(slots.has_queued());
  while (slots.run_one_if_any()) {
  }
  EXPECT_EQ(collector.wakes(), 1u);
  std::vector<Job> taken;
  slots.take_completed(taken);
  EXPECT_EQ(taken, jobs);
  slots.submit(9);
  EXPECT_TRUE(slots.run_one_if_any());
  EXPECT_EQ(collector.wakes(), 2u);
}

TEST(ComputeSlots, StopDropsQueuedJobsAndJoins) {
  std::atomic<int> ran = 0;
  std::atomic<bool> started = false;
  std::atomic<bool> stopping = false;
  ComputeSlots slots({.slots = 2}, {.run =
                                        [&](Job) {
                                          started = true;
                                          started.notify_one();
                                          stopping.wait(false);
                                          ++ran;
                                        },
                                    .completed = [] {},
                                    .interrupt =
                                        [&] {
                                          stopping = true;
                                          stopping.notify_all();
                                        }});
  slots.submit(numbers(100));
  started.wait(false);
  slots.stop();
  const int after = ran;
  EXPECT_GE(after, 1);
  EXPECT_LE(after, 2) << "one for each slot";
  slots.submit(7);
  EXPECT_FALSE(slots.has_queued());
  slots.stop();
  EXPECT_EQ(ran, after);
}

// A stand-in for an event loop: sleeps until somebody posts.
class Loop {
 public:
  void post() {
    const std::lock_guard lock(mutex_);
    ++posts_;
    changed_.notify_one();
  }
  // Waits for one post.
  void run_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return posts_ > 0; });
    --posts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int posts_ = 0;
};

TEST(ComputeSlots, AnIdleSlotDrivesTheLoop) {
  for (const std::uint32_t count : {1u, 2u, 3u}) {
    Collector collector;
    Loop loop;
    std::atomic<int> drivers = 0;
    std::atomic<int> drives = 0;
    ComputeSlots* running = nullptr;
    std::atomic<bool> is_ready = false;
    const auto drive = [&](std::stop_token stop) {
      while (!is_ready) std::this_thread::yield();
      EXPECT_EQ(drivers.fetch_add(1), 0) << "two slots drive at once";
      ++drives;
      while (!running->has_queued() && !stop.stop_requested()) loop.run_one();
      drivers.fetch_sub(1);
      return true;
    };
    ComputeSlots slots({.slots = count}, {.run = [](Job) {},
                                          .completed = [&] { collector.notify(); },
                                          .drive = drive,
                                          .interrupt = [&] { loop.post(); }});
    running = &slots;
    is_ready = true;
    while (drives == 0) std::this_thread::yield();  // there is nothing else to do
    for (int round = 0; round < 200; ++round) {
      const auto jobs = numbers(1 + static_cast<std::size_t>(round) % 5);
      slots.submit(jobs);
      auto done = collector.wait_for(slots, jobs.size());
      std::sort(done.begin(), done.end());
      ASSERT_EQ(done, jobs);
    }
    slots.stop();
  }
}

TEST(ComputeSlots, ADriverMaySubmitAndALoopMayBeLeft) {
  Collector collector;
  std::atomic<int> calls = 0;
  std::atomic<ComputeSlots*> running = nullptr;
  const auto drive = [&](std::stop_token stop) {
    ComputeSlots* slots = nullptr;
    while ((slots = running) == nullptr && !stop.stop_requested()) std::this_thread::yield();
    if (slots == nullptr) return false;
    const int call = calls.fetch_add(1);
    if (call < 100) slots->submit(static_cast<Job>(call));
    return call < 100;
  };
  ComputeSlots slots({.slots = 2},
                     {.run = [](Job) {}, .completed = [&] { collector.notify(); }, .drive = drive});
  running = &slots;
  EXPECT_EQ(collector.wait_for(slots, 100).size(), 100u);
  slots.submit(1);  // the slots sleep now, or are about to
  EXPECT_EQ(collector.wait_for(slots, 1), std::vector<Job>{1});
}

}  // namespace
}  // namespace ashlar::kernels
