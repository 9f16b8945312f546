#include "scheduler/placement/order.hpp"

#include <algorithm>

#include "scheduler/placement/chains.hpp"
#include "scheduler/placement/memory_blocks.hpp"
#include "scheduler/placement/root_blocks.hpp"
#include "scheduler/placement/wide_readers.hpp"

namespace ashlar::scheduler::placement {
namespace {

std::uint64_t counted(std::uint64_t bytes) {
  return bytes == graph::TaskGraph::dynamic_bytes ? 1 : bytes;
}

/// A task and how much of the run is left when its turn comes, in time of all slots together.
struct Turn {
  double left;
  std::uint32_t task;
};

/// Merges the urgent tasks into the depth-first order of the other ones. Both keep producers first.
std::vector<std::uint32_t> middle_way(const Submission& run,
                                      const std::vector<std::uint32_t>& depth_first,
                                      const std::vector<std::int64_t>& way, double slots) {
  constexpr double urgency = 3;
  double left = 0;
  for (const std::uint32_t t : depth_first) left += static_cast<double>(run.task_ns(t)) / slots;
  std::vector<Turn> urgent, calm;
  for (const std::uint32_t t : depth_first) {
    const double wanted = urgency * static_cast<double>(way[t]);
    if (wanted > left) {
      urgent.push_back({wanted, t});
    } else {
      calm.push_back({left, t});
    }
    left -= static_cast<double>(run.task_ns(t)) / slots;
  }
  const auto comes_before = [](const Turn& a, const Turn& b) { return a.left > b.left; };
  std::ranges::stable_sort(urgent, comes_before);
  std::vector<Turn> merged(depth_first.size());
  std::ranges::merge(urgent, calm, merged.begin(), comes_before);
  std::vector<std::uint32_t> order;
  order.reserve(merged.size());
  for (const Turn& turn : merged) order.push_back(turn.task);
  return order;
}

/// By task, its block, where what the run reads and makes has no room in memory; else empty.
std::vector<std::uint32_t> blocks_of(const View& view, const Submission& run,
                                     const std::vector<std::uint32_t>& order) {
  if (run.graph.products.empty()) return {};
  double held = peak_bytes(run, order);
  for (const std::uint64_t bytes : run.graph.external_bytes) {
    held += static_cast<double>(counted(bytes));
  }
  const EqualHosts on = equal_hosts(view.workers);
  const auto hosts = static_cast<double>(std::max<std::size_t>(on.hosts.size(), 1));
  if (on.memory_bytes == 0 || held <= on.memory_bytes * hosts) return {};
  return memory_blocks(run.graph, run.producer, run.consumers, on.memory_bytes);
}

/// `depth_first`: has neighbours together, too.
std::vector<std::uint32_t> in_time(const View& view, const Submission& run,
                                   const std::vector<std::uint32_t>& depth_first, bool has_owners) {
  const std::vector<std::int64_t> way = ways_to_end(view, run, depth_first);
  std::vector<std::uint32_t> by_way = depth_first;
  std::ranges::stable_sort(by_way, [&](auto a, auto b) { return way[a] > way[b]; });
  if (has_owners && !run.graph.products.empty()) {
    const auto turns = turns_of(run.graph, run.consumers, hosts_for_products(view, run));
    if (!turns.empty()) {
      std::ranges::stable_sort(by_way, {}, [&](auto t) { return turns[t]; });
      return by_way;
    }
  }
  if (const auto blocks = blocks_of(view, run, by_way); !blocks.empty()) {
    std::ranges::stable_sort(by_way, {}, [&](auto t) { return blocks[t]; });
    return by_way;
  }
  if (by_way == depth_first) return by_way;

  // Beside what the order makes wait, each slot holds what it is making.
  const double slots = static_cast<double>(std::max<std::uint64_t>(view.workers.usable_slots(), 1));
  double made = 0;
  for (const std::uint64_t bytes : run.graph.output_bytes) {
    made += static_cast<double>(counted(bytes));
  }
  const double making = slots * made / static_cast<double>(by_way.size());
  const bool has_room = peak_bytes(run, by_way) <= 2 * peak_bytes(run, depth_first) + making;
  return has_room ? by_way : middle_way(run, depth_first, way, slots);
}

}  // namespace

EqualHosts hosts_for_products(const View& view, const Submission& run) {
  EqualHosts on = equal_hosts(view.workers);
  on.bytes_per_second = view.links.usual();
  // Short cells are assigned so far ahead that hosts which hand chunks on would wait.
  const std::int64_t cell_ns = mean_cell_ns(run.graph, run.task_ns);
  if (cell_ns >= view.limits.window_time.ns) on.cell_ns = cell_ns;
  return on;
}

std::int64_t moving_ns(const View& view, std::uint64_t bytes) {
  const double known = bytes == graph::TaskGraph::dynamic_bytes ? 0 : static_cast<double>(bytes);
  constexpr double most = 1e12;  // whatever graphs say: sums must not overflow
  return view.limits.remote_latency.ns +
         static_cast<std::int64_t>(std::min(1e9 * known / view.links.usual(), most));
}

std::vector<std::uint32_t> inverse(const std::vector<std::uint32_t>& ranks) {
  std::vector<std::uint32_t> order(ranks.size());
  for (std::uint32_t t = 0; t < ranks.size(); ++t) order[ranks[t]] = t;
  return order;
}

std::vector<std::int64_t> ways_to_end(const View& view, const Submission& run,
                                      const std::vector<std::uint32_t>& order) {
  const graph::TaskGraph& g = run.graph;
  std::vector<std::int64_t> way(order.size(), 0);
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::uint32_t t = order[i];
    for (std::uint32_t d = g.output_offsets[t]; d < g.output_offsets[t + 1]; ++d) {
      const std::int64_t moving = moving_ns(view, g.output_bytes[d]);
      for (const std::uint32_t user : run.consumers.of(d)) {
        way[t] = std::max(way[t], moving + way[user]);
      }
    }
    way[t] += run.task_ns(t);
  }
  return way;
}

