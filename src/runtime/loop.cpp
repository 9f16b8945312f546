#include "runtime/loop.hpp"

#include <ashlar/error.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

#include <pthread.h>
#include <sched.h>

#include "runtime/clock.hpp"

namespace ashlar::runtime {

namespace {

thread_local const Loop* current_loop = nullptr;

constexpr Instant never{std::numeric_limits<std::int64_t>::max()};

/// Hooks may feed each other (scheduler and driver in one process): rounds of them in one turn.
constexpr int hook_rounds_max = 8;

/// Looking at memory costs little, reading the clock somewhat more, looking at sockets and timers a
/// system call; so does yielding, which is for those who share the core. Where looking at sockets,
/// timers and the like was in vain, it is not done until as many turns have passed again, up to a
/// limit. A turn in which something was done takes longer than others, and counts as several.
constexpr int quick_turns_min = 64, quick_turns_max = 1024, quick_turns_of_busy = 16;
constexpr int polls_per_clock = 8;
constexpr int polls_per_yield = 256;
/// A poll that takes longer lost the core to another thread meanwhile. When too much was lost
/// (lost_time.hpp) again soon, polling pauses for a while.
constexpr Duration poll_max = Duration::microseconds(20);
constexpr Duration no_spin_pause = Duration::milliseconds(2);

/// After this many lingers without a guest's return the background thread sleeps for good.
constexpr int lingers_until_asleep = 3;

/// Moves the calling thread to another of the cores it may use, if there is one: the system likes
/// to wake a thread on the core of the one that wrote to it, which then polls for the answer.
void leave_core() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(::sched_getcpu(), &others);
  if (CPU_COUNT(&others) == 0) return;
  if (::sched_setaffinity(0, sizeof others, &others) == 0) {
    ::sched_setaffinity(0, sizeof allowed, &allowed);
  }
}

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
  if (!is_in_turn()) {
    std::unique_lock lock(mutex_);
    ++guests_waiting_;
    guests_.wait(lock, [this] { return !has_holder_; });
    --guests_waiting_;
  }
  if (thread_.joinable()) thread_.join();
}

bool Loop::is_in_turn() const { return current_loop == this; }

void Loop::wake() {
  is_called_ = true;
  boost::asio::post(io_, [] {});
}

/// Gives the turn back, whatever happens.
class Loop::Released {
 public:
  explicit Released(Loop& loop) : loop_(loop) {}
  ~Released() { loop_.release(); }
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  Loop& loop_;
};

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
    if (guests_waiting_ == 0 && is_standby_asleep_) {
      is_standby_asleep_ = false;
      wake_standby = true;
    }
  }
  if (guests_waiting_ > 0) guests_.notify_all();
  if (wake_standby) standby_.notify_one();
}

void Loop::stand_in() {
  {
    std::lock_guard lock(mutex_);
    if (has_holder_) return;
    is_stand_in_wanted_ = true;
    is_standby_asleep_ = false;
  }
  standby_.notify_one();
}

bool Loop::turn(Poll poll) {
  InTurn mark(this);
  links_.look();
  bool did_anything = links_.poll();
  // Whoever waits pays for each system call: one event is enough, and better one from memory.
  quick_turns_ += did_anything ? quick_turns_of_busy : 1;
  const bool is_whole = poll == Poll::all || quick_turns_ >= quick_turns_due_;
  if (is_whole) {
    quick_turns_ = 0;
    links_.listen();
    const bool came = (poll == Poll::all ? io_.poll() : io_.poll_one()) > 0;
    quick_turns_due_ = came ? quick_turns_min : std::min(2 * quick_turns_due_, quick_turns_max);
    did_anything = came || did_anything;
  }
  const bool is_called = is_called_.load(std::memory_order_relaxed) && is_called_.exchange(false);
  if (!is_whole && !did_anything && !is_called) return false;
  return run_hooks() || did_anything || is_called;
}

bool Loop::run_hooks() {
  bool did_anything = false;
  bool is_busy = true;
  for (int round = 0; is_busy && round < hook_rounds_max; ++round) {
    is_busy = false;
    for (auto& hook : hooks_) is_busy = hook() || is_busy;
    did_anything = did_anything || is_busy;
    links_.flush();  // others wait for it
  }
  return did_anything;
}

