#include "scheduler/placement/wide_readers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "scheduler/placement/hosts.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// A task reads from everywhere that has so many inputs, and so many for each host.
constexpr std::size_t inputs_min = 16, inputs_per_host = 4;
/// Of the time that the tasks take on all slots, what moving data must take on all links.
constexpr double moving_min = 0.25;

/// What a host is given.
struct Load {
  double work_ns = 0;
  double bytes = 0;
};

class WideReaders {
 public:
  WideReaders(const View& view, const Submission& run, std::vector<Host> hosts,
              std::vector<std::uint32_t> readers)
      : run_(run),
        hosts_(std::move(hosts)),
        readers_(std::move(readers)),
        link_(view.links.usual()) {}

  bool do_pay() const {
    double work_ns = 0, all_bytes = 0, read_bytes = 0;
    for (std::uint32_t task = 0; task < run_.graph.task_count(); ++task) {
      work_ns += static_cast<double>(run_.task_ns(task));
      all_bytes += bytes_read(task);
    }
    for (const std::uint32_t task : readers_) read_bytes += bytes_read(task);
    if (read_bytes <= all_bytes / 2) return false;
    const auto hosts = static_cast<double>(hosts_.size());
    const double moved = read_bytes * (hosts - 1) / hosts;
    return 1e9 * moved / (link_ * hosts) >= moving_min * work_ns / slots_of(hosts_);
  }

  std::vector<std::uint32_t> owners() const {
    std::vector<std::uint32_t> owners(run_.graph.task_count(), no_host);
    std::vector<Load> loads(hosts_.size());
    for (const std::uint32_t task : readers_) {
      const Load added{static_cast<double>(run_.task_ns(task)), bytes_read(task)};
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
  /// Of what several tasks read, which comes once to each host, a share.
  double bytes_read(std::uint32_t task) const {
    double bytes = 0;
    for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
      if (datum >= run_.graph.output_count()) continue;
      const std::uint64_t size = run_.bytes_of(datum);
      if (size == graph::TaskGraph::dynamic_bytes) continue;
      const std::size_t readers = run_.consumers.of(datum).size();
      bytes += static_cast<double>(size) * static_cast<double>(std::min(readers, hosts_.size())) /
               static_cast<double>(readers);
    }
    return bytes;
  }

  /// Nanoseconds of the host's slots or of its link, whatever is more.
  double time_of(std::size_t host, const Load& load, const Load& added) const {
    return std::max((load.work_ns + added.work_ns) / hosts_[host].slots,
                    1e9 * (load.bytes + added.bytes) / link_);
  }

  const Submission& run_;
  std::vector<Host> hosts_;
  std::vector<std::uint32_t> readers_;
  double link_;  ///< bytes per second of a host's
};

}  // namespace

std::vector<std::uint32_t> wide_readers(const View& view, const Submission& run,
                                        const std::vector<std::uint32_t>& order) {
  std::vector<Host> hosts = hosts_of(view.workers);
  if (hosts.size() < 2) return {};
  const std::size_t inputs = std::max(inputs_min, inputs_per_host * hosts.size());
  std::vector<std::uint32_t> readers;
  std::ranges::copy_if(order, std::back_inserter(readers), [&](std::uint32_t task) {
    return run.graph.inputs_of(task).size() >= inputs;
  });
  if (readers.empty()) return {};
  const WideReaders wide(view, run, std::move(hosts), std::move(readers));
  return wide.do_pay() ? wide.owners() : std::vector<std::uint32_t>();
}

}  // namespace ashlar::scheduler::placement
