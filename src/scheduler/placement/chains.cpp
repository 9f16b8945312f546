#include "scheduler/placement/chains.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "scheduler/placement/hosts.hpp"
#include "scheduler/placement/order.hpp"
#include "scheduler/placement/rehearsal.hpp"

namespace ashlar::scheduler::placement {
namespace {

/// Of so many tasks in the mean: else there are none to speak of.
constexpr std::size_t chain_length_min = 3;
/// Times a host's share of the work, at most.
constexpr double longest_max = 1.1;
/// Of the time that the tasks take on all slots, what moving data must take on all links.
constexpr double moving_min = 0.25;
/// How many times as long tasks that are placed one by one must take in a rehearsal: they know less
/// there than they do when they are really placed.
constexpr double gain_min = 1.3;
/// Of the time that the tasks take on all slots, what planning may take, and at most; and about
/// what it costs to look at something. Meanwhile the scheduler does nothing else.
constexpr double planning_share = 0.03, planning_ns_max = 1e8, look_ns = 8;
constexpr std::size_t tasks_max = std::size_t{1} << 15, inputs_max = std::size_t{1} << 17;

constexpr int passes_max = 6;

/// What one chain, or another graph, makes and others read.
struct Flow {
  std::uint32_t from = nowhere;        ///< the chain …
  std::uint32_t host = nowhere;        ///< … or the position of the host that has it
  std::vector<std::uint32_t> readers;  ///< chains
  double moving_ns = 0;                ///< to one host
};

class Chains {
 public:
  Chains(const View& view, const Submission& run, const std::vector<std::uint32_t>& order,
         const std::vector<Host>& hosts)
      : run_(run), up_(order.size()), of_(order.size(), nowhere) {
    const std::vector<double> ns = join(order, hosts.size());
    for (const std::uint32_t task : order) {
      const std::uint32_t first = first_of(task);
      if (of_[first] == nowhere) {
        of_[first] = count();
        work_ns_.push_back(ns[first]);
      }
      of_[task] = of_[first];
    }
    find_flows(view, hosts);
  }

  std::uint32_t count() const { return static_cast<std::uint32_t>(work_ns_.size()); }
  std::uint32_t of(std::uint32_t task) const { return of_[task]; }
  const std::vector<double>& work_ns() const { return work_ns_; }
  const std::vector<Flow>& flows() const { return flows_; }
  double total_ns() const { return std::accumulate(work_ns_.begin(), work_ns_.end(), 0.0); }

 private:
  /// None gets longer than a host's share allows. Returns the chains' work, by their first tasks.
  std::vector<double> join(const std::vector<std::uint32_t>& order, std::size_t hosts) {
    std::iota(up_.begin(), up_.end(), 0);
    std::vector<double> ns(order.size());
    for (const std::uint32_t task : order) ns[task] = static_cast<double>(run_.task_ns(task));
    const double total = std::accumulate(ns.begin(), ns.end(), 0.0);
    const double most = longest_max * total / static_cast<double>(hosts);
    const graph::TaskGraph& g = run_.graph;
    for (const std::uint32_t task : order) {
      for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
        const auto readers = run_.consumers.of(d);
        if (readers.size() != 1) continue;
        const std::uint32_t a = first_of(task), b = first_of(readers[0]);
        if (a == b || ns[a] + ns[b] > most) continue;
        up_[b] = a;
        ns[a] += ns[b];
      }
    }
    return ns;
  }

  std::uint32_t first_of(std::uint32_t task) {
    while (up_[task] != task) task = up_[task] = up_[up_[task]];
    return task;
  }

  void find_flows(const View& view, const std::vector<Host>& hosts) {
    const std::uint32_t outputs = run_.graph.output_count();
    for (std::uint32_t d = 0; d < outputs + run_.graph.external_count(); ++d) {
      Flow flow;
      flow.moving_ns = static_cast<double>(moving_ns(view, run_.bytes_of(d)));
      if (d < outputs) {
        flow.from = of_[run_.producer[d]];
      } else {
        flow.host = position_of(run_.host_of_external(d), hosts);
        if (flow.host == nowhere) continue;
      }
      for (const std::uint32_t task : run_.consumers.of(d)) {
        if (of_[task] != flow.from) flow.readers.push_back(of_[task]);
      }
      std::ranges::sort(flow.readers);
      const auto repeated = std::ranges::unique(flow.readers);
      flow.readers.erase(repeated.begin(), repeated.end());
      if (!flow.readers.empty()) flows_.push_back(std::move(flow));
    }
  }

