#include "scheduler/core.hpp"

// What hosts are busy with.

namespace ashlar::scheduler {

void Core::on(const Tick&) {
  has_ticked_ = true;
  workers_.forget_old_loads(now_);
  take_up_hoping(false);
}

void Core::on(const ForgetLearned&) {
  costs_.forget();
  workers_.forget_speeds();
  links_.forget();
}

void Core::on_worker(PeerIndex worker, const protocol::Heartbeat& message) {
  workers_.hear(worker, message, unfinished_ > 0, now_);
}

}  // namespace ashlar::scheduler
