#include "scheduler/owners.hpp"

#include <algorithm>
#include <map>

#include "graph/process_grid.hpp"

namespace ashlar::scheduler {
namespace {

using graph::TaskGraph;

/// The hosts of a layer wait for those of the layer before at the beginning of a product, and are
/// waited for at its end, for a turn each. That is as nothing in a product of many turns, and worth
/// it where moving data without layers is a good part of the time, or layers halve it.
bool do_layers_pay(const graph::Product& product, const graph::ProcessGrid& flat,
                   const graph::ProcessGrid& layered, const EqualHosts& on) {
  constexpr double waiting_max = 0.04, moving_min = 0.2;  // of the time for the cells
  const double chunks =
      static_cast<double>(product.rows) / layered.rows * product.columns / layered.columns;
  const double waiting = (layered.layers - 1) * on.slots / chunks;
  const double cells_each = static_cast<double>(product.cells()) / flat.hosts();
  const double seconds = cells_each * static_cast<double>(on.cell_ns) * 1e-9 / on.slots;
  const double bytes = graph::moved_bytes(product, flat);
  const double moving = bytes / flat.hosts() / on.bytes_per_second;
  return waiting <= waiting_max || moving >= moving_min * seconds ||
         bytes >= 2 * graph::moved_bytes(product, layered);
}

graph::ProcessGrid grid_for(const graph::Product& product, const EqualHosts& on) {
  const auto hosts = static_cast<std::uint32_t>(on.hosts.size());
  const auto flat = graph::best_grid(product, hosts, on.memory_bytes, false);
  if (on.cell_ns == 0) return flat;
  const auto layered = graph::best_grid(product, hosts, on.memory_bytes);
  if (flat.hosts() == 0 || layered.layers < 2) return layered;
  return do_layers_pay(product, flat, layered, on) ? layered : flat;
}

/// Where the cells of the products go: positions among the hosts.
class Grids {
 public:
  Grids(const TaskGraph& graph, const EqualHosts& on) {
    std::uint64_t first = 0;
    for (const graph::Product& product : graph.products) {
      parts_.push_back({first, product, grid_for(product, on)});
      first += product.cells();
    }
  }

  bool is_any_good() const {
    return std::ranges::any_of(parts_, [](const Part& part) { return part.grid.hosts() > 0; });
  }
  bool has_layers() const {
    return std::ranges::any_of(parts_, [](const Part& part) { return part.grid.layers > 1; });
  }

  /// no_host for a product without a grid.
  std::uint32_t host_of(std::uint32_t cell) const {
    const Part& part = part_of(cell);
    if (part.grid.hosts() == 0) return no_host;
    return graph::host_of_cell(part.product, part.grid, cell - part.first);
  }

 protected:
  struct Part {
    std::uint64_t first = 0;  ///< its first cell
    graph::Product product;
    graph::ProcessGrid grid;
  };
  const Part& part_of(std::uint32_t cell) const {
    return *(std::ranges::upper_bound(parts_, cell, {}, &Part::first) - 1);
  }

  std::vector<Part> parts_;
};

/// Counts the chunks that the hosts of each column of layers hand on, as they come.
class Turns : private Grids {
 public:
  Turns(const TaskGraph& graph, const EqualHosts& on)
      : Grids(graph, on), at_a_time_(on.slots), counts_(on.hosts.size(), 0) {}

  using Grids::has_layers;

  std::uint32_t turn_of(std::uint32_t cell) {
    const Part& part = part_of(cell);
    if (&part != part_) begin(part);
    if (part.grid.layers < 2) return first_;
    const std::uint64_t chunk = (cell - part.first) / part.product.inner;
    std::uint32_t& turn = turn_of_chunk_[chunk];
    if (turn == unknown) {
      const std::uint32_t host = host_of(cell);
      turn = first_ + counts_[host - host % part.grid.layers]++ / at_a_time_;
      last_ = std::max(last_, turn);
    }
    return turn;
  }

 private:
  static constexpr std::uint32_t unknown = ~std::uint32_t{0};

  void begin(const Part& part) {
    first_ = part_ == nullptr ? 0 : last_ + 1;
    last_ = first_;
    part_ = &part;
    turn_of_chunk_.assign(std::size_t{part.product.rows} * part.product.columns, unknown);
    std::ranges::fill(counts_, 0);
  }