  const Submission& run_;
  std::vector<std::uint32_t> up_;  ///< towards the chain's first task
  std::vector<std::uint32_t> of_;  ///< by task
  std::vector<double> work_ns_;    ///< by chain, in the order of their first tasks
  std::vector<Flow> flows_;
};

/// Shares chains out to hosts by local search: the squares of what each has to do and to move add
/// up to as little as can be found.
class Sharing {
 public:
  Sharing(const Chains& chains, const std::vector<Host>& hosts, double moving_weight)
      : chains_(chains),
        hosts_(hosts),
        weight_(moving_weight),
        where_(chains.count(), nowhere),
        load_ns_(hosts.size(), 0),
        flows_of_(chains.count()),
        readers_(chains.flows().size() * hosts.size(), 0) {
    for (std::uint32_t f = 0; f < chains.flows().size(); ++f) {
      const Flow& flow = chains.flows()[f];
      if (flow.from != nowhere) flows_of_[flow.from].push_back(f);
      for (const std::uint32_t chain : flow.readers) flows_of_[chain].push_back(f);
    }
  }

  std::vector<std::uint32_t> find() {
    std::vector<std::uint32_t> longest_first(chains_.count());
    std::iota(longest_first.begin(), longest_first.end(), 0);
    std::ranges::stable_sort(longest_first, std::ranges::greater{},
                             [this](std::uint32_t chain) { return chains_.work_ns()[chain]; });
    bool is_better = true;
    for (int pass = 0; is_better && pass < passes_max; ++pass) {
      is_better = false;
      for (const std::uint32_t chain : longest_first) is_better |= settle(chain);
    }
    return std::move(where_);
  }

  /// About how much that costs, in flows looked at.
  static double cost(const Chains& chains, std::size_t hosts) {
    std::size_t looks = chains.count();
    for (const Flow& flow : chains.flows()) looks += 1 + flow.readers.size();
    return static_cast<double>(looks * hosts * passes_max);
  }

 private:
  /// To the host where it does least harm; returns whether it moved.
  bool settle(std::uint32_t chain) {
    const std::uint32_t before = where_[chain];
    std::uint32_t best = before;
    double least = before == nowhere ? std::numeric_limits<double>::max() : badness();
    for (std::uint32_t host = 0; host < hosts_.size(); ++host) {
      if (host == before) continue;
      move(chain, host);
      if (badness() >= least * (1 - 1e-9)) continue;
      least = badness();
      best = host;
    }
    move(chain, best);
    return best != before;
  }

  double badness() const {
    return std::inner_product(load_ns_.begin(), load_ns_.end(), load_ns_.begin(), 0.0);
  }

  void move(std::uint32_t chain, std::uint32_t to) {
    const std::uint32_t from = std::exchange(where_[chain], to);
    if (from == to) return;
    if (from != nowhere) load_ns_[from] -= chains_.work_ns()[chain] / hosts_[from].slots;
    load_ns_[to] += chains_.work_ns()[chain] / hosts_[to].slots;
    for (const std::uint32_t f : flows_of_[chain]) {
      chains_.flows()[f].from == chain ? move_source(f, from, to) : move_reader(f, from, to);
    }
  }

  void move_source(std::uint32_t f, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t host = 0; host < hosts_.size(); ++host) {
      if (readers_on(f, host) == 0) continue;
      if (from != nowhere && host != from) add(f, from, host, -1);
      if (host != to) add(f, to, host, 1);
    }
  }

  void move_reader(std::uint32_t f, std::uint32_t from, std::uint32_t to) {
    const Flow& flow = chains_.flows()[f];
    const std::uint32_t source = flow.from == nowhere ? flow.host : where_[flow.from];
    const bool was_last = from != nowhere && --readers_on(f, from) == 0;
    const bool is_first = readers_on(f, to)++ == 0;
    if (source == nowhere) return;
    if (was_last && source != from) add(f, source, from, -1);
    if (is_first && source != to) add(f, source, to, 1);
  }

  /// The flow goes, or no longer goes, over the links of both.
  void add(std::uint32_t f, std::uint32_t from, std::uint32_t to, int sign) {
    const double ns = sign * weight_ * chains_.flows()[f].moving_ns;
    load_ns_[from] += ns;
    load_ns_[to] += ns;
  }

  std::uint32_t& readers_on(std::uint32_t f, std::uint32_t host) {
    return readers_[f * hosts_.size() + host];
  }

