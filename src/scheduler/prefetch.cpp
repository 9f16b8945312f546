#include <algorithm>
#include <utility>

#include "scheduler/core.hpp"
#include "scheduler/placement/wide_readers.hpp"

// What owners are to read comes to them as soon as it is made, while tasks are still placed as late
// as can be: links that are the limit are to have no rest.

namespace ashlar::scheduler {
namespace {

/// When so many of a run's tasks are done, it is known about how much the others will make.
std::uint64_t tasks_to_see(const Run& run) {
  return std::clamp<std::uint64_t>(run.tasks.size() / 16, 16, 1024);
}

/// What was made, and what the others will make: as much as tasks of the same kernel on average.
std::vector<std::uint64_t> expected_bytes(const Run& run) {
  const graph::TaskGraph& g = *run.graph;
  struct Made {
    std::uint64_t bytes = 0, count = 0;
  };
  std::vector<Made> by_kernel(g.kernels.size());
  std::vector<std::uint64_t> bytes = g.output_bytes;
  const auto made_by = [&](std::size_t d) -> Made& { return by_kernel[g.kernel[run.producer[d]]]; };
  for (std::size_t d = 0; d < bytes.size(); ++d) {
    if (bytes[d] != graph::TaskGraph::dynamic_bytes || !run.data[d].is_made) continue;
    bytes[d] = run.data[d].bytes;
    made_by(d).bytes += bytes[d];
    ++made_by(d).count;
  }
  for (std::size_t d = 0; d < bytes.size(); ++d) {
    if (bytes[d] != graph::TaskGraph::dynamic_bytes || made_by(d).count == 0) continue;
    bytes[d] = made_by(d).bytes / made_by(d).count;
  }
  return bytes;
}

}  // namespace

/// A run of which it is not known beforehand how much its tasks make is looked at again.
void Core::await_sizes(Run& run) {
  const bool has_order_of_its_own = !run.owners.empty() || !run.priority.empty();
  if (has_order_of_its_own || !policy_->minds_owners() || !run.graph->products.empty()) return;
  const auto& bytes = run.graph->output_bytes;
  if (std::ranges::find(bytes, graph::TaskGraph::dynamic_bytes) == bytes.end()) return;
  run.sizes_after = tasks_to_see(run);
}

void Core::note_sizes(Run& run) {
  if (run.sizes_after == 0 || run.done_count < run.sizes_after) return;
  run.sizes_after = 0;
  sized_runs_.push_back(run.slot);
}

void Core::share_out_readers() {
  for (const std::uint32_t slot : std::exchange(sized_runs_, {})) {
    if (!runs_[slot] || runs_[slot]->is_ended) continue;
    Run& run = run_at(slot);
    placement::Submission submitted = submission(run);
    submitted.made_bytes = expected_bytes(run);
    run.owners = placement::wide_readers(view(), submitted, run.tasks.order()).owners;
    run.prefetches = !run.owners.empty();
    for (std::uint32_t task = 0; task < run.owners.size(); ++task) {
      if (is_unfinished(run.tasks.state(task))) count_owned(run, task, true);
      if (run.prefetches && run.tasks.state(task) == TaskState::done) {
        made_now_.push_back({run.slot, task});
      }
    }
  }
}

/// At the end of a step, as what is freed in it would be so before it is told.
void Core::prefetch_made() {
  // While some workers cannot reach others, readers may have to go where their inputs can be had.
  const bool is_cut = broken_.any(now_);
  for (const DataRef& task : std::exchange(made_now_, {})) {
    if (!is_cut && runs_[task.run]) prefetch_outputs(run_at(task.run), task.index);
  }
}

/// The task was done: who owns readers of its outputs is told to get them, unless one of the host
/// has them or will.
void Core::prefetch_outputs(const Run& run, std::uint32_t task) {
  if (run.is_ended || run.tasks.state(task) != TaskState::done) return;
  const graph::TaskGraph& g = *run.graph;
  for (std::uint32_t d = g.output_offsets[task]; d < g.output_offsets[task + 1]; ++d) {
    first_readers_.clear();
    for (const std::uint32_t reader : run.consumers.of(d)) {
      const TaskState state = run.tasks.state(reader);
      const std::uint32_t host = run.owner_of(reader);
      const bool is_to_place = state == TaskState::waiting || state == TaskState::assignable;
      if (!is_to_place || host == no_host) continue;
      const auto [first, is_new] = first_readers_.try_emplace(host, reader);
      if (run.tasks.rank(reader) < run.tasks.rank(first->second)) first->second = reader;
    }
    for (const auto& [host, reader] : first_readers_) prefetch({run.slot, d}, host, reader);
  }
}

void Core::prefetch(DataRef ref, std::uint32_t host, std::uint32_t reader) {
  const Run& run = run_at(ref.run);
  Datum& d = datum(ref);
  const auto is_there = [&](PeerIndex peer) { return workers_.at(peer).host == host; };
  if (!d.is_available() || is_there(d.primary)) return;
  for (std::uint32_t n = d.replicas; n != ReplicaPool::end; n = replicas_.at(n).next) {
    if (is_there(replicas_.at(n).peer)) return;
  }
  const auto members = workers_.members_on(pool_for(run, reader), host);
  if (members.empty()) return;
  const PeerIndex worker = *std::ranges::min_element(
      members, {}, [this](PeerIndex member) { return replicas_.incoming(member); });
  const PeerIndex holder = holder_for(ref, worker);
  if (!workers_.is_usable(worker) || !can_reach(worker, holder)) return;
  expect(ref, holder, worker);
  outbox_.prefetch(worker, id_of(ref), d.bytes, holder, run.tasks.rank(reader));
}

}  // namespace ashlar::scheduler
