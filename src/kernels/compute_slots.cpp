#include "kernels/compute_slots.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/check.hpp"

namespace ashlar::kernels {

namespace {

// Signals sent to the process belong to the program's own threads.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t set;
    sigfillset(&set);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&set, fault);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

ComputeSlots::ComputeSlots(Limits limits, Callbacks callbacks)
    : limits_(limits), callbacks_(std::move(callbacks)) {
  ASHLAR_CHECK(callbacks_.run && callbacks_.completed);
  const SignalsBlocked blocked;
  threads_.reserve(limits_.slots);
  try {
    for (std::uint32_t slot = 0; slot < limits_.slots; ++slot) {
      threads_.emplace_back([this, slot] { serve(slot); });
    }
  } catch (...) {
    stop();
    throw;
  }
}

ComputeSlots::~ComputeSlots() { stop(); }

void ComputeSlots::submit(std::span<const Job> jobs, std::size_t caller_runs) {
  if (jobs.empty()) return;
  std::size_t wakes = 0;
  bool interrupts = false;
  {
    const std::lock_guard lock(mutex_);
    if (stop_.stop_requested()) return;
    queue_.insert(queue_.end(), jobs.begin(), jobs.end());
    queued_.store(queue_.size(), std::memory_order_release);
    std::size_t needed = jobs.size() - std::min(jobs.size(), caller_runs);
    // A driving slot that submits comes for one of its jobs by itself.
    const bool caller_drives = is_driven_ && driver_ == std::this_thread::get_id();
    if (caller_drives && needed > 0) --needed;
    wakes = std::min(needed, sleeping_);
    interrupts = is_driven_ && !caller_drives && needed > wakes;
  }
  for (std::size_t i = 0; i < wakes; ++i) wake_.notify_one();
  if (interrupts && callbacks_.interrupt) callbacks_.interrupt();
}

bool ComputeSlots::pop(Job& job) {
  if (queue_.empty()) return false;
  job = queue_.front();
  queue_.pop_front();
  queued_.store(queue_.size(), std::memory_order_release);
  return true;
}

bool ComputeSlots::withdraw(Job job) {
  const std::lock_guard lock(mutex_);
  const bool was_queued = std::erase(queue_, job) > 0;
  queued_.store(queue_.size(), std::memory_order_release);
  return was_queued;
}

bool ComputeSlots::run_one_if_any() {
  Job job = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!pop(job)) return false;
  }
  run(job);
  return true;
}

void ComputeSlots::run(Job job) {
  callbacks_.run(job);
  bool was_empty = false;
  {
    const std::lock_guard lock(completed_mutex_);
    was_empty = completed_.empty();
    completed_.push_back(job);
  }
  if (was_empty) callbacks_.completed();
}

void ComputeSlots::take_completed(std::vector<Job>& taken) {
  ASHLAR_CHECK(taken.empty());
  const std::lock_guard lock(completed_mutex_);
  completed_.swap(taken);
}

void ComputeSlots::serve(std::uint32_t slot) {
  pthread_setname_np(pthread_self(), ("ashlar-slot-" + std::to_string(slot % 1000)).c_str());
  std::unique_lock lock(mutex_);
  while (!stop_.stop_requested()) {
    Job job = 0;
    if (pop(job)) {
      lock.unlock();
      run(job);
      lock.lock();
    } else {
      idle(lock);
    }
  }
}

// Returns when there may be a job.
void ComputeSlots::idle(std::unique_lock<std::mutex>& lock) {
  if (callbacks_.drive && !is_driven_) {
    is_driven_ = true;
    driver_ = std::this_thread::get_id();
    lock.unlock();
    const bool again = callbacks_.drive(stop_.get_token());
    lock.lock();
    is_driven_ = false;
    driver_ = {};
    if (!queue_.empty()) {
      if (sleeping_ > 0) wake_.notify_one();  // to take over the driving
      return;
    }
    if (again || stop_.stop_requested()) return;
  } else if (limits_.spin.ns > 0) {
    lock.unlock();
    spin();
    lock.lock();
  }
  if (!queue_.empty() || stop_.stop_requested()) return;
  ++sleeping_;
  wake_.wait(lock);
  --sleeping_;
}

void ComputeSlots::spin() {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::nanoseconds(limits_.spin.ns);
  while (!has_queued() && !stop_.stop_requested() && Clock::now() < end) {
    for (int i = 0; i < 32; ++i) __builtin_ia32_pause();
  }
}

void ComputeSlots::stop() {
  stop_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    queue_.clear();
    queued_.store(0, std::memory_order_release);
  }
  wake_.notify_all();
  if (callbacks_.interrupt) callbacks_.interrupt();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace ashlar::kernels
