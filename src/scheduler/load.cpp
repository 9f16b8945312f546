#include <iomanip>
#include <sstream>

#include "scheduler/core.hpp"

// What hosts are busy with, and what was learnt of times.

namespace ashlar::scheduler {

void Core::on(const Tick&) {
  has_ticked_ = true;
  workers_.forget_old_loads(now_);
}

void Core::on(const ForgetLearned&) {
  costs_.forget();
  workers_.forget_speeds();
  links_.forget();
}

void Core::on_worker(PeerIndex worker, const protocol::Heartbeat& message) {
  workers_.hear(worker, message, unfinished_ > 0, now_);
}

namespace {

std::string time_text(double ns) {
  const bool is_us = ns < 1e6, is_ms = ns < 1e9;
  std::ostringstream text;
  text << std::setprecision(3) << ns / (is_us ? 1e3 : is_ms ? 1e6 : 1e9)
       << (is_us ? " us" : is_ms ? " ms" : " s");
  return text.str();
}

void add_row(std::ostream& out, const std::string& kernel, const std::string& workers,
             const CostModel::Learned& learned) {
  if (learned.calls == 0) return;
  out << std::left << std::setw(24) << kernel << ' ' << std::setw(12) << workers << std::right
      << std::setw(10) << learned.calls << std::setw(11) << time_text(learned.predicted_ns)
      << std::setw(8) << std::setprecision(0) << 100 * learned.spread << " %" << std::setw(12)
      << std::setprecision(2) << learned.confidence << '\n';
}

void add_row(std::ostream& out, const Peer& peer, const std::string& class_name) {
  out << std::left << std::setw(24) << peer.name << ' ' << std::setw(12) << class_name
      << std::right << std::setprecision(2) << std::setw(10) << peer.slowness << std::setw(11)
      << peer.speed.calm() << std::setw(10) << peer.load.others() << std::setw(9)
      << peer.load.stretch() << std::setw(6) << std::setprecision(0)
      << 100 * peer.load.memory_share() << " %" << (peer.load.is_hot() ? "  hot" : "") << '\n';
}

}  // namespace

std::string Core::learned() const {
  std::ostringstream out;
  out << std::fixed << std::left << std::setw(24) << "kernel" << ' ' << std::setw(12) << "workers"
      << "     calls  predicted    spread  confidence\n";
  const auto& classes = workers_.classes();
  for (const auto& [name, kernel] : workers_.kernels()) {
    add_row(out, name, "all", costs_.learned(kernel));
    for (std::uint32_t c = 0; c < classes.size(); ++c) {
      add_row(out, name, classes[c], costs_.learned(kernel, c));
    }
  }
  out << std::left << std::setw(24) << "worker" << ' ' << std::setw(12) << "class"
      << "  slowness  when calm    others  stretch  memory\n";
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    const Peer& peer = workers_.at(p);
    if (peer.is_worker && peer.is_alive) add_row(out, peer, classes[peer.worker_class]);
  }
  return out.str();
}

}  // namespace ashlar::scheduler
