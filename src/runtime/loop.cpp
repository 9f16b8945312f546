#include "runtime/loop.hpp"

#include <ashlar/error.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

#include <pthread.h>

#include "runtime/clock.hpp"

namespace ashlar::runtime {

namespace {

thread_local const Loop* current_loop = nullptr;

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};

/// Hooks may feed each other (scheduler and driver in one process): rounds of them in one turn.
constexpr int hook_rounds_max = 8;

/// A yield that takes longer gave the core to another thread; then polling pauses for a while.
constexpr Duration yield_max = Duration::microseconds(5);
constexpr Duration no_spin_pause = Duration::milliseconds(2);

/// After this many lingers without a guest's return the background thread sleeps for good.
constexpr int lingers_until_asleep = 20;

class InTurn {
 public:
  explicit InTurn(const Loop* loop) : before_(std::exchange(current_loop, loop)) {}
  ~InTurn() { current_loop = before_; }

 private:
  const Loop* before_;
};

}  // namespace

Loop::Loop(Options options) : options_(options), usual_gap_(options.spin + options.spin) {}

Loop::~Loop() { stop(); }

void Loop::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "ashlar-loop");
    background();
  });
}

void Loop::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  standby_.notify_all();
  guests_.notify_all();
  boost::asio::post(io_, [] {});
  if (thread_.joinable()) thread_.join();
}

bool Loop::is_in_turn() const { return current_loop == this; }

void Loop::wake() { boost::asio::post(io_, [] {}); }

bool Loop::try_acquire() {
  std::lock_guard lock(mutex_);
  if (has_holder_ || is_stopping_) return false;
  has_holder_ = true;
  return true;
}

void Loop::release() {
  bool wake_standby = false;
  {
    std::lock_guard lock(mutex_);
    has_holder_ = false;
    ++releases_;
    last_release_ = now();
    if (guests_waiting_ == 0 && is_standby_asleep_) {
      is_standby_asleep_ = false;
      wake_standby = true;
    }
  }
  if (guests_waiting_ > 0) guests_.notify_all();
  if (wake_standby) standby_.notify_one();
}

bool Loop::turn() {
  InTurn mark(this);
  const bool did_anything = io_.poll() > 0;
  return run_hooks() || did_anything;
}

bool Loop::run_hooks() {
  bool did_anything = false;
  bool is_busy = true;
  for (int round = 0; is_busy && round < hook_rounds_max; ++round) {
    is_busy = false;
    for (auto& hook : hooks_) is_busy = hook() || is_busy;
    did_anything = did_anything || is_busy;
  }
  return did_anything;
}

void Loop::dispatch(std::function<void()> f) {
  if (is_in_turn()) {
    f();
  } else if (try_acquire()) {
    {
      InTurn mark(this);
      f();
      run_hooks();
    }
    release();
  } else {
    boost::asio::post(io_, std::move(f));
  }
}

bool Loop::try_turn() {
  if (is_in_turn() || !try_acquire()) return false;
  turn();
  release();
  return true;
}

void Loop::note_gap(Duration gap) {
  const Duration cap{4 * options_.spin.ns};
  usual_gap_ = {(3 * usual_gap_.ns + std::min(gap.ns, cap.ns)) / 4};
}

void Loop::wait_for_events(Instant deadline) {
  const Instant begin = now();
  if (options_.spin.ns > 0 && usual_gap_ <= options_.spin && begin >= no_spin_before_) {
    const Instant end = std::min(begin + options_.spin, deadline);
    Instant time = begin;
    do {
      if (turn() || is_wanted_) {
        note_gap(now() - begin);
        return;
      }
      const Instant before = now();
      std::this_thread::yield();
      time = now();
      if (time - before > yield_max) {
        // Somebody else needed this core: polling takes it from those who have work.
        no_spin_before_ = time + no_spin_pause;
        break;
      }
    } while (time < end);
  }
  {
    InTurn mark(this);
    if (deadline == never) {
      io_.run_one();
    } else if (const auto left = (deadline - now()).ns; left > 0) {
      io_.run_one_for(std::chrono::nanoseconds(left));
    }
  }
  note_gap(now() - begin);
}

bool Loop::drive_until(const std::function<bool()>& done, Instant deadline) {
  if (done()) return true;
  if (is_in_turn()) {
    throw BadInput("cannot wait inside a callback of the session: the wait would never end");
  }
  {
    std::unique_lock lock(mutex_);
    ++guests_waiting_;
    while (has_holder_ && !done() && !is_stopping_ && now() < deadline) {
      if (is_background_holder_ && !is_wanted_.exchange(true)) boost::asio::post(io_, [] {});
      const auto left = std::min(deadline - now(), Duration::seconds(3600));
      guests_.wait_for(lock, std::chrono::nanoseconds(left.ns));
    }
    --guests_waiting_;
    if (has_holder_ || is_stopping_) return done();
    has_holder_ = true;
  }
  while (!done() && now() < deadline && !is_stopping_) {
    if (!turn() && !done()) wait_for_events(deadline);
    if (guests_waiting_ > 0) guests_.notify_all();
  }
  release();
  return done();
}

void Loop::background() {
  std::unique_lock lock(mutex_);
  std::uint64_t releases_seen = 0;
  int quiet_lingers = 0;
  while (!is_stopping_) {
    if (has_holder_ || guests_waiting_ > 0) {
      quiet_lingers = releases_seen == releases_ ? quiet_lingers + 1 : 0;
      releases_seen = releases_;
      if (quiet_lingers < lingers_until_asleep) {
        standby_.wait_for(lock, std::chrono::nanoseconds(options_.linger.ns));
      } else {
        // The guest waits in the kernel; its release() wakes this thread.
        is_standby_asleep_ = true;
        standby_.wait(lock, [this] { return !is_standby_asleep_ || is_stopping_; });
        is_standby_asleep_ = false;
        quiet_lingers = 0;
      }
      continue;
    }
    const Duration free_for = releases_ == 0 ? options_.linger : now() - last_release_;
    if (free_for < options_.linger) {
      standby_.wait_for(lock, std::chrono::nanoseconds((options_.linger - free_for).ns));
      continue;
    }
    has_holder_ = true;
    is_background_holder_ = true;
    is_wanted_ = false;
    while (!is_stopping_ && !is_wanted_) {
      lock.unlock();
      if (!turn() && !is_wanted_) wait_for_events(never);
      lock.lock();
    }
    has_holder_ = false;
    is_background_holder_ = false;
    guests_.notify_all();
  }
}

}  // namespace ashlar::runtime
