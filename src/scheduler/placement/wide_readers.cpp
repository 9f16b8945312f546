#include "scheduler/placement/wide_readers.hpp"

#include <algorithm>

#include "scheduler/placement/hosts.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// A task reads from everywhere that has so many inputs, and so many for each host.
constexpr std::size_t inputs_min = 16, inputs_per_host = 4;
/// Of the time that the tasks take on all slots, what moving data must take on all links.
constexpr double moving_min = 0.25;

/// Of what several tasks read, which comes once to each host, a share.
double bytes_read(const Submission& run, std::uint32_t task, std::size_t hosts) {
  double bytes = 0;
  for (const std::uint32_t datum : run.graph.inputs_of(task)) {
    if (datum >= run.graph.output_count()) continue;
    const std::uint64_t size = run.graph.output_bytes[datum];
    if (size == graph::TaskGraph::dynamic_bytes) continue;
    const std::size_t readers = run.consumers.of(datum).size();
    const double times =
        static_cast<double>(std::min(readers, hosts)) / static_cast<double>(readers);
    bytes += times * static_cast<double>(size);
  }
  return bytes;
}

/// What a host is given.
struct Load {
  double work_ns = 0;
  double bytes = 0;
};

class WideReaders {
 public:
  WideReaders(const View& view, const Submission& run, const std::vector<std::uint32_t>& order)
      : run_(run), hosts_(hosts_of(view.workers)), link_(view.links.usual()) {
    const std::size_t inputs = std::max(inputs_min, inputs_per_host * hosts_.size());
    for (const std::uint32_t task : order) {
      const double bytes = bytes_read(run, task, hosts_.size());
      work_ns_ += static_cast<double>(run.task_ns(task));
      all_bytes_ += bytes;
      if (run.graph.inputs_of(task).size() < inputs) continue;
      wide_bytes_ += bytes;
      wide_.push_back(task);
    }
  }

  bool do_pay() const {
    if (hosts_.size() < 2 || wide_bytes_ <= all_bytes_ / 2) return false;
    const auto hosts = static_cast<double>(hosts_.size());
    const double moved = wide_bytes_ * (hosts - 1) / hosts;
    return 1e9 * moved / (link_ * hosts) >= moving_min * work_ns_ / slots_of(hosts_);
  }

  std::vector<std::uint32_t> owners() const {
    std::vector<std::uint32_t> owners(run_.graph.task_count(), no_host);
    std::vector<Load> loads(hosts_.size());
    for (const std::uint32_t task : wide_) {
      const Load added{static_cast<double>(run_.task_ns(task)),
                       bytes_read(run_, task, hosts_.size())};
      std::size_t best = 0;
      for (std::size_t h = 1; h < hosts_.size(); ++h) {
        if (time_of(h, loads[h], added) < time_of(best, loads[best], added)) best = h;
      }
      loads[best].work_ns += added.work_ns;
      loads[best].bytes += added.bytes;
      owners[task] = hosts_[best].number;
    }
    return owners;
  }

 private:
  /// Nanoseconds of the host's slots or of its link, whatever is more.
  double time_of(std::size_t host, const Load& load, const Load& added) const {
    return std::max((load.work_ns + added.work_ns) / hosts_[host].slots,
                    1e9 * (load.bytes + added.bytes) / link_);
  }

  const Submission& run_;
  std::vector<Host> hosts_;
  double link_;  ///< bytes per second of a host's
  std::vector<std::uint32_t> wide_;
  double work_ns_ = 0, all_bytes_ = 0, wide_bytes_ = 0;
};

}  // namespace

std::vector<std::uint32_t> wide_readers(const View& view, const Submission& run,
                                        const std::vector<std::uint32_t>& order) {
  const WideReaders wide(view, run, order);
  return wide.do_pay() ? wide.owners() : std::vector<std::uint32_t>();
}

}  // namespace ashlar::scheduler::placement