  std::uint32_t at_a_time_;
  std::vector<std::uint32_t> counts_;  ///< of chunks, by the first host of their column
  std::vector<std::uint32_t> turn_of_chunk_;
  const Part* part_ = nullptr;
  std::uint32_t first_ = 0, last_ = 0;
};

/// What only owned tasks read is made by the owner of one of them that has made least so far.
class Makers {
 public:
  Makers(const TaskGraph& graph, const graph::Consumers& consumers, std::size_t hosts)
      : graph_(graph), consumers_(consumers), bytes_(hosts, 0) {}

  std::uint32_t host_of(std::uint32_t task, const std::vector<std::uint32_t>& owners) {
    std::uint32_t best = no_host;
    std::uint64_t bytes = 0;
    for (std::uint32_t d = graph_.output_offsets[task]; d < graph_.output_offsets[task + 1]; ++d) {
      if (graph_.output_bytes[d] != TaskGraph::dynamic_bytes) bytes += graph_.output_bytes[d];
      for (const std::uint32_t reader : consumers_.of(d)) {
        const std::uint32_t host = owners[reader];
        if (host == no_host) return no_host;
        if (best == no_host || bytes_[host] < bytes_[best]) best = host;
      }
    }
    if (best != no_host) bytes_[best] += bytes;
    return best;
  }

 private:
  const TaskGraph& graph_;
  const graph::Consumers& consumers_;
  std::vector<std::uint64_t> bytes_;
};

/// Cells of one owner, each of which may take over the buffer of the one before.
struct Chain {
  std::uint32_t head = 0, length = 0;
};

class Leveller {
 public:
  Leveller(std::vector<std::uint32_t>& owners, const OwnedTasks& tasks,
           const std::vector<std::uint32_t>& hosts)
      : owners_(owners), tasks_(tasks), hosts_(hosts) {
    for (const std::uint32_t host : hosts) {
      if (host >= left_.size()) left_.resize(host + 1, 0), is_there_.resize(host + 1, false);
      is_there_[host] = true;
    }
  }

  void run() {
    const std::vector<Chain> chains = find_chains();
    std::uint64_t cells = 0;
    for (const Chain& chain : chains) {
      cells += chain.length;
      if (is_there(owners_[chain.head])) left_[owners_[chain.head]] += chain.length;
    }
    const std::uint64_t fair = hosts_.empty() ? 0 : cells / hosts_.size();
    for (std::size_t c = chains.size(); c-- > 0;) pass(chains[c], fair);
    for (std::uint32_t& owner : owners_) {
      if (owner != no_host && !is_there(owner)) owner = no_host;
    }
  }

 private:
  bool is_there(std::uint32_t host) const { return host < is_there_.size() && is_there_[host]; }

  bool is_cell_of(std::uint32_t task, std::uint32_t owner) const {
    return owners_[task] == owner && tasks_.graph.cell[task] != TaskGraph::no_cell &&
           tasks_.is_to_do(task);
  }

  template <class Visit>
  void for_chain(std::uint32_t head, Visit visit) const {
    const std::uint32_t owner = owners_[head];
    for (std::optional task = head; task && is_cell_of(*task, owner);) {
      const std::optional<std::uint32_t> heir = tasks_.heir_of(*task);
      visit(*task);
      task = heir;
    }
  }

  std::vector<Chain> find_chains() const {
    std::vector<Chain> chains;
    std::vector<bool> is_counted(owners_.size(), false);
    for (std::uint32_t t = 0; t < owners_.size(); ++t) {
      if (is_counted[t] || owners_[t] == no_host || !is_cell_of(t, owners_[t])) continue;
      chains.push_back({t, 0});
      for_chain(t, [&](std::uint32_t cell) {
        is_counted[cell] = true;
        ++chains.back().length;
      });
    }
    return chains;
  }

  void pass(const Chain& chain, std::uint64_t fair) {
    const std::uint32_t from = owners_[chain.head];
    if (hosts_.empty()) return;
    if (is_there(from) && left_[from] <= fair + chain.length / 2) return;
    const std::uint32_t to =
        *std::ranges::min_element(hosts_, {}, [&](auto h) { return left_[h]; });
    if (is_there(from)) {
      if (left_[to] + chain.length >= left_[from]) return;
      left_[from] -= chain.length;
    }
    left_[to] += chain.length;
    for_chain(chain.head, [&](std::uint32_t cell) { owners_[cell] = to; });
  }