double peak_bytes(const Submission& run, const std::vector<std::uint32_t>& order) {
  const graph::TaskGraph& g = run.graph;
  std::vector<std::uint32_t> uses(g.output_count());
  for (std::uint32_t d = 0; d < g.output_count(); ++d) {
    uses[d] = static_cast<std::uint32_t>(run.consumers.of(d).size());
  }
  for (const std::uint32_t d : g.wanted) ++uses[d];
  double held = 0, peak = 0;
  for (const std::uint32_t t : order) {
    for (std::uint32_t d = g.output_offsets[t]; d < g.output_offsets[t + 1]; ++d) {
      held += static_cast<double>(counted(run.bytes_of(d)));
    }
    peak = std::max(peak, held);
    for (const std::uint32_t d : g.inputs_of(t)) {
      if (d >= g.output_count() || --uses[d] > 0) continue;
      held -= static_cast<double>(counted(run.bytes_of(d)));
    }
  }
  return peak;
}

namespace {

/// The same order, but each of the cutters comes right after who made what it cuts.
std::vector<std::uint32_t> with_pieces_at_once(const Submission& run,
                                               const std::vector<std::uint32_t>& order,
                                               const std::vector<std::uint32_t>& cutters) {
  std::vector<bool> is_cutter(order.size(), false);
  for (const std::uint32_t task : cutters) is_cutter[task] = true;
  const graph::TaskGraph& g = run.graph;
  std::vector<std::uint32_t> changed, open;
  for (const std::uint32_t task : order) {
    if (!is_cutter[task]) open.push_back(task);
    while (!open.empty()) {
      const std::uint32_t next = open.back();
      open.pop_back();
      changed.push_back(next);
      for (std::uint32_t d = g.output_offsets[next]; d < g.output_offsets[next + 1]; ++d) {
        for (const std::uint32_t reader : run.consumers.of(d)) {
          if (is_cutter[reader]) open.push_back(reader);
        }
      }
    }
  }
  return changed;
}

}  // namespace

TaskOrder timely_order(const View& view, const Submission& run, bool has_owners) {
  std::vector<std::uint32_t> ranks = graph::depth_first_ranks(run.graph);
  if (ranks.size() < 3) return {std::move(ranks), {}};
  const std::vector<std::uint32_t> depth_first = inverse(ranks);
  const bool may_own = has_owners && run.graph.products.empty();
  RootBlocks blocks;
  WideReaders wide;
  std::vector<std::uint32_t> chains;
  if (may_own) blocks = root_blocks(view, run, depth_first);
  if (may_own && blocks.owners.empty()) wide = wide_readers(view, run, depth_first);
  if (may_own && wide.owners.empty()) chains = chain_owners(view, run, depth_first, blocks.owners);
  if (!chains.empty()) blocks = {};
  const bool has_blocks = !blocks.owners.empty();
  const auto& neighbours_together = has_blocks ? blocks.order : depth_first;
  std::vector<std::uint32_t> order = in_time(view, run, neighbours_together, has_owners);
  if (!wide.cutters.empty()) order = with_pieces_at_once(run, order, wide.cutters);
  TaskOrder result{inverse(order), {}};
  result.prefetches = !wide.owners.empty();
  result.are_owners_firm = !chains.empty();
  for (auto* owners : {&blocks.owners, &wide.owners, &chains}) {
    if (!owners->empty()) result.owners = std::move(*owners);
  }
  return result;
}

}  // namespace ashlar::scheduler::placement
