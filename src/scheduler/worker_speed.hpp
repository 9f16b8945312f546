#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace ashlar::scheduler {

/// How much longer a worker takes than the average one: as its tasks show, and as its host says
/// before tasks can show it.
class WorkerSpeed {
 public:
  /// Measured time over that of the average worker.
  double slowness() const;
  /// The same when nothing else keeps the host busy.
  double calm() const { return calm_; }

  /// Tasks took `ratio` times what the average worker takes, while the host's other load stretched
  /// the worker's time by `stretch`. One call changes little, however far off.
  void observe(double ratio, double stretch, Instant now);

  /// What the host says now, about ten times a second. A worker that no task has shown to be slow
  /// for a while is taken for what it is when its host is calm; one that is passed over while there
  /// is work (`is_passed_over`) is in the end taken for an average one, so that it is tried again.
  void hear(double stretch, bool is_passed_over, Instant now);

 private:
  double recent_ = 1;  ///< over about the last ten messages
  double calm_ = 1;    ///< over about two seconds, as it would have been without the stretch
  double stretch_ = 1;
  std::uint64_t count_ = 0;
  Instant observed_, heard_;
};

}  // namespace ashlar::scheduler