void Loop::dispatch(std::function<void()> f) {
  if (is_in_turn()) {
    f();
  } else if (try_acquire()) {
    const Released at_end(*this);
    InTurn mark(this);
    f();
    run_hooks();
  } else {
    boost::asio::post(io_, std::move(f));
  }
}

bool Loop::try_turn() {
  if (is_in_turn() || !try_acquire()) return false;
  const Released at_end(*this);
  turn();
  last_poll_ = now();
  return true;
}

/// Something came, after so long.
void Loop::note_gap(Duration gap) {
  const Duration cap{4 * options_.spin.ns};
  usual_gap_ = {(3 * usual_gap_.ns + std::min(gap.ns, cap.ns)) / 4};
}

/// Somebody else had this core since then. If they need it, perhaps another one is free; if not,
/// polling takes it from those with work. Returns whether to go on polling.
bool Loop::may_go_on_crowded(Instant since, Instant time) {
  if (!lost_.note(since, time)) return true;
  const Duration before = time - std::exchange(crowded_, time);
  if (before < no_spin_pause) {
    no_spin_before_ = time + no_spin_pause;
    return false;
  }
  if (options_.is_mobile) leave_core();
  return true;
}

void Loop::prepare_rest() {
  InTurn mark(this);
  bool is_any = false;
  for (auto& hook : rest_hooks_) is_any = hook() || is_any;
  if (is_any) run_hooks();
}

void Loop::wait_for_events(Instant deadline) {
  const Instant begin = now();
  if (options_.spin.ns > 0 && usual_gap_ <= options_.spin && begin >= no_spin_before_ &&
      (!may_spin_ || may_spin_())) {
    const Instant end = std::min(begin + options_.spin, deadline);
    Instant time = begin;
    for (int polls = 1; time < end; ++polls) {
      if (turn(Poll::quick) || is_wanted_) {
        last_poll_ = now();
        note_gap(last_poll_ - begin);
        return;
      }
      if (polls % polls_per_clock != 0) continue;
      if (polls % polls_per_yield == 0) std::this_thread::yield();
      const Instant before = std::exchange(time, now());
      if (time - before <= poll_max) continue;
      if (!may_go_on_crowded(before, time)) break;
      time = now();
    }
  }
  last_poll_ = begin;
  if (turn() || is_wanted_) return;
  prepare_rest();
  if (!links_.await()) {
    InTurn mark(this);
    std::size_t came = 0;
    if (deadline == never) {
      came = io_.run_one();
    } else if (const auto left = (deadline - now()).ns; left > 0) {
      came = io_.run_one_for(std::chrono::nanoseconds(left));
    }
    if (came > 0) quick_turns_due_ = quick_turns_min;
  }
  is_called_ = true;  // by what woke this thread, which comes first
  turn(Poll::quick);
  last_poll_ = now();
  note_gap(last_poll_ - begin);
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
  const Released at_end(*this);
  {
    // What this thread brings – finished tasks, requests – is acted on before anything else.
    InTurn mark(this);
    run_hooks();
  }
  const auto is_late = [deadline] { return deadline != never && now() >= deadline; };
  while (!done() && !is_stopping_ && !is_late()) {
    wait_for_events(deadline);
    if (guests_waiting_ > 0) guests_.notify_all();
  }
  return done();
}

void Loop::background() {
  std::unique_lock lock(mutex_);
  std::uint64_t releases_seen = 0;
  int quiet_lingers = 0;
  while (!is_stopping_) {
    if (has_holder_ || guests_waiting_ > 0) {
      is_stand_in_wanted_ = false;
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
    const Duration free_for = releases_ == 0 ? options_.linger : now() - last_poll_;
    if (free_for < options_.linger && !is_stand_in_wanted_) {
      standby_.wait_for(lock, std::chrono::nanoseconds((options_.linger - free_for).ns));
      continue;
    }
    has_holder_ = true;
    is_background_holder_ = true;
    is_stand_in_wanted_ = false;
    while (!is_stopping_ && !is_wanted_) {
      lock.unlock();
      wait_for_events(never);
      lock.lock();
    }
    has_holder_ = false;
    is_background_holder_ = false;
    is_wanted_ = false;  // a guest that went on seeing it would never sleep
    guests_.notify_all();
  }
}

}  // namespace ashlar::runtime