  std::vector<std::uint32_t>& owners_;
  const OwnedTasks& tasks_;
  const std::vector<std::uint32_t>& hosts_;
  std::vector<std::uint64_t> left_;  ///< cells, by host
  std::vector<bool> is_there_;       ///< by host
};

}  // namespace

EqualHosts equal_hosts(const WorkerTable& workers) {
  struct Power {
    std::uint32_t count = 0;
    double slots = 0;  ///< of average speed
    double memory_bytes = 0;
    bool is_limited = true;
  };
  std::map<std::uint32_t, Power> powers;
  for (PeerIndex p = 0; p < workers.size(); ++p) {
    if (!workers.is_usable(p)) continue;
    const Peer& peer = workers.at(p);
    Power& power = powers[peer.host];
    power.count += peer.slots;
    power.slots += peer.slots / peer.slowness;
    power.memory_bytes += static_cast<double>(peer.memory_limit);
    power.is_limited &= peer.memory_limit > 0;
  }
  EqualHosts found;
  double least = 0, most = 0;
  for (const auto& [host, power] : powers) {
    found.slots = std::max(found.slots, power.count);
    least = found.hosts.empty() ? power.slots : std::min(least, power.slots);
    most = std::max(most, power.slots);
    found.hosts.push_back(host);
    if (!power.is_limited) continue;
    const bool is_least = found.memory_bytes == 0 || power.memory_bytes < found.memory_bytes;
    if (is_least) found.memory_bytes = power.memory_bytes;
  }
  constexpr double alike = 1.25;  // a grid gives each as much to do
  if (most > alike * least) return {};
  return found;
}

std::int64_t mean_cell_ns(const TaskGraph& graph,
                          const std::function<std::int64_t(std::uint32_t task)>& task_ns) {
  std::int64_t tasks = 0, ns = 0;
  for (std::uint32_t t = 0; t < graph.cell.size(); ++t) {
    if (graph.cell[t] == TaskGraph::no_cell) continue;
    ++tasks;
    ns += task_ns(t);
  }
  return tasks == 0 ? 0 : ns / tasks;
}

std::vector<std::uint32_t> owners_of(const TaskGraph& graph, const graph::Consumers& consumers,
                                     const EqualHosts& on) {
  const std::vector<std::uint32_t>& hosts = on.hosts;
  if (hosts.size() < 2 || graph.products.empty() || graph.cell.empty()) return {};
  const Grids grids(graph, on);
  if (!grids.is_any_good()) return {};
  std::vector<std::uint32_t> owners(graph.task_count(), no_host);
  Makers makers(graph, consumers, hosts.size());
  // Readers come after what they read, in graphs that have products.
  for (std::uint32_t task = graph.task_count(); task-- > 0;) {
    const std::uint32_t cell = graph.cell[task];
    owners[task] = cell == TaskGraph::no_cell ? makers.host_of(task, owners) : grids.host_of(cell);
  }
  for (std::uint32_t& owner : owners) {
    if (owner != no_host) owner = hosts[owner];
  }
  return owners;
}

void level_owners(std::vector<std::uint32_t>& owners, const OwnedTasks& tasks,
                  const std::vector<std::uint32_t>& hosts) {
  Leveller(owners, tasks, hosts).run();
}

std::vector<std::uint32_t> turns_of(const TaskGraph& graph, const graph::Consumers& consumers,
                                    const EqualHosts& on) {
  if (on.hosts.size() < 2 || graph.products.empty() || graph.cell.empty()) return {};
  Turns turns(graph, on);
  if (!turns.has_layers()) return {};
  std::vector<std::uint32_t> turn(graph.task_count(), 0);
  std::vector<bool> is_after_cells(graph.task_count(), false);
  const std::vector<std::uint32_t> producers = graph::producers(graph);
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    const bool has_cell = graph.cell[t] != TaskGraph::no_cell;
    is_after_cells[t] = has_cell;
    if (has_cell) turn[t] = turns.turn_of(graph.cell[t]);
    for (const std::uint32_t datum : graph.inputs_of(t)) {
      if (datum >= graph.output_count() || !is_after_cells[producers[datum]]) continue;
      is_after_cells[t] = true;
      turn[t] = std::max(turn[t], turn[producers[datum]]);
    }
  }
  for (std::uint32_t t = graph.task_count(); t-- > 0;) {
    if (is_after_cells[t]) continue;
    std::uint32_t first = ~std::uint32_t{0};
    for (std::uint32_t d = graph.output_offsets[t]; d < graph.output_offsets[t + 1]; ++d) {
      for (const std::uint32_t reader : consumers.of(d)) first = std::min(first, turn[reader]);
    }
    turn[t] = first;
  }
  return turn;
}

}  // namespace ashlar::scheduler
