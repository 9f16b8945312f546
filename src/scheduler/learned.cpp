#include <iomanip>
#include <set>
#include <sstream>

#include "scheduler/core.hpp"
#include "scheduler/words.hpp"

// What was learnt of kernels, workers and links, as tables for people.

namespace ashlar::scheduler {
namespace {

void add_row(std::ostream& out, const std::string& kernel, const std::string& workers,
             const CostModel::Learned& learned) {
  if (learned.calls == 0) return;
  out << std::left << std::setw(24) << kernel << ' ' << std::setw(12) << workers << std::right
      << std::setw(10) << learned.calls << std::setw(11) << time_text(learned.predicted_ns)
      << std::setw(8) << std::setprecision(0) << 100 * learned.spread << " %" << std::setw(12)
      << std::setprecision(2) << learned.confidence << '\n';
}

void add_row(std::ostream& out, const Peer& peer, const std::string& class_name) {
  out << std::left << std::setw(24) << peer.name << ' ' << std::setw(12) << class_name << std::right
      << std::setprecision(2) << std::setw(10) << peer.slowness << std::setw(11)
      << peer.speed.calm() << std::setw(10) << peer.load.others() << std::setw(9)
      << peer.load.stretch() << std::setw(6) << std::setprecision(0)
      << 100 * peer.load.memory_share() << " %" << (peer.load.is_hot() ? "  hot" : "") << '\n';
}

std::string rate_text(const LinkModel::Rate& learned) {
  return learned.samples == 0 ? "-" : bytes_text(learned.rate) + "/s";
}

void add_row(std::ostream& out, const std::string& name, const LinkModel::Rate& receiving,
             const LinkModel::Rate& sending) {
  if (receiving.samples + sending.samples == 0) return;
  out << std::left << std::setw(24) << name << ' ' << std::right << std::setw(12)
      << rate_text(receiving) << std::setw(10) << receiving.samples << std::setw(12)
      << rate_text(sending) << std::setw(10) << sending.samples << '\n';
}

}  // namespace

/// Nothing while all processes are on one host.
void Core::tell_links(std::ostream& out) const {
  std::set<std::uint32_t> hosts;
  for (PeerIndex p = 0; p < workers_.size(); ++p) hosts.insert(workers_.at(p).host);
  if (hosts.size() < 2) return;
  out << std::left << std::setw(24) << "link between hosts" << ' '
      << "    receives transfers       sends transfers\n";
  for (PeerIndex p = 0; p < workers_.size(); ++p) {
    if (!workers_.at(p).is_alive) continue;
    add_row(out, workers_.at(p).name, links_.learned_receiving(p), links_.learned_sending(p));
  }
  const LinkModel::Rate usual = links_.learned_usual();
  out << std::left << std::setw(24) << "any other" << ' ' << std::right << std::setw(12)
      << bytes_text(links_.usual()) + "/s" << std::setw(10) << usual.samples
      << (usual.samples == 0 ? "  assumed\n" : "\n");
}

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
  tell_links(out);
  return out.str();
}

}  // namespace ashlar::scheduler
