#include "scheduler/placement/root_blocks.hpp"

#include <algorithm>
#include <utility>

#include "scheduler/placement/hosts.hpp"

namespace ashlar::scheduler::placement {
namespace {

using graph::TaskGraph;

/// Visits the data that a task of the run makes and this one reads, with who makes them.
template <class Visit>
void for_made_inputs(const Submission& run, std::uint32_t task, Visit visit) {
  for (const std::uint32_t datum : run.graph.inputs_of(task)) {
    if (datum < run.graph.output_count()) visit(datum, run.producer[datum]);
  }
}

bool is_read(const Submission& run, std::uint32_t task) {
  const TaskGraph& g = run.graph;
  for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
    if (!run.consumers.of(d).empty()) return true;
  }
  return false;
}

class Blocks {
 public:
  Blocks(const Submission& run, const std::vector<std::uint32_t>& order, std::vector<Host> hosts)
      : run_(run), order_(order), hosts_(std::move(hosts)) {
    for (const std::uint32_t t : order) {
      if (run.graph.inputs_of(t).empty() && is_read(run, t)) roots_.push_back(t);
    }
  }

  /// Whether there is something for each host.
  bool are_worth_a_look() const { return roots_.size() >= 2 * hosts_.size(); }

  void cut() {
    double work = 0;
    for (const std::uint32_t t : roots_) work += task_ns(t);
    const double slots = slots_of(hosts_);
    const double turns = static_cast<double>(roots_.size()) / static_cast<double>(hosts_.size());
    owners_.assign(order_.size(), no_host);
    turns_.assign(order_.size(), 0);
    std::size_t block = 0;
    double done = 0, begin = 0, length = work * hosts_[0].slots / slots;
    for (const std::uint32_t t : roots_) {
      while (done + task_ns(t) / 2 > begin + length && block + 1 < hosts_.size()) {
        begin += length;
        length = work * hosts_[++block].slots / slots;
      }
      owners_[t] = hosts_[block].number;
      const double share = length > 0 ? std::clamp((done - begin) / length, 0.0, 1.0) : 0;
      turns_[t] = static_cast<std::uint32_t>(share * turns);
      done += task_ns(t);
    }
  }

  /// Whether blocks keep together most of what chance would not, and moving that would take the
  /// links longer than the tasks take: only then is it worth binding tasks to hosts, which makes it
  /// harder to keep all of them at work.
  bool do_pay(const View& view) const {
    double work = 0;
    for (const std::uint32_t t : order_) work += task_ns(t);
    const Reading reading = reading_in_blocks();
    const double slots = slots_of(hosts_);
    const double by_chance =
        reading.joined / slots * std::ranges::max_element(hosts_, {}, &Host::slots)->slots;
    const bool are_most_there =
        reading.joined_there - by_chance >= (reading.joined - by_chance) / 2;
    const double links = view.links.usual() * static_cast<double>(hosts_.size());
    const double moving = 1e9 * reading.there / links;
    return are_most_there && moving >= work / slots;
  }

  RootBlocks take() {
    join_readers();
    return {std::move(owners_), in_turns()};
  }

 private:
  /// Bytes that tasks read of others.
  struct Reading {
    double there = 0;                     ///< where the reader is
    double joined = 0, joined_there = 0;  ///< of those that read several: all, and where they are
  };

  double task_ns(std::uint32_t task) const { return static_cast<double>(run_.task_ns(task)); }

  /// If each task runs where most of what it reads is.
  Reading reading_in_blocks() const {
    Reading total;
    std::vector<std::uint32_t> where = owners_;
    std::vector<double> bytes_at(hosts_.back().number + std::size_t{1}, 0);
    for (const std::uint32_t t : order_) {
      if (where[t] != no_host) continue;
      std::uint32_t best = no_host;
      double all = 0;
      for_made_inputs(run_, t, [&](std::uint32_t datum, std::uint32_t maker) {
        const std::uint64_t bytes = run_.graph.output_bytes[datum];
        const std::uint32_t host = where[maker];
        if (host == no_host || bytes == TaskGraph::dynamic_bytes) return;
        all += static_cast<double>(bytes);
        bytes_at[host] += static_cast<double>(bytes);
        if (best == no_host || bytes_at[host] > bytes_at[best]) best = host;
      });
      if (best == no_host) continue;
      where[t] = best;
      total.there += bytes_at[best];
      if (run_.graph.inputs_of(t).size() > 1) {
        total.joined += all;
        total.joined_there += bytes_at[best];
      }
      for_made_inputs(run_, t, [&](std::uint32_t, std::uint32_t maker) {
        if (where[maker] != no_host) bytes_at[where[maker]] = 0;
      });
    }
    return total;
  }

  /// Readers come when the last that they read from does; others with those before them.
  void join_readers() {
    std::uint32_t last = 0;
    for (const std::uint32_t t : order_) {
      if (owners_[t] != no_host) {
        last = turns_[t];
        continue;
      }
      bool is_reader = false;
      for_made_inputs(run_, t, [&](std::uint32_t, std::uint32_t maker) {
        is_reader = true;
        turns_[t] = std::max(turns_[t], turns_[maker]);
      });
      if (!is_reader) turns_[t] = last;
    }
  }

  /// The order by turns; in a turn it stays.
  std::vector<std::uint32_t> in_turns() const {
    std::vector<std::uint32_t> next(*std::ranges::max_element(turns_) + std::size_t{2}, 0);
    for (const std::uint32_t turn : turns_) ++next[turn + 1];
    for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
    std::vector<std::uint32_t> order(order_.size());
    for (const std::uint32_t t : order_) order[next[turns_[t]]++] = t;
    return order;
  }

  const Submission& run_;
  const std::vector<std::uint32_t>& order_;
  std::vector<Host> hosts_;
  std::vector<std::uint32_t> roots_;
  std::vector<std::uint32_t> owners_, turns_;  ///< by task
};

}  // namespace

RootBlocks root_blocks(const View& view, const Submission& run,
                       const std::vector<std::uint32_t>& order) {
  std::vector<Host> hosts = hosts_of(view.workers);
  if (hosts.size() < 2) return {};
  Blocks blocks(run, order, std::move(hosts));
  if (!blocks.are_worth_a_look()) return {};
  blocks.cut();
  return blocks.do_pay(view) ? blocks.take() : RootBlocks{};
}

}  // namespace ashlar::scheduler::placement
