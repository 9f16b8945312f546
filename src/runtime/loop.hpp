#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "net/link_poll.hpp"
#include "runtime/lost_time.hpp"

namespace ashlar::runtime {

/// One strand of work – sockets, timers, engines – that any thread may carry on for a while.
///
/// At most one thread at a time has the *turn* and runs handlers. A background thread has it
/// when nobody else wants it. A thread that waits for something the loop will bring (a user in
/// get(), an idle compute slot) takes the turn as a *guest* and polls for itself: the answer
/// then needs no wake-up, which costs more than most messages. When a guest lets go, the
/// background thread waits a moment (`linger`) for the guest's return before it takes over.
///
/// A turn runs ready handlers, then the turn hooks (engines step on what the handlers collected,
/// links flush). Whoever polls runs the hooks when something came, or wake() was called, and else
/// now and then. Threads: members may be called from any thread unless they say otherwise.
class Loop {
 public:
  struct Options {
    /// How long the one who has the turn polls before it sleeps, when events have lately come
    /// sooner than that; zero: always sleep at once.
    Duration spin = Duration::microseconds(200);
    /// Whether the polling thread may go to another core when this one is wanted by others. Only
    /// one of two that talk to each other, or both go.
    bool is_mobile = false;
    /// How long the background thread waits for a guest to come back.
    Duration linger = Duration::milliseconds(4);
  };

  explicit Loop(Options options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  boost::asio::io_context& io() { return io_; }

  /// Adds a hook that runs at the end of each turn and returns whether it did anything. Before
  /// start() only.
  void add_turn_hook(std::function<bool()> hook) { hooks_.push_back(std::move(hook)); }

  /// Adds a hook that is called before whoever has the turn sleeps: what waits for company must go
  /// now. Returns whether the turn hooks have something to do for it. Before start() only.
  void add_rest_hook(std::function<bool()> hook) { rest_hooks_.push_back(std::move(hook)); }

  /// Asked before polling: false when there is no core to spare for it. Before start() only.
  void set_may_spin(std::function<bool()> may_spin) { may_spin_ = std::move(may_spin); }

  /// Starts the background thread.
  void start();

  /// Ends the background thread and waits for whoever has the turn; nothing runs on the loop
  /// afterwards.
  void stop();

  /// Runs f on a turn: here and now when the turn is free or this thread's, else soon.
  void dispatch(std::function<void()> f);

  /// Makes whoever has the turn (or the background thread) run a turn soon.
  void wake();

  /// Carries the loop on until done() is true (or the deadline passed); returns done(). `done`
  /// may be called from this thread only, with or without the turn.
  /// Errors: BadInput when called from inside one of the loop's own handlers.
  bool drive_until(const std::function<bool()>& done, Instant deadline);

  /// The calling thread, no longer a guest, will be away for longer than `linger`: the background
  /// thread takes the turn at once.
  void stand_in();

  /// One turn without waiting, if nobody has it. Returns whether it was free.
  bool try_turn();

  /// Somebody has the turn at this moment.
  bool is_held() const { return has_holder_; }

  /// The calling thread is in one of this loop's handlers.
  bool is_in_turn() const;

 private:
  void background();
  class Released;
  bool try_acquire();
  void release();
  enum class Poll { all, quick };
  bool turn(Poll poll = Poll::all);
  bool run_hooks();
  void wait_for_events(Instant deadline);
  void prepare_rest();
  void note_gap(Duration gap);
  bool may_go_on_crowded(Instant since, Instant time);

  Options options_;
  boost::asio::io_context io_;
  net::LinkPoll& links_{net::LinkPoll::of(io_)};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_{
      io_.get_executor()};
  std::vector<std::function<bool()>> hooks_;
  std::vector<std::function<bool()>> rest_hooks_;
  std::function<bool()> may_spin_;

  std::mutex mutex_;
  std::condition_variable guests_;
  std::condition_variable standby_;
  std::atomic<bool> has_holder_{false};  ///< changed under the mutex
  bool is_background_holder_ = false;
  bool is_standby_asleep_ = false;
  bool is_stand_in_wanted_ = false;
  std::atomic<bool> is_stopping_{false};
  std::uint64_t releases_ = 0;
  Instant last_poll_;  ///< changed by who has the turn; read without it when nobody has
  std::atomic<int> guests_waiting_{0};
  std::atomic<bool> is_wanted_{false};  ///< the background holder should let go
  std::atomic<bool> is_called_{false};  ///< by wake(), since the hooks ran

  Duration usual_gap_;       ///< smoothed time between events, capped; only with the turn
  Instant no_spin_before_;   ///< only with the turn
  int quick_turns_ = 0;      ///< since sockets and timers were looked at; only with the turn …
  int quick_turns_due_ = 1;  ///< … and after how many they are next
  LostTime lost_;            ///< by polling; only with the turn
  Instant crowded_;          ///< when that was too much last; only with the turn
  std::thread thread_;
};

}  // namespace ashlar::runtime
