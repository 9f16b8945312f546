#include "scheduler/placement/wide_readers.hpp"

#include <algorithm>
#include <utility>

#include "scheduler/placement/hosts.hpp"

namespace ashlar::scheduler::placement {
namespace {

using graph::TaskGraph;

/// A task reads from everywhere that has so many inputs, and so many for each host.
constexpr std::size_t inputs_min = 16, inputs_per_host = 4;
/// Of the time that the tasks take on all slots, what moving data must take on all links.
constexpr double moving_min = 0.25;

struct Reader {
  std::uint32_t task = 0;
  double work_ns = 0;
  double bytes = 0;  ///< that it alone reads, as far as is known
};

/// Those that read from everywhere, in this order, which has producers first.
class Finder {
 public:
  Finder(const Submission& run, const std::vector<std::uint32_t>& order, std::size_t hosts)
      : run_(run), hosts_(hosts) {
    const std::size_t inputs = std::max(inputs_min, inputs_per_host * hosts);
    for (const std::uint32_t task : order) {
      if (run.graph.inputs_of(task).size() >= inputs) tasks_.push_back(task);
    }
    if (tasks_.empty()) return;
    find_sources(order);
    count_readers();
  }

  std::vector<Reader> find() const {
    std::vector<Reader> found;
    for (const std::uint32_t task : tasks_) {
      Reader reader{task, static_cast<double>(run_.task_ns(task))};
      if (reads_most_alone(reader)) found.push_back(reader);
    }
    return found;
  }

  std::vector<std::uint32_t> cutters(const std::vector<Reader>& readers) const {
    std::vector<std::uint32_t> found;
    for (const Reader& reader : readers) {
      for (const std::uint32_t datum : run_.graph.inputs_of(reader.task)) {
        if (datum >= run_.graph.output_count()) continue;
        const std::uint32_t maker = run_.producer[datum];
        if (sources_[maker] != maker) found.push_back(maker);
      }
    }
    return found;
  }

 private:
  /// What a task cuts out of a single datum comes from who made that.
  void find_sources(const std::vector<std::uint32_t>& order) {
    sources_.resize(run_.graph.task_count());
    for (const std::uint32_t task : order) {
      const auto inputs = run_.graph.inputs_of(task);
      const bool is_from_one = inputs.size() == 1 && inputs[0] < run_.graph.output_count();
      sources_[task] = is_from_one ? sources_[run_.producer[inputs[0]]] : task;
    }
  }

  void count_readers() {
    constexpr std::uint32_t nobody = ~std::uint32_t{0};
    readers_.assign(sources_.size(), 0);
    std::vector<std::uint32_t> last(sources_.size(), nobody);
    for (const std::uint32_t task : tasks_) {
      for (const std::uint32_t datum : run_.graph.inputs_of(task)) {
        if (datum >= run_.graph.output_count()) continue;
        const std::uint32_t source = sources_[run_.producer[datum]];
        if (std::exchange(last[source], task) != task) ++readers_[source];
      }
    }
  }

  /// Whether most of what it reads nobody else does, and comes from sources that as many read from
  /// as there are hosts. What is not known is as nothing beside what is.
  bool reads_most_alone(Reader& reader) const {
    double alone = 0, all = 0;
    for (const std::uint32_t datum : run_.graph.inputs_of(reader.task)) {
      if (datum >= run_.graph.output_count()) continue;
      const std::uint64_t bytes = run_.bytes_of(datum);
      const bool is_known = bytes != TaskGraph::dynamic_bytes;
      const double weight = is_known ? static_cast<double>(bytes) : 1;
      all += weight;
      const bool is_alone = run_.consumers.of(datum).size() == 1;
      if (!is_alone || readers_[sources_[run_.producer[datum]]] < hosts_) continue;
      alone += weight;
      if (is_known) reader.bytes += weight;
    }
    return 2 * alone > all;
  }

  const Submission& run_;
  std::size_t hosts_;
  std::vector<std::uint32_t> tasks_;    ///< with many inputs
  std::vector<std::uint32_t> sources_;  ///< by task
  std::vector<std::uint32_t> readers_;  ///< by source: how many of the tasks read from it
};

/// Whether moving what they read takes long beside the tasks.
bool do_shares_pay(const Submission& run, const std::vector<Reader>& readers,
                   const std::vector<Host>& hosts, double link) {
  double work_ns = 0, bytes = 0;
  for (std::uint32_t task = 0; task < run.graph.task_count(); ++task) {
    work_ns += static_cast<double>(run.task_ns(task));
  }
  for (const Reader& reader : readers) bytes += reader.bytes;
  const auto count = static_cast<double>(hosts.size());
  const double moved = bytes * (count - 1) / count;
  return 1e9 * moved / (link * count) >= moving_min * work_ns / slots_of(hosts);
}

/// What a host is given.
struct Load {
  double work_ns = 0;
  double bytes = 0;
};

/// Where its slots, or its link of so many bytes per second, are done soonest with the reader.
std::size_t best_host(const std::vector<Host>& hosts, const std::vector<Load>& loads,
                      const Reader& reader, double link) {
  const auto time = [&](std::size_t h) {
    return std::max((loads[h].work_ns + reader.work_ns) / hosts[h].slots,
                    1e9 * (loads[h].bytes + reader.bytes) / link);
  };
  std::size_t best = 0;
  for (std::size_t h = 1; h < hosts.size(); ++h) {
    if (time(h) < time(best)) best = h;
  }
  return best;
}

}  // namespace

WideReaders wide_readers(const View& view, const Submission& run,
                         const std::vector<std::uint32_t>& order) {
  const std::vector<Host> hosts = hosts_of(view.workers);
  if (hosts.size() < 2) return {};
  const Finder finder(run, order, hosts.size());
  const std::vector<Reader> readers = finder.find();
  if (readers.empty()) return {};
  WideReaders found{.owners = {}, .cutters = finder.cutters(readers)};
  const double link = view.links.usual();
  if (!do_shares_pay(run, readers, hosts, link)) return found;
  found.owners.assign(run.graph.task_count(), no_host);
  std::vector<Load> loads(hosts.size());
  for (const Reader& reader : readers) {
    const std::size_t host = best_host(hosts, loads, reader, link);
    loads[host].work_ns += reader.work_ns;
    loads[host].bytes += reader.bytes;
    found.owners[reader.task] = hosts[host].number;
  }
  return found;
}

}  // namespace ashlar::scheduler::placement
