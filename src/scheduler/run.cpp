#include "scheduler/run.hpp"

#include <algorithm>
#include <map>

namespace ashlar::scheduler {
namespace {

/// What a task of high priority waits for is as urgent. `order` has producers first.
std::vector<std::int32_t> inherited_priority(const Run& run,
                                             const std::vector<std::uint32_t>& order) {
  std::vector<std::int32_t> priority = run.graph->priority;
  if (priority.empty()) return priority;
  for (auto task = order.rbegin(); task != order.rend(); ++task) {
    for (const std::uint32_t name : run.graph->inputs_of(*task)) {
      if (name >= run.output_count()) continue;
      std::int32_t& producer = priority[run.producer[name]];
      producer = std::max(producer, priority[*task]);
    }
  }
  return priority;
}

/// Orders the tasks by priority, then by rank.
void make_tasks(Run& run, std::vector<std::uint32_t> rank) {
  std::vector<std::uint32_t> order(rank.size());
  for (std::uint32_t t = 0; t < rank.size(); ++t) order[rank[t]] = t;
  run.priority = inherited_priority(run, order);
  if (!run.priority.empty()) {
    std::ranges::stable_sort(
        order, [&](std::uint32_t a, std::uint32_t b) { return run.priority[a] > run.priority[b]; });
    for (std::uint32_t r = 0; r < order.size(); ++r) rank[order[r]] = r;
  }
  run.tasks = {run.graph->task_count(), std::move(rank), std::move(order)};
}

void group_tasks(Run& run, WorkerTable& workers) {
  const graph::TaskGraph& graph = *run.graph;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint16_t> known;
  std::map<std::uint32_t, std::uint16_t> by_requirement;
  for (std::uint32_t t = 0; t < graph.task_count(); ++t) {
    const std::uint32_t constraint = graph.constraint.empty() ? 0 : graph.constraint[t];
    const auto [found, is_new] = known.try_emplace({graph.kernel[t], constraint}, 0);
    if (is_new) {
      static const graph::Constraint anywhere;
      const std::uint32_t requirement = workers.requirement_id(
          run.kernel_ids[graph.kernel[t]],
          graph.constraint.empty() ? anywhere : graph.constraints[constraint]);
      const auto next = static_cast<std::uint16_t>(run.tasks.classes().size());
      const auto [task_class, is_new_class] = by_requirement.try_emplace(requirement, next);
      if (is_new_class) {
        run.tasks.classes().push_back({requirement, 0, 0, RankSet{graph.task_count()}});
      }
      found->second = task_class->second;
    }
    run.tasks.join_class(t, found->second);
  }
}

template <class T>
std::size_t bytes_of(const std::vector<T>& vector) {
  return vector.capacity() * sizeof(T);
}

}  // namespace

std::unique_ptr<Run> make_run(RunId id, std::shared_ptr<const graph::TaskGraph> graph,
                              WorkerTable& workers,
                              const std::function<TaskOrder(const Run&)>& order_of) {
  auto run = std::make_unique<Run>();
  run->id = id;
  run->graph = std::move(graph);
  const graph::TaskGraph& g = *run->graph;
  run->consumers = graph::consumers(g);
  run->producer = graph::producers(g);
  for (const std::string& kernel : g.kernels) run->kernel_ids.push_back(workers.kernel_id(kernel));
  TaskOrder order = order_of(*run);
  make_tasks(*run, std::move(order.ranks));
  run->own(std::move(order.owners));
  run->prefetches = order.prefetches && run->priority.empty();
  run->are_owners_firm = order.are_owners_firm && run->priority.empty();
  run->decisions.resize(g.task_count());
  group_tasks(*run, workers);
  for (std::uint32_t task = 0; task < g.task_count(); ++task) {
    run->roots += g.inputs_of(task).empty() ? 1 : 0;
  }
  run->data.resize(g.output_count());
  for (std::uint32_t d = 0; d < g.output_count(); ++d) {
    run->data[d].bytes = g.output_bytes[d];
    run->data[d].uses = static_cast<std::uint32_t>(run->consumers.of(d).size());
  }
  for (const std::uint32_t d : g.wanted) run->data[d].is_wanted = true;
  run->pinned = static_cast<std::uint32_t>(g.wanted.size());
  return run;
}

void Run::own(std::vector<std::uint32_t> hosts) {
  owners = std::move(hosts);
  for (const std::uint32_t host : owners) {
    if (host == no_host) continue;
    if (host >= owned_left.size()) owned_left.resize(host + 1, 0);
    ++owned_left[host];
  }
}

std::uint32_t Run::number_of(const CausePtr& cause) {
  if (causes.empty() || causes.back() != cause) causes.push_back(cause);
  return static_cast<std::uint32_t>(causes.size() - 1);
}

CausePtr Run::why_lost(std::uint32_t datum) const {
  const auto found = given_up.find(datum);
  if (found != given_up.end()) return found->second;
  return causes[tasks.at(producer[datum]).blocked];
}

std::uint32_t Run::best_ready_rank() const {
  std::uint32_t best = RankSet::none;
  for (const TaskClass& task_class : tasks.classes()) best = std::min(best, task_class.ready.min());
  return best;
}

Share& Run::share_of(PeerIndex worker) {
  const auto at = std::ranges::lower_bound(shares, worker, {}, &Share::worker);
  if (at != shares.end() && at->worker == worker) return *at;
  return *shares.insert(at, Share{worker, 0, 0});
}

Traffic& Run::traffic_of(PeerIndex peer) {
  const auto at = std::ranges::lower_bound(traffic, peer, {}, &Traffic::peer);
  if (at != traffic.end() && at->peer == peer) return *at;
  return *traffic.insert(at, Traffic{peer, 0, 0});
}

std::optional<std::uint32_t> Run::heir_of(std::uint32_t task) const {
  if (graph->reuse_input.empty()) return std::nullopt;
  const std::uint32_t buffer = graph->output_offsets[task];
  if (buffer == graph->output_offsets[task + 1]) return std::nullopt;
  for (const std::uint32_t reader : consumers.of(buffer)) {
    const std::uint32_t position = graph->reuse_input[reader];
    if (position == graph::TaskGraph::no_input) continue;
    if (graph->inputs_of(reader)[position] == buffer) return reader;
  }
  return std::nullopt;
}

std::string Run::label(std::uint32_t task) const {
  std::string text = "task " + std::to_string(task) + ", kernel \"" + kernel_name(task) + "\"";
  const std::string source = graph->source_of(task);
  return source.empty() ? text : text + ", " + source;
}

std::size_t Run::bytes() const {
  std::size_t total = sizeof(Run) + bytes_of(consumers.offsets) + bytes_of(consumers.tasks) +
                      bytes_of(producer) + tasks.bytes() + bytes_of(decisions) + bytes_of(data) +
                      bytes_of(externals) + bytes_of(planned) + bytes_of(owners) +
                      bytes_of(owned_left) + bytes_of(priority) + bytes_of(shares) +
                      bytes_of(traffic) + bytes_of(causes) +
                      watchers.size() * (sizeof(Watcher) + 40);
  if (!graph) return total;
  const graph::TaskGraph& g = *graph;
  return total + bytes_of(g.kernel) + bytes_of(g.input_offsets) + bytes_of(g.inputs) +
         bytes_of(g.output_offsets) + bytes_of(g.param_offsets) + bytes_of(g.params) +
         bytes_of(g.flops) + bytes_of(g.moved_bytes) + bytes_of(g.priority) +
         bytes_of(g.constraint) + bytes_of(g.source) + bytes_of(g.reuse_input) + bytes_of(g.cell) +
         bytes_of(g.output_bytes) + bytes_of(g.external_bytes) + bytes_of(g.wanted);
}

}  // namespace ashlar::scheduler