  const Chains& chains_;
  const std::vector<Host>& hosts_;
  double weight_;
  std::vector<std::uint32_t> where_;                  ///< by chain
  std::vector<double> load_ns_;                       ///< by host
  std::vector<std::vector<std::uint32_t>> flows_of_;  ///< by chain: what it makes and reads
  std::vector<std::uint32_t> readers_;                ///< by flow and host: chains that read it
};

/// Whether there may be chains: looked at for every graph, so that it is to cost little.
bool may_have_chains(const Submission& run) {
  std::size_t handed_on = 0;
  for (std::uint32_t d = 0; d < run.graph.output_count(); ++d) {
    handed_on += run.consumers.of(d).size() == 1 ? 1 : 0;
  }
  const std::size_t tasks = run.graph.task_count();
  return handed_on >= tasks - tasks / chain_length_min;
}

double looks_for(const Submission& run, const std::vector<Host>& hosts) {
  double work_ns = 0;
  for (std::uint32_t t = 0; t < run.graph.task_count(); ++t) {
    work_ns += static_cast<double>(run.task_ns(t));
  }
  return std::min(planning_share * work_ns / slots_of(hosts), planning_ns_max) / look_ns;
}

/// Whether hosts can share them, and moving what they hand each other takes long if they are shared
/// by chance.
bool are_worth_sharing(const Chains& chains, const std::vector<Host>& hosts, std::size_t tasks) {
  if (chains.count() < hosts.size() || tasks < chain_length_min * chains.count()) return false;
  const auto count = static_cast<double>(hosts.size());
  double moving_ns = 0;
  for (const Flow& flow : chains.flows()) {
    moving_ns += flow.moving_ns * std::min(static_cast<double>(flow.readers.size()), count - 1);
  }
  return moving_ns / count >= moving_min * chains.total_ns() / slots_of(hosts);
}

}  // namespace

std::vector<std::uint32_t> chain_owners(const View& view, const Submission& run,
                                        const std::vector<std::uint32_t>& order,
                                        const std::vector<std::uint32_t>& otherwise) {
  const std::size_t inputs = run.graph.inputs.size();
  if (order.size() > tasks_max || inputs > inputs_max || !may_have_chains(run)) return {};
  if (!run.graph.constraint.empty()) return {};  // not every host can run all of them
  const std::vector<Host> hosts = hosts_of(view.workers);
  if (hosts.size() < 2 || hosts.size() > Rehearsal::hosts_max) return {};
  const double looks_max = looks_for(run, hosts);
  constexpr double looks_to_find = 4;  // chains, and what they read of each other
  if (looks_to_find * static_cast<double>(order.size() + inputs) > looks_max) return {};
  const Chains chains(view, run, order, hosts);
  if (!are_worth_sharing(chains, hosts, order.size())) return {};
  constexpr double weights[] = {0.25, 0.5, 1};
  if (std::size(weights) * Sharing::cost(chains, hosts.size()) > looks_max) return {};

  const std::vector<std::int64_t> way = ways_to_end(view, run, order);
  std::vector<std::uint32_t> urgent_first = order;
  std::ranges::stable_sort(urgent_first, [&](auto a, auto b) { return way[a] > way[b]; });
  Rehearsal rehearsal(view, run, urgent_first, hosts, looks_max / 2);
  std::vector<std::uint32_t> best, one_by_one(order.size(), nowhere);
  for (std::uint32_t task = 0; task < otherwise.size(); ++task) {
    one_by_one[task] = position_of(otherwise[task], hosts);
  }
  double least = static_cast<double>(rehearsal.makespan_ns(one_by_one)) / gain_min;
  const auto rehearse = [&](const std::vector<std::uint32_t>& by_chain) {
    std::vector<std::uint32_t> where(order.size());
    for (std::uint32_t task = 0; task < where.size(); ++task)
      where[task] = by_chain[chains.of(task)];
    const auto makespan = static_cast<double>(rehearsal.makespan_ns(where));
    if (makespan >= least) return;
    least = makespan;
    best = std::move(where);
  };
  std::vector<std::uint32_t> in_turn(chains.count());
  for (std::uint32_t c = 0; c < in_turn.size(); ++c) {
    in_turn[c] = c % static_cast<std::uint32_t>(hosts.size());
  }
  rehearse(in_turn);
  for (const double weight : weights) rehearse(Sharing(chains, hosts, weight).find());
  for (std::uint32_t& host : best) host = hosts[host].number;
  return best;
}

}  // namespace ashlar::scheduler::placement
