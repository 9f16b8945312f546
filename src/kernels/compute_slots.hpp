#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/time.hpp"

namespace ashlar::kernels {

/// A fixed set of threads that run jobs in the order they were submitted. A job is a number; what
/// it means is known to whoever gave `run`.
///
/// Threads: every member may be called from several threads, also from inside the callbacks,
/// except stop() and the destructor, which no slot may call.
class ComputeSlots {
 public:
  using Job = std::uint32_t;

  struct Callbacks {
    /// Runs a job on the calling slot. Must not throw.
    std::function<void(Job)> run;
    /// Finished jobs are there to be taken; called once until they are. Called from a slot.
    std::function<void()> completed;
    /// Or empty. What one idle slot at a time does instead of sleeping, such as driving an event
    /// loop. It returns soon after has_queued() becomes true or the token stops: true to be called
    /// again when idle, false to let the slot sleep until the next job.
    std::function<bool(std::stop_token)> drive = {};
    /// Or empty. Makes drive() look again, also when it is only about to begin. Called when a job
    /// that the driving slot should take was submitted by another thread, and by stop().
    std::function<void()> interrupt = {};
  };

  struct Limits {
    std::uint32_t slots = 1;
    /// How long an idle slot polls before it sleeps (waking costs 50 us); it takes a core.
    Duration spin = {};
  };

  ComputeSlots(Limits limits, Callbacks callbacks);
  ~ComputeSlots();
  ComputeSlots(const ComputeSlots&) = delete;
  ComputeSlots& operator=(const ComputeSlots&) = delete;

  /// Queues jobs and wakes as many slots as they need. `caller_runs` of them the caller means to
  /// run itself with run_one_if_any. Jobs submitted after stop() never run.
  void submit(std::span<const Job> jobs, std::size_t caller_runs = 0);
  void submit(Job job) { submit({&job, 1}); }

  /// Takes a job back; false when it has begun, or ended. One that was taken back never runs.
  bool withdraw(Job job);

  /// Runs the oldest queued job on the calling thread; false when there is none.
  bool run_one_if_any();

  /// Whether a job waits for a slot. Costs one atomic load.
  bool has_queued() const { return queued_.load(std::memory_order_acquire) != 0; }

  /// Exchanges `taken`, which must be empty, for the jobs that finished, in order of their end.
  void take_completed(std::vector<Job>& taken);

  std::size_t size() const { return threads_.size(); }

  /// Lets running jobs finish, drops the queued ones and joins the threads. May be repeated.
  void stop();

 private:
  void serve(std::uint32_t slot);
  void run(Job job);
  bool pop(Job& job);  // requires mutex_
  void idle(std::unique_lock<std::mutex>& lock);
  void spin();

  const Limits limits_;
  const Callbacks callbacks_;
  std::stop_source stop_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  std::atomic<std::size_t> queued_ = 0;
  std::size_t sleeping_ = 0;
  bool is_driven_ = false;
  std::thread::id driver_;

  std::mutex completed_mutex_;
  std::vector<Job> completed_;

  std::vector<std::thread> threads_;
};

}  // namespace ashlar::kernels
